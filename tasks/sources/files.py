"""Tables in files of any usual format, by path, folder, glob or URL."""

import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from tasks.errors import ParamsError, SourceError
from tasks.locations import resolve
from tasks.locations.base import Location
from tasks.locations.remote import masked
from tasks.registry import load, names
from tasks.schema import DatasetSchema, Kind, TableSchema
from tasks.sources.base import (
    OBSERVED_ROWS,
    ColumnNames,
    Part,
    Source,
    SourceSettings,
    table_schema,
    with_meanings,
)
from tasks.sources.formats.base import FilePart, Format

_FORMATS = "tasks.sources.formats"

_ASCII = r"^[\x00-\x7f]$"


class FileSettings(SourceSettings):
    """Settings of `source: {type: files}`."""

    path: str = Field(
        min_length=1,
        description="a file, a folder, a glob (`sales/*.csv`) or a URL (https, s3 ...); several files"
        " are one table, in sorted order",
    )
    connection: str | None = Field(
        default=None, description="where the credentials of a URL are: as in the sql source"
    )
    format: str | None = Field(
        default=None,
        description="a file of tasks/sources/formats: csv, json, jsonl, xml, parquet, excel, arrow;"
        " null: by the suffix, else csv",
    )
    table: str | None = Field(
        default=None,
        description="name of the table; null: of the file, or of several files' folder",
    )
    delimiter: str | None = Field(
        default=None, pattern=_ASCII, description="between values of csv; null: found out"
    )
    encoding: str = Field(default="utf-8", description="of csv, json, jsonl")
    column_names: ColumnNames | None = Field(
        default=None, description="names of the columns of files without a header"
    )
    quote: str = Field(
        default='"', pattern=r"^[\x00-\x7f]?$", description="around values of csv; '': none"
    )
    escape: str | None = Field(
        default=None, pattern=_ASCII, description="before a quote in a value of csv; null: doubled"
    )
    comment: str | None = Field(
        default=None, min_length=1, description="what lines of csv that are no rows start with"
    )
    skip_rows: int = Field(
        default=0, ge=0, description="lines of csv, or rows of excel, before the header"
    )
    thousands: str | None = Field(
        default=None, pattern=r"^[.,' _]$", description="between thousands in numbers of csv"
    )
    records: str | None = Field(
        default=None,
        description="where the array of records is in json: `data.items`; null: at the top, or the"
        " one array of the top object",
    )
    record: str | None = Field(
        default=None,
        description="name of the element of xml that is a row; null: what the root holds",
    )
    sheet: str | None = Field(
        default=None,
        description="of excel; null: all that are not empty, each one a table",
    )
    inflated_gib: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="GiB that a compressed file may become; null: 200 times its size, at least 4",
    )


