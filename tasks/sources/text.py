"""Texts: a file each, the lines or paragraphs of files, or a column of tables in files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from tasks.errors import SourceError
from tasks.locations.base import Location
from tasks.locations.remote import masked
from tasks.locations.resolve import resolve
from tasks.schema import DatasetSchema, TableSchema, arrow_schema
from tasks.sources._located import check_spelled, place_of, reading
from tasks.sources._rows import PartCounts, batches_of
from tasks.sources.base import Part, Source, SourceSettings, column, table_schema
from tasks.sources.files import FileSource
from tasks.sources.formats._encodings import encoding_of
from tasks.sources.formats._streams import check_utf8, open_bytes, utf8_pieces

TABLE = "texts"
SUFFIXES = (".txt", ".text", ".md", ".txt.gz", ".txt.bz2", ".txt.xz", ".txt.zst")
"""What the files of a folder that is named whole end with."""

PART_FILES = 512
"""Files of a part, where each file is one text."""

MAX_TEXT_BYTES = 16 * 2**20
"""Bytes of one text at most."""

Unit = Literal["file", "paragraph", "line"]


class TextSettings(SourceSettings):
    """Settings of `source: {type: text}`."""

    path: str = Field(
        min_length=1,
        description="text files: a path, a glob, a folder or a URL; where all lie in sub-folders,"
        " the first of these is the label",
    )
    unit: Unit = Field(
        default="file",
        description="what one text is: a file, a paragraph (lines up to an empty one) or a line",
    )
    encoding: str = Field(default="utf-8", description="of the files; a byte order mark wins")
    column: str | None = Field(
        default=None,
        description="column that holds the texts: the files are tables then, as the source `files`"
        " reads them; their other columns come along",
    )
    files: dict[str, Any] = Field(
        default={},
        description="settings of the source `files` for such tables: delimiter, column_names ...",
    )
    connection: str | None = Field(
        default=None, description="name of the variable with the credentials for a URL"
    )

    @model_validator(mode="after")
    def _is_for_tables(self) -> "TextSettings":
        if self.files and self.column is None:
            raise ValueError("`files` is for tables; name the `column` that holds the texts")
        if self.column is not None and self.unit != "file":
            raise ValueError("`unit` is for text files; a value of `column` is one text")
        return self


class TextSource(Source):
    """Texts in files of any encoding, plain or compressed, with labels or without."""

    Settings = TextSettings

    def schema(self) -> DatasetSchema:
        """One table of texts with their labels, or with the other columns of their tables."""
        if self._tables is not None:
            return self._schema_of_tables(self._tables)
        text = column("text", pa.string(), nullable=False)
        columns = [text.model_copy(update={"meaning": "text"})]
        if self._has_labels:
            columns.append(column("label", pa.string(), nullable=False))
        return self.dataset(table_schema(TABLE, columns))

    def parts(self, table: TableSchema) -> Sequence[Part]:
        """Groups of files where each is a text, else one file each."""
        if self._tables is not None:
            return self._tables.parts(table)
        places = [place_of(location) for location in self._locations]
        n = PART_FILES if self.settings.unit == "file" else 1
        return [Part({"files": places[i : i + n]}) for i in range(0, len(places), n)]

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The texts, in the order of the files' paths."""
        if self._tables is not None:
            yield from self._with_text(self._tables.read_part(table, part), part)
        else:
            rows = self._rows(part, has_labels="label" in table.column_names)
            yield from batches_of(rows, arrow_schema(table), self.batch_bytes())

    def counts(self) -> dict[str, int]:
        """Texts without a visible character, which were left out: of tables, with their rows."""
        of_tables = {} if self._tables is None else self._tables.counts()
        return of_tables | {"empty_texts": self._left_out.total()["empty"]}

    @cached_property
    def _tables(self) -> FileSource | None:
        """The source of the tables that hold the texts; None: the files are texts."""
        if self.settings.column is None:
            return None
        shared = ("path", "encoding", "connection", "memory_mib", "workers")
        # What is not set stays unsaid, as some formats refuse what means nothing to them.
        given = {
            k: getattr(self.settings, k) for k in shared if k in self.settings.model_fields_set
        }
        tables = FileSource(
            given | self.settings.files, kind=self.kind, target=self.target, project=self.project
        )
        return self.opened.enter_context(tables)

    @cached_property
    def _left_out(self) -> PartCounts:
        return PartCounts()

    @cached_property
    def _locations(self) -> list[Location]:
        return resolve(
            self.settings.path,
            self.project,
            suffixes=SUFFIXES,
            connection=self.settings.connection,
        )

    @property
    def _has_labels(self) -> bool:
        """Whether all files lie in folders of labels."""
        check_spelled((file.relative for file in self._locations), masked(self.settings.path))
        loose = next((file for file in self._locations if "/" not in file.relative), None)
        if loose is not None and self.target is not None:
            raise SourceError(
                f"{loose.url} is in no folder of a label; expected <label>/{loose.name}, or"
                " `target: null` for texts without labels, or `column` for texts in tables"
            )
        return loose is None

    def _schema_of_tables(self, tables: FileSource) -> DatasetSchema:
        schema = tables.schema()
        table = schema.main
        name = self.settings.column
        found = {c.name: c for c in table.columns}
        if name not in found or found[name].type != "string":
            kinds = ", ".join(f"{c.name} ({c.type})" for c in table.columns)
            raise SourceError(
                f"expected a column {name!r} of texts in {table.name!r}, has: {kinds}"
            )
        columns = tuple(
            c.model_copy(update={"meaning": "text"}) if c.name == name else c for c in table.columns
        )
        tables_left = (table.model_copy(update={"columns": columns}), *schema.tables[1:])
        return schema.model_copy(update={"tables": tables_left})

    def _with_text(self, batches: Iterable[pa.RecordBatch], part: Part) -> Iterator[pa.RecordBatch]:
        """The rows of tables without those that have no text."""
        counts = self._left_out.of(part)
        for batch in batches:
            texts = batch.column(self.settings.column)
            is_text = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(texts), ""), False)
            counts["empty"] += batch.num_rows - pc.sum(is_text, min_count=0).as_py()
            yield batch.filter(is_text)

    def _rows(self, part: Part, *, has_labels: bool) -> Iterator[dict[str, Any]]:
        counts = self._left_out.of(part)
        for place in part.place["files"]:
            with reading(place, self.settings.path, self.project, self.settings.connection) as (
                location,
                path,
            ):
                label = {"label": location.relative.partition("/")[0]} if has_labels else {}
                for text in self._texts(path, counts):
                    yield {"text": text, **label}

    def _texts(self, path: Path, counts: Counter[str]) -> Iterator[str]:
        with open_bytes(path) as stream:
            head = stream.read(4)
        encoding = encoding_of(head, self.settings.encoding, path)
        with open_bytes(path) as stream:
            pieces = _without_nul(utf8_pieces(stream, encoding, path), path)
            for content in _UNITS[self.settings.unit](pieces, path):
                try:
                    text = content.decode()
                except UnicodeDecodeError:
                    check_utf8(path, self.settings.encoding, None)
                    raise
                if text.strip():
                    yield text
                else:
                    counts["empty"] += 1


