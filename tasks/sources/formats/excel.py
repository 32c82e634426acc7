"""Excel and OpenDocument workbooks: each sheet is a table."""

import datetime
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.errors import SourceError
from tasks.locations.base import Location
from tasks.schema import TableSchema
from tasks.sources.base import column
from tasks.sources.formats._inference import Inferred, form_of, number_of
from tasks.sources.formats._kinds import (
    ALL_FORMS,
    Chunk,
    ChunkBuilder,
    Evidence,
    ValueKind,
    converted,
)
from tasks.sources.formats._spool import Spool, new_spool
from tasks.sources.formats._streams import PIECE_BYTES, naming
from tasks.sources.formats.base import (
    FilePart,
    FileTable,
    Format,
    ahead,
    check_same,
)

INFLATED_BYTES = 2**31
"""What a workbook may become, in bytes, unless `inflated_gib` says otherwise: a sheet is in memory."""

_CHUNK_ROWS = 16_384

_EXACT_INTEGERS = 2**53
"""Numbers of a workbook are doubles; whole ones below this are integers."""


class Excel(Format):
    """Sheets with the names of the columns in their first row; rows of empty cells are none.

    Of formulas the stored values are taken. Merged cells have their value in the first one. Where
    several sheets hold something, and `sheet` names none of them, each is a table.
    """

    suffixes = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
    takes = frozenset(("sheet", "skip_rows", "column_names", "inflated_gib"))

    def __init__(self, settings: Any, batch_bytes: int) -> None:
        """See `Format`."""
        super().__init__(settings, batch_bytes)
        self._spool: Spool | None = None
        # By table: its columns, and of each file the sheet and its places in the spool.
        self._columns: dict[str, dict[str, Inferred]] = {}
        self._kept: dict[str, dict[str, tuple[str, list[int]]]] = {}

    def tables(self, files: Sequence[Location]) -> list[FileTable]:
        """See `Format.tables`: one for each sheet that is not empty, or the one that is named."""
        spool = new_spool(self.settings, files)
        evidence: dict[str, Evidence] = {}
        heads: dict[str, tuple[Path, list[str]]] = {}
        is_one = self.settings.sheet is not None
        for file in ahead(files):
            with self.first_look(file) as path:
                names = self._sheets(path)
                # Workbooks of one sheet each are one table, whatever the sheets are called.
                is_one = is_one or (len(names) == 1 and not heads)
                if heads and not is_one:
                    check_same(next(iter(heads.values()))[0], list(heads), path, names)
                for name in names:
                    table = "" if is_one else name
                    found = evidence.setdefault(table, Evidence())
                    places: list[int] = []
                    for chunk in self._chunks(path, name):
                        columns = chunk.batch.schema.names
                        first = heads.setdefault(table, (path, columns))
                        check_same(*first, path, columns)
                        found.add(chunk)
                        if spool is not None:
                            places.append(spool.add(chunk.batch))
                    self._kept.setdefault(table, {})[file.url] = (name, places)
        if spool is not None and spool.is_open:
            self._spool = spool
            self.opened.callback(spool.close)
        self._columns = {table: found.columns() for table, found in evidence.items()}
        if empty := [table for table, columns in self._columns.items() if not columns]:
            where = f", sheet {empty[0]!r}" if empty[0] else ""
            raise SourceError(
                f"expected rows below the names of the columns in {files[0].url}{where}, found none;"
                " name the sheet to read by `sheet`"
            )
        return [
            FileTable(
                [column(n, i.data_type, nullable=i.nullable) for n, i in columns.items()],
                _table_name(table) if table else None,
            )
            for table, columns in self._columns.items()
        ]

    def parts(self, files: Sequence[Location], table: TableSchema) -> list[FilePart]:
        """See `Format.parts`: the sheet of each file."""
        (key,) = (
            k for k in self._columns if len(self._columns) == 1 or _table_name(k) == table.name
        )
        forms = {name: number_of(i.form, ALL_FORMS) for name, i in self._columns[key].items()}
        parts = []
        for file in files:
            sheet, places = self._kept[key][file.url]
            parts.append(self.part(file, sheet=sheet, kept=places, forms=forms))
        return parts

    def read(self, table: TableSchema, part: FilePart) -> Iterator[pa.RecordBatch]:
        """See `Format.read`."""
        columns = {
            c.name: Inferred(form_of(part.place["forms"][c.name], ALL_FORMS), c.nullable)
            for c in table.columns
        }
        if self._spool is not None:
            for kept in part.place["kept"]:
                yield converted(self._spool.read(kept), columns, is_spelled=False)
            return
        with self.next_look(part) as path:
            for chunk in self._chunks(path, part.place["sheet"]):
                yield converted(chunk.batch, columns, is_spelled=False)

    def _sheets(self, path: Path) -> list[str]:
        """The names of the sheets to read."""
        with self._workbook(path) as book:
            wanted = self.settings.sheet
            if wanted is not None and wanted not in book.sheet_names:
                raise SourceError(
                    f"expected the sheet {wanted!r} in {path}, found:"
                    f" {', '.join(map(repr, book.sheet_names))}"
                )
            names = [wanted] if wanted is not None else book.sheet_names
            full = [name for name in names if next(_rows(book, name, path), None) is not None]
        if not full:
            raise SourceError(f"expected rows in {path}, found empty sheets")
        return full

    def _chunks(self, path: Path, sheet: str) -> Iterator[Chunk]:
        with self._workbook(path) as book:
            skipped = self.settings.skip_rows
            rows = (row for row in _rows(book, sheet, path) if row[0] > skipped)
            names = self._header(path, sheet, rows)
            builder = ChunkBuilder()
            for number, row in rows:
                place = f"{path}, sheet {sheet!r}, row {number:,}"
                if any(cell != "" for cell in row[len(names) :]):
                    raise SourceError(
                        f"{place}: a value stands right of the last column, {names[-1]!r}; give its"
                        " column a name, or set `skip_rows` if the header is further down"
                    )
                cells = [*row, *[""] * (len(names) - len(row))]
                values = zip(names, cells, strict=False)
                builder.add(((n, *_spelled(cell)) for n, cell in values), lambda at=place: at)  # type: ignore[misc]
                if builder.n_rows == _CHUNK_ROWS:
                    yield builder.chunk()
                    builder = ChunkBuilder()
            if builder.n_rows:
                yield builder.chunk()

    def _header(self, path: Path, sheet: str, rows: Iterator[tuple[int, list[Any]]]) -> list[str]:
        if self.settings.column_names is not None:
            return list(self.settings.column_names)
        number, cells = next(rows, (0, []))
        texts = [str(_spelled(cell)[0] or "").strip() for cell in cells]
        while texts and not texts[-1]:
            texts.pop()
        names = [text or f"column {i}" for i, text in enumerate(texts, start=1)]
        place = f"{path}, sheet {sheet!r}, row {number:,}"
        if twice := sorted(name for name, n in Counter(names).items() if n > 1):
            raise SourceError(f"{place}: more than one column is named {twice}; rename them")
        if not names:
            raise SourceError(
                f"{path}, sheet {sheet!r}: expected the names of the columns, found none"
            )
        if not all(isinstance(cell, str) for cell in cells[: len(names)]) and not _are_years(texts):
            raise SourceError(
                f"{place}: expected the names of the columns, found {texts[:5]}; set `skip_rows` if"
                " they are further down, or `column_names`"
            )
        return names

    def _workbook(self, path: Path) -> Any:
        """An open workbook that is no bomb."""
        # Of all formats only this one needs the library.
        from python_calamine import CalamineError, PasswordError, load_workbook

        given = self.settings.inflated_gib
        _check_size(path, INFLATED_BYTES if given is None else int(given * 2**30))
        try:
            return load_workbook(str(path))
        except PasswordError as error:
            raise SourceError(f"cannot read {path}: it has a password; save it without") from error
        except (CalamineError, OSError, ValueError) as error:
            raise SourceError(f"cannot read {path} as a workbook: {error}") from error


