"""Comma-separated values and their kin: any delimiter, quoting, encoding and compression."""

import contextlib
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.locations.base import Location
from tasks.schema import TableSchema
from tasks.sources.base import column
from tasks.sources.formats._blocks import BLOCK_BYTES, can_seek
from tasks.sources.formats._delimited import map_texts
from tasks.sources.formats._dialect import Dialect, Told, sniff
from tasks.sources.formats._forms import Form, plain_forms, to_double
from tasks.sources.formats._inference import Inferred, convert, form_of, number_of
from tasks.sources.formats._pass import finished, scan
from tasks.sources.formats._spool import Kept, Spool, new_spool, part_bounds
from tasks.sources.formats.base import (
    FilePart,
    FileTable,
    Format,
    check_same,
)

PART_BYTES = 2**26
"""Bytes of text of a part; a file that can be read from the start only is one part."""

_BLOCK_TIMES = 6
"""What a block takes in memory while it is worked on, by its own size."""


class Delimited(Format):
    """Text with a row a line, or a few where values are quoted."""

    suffixes = tuple(
        f".{name}{packed}"
        for name in ("csv", "tsv", "tab", "psv", "txt", "data", "dat")
        for packed in ("", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
    )
    takes = frozenset(
        (
            "delimiter",
            "encoding",
            "column_names",
            "quote",
            "escape",
            "comment",
            "skip_rows",
            "thousands",
            "inflated_gib",
        )
    )

    def __init__(self, settings: Any, batch_bytes: int) -> None:
        """See `Format`."""
        super().__init__(settings, batch_bytes)
        self._columns: dict[str, Inferred] = {}
        self._kept: dict[str, list[Kept]] = {}
        self._spool: Spool | None = None
        self._dialects: dict[Path, Dialect] = {}
        self._seekable: set[str] = set()

    def tables(self, files: Sequence[Location]) -> list[FileTable]:
        """See `Format.tables`: one table; the files are read for it, and the rows kept on disk."""
        settings = self.settings
        cores = settings.workers or len(os.sched_getaffinity(0))
        workers = max(1, min(cores, settings.memory_mib * 2**20 // (_BLOCK_TIMES * BLOCK_BYTES)))
        spool = new_spool(settings, files)
        found, self._spool = scan(files, self._opened, self._forms, spool, workers)
        if self._spool is not None:
            self.opened.callback(self._spool.close)
        self._columns = found.columns
        self._kept = {file.url: blocks for file, blocks in zip(files, found.blocks, strict=True)}
        inferred = found.columns.items()
        return [FileTable([column(n, i.data_type, nullable=i.nullable) for n, i in inferred])]

    def parts(self, files: Sequence[Location], table: TableSchema) -> list[FilePart]:
        """See `Format.parts`: ranges of bytes where a file can be read from anywhere."""
        del table
        forms = {name: number_of(i.form, self._forms) for name, i in self._columns.items()}
        parts = []
        for file in files:
            n_bytes = PART_BYTES if file.url in self._seekable else sys.maxsize
            for group in part_bounds(self._kept[file.url], n_bytes):
                is_range = all(block.start is not None for block in group)
                part = self.part(
                    file,
                    start=group[0].start if is_range else None,
                    end=group[-1].end if is_range else None,
                    kept=[block.place for block in group],
                    forms=forms,
                )
                parts.append(part)
        return parts

    def read(self, table: TableSchema, part: FilePart) -> Iterator[pa.RecordBatch]:
        """See `Format.read`: from the spool of this process, or from the file."""
        place = part.place
        columns = {
            c.name: Inferred(form_of(place["forms"][c.name], self._forms), c.nullable)
            for c in table.columns
        }
        if self._spool is not None:
            for kept in place["kept"]:
                yield finished(self._spool.read(kept), columns)
            return
        with self.next_look(part) as path:
            yield from map_texts(
                path,
                self._dialect(path),
                lambda texts, _: convert(texts, columns),
                start=place["start"],
                end=place["end"],
                workers=1,
            )

    @cached_property
    def _forms(self) -> tuple[Form, ...]:
        mark = self.settings.thousands
        return tuple(plain_forms() if mark is None else _grouped_forms(mark))

    @contextlib.contextmanager
    def _opened(self, file: Location) -> Iterator[tuple[Path, Dialect]]:
        """A file and its dialect, whose columns are those of the first file."""
        with self.first_look(file) as path:
            dialect = self._dialect(path)
            first, expected = next(iter(self._dialects.items()))
            check_same(first, expected.names, path, dialect.names)
            if can_seek(path, dialect):
                self._seekable.add(file.url)
            yield path, dialect

    def _dialect(self, path: Path) -> Dialect:
        if path not in self._dialects:
            given = self.settings.model_dump(include={f.name for f in dataclasses.fields(Told)})
            self._dialects[path] = sniff(path, Told(**given))
        return self._dialects[path]


def _grouped_forms(mark: str) -> Iterator[Form]:
    """`plain_forms`, and numbers with `mark` between thousands; a space may be one that never breaks.

    The decimal mark is the comma where `mark` is the point, the point where it is the comma, and
    either one (a whole column the same) beside other marks.
    """
    between = f"[{re.escape(mark)}]" if mark != " " else "[ \u00a0\u202f]"
    grouped = f"-?([1-9][0-9]{{0,2}}({between}[0-9]{{3}})+|0|[1-9][0-9]*)"
    points = {".": ",", ",": "."}.get(mark, ".,")
    for form in plain_forms():
        if form.data_type == pa.int64():
            yield form
            yield Form(pa.int64(), grouped, _ungrouped(between, pa.int64()))
        elif form.data_type == pa.float64():
            point = "," if form.proves is None else "."
            if point in points:  # else what looks like the decimal mark stands between thousands
                yield form
                pattern = rf"{grouped}([{point}][0-9]*)?"
                yield Form(pa.float64(), pattern, _ungrouped(between, pa.float64(), point))
        else:
            yield form


def _ungrouped(
    between: str, data_type: pa.DataType, point: str = "."
) -> Callable[[pa.Array], pa.Array]:
    """Parses numbers with one of the marks between thousands."""

    def parse(texts: pa.Array) -> pa.Array:
        digits = pc.replace_substring_regex(texts, between, "")
        if pa.types.is_integer(data_type):
            return pc.cast(digits, data_type)
        return to_double(pc.replace_substring(digits, point, "."))

    return parse
