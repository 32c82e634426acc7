"""Arrow IPC: files (also called Feather) by their batches, and streams."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.errors import SourceError
from tasks.locations.base import Location
from tasks.schema import TableSchema
from tasks.sources.formats._plain import (
    PlainColumn,
    in_batches,
    one_table,
    plain_batch,
    plain_columns,
)
from tasks.sources.formats.base import (
    FilePart,
    FileTable,
    Format,
    ahead,
)

_MAGIC = b"ARROW1"

_PART_BATCHES = 64
"""Batches of a part; most writers put tens of thousands of rows into one."""


class Arrow(Format):
    """Files of equal columns, mapped into memory."""

    suffixes = (".arrow", ".feather", ".ipc", ".arrows")

    def __init__(self, settings: Any, batch_bytes: int) -> None:
        """See `Format`."""
        super().__init__(settings, batch_bytes)
        self._n_batches: dict[str, int | None] = {}  # None: a stream

    def tables(self, files: Sequence[Location]) -> list[FileTable]:
        """See `Format.tables`: one table, from the heads of the files alone."""
        return one_table(self._looks(files))

    def _looks(self, files: Sequence[Location]) -> Iterator[tuple[Path, list[PlainColumn]]]:
        for file in ahead(files):
            with self.first_look(file) as path, _reader(path) as reader:
                self._n_batches[file.url] = getattr(reader, "num_record_batches", None)
                yield path, plain_columns(reader.schema, path)

    def parts(self, files: Sequence[Location], table: TableSchema) -> list[FilePart]:
        """See `Format.parts`: neighbouring batches of a file, a stream whole."""
        del table
        parts = []
        for file in files:
            n = self._n_batches[file.url]
            if n is None:
                parts.append(self.part(file, batches=None))
                continue
            for start in range(0, n, _PART_BATCHES):
                bounds = [start, min(start + _PART_BATCHES, n)]
                parts.append(self.part(file, batches=bounds))
        return parts

    def read(self, table: TableSchema, part: FilePart) -> Iterator[pa.RecordBatch]:
        """See `Format.read`."""
        del table
        with self.next_look(part) as path, _reader(path) as reader:
            columns = plain_columns(reader.schema, path)
            for batch in _batches(path, reader, part.place["batches"]):
                for piece in in_batches(batch, self.batch_bytes):
                    yield plain_batch(piece, columns)


def _batches(
    path: Path,
    reader: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader,
    bounds: list[int] | None,
) -> Iterator[pa.RecordBatch]:
    number = bounds[0] if bounds else 0
    end = bounds[1] if bounds else None
    while end is None or number < end:
        try:
            batch = reader.get_batch(number) if bounds else reader.read_next_batch()
            # Offsets of a damaged file may point anywhere in memory.
            batch.validate(full=True)
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"cannot read {path}, batch {number}: {error}") from error
        yield batch
        number += 1


@contextlib.contextmanager
def _reader(
    path: Path,
) -> Iterator[pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader]:
    with contextlib.ExitStack() as stack:
        try:
            if path.stat().st_size == 0:
                raise pa.ArrowInvalid("it is empty")
            mapped = stack.enter_context(pa.memory_map(str(path)))
            is_file = mapped.read(len(_MAGIC)) == _MAGIC
            mapped.seek(0)
            reader = pa.ipc.open_file(mapped) if is_file else pa.ipc.open_stream(mapped)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"cannot read {path} as Arrow: {error}; expected an IPC file or stream (Feather of"
                " version 2)"
            ) from error
        yield stack.enter_context(reader)
