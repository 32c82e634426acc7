"""Rows that one pass over a file has parsed, kept on the disk for the next pass."""

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tasks.locations.base import Location

_FREE_TIMES = 4
"""The disk must have so many times the size of the files free."""


class Spool:
    """Batches in a file without a name, which is gone when the process ends, however it ends.

    It is below `TMPDIR`, never in memory. Where the disk is full it gives up, and what it held is
    parsed again.
    """

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self._file = tempfile.TemporaryFile(prefix="proofmint-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._places: list[tuple[int, int]] = []
        self._end = 0
        self.is_open = True

    @staticmethod
    def packed(batch: pa.RecordBatch) -> pa.Buffer:
        """A batch as `add` takes it; for threads."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return sink.getvalue()

    def add(self, packed: pa.Buffer) -> int:
        """Keep a batch; return its number."""
        if self.is_open:
            try:
                left = memoryview(packed)
                while left:
                    left = left[os.write(self._file.fileno(), left) :]
            except OSError:
                self.close()
        self._places.append((self._end, packed.size))
        self._end += packed.size
        return len(self._places) - 1

    def read(self, number: int) -> pa.RecordBatch:
        """The batch of this number; any thread may ask."""
        start, size = self._places[number]
        data = os.pread(self._file.fileno(), size, start)
        with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
            return reader.read_next_batch()

    def close(self) -> None:
        """Forget all batches."""
        self.is_open = False
        with contextlib.suppress(OSError):
            self._file.close()


def new_spool(settings: Any, files: Sequence[Location]) -> Spool | None:
    """A spool for the rows of these files; None: the disk is too full, or they are not to lie there.

    Args:
        settings: of the source; what it encrypts must not touch the disk as it is.
        files: that are to be read.
    """
    n_bytes = sum(file.size_bytes or 0 for file in files)
    free = shutil.disk_usage(tempfile.gettempdir()).free
    return None if settings.encrypt or free < _FREE_TIMES * n_bytes else Spool()


@dataclass(frozen=True)
class Kept:
    """Rows of a file that were read.

    Attributes:
        start: in bytes of the text; None: of a file that is read from the start only.
        end: of the rows.
        number: in the spool.
    """

    start: int | None
    end: int | None
    number: int


def part_bounds(blocks: Sequence[Kept], n_bytes: int) -> Iterator[Sequence[Kept]]:
    """Neighbouring blocks in groups of about `n_bytes`; all of them where one has no place."""
    if any(block.start is None for block in blocks):
        yield blocks
        return
    group: list[Kept] = []
    for block in blocks:
        group.append(block)
        if (block.end or 0) - (group[0].start or 0) >= n_bytes:
            yield group
            group = []
    if group:
        yield group
