"""Apache Parquet: typed columns, read by groups of rows."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import SourceError
from tasks.locations.base import Location
from tasks.schema import TableSchema
from tasks.sources.formats._plain import (
    PlainColumn,
    one_table,
    plain_batch,
    plain_columns,
    rows_of,
)
from tasks.sources.formats.base import (
    FilePart,
    FileTable,
    Format,
    ahead,
)

PART_BYTES = 2**26
"""Uncompressed bytes of the groups of rows of a part, as long as there is more than one."""


class Parquet(Format):
    """Files of equal columns."""

    suffixes = (".parquet", ".pq", ".parq")

    def __init__(self, settings: Any, batch_bytes: int) -> None:
        """See `Format`."""
        super().__init__(settings, batch_bytes)
        self._sizes: dict[str, list[int]] = {}

    def tables(self, files: Sequence[Location]) -> list[FileTable]:
        """See `Format.tables`: one table, from the ends of the files alone."""
        return one_table(self._looks(files))

    def _looks(self, files: Sequence[Location]) -> Iterator[tuple[Path, list[PlainColumn]]]:
        for file in ahead(files):
            with self.first_look(file) as path:
                with naming(path, " as Parquet"), pq.ParquetFile(path) as found:
                    columns = plain_columns(found.schema_arrow, path)
                    groups = range(found.metadata.num_row_groups)
                    self._sizes[file.url] = [
                        found.metadata.row_group(i).total_byte_size for i in groups
                    ]
                yield path, columns

    def parts(self, files: Sequence[Location], table: TableSchema) -> list[FilePart]:
        """See `Format.parts`: neighbouring groups of rows."""
        del table
        parts = []
        for file in files:
            sizes = self._sizes[file.url]
            start = n_bytes = 0
            for i, size in enumerate(sizes):
                n_bytes += size
                if n_bytes >= PART_BYTES or i == len(sizes) - 1:
                    parts.append(self.part(file, groups=list(range(start, i + 1))))
                    start, n_bytes = i + 1, 0
        return parts

    def read(self, table: TableSchema, part: FilePart) -> Iterator[pa.RecordBatch]:
        """See `Format.read`."""
        del table
        groups = part.place["groups"]
        place = f" (row groups {groups[0]} to {groups[-1]})"
        with self.next_look(part) as path, naming(path, place):
            yield from self._batches(path, groups)

    def _batches(self, path: Path, groups: list[int]) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(path, memory_map=True) as file:
            columns = plain_columns(file.schema_arrow, path)
            chosen = [file.metadata.row_group(i) for i in groups]
            n_rows = rows_of(
                self.batch_bytes,
                sum(group.total_byte_size for group in chosen),
                sum(group.num_rows for group in chosen),
            )
            for batch in file.iter_batches(batch_size=n_rows, row_groups=groups):
                yield plain_batch(batch, columns)


@contextlib.contextmanager
def naming(path: Path, place: str = "") -> Iterator[None]:
    """Turn the errors of a reader into one that names the file, and where in it the fault is."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        advice = ""
        if "encrypt" in str(error).lower():
            advice = "; it is encrypted: decrypt it first"
        elif path.stat().st_size == 0:
            advice = "; it is empty: write it anew"
        raise SourceError(f"cannot read {path}{place}: {error}{advice}") from error