class FileSource(Source):
    """One table in one or more files of equal columns; of Excel, one for each sheet."""

    Settings = FileSettings

    def __init__(
        self, settings: dict[str, Any], *, kind: Kind, target: str | None, project: Path
    ) -> None:
        """See `Source`."""
        super().__init__(settings, kind=kind, target=target, project=project)
        self._reader: Format | None = None
        self._lock = threading.Lock()

    def schema(self) -> DatasetSchema:
        """The tables; files that do not know their types are read once for it."""
        return self.dataset(*self._tables)

    def parts(self, table: TableSchema) -> list[Part]:
        """See `Source.parts`."""
        if not self._tables:  # the pass that finds the types also finds where files can be cut
            return []
        name = self._format_name
        return [
            Part({"file": dict(part.file.place), "format": name, "in_file": dict(part.place)})
            for part in self._format(name).parts(self._files, table)
        ]

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """See `Source.read_part`."""
        settings = self.settings
        file = resolve.at(
            part.place["file"], settings.path, self.project, connection=settings.connection
        )
        chosen = self._format(part.place["format"])
        yield from chosen.read(table, FilePart(file, part.place["in_file"]))

    @cached_property
    def _tables(self) -> list[TableSchema]:
        given = self.settings.table
        found = self._format(self._format_name).tables(self._files)
        default = _table_name(self.project, self.settings.path, self._files)
        if given is not None and len(found) > 1:
            raise ParamsError(
                f"source.table is {given!r}, but {masked(self.settings.path)!r} holds {len(found)} tables:"
                f" {', '.join(str(t.name) for t in found)}; name one by `sheet`, or leave it out"
            )
        return [table_schema(given or table.name or default, table.columns) for table in found]

    @cached_property
    def _files(self) -> list[Location]:
        given = self.settings.format
        suffixes = _suffixes()
        wanted = tuple(s for s, name in suffixes.items() if given in (None, name))
        return resolve.resolve(
            self.settings.path,
            self.project,
            suffixes=wanted,
            connection=self.settings.connection,
        )

    def _format(self, name: str) -> Format:
        """The one reader of this source, which threads share."""
        with self._lock:
            if self._reader is None:
                chosen = load(_FORMATS, name, Format)  # type: ignore[type-abstract]
                _check_settings(self.settings, name, chosen)
                reader = chosen(self.settings, self.batch_bytes())
                self._reader = self.opened.enter_context(reader)
            return self._reader

    @cached_property
    def _format_name(self) -> str:
        """The format that the settings, or the suffixes of all files, name."""
        if self.settings.format is not None:
            return str(self.settings.format)
        examples: dict[str, str] = {}
        for file in self._files:
            examples.setdefault(format_of(file.name), file.name)
        if len(examples) > 1:
            found = ", ".join(f"{name} ({example})" for name, example in sorted(examples.items()))
            raise SourceError(
                f"{masked(self.settings.path)!r} finds files of several formats: {found}; name one kind,"
                " e.g. '*.csv', or say by `format` what all are"
            )
        return next(iter(examples))


def format_of(name: str) -> str:
    """The format of a file by the end of its name: csv where nothing says otherwise."""
    lowered = name.lower()
    found = [suffix for suffix in _suffixes() if lowered.endswith(suffix)]
    return _suffixes()[max(found, key=len)] if found else "csv"


def open_csv(
    path: Path, target: str | None = None
) -> tuple[DatasetSchema, Iterator[pa.RecordBatch]]:
    """A delimited file as a dataset of one table: its schema, meanings included, and its rows.

    Raises:
        SourceError: there is no such file, it is no table, it has no rows, or no such target.
    """
    source = FileSource({"path": str(path)}, kind="tabular", target=target, project=Path())
    schema = source.schema()
    name = schema.main.name
    first: list[pa.RecordBatch] = []
    for batch in source.read(name):
        first.append(batch)
        if sum(b.num_rows for b in first) >= OBSERVED_ROWS:
            break
    if not any(batch.num_rows for batch in first):
        raise SourceError(f"expected rows in {path}, found a header only")
    rows = pa.Table.from_batches(first).slice(0, OBSERVED_ROWS)
    return with_meanings(schema, {name: rows}, {}), source.read(name)


def _suffixes() -> dict[str, str]:
    """The format of each suffix."""
    return {
        suffix: name
        for name in names(_FORMATS)
        for suffix in load(_FORMATS, name, Format).suffixes  # type: ignore[type-abstract]
    }


def _check_settings(settings: Any, name: str, chosen: type[Format]) -> None:
    """Refuse settings that mean something to other formats only."""
    fields = set(FileSettings.model_fields) - set(SourceSettings.model_fields)
    foreign = settings.model_fields_set & fields - chosen.takes - _OF_ALL
    if foreign:
        raise ParamsError(
            f"source: {', '.join(sorted(foreign))}: not a setting of {name} files, which take:"
            f" {', '.join(sorted(chosen.takes)) or 'none of their own'}; leave it out, or say by"
            " `format` what the files are"
        )


_OF_ALL = frozenset(("path", "connection", "format", "table"))


def _table_name(project: Path, given: str, files: list[Location]) -> str:
    name = files[0].name.split(".")[0]
    if len(files) > 1:
        # The folder that the glob stands in, or that was named.
        folder = Path(given) if (project / given).is_dir() else Path(given).parent
        name = (Path(files[0].url).parent if "://" not in given else folder).name
    return name.lstrip(".") or "data"
