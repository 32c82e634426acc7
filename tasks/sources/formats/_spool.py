"""Rows that one pass over a file has parsed, kept on the disk for the next pass."""

import contextlib
import mmap
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tasks.locations.base import Location

_HEAD_BYTES = 64
"""In front of each batch: its size. So many, because Arrow likes buffers to start at a multiple."""

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
        self._lock = threading.Lock()
        self._end = 0
        self.is_open = True

    def add(self, batch: pa.RecordBatch) -> int:
        """Keep a batch; return where it is. Any thread may call."""
        # A stream of Arrow's; its writer would copy the rows several times, into a growing buffer.
        messages = [memoryview(message.serialize()) for message in (batch.schema, batch)]
        size = _HEAD_BYTES + sum(message.nbytes for message in messages)
        with self._lock:
            place = self._end
            self._end += -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        at = place
        pieces: list[bytes | memoryview] = [size.to_bytes(_HEAD_BYTES, "little"), *messages]
        for data in pieces:
            if self.is_open:
                self._write(data, at)
            at += len(data)
        return place

    def read(self, place: int) -> pa.RecordBatch:
        """The batch that `add` put there. Any thread may call.

        It is mapped: rows that wait take no memory until somebody looks at them.
        """
        fd = self._file.fileno()
        size = int.from_bytes(os.pread(fd, _HEAD_BYTES, place), "little")
        data = pa.py_buffer(mmap.mmap(fd, size, prot=mmap.PROT_READ, offset=place))
        with pa.ipc.open_stream(data.slice(_HEAD_BYTES)) as reader:
            return reader.read_next_batch()

    def _write(self, data: bytes | memoryview, place: int) -> None:
        try:
            while data:
                n = os.pwrite(self._file.fileno(), data, place)
                data, place = data[n:], place + n
        except OSError:
            self.close()

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
        place: in the spool; None: it is not there.
    """

    start: int | None
    end: int | None
    place: int | None


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