def _rows(book: Any, sheet: str, path: Path) -> Iterator[tuple[int, list[Any]]]:
    """The rows of a sheet that are not empty, with their numbers."""
    from python_calamine import CalamineError, XmlError

    try:
        for number, row in enumerate(
            book.get_sheet_by_name(sheet).to_python(skip_empty_area=False), start=1
        ):
            if any(cell != "" for cell in row):
                yield number, row
    except (CalamineError, XmlError) as error:
        raise SourceError(f"cannot read {path}, sheet {sheet!r}: {error}") from error


def _spelled(cell: Any) -> tuple[str | None, ValueKind]:
    """Spelling and kind of a cell."""
    if cell == "":
        return None, ValueKind.NOTHING
    if isinstance(cell, bool):
        return ("true" if cell else "false"), ValueKind.TRUTH
    if isinstance(cell, int | float):
        is_whole = float(cell).is_integer() and abs(cell) < _EXACT_INTEGERS
        return str(int(cell)) if is_whole else repr(cell), ValueKind.DOUBLE
    if isinstance(cell, datetime.date):  # and datetime
        return cell.isoformat(), ValueKind.MOMENT
    if isinstance(cell, datetime.time | datetime.timedelta):
        return str(cell), ValueKind.NESTED
    return str(cell), ValueKind.NESTED


def _are_years(texts: Sequence[str]) -> bool:
    return all(
        re.fullmatch(r"[12][0-9]{3}", t) or not re.fullmatch(r"[-0-9.e+]+", t) for t in texts
    )


def _table_name(sheet: str) -> str:
    """The name of a sheet as one of a table."""
    return re.sub(r"[^\w-]+", "_", sheet).strip("_.") or "sheet"


def _check_size(path: Path, limit: int) -> None:
    """Refuse a workbook that becomes too large, whatever it says of its size."""
    with naming(path), path.open("rb") as raw:
        if raw.read(2) != b"PK":
            return
        n_bytes = 0
        with zipfile.ZipFile(raw) as archive:
            for info in archive.infolist():
                info.file_size = limit + 1  # what it says may be a lie: the bytes are counted
                info.CRC = None  # type: ignore[assignment]
                with archive.open(info) as member:
                    while n_bytes <= limit and (data := member.read(PIECE_BYTES)):
                        n_bytes += len(data)
        if n_bytes > limit:
            raise SourceError(
                f"{path} becomes larger than {limit / 2**30:.3g} GiB when it is decompressed, which"
                " looks like a bomb; if it is none, set `inflated_gib`"
            )