def _without_nul(pieces: Iterable[bytes], path: Path) -> Iterator[bytes]:
    """The pieces, if they are text at all."""
    n_lines = n_bytes = 0
    for piece in pieces:
        if (place := piece.find(b"\0")) >= 0:
            line = n_lines + piece[:place].count(b"\n") + 1
            raise SourceError(
                f"{path}, line {line}: found a NUL character, byte {n_bytes + place} of the text; set"
                " `encoding` (utf-16?), or is it no text at all?"
            )
        n_lines += piece.count(b"\n")
        n_bytes += len(piece)
        yield piece


def _whole(pieces: Iterable[bytes], path: Path) -> Iterator[bytes]:
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > MAX_TEXT_BYTES:
            raise _too_long(path, "it", 1)
    yield bytes(content)


def _lines(pieces: Iterable[bytes], path: Path) -> Iterator[bytes]:
    """The lines without their ends, which may be of any style."""
    rest = b""
    n_lines = 0
    for piece in pieces:
        data = rest + piece
        # A carriage return at the end may be half of a line's end.
        end = len(data) - data.endswith(b"\r")
        *lines, rest = data[:end].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        yield from lines
        n_lines += len(lines)
        rest += data[end:]
        if len(rest) > MAX_TEXT_BYTES:
            raise _too_long(path, "a line", n_lines + 1)
    if rest:
        yield rest.removesuffix(b"\r")


def _paragraphs(pieces: Iterable[bytes], path: Path) -> Iterator[bytes]:
    """The lines between empty ones, joined by line feeds."""
    waiting: list[bytes] = []
    size = 0
    for n_lines, line in enumerate(_lines(pieces, path), start=1):
        if line.strip():
            waiting.append(line)
            size += len(line) + 1
            if size > MAX_TEXT_BYTES:
                raise _too_long(path, "a paragraph", n_lines)
        elif waiting:
            yield b"\n".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"\n".join(waiting)


def _too_long(path: Path, what: str, line: int) -> SourceError:
    return SourceError(
        f"{path}, line {line}: expected texts of {MAX_TEXT_BYTES} bytes at most, but {what} is"
        " longer; cut it, by another `unit` or in the source"
    )


_UNITS = {"file": _whole, "line": _lines, "paragraph": _paragraphs}
