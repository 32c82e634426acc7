"""How rows become Parquet files: cut by what the rows are, encoded by threads in bounded memory.

A table is a row of shards, a shard a row of row groups. The cuts depend on the rows alone, not on
how they came in batches, so equal rows give equal bytes.
"""

import concurrent.futures
import contextlib
import io
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.encryption import SUFFIX, DecryptedFile, key, write_encrypted

ROW_GROUP_ROWS = 65_536
"""Rows of a row group at most, and so of a batch that is read."""

ROW_GROUP_BYTES = 16 * 2**20
"""Bytes in memory from which a row group ends, which is what limits those of images and texts."""

COLUMN_BYTES = 64 * 2**10
"""Bytes that a row group has for each of its columns at least: finding a column in a file costs as
much as reading thousands of its values. It counts from 256 columns on."""

SHARD_ROWS = 2**19
"""Rows of a shard at most; several are encoded at once, so memory holds more than one."""

SHARD_BYTES = 64 * 2**20
"""Bytes in memory from which a shard ends, or four row groups where those are larger."""

WRITER_BYTES = 128 * 2**20
"""Rows that wait for the encoder, if nobody says otherwise."""

_MAX_WORKERS = 4
"""Shards that are encoded at once, at most and where there are twice as many cores: reading needs
the others, and the compressors of a shard take up to 30 MB."""

_DICTIONARY_SHARE = 0.5
"""Share of different values in the first `_JUDGED_ROWS` up to which a column of a shard gets a
dictionary; beyond, it would be built and thrown away."""

_JUDGED_ROWS = 8_192
"""Enough to tell a column that repeats itself; to count those of a whole row group takes as long as a
quarter of writing them."""


def open_shard(path: Path) -> pq.ParquetFile:
    """A shard, to be read: the one place where this happens.

    Of an encrypted one, the parts that are read are decrypted, in memory.
    """
    if path.suffix == SUFFIX:
        return pq.ParquetFile(pa.PythonFile(DecryptedFile(path), mode="r"))
    return pq.ParquetFile(path, memory_map=True, pre_buffer=False)


@contextlib.contextmanager
def new_shard(path: Path) -> Iterator[BinaryIO]:
    """The file of a new shard, to be written: the one place where this happens.

    One that is to be encrypted is kept in memory until it is whole: nothing plain is on disk.
    """
    if path.suffix == SUFFIX:
        content = io.BytesIO()
        yield content
        write_encrypted(path, content.getbuffer())
        return
    with path.open("wb") as stream:
        yield stream


def write_shards(
    folder: Path,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    metadata: Mapping[str, str] | None = None,
    memory_bytes: int = WRITER_BYTES,
    *,
    encrypt: bool = False,
) -> int:
    """Write batches of this schema as `part-00000.parquet` …; return the number of rows.

    Args:
        folder: exists and is empty.
        schema: of the batches.
        batches: the rows.
        metadata: what each file says about itself.
        memory_bytes: of rows that wait for being encoded; one row group is allowed in any case.
        encrypt: the files are then `part-00000.parquet.enc` …

    Raises:
        WorkspaceError: they are to be encrypted, and there is no key.
    """
    if encrypt:
        key()  # Better now than when the first shard is full.
    n_rows = 0
    # Metadata of the writer's making (pandas, clocks) would change bytes for equal rows.
    bare = schema.with_metadata(metadata)
    suffix = f".parquet{SUFFIX}" if encrypt else ".parquet"
    with _Encoder(folder, bare, memory_bytes, suffix) as encoder:
        for group in row_groups(batches):
            encoder.add(group)
            n_rows += group.n_rows
        if n_rows == 0:
            encoder.add(RowGroup(0, [], 0, 0))
    return n_rows


@dataclass(frozen=True)
class RowGroup:
    """The rows of one row group.

    Attributes:
        shard: number of the shard that it is in.
        pieces: its rows.
        n_rows: of them.
        n_bytes: what they take in memory.
    """

    shard: int
    pieces: list[pa.RecordBatch]
    n_rows: int
    n_bytes: int


def row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[RowGroup]:
    """The rows cut into row groups and shards.

    A row group ends with its `ROW_GROUP_ROWS`-th row, or with the one that fills `ROW_GROUP_BYTES`
    (with many columns, `COLUMN_BYTES` for each); a shard ends with its `SHARD_ROWS`-th row, or with
    the row group that fills `SHARD_BYTES`.
    """
    shard = rows_before = bytes_before = 0
    pieces: list[pa.RecordBatch] = []
    n_rows = n_bytes = 0
    for batch in batches:
        ends = np.cumsum(row_bytes(batch))
        group_bytes = max(ROW_GROUP_BYTES, COLUMN_BYTES * batch.num_columns)
        shard_bytes = max(SHARD_BYTES, 4 * group_bytes)
        start = 0
        while start < batch.num_rows:
            done = int(ends[start - 1]) if start else 0
            stop = 1 + int(np.searchsorted(ends, done + group_bytes - n_bytes))
            longest = min(ROW_GROUP_ROWS - n_rows, SHARD_ROWS - rows_before - n_rows)
            stop = min(stop, start + longest, batch.num_rows)
            pieces.append(batch.slice(start, stop - start))
            n_rows += stop - start
            n_bytes += int(ends[stop - 1]) - done
            start = stop
            is_shard_full = rows_before + n_rows == SHARD_ROWS
            if n_rows == ROW_GROUP_ROWS or n_bytes >= group_bytes or is_shard_full:
                yield RowGroup(shard, pieces, n_rows, n_bytes)
                rows_before, bytes_before = rows_before + n_rows, bytes_before + n_bytes
                pieces, n_rows, n_bytes = [], 0, 0
                if is_shard_full or bytes_before >= shard_bytes:
                    shard, rows_before, bytes_before = shard + 1, 0, 0
    if pieces:
        yield RowGroup(shard, pieces, n_rows, n_bytes)


def row_bytes(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """What each row takes in memory, whatever batch it came in.

    **Shape:** result (rows,).
    """
    return _sum(batch.columns, batch.num_rows)


def _sum(columns: Iterable[pa.Array], n_rows: int) -> npt.NDArray[np.int64]:
    total = np.zeros(n_rows, dtype=np.int64)
    for column in columns:
        total += _value_bytes(column)
    return total


def _value_bytes(values: pa.Array) -> npt.NDArray[np.int64]:
    kind = values.type
    if pa.types.is_struct(kind):
        return _sum((values.field(i) for i in range(kind.num_fields)), len(values))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return 4 + 16 * _lengths(pc.list_value_length(values))  # of its items, an estimate
    try:
        return np.full(len(values), max(1, kind.bit_width // 8))
    except ValueError:  # of a type whose values differ in length
        return 4 + _lengths(pc.binary_length(values))


def _lengths(values: pa.Array) -> npt.NDArray[np.int64]:
    lengths: npt.NDArray[Any] = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64)


class _Encoder:
    """Threads that write shards, a shard each; use it in a `with` block."""

    def __init__(self, folder: Path, schema: pa.Schema, memory_bytes: int, suffix: str) -> None:
        self._folder, self._schema, self._memory_bytes = folder, schema, memory_bytes
        self._suffix = suffix
        n_workers = max(1, min(len(os.sched_getaffinity(0)) // 2, _MAX_WORKERS))
        self._pool = concurrent.futures.ThreadPoolExecutor(n_workers, "shards")
        self._shard = -1
        self._waiting: queue.SimpleQueue[RowGroup | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._n_bytes = 0
        self._fault: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._fault = error  # nobody needs the rest
        self._waiting.put(None)
        self._pool.shutdown()
        if error is None and self._fault is not None:
            raise self._fault

    def add(self, group: RowGroup) -> None:
        """Hand over the next row group; waits while too many bytes are waiting."""
        with self._room:
            self._room.wait_for(
                lambda: self._n_bytes == 0 or self._n_bytes + group.n_bytes <= self._memory_bytes
            )
            self._n_bytes += group.n_bytes
        if self._fault is not None:
            raise self._fault
        if group.shard != self._shard:
            self._waiting.put(None)
            self._shard, self._waiting = group.shard, queue.SimpleQueue()
            path = self._folder / f"part-{group.shard:05d}{self._suffix}"
            self._pool.submit(self._write, path, self._waiting)
        self._waiting.put(group)

    def _write(self, path: Path, waiting: "queue.SimpleQueue[RowGroup | None]") -> None:
        """Write one shard; after a fault anywhere, take what comes for it and leave it."""
        groups = iter(waiting.get, None)
        try:
            with contextlib.ExitStack() as opened:
                writer = None
                for group in groups:
                    if self._fault is None:
                        rows = pa.Table.from_batches(group.pieces, self._schema).combine_chunks()
                        if writer is None:
                            stream = opened.enter_context(new_shard(path))
                            writer = opened.enter_context(_parquet(stream, rows))
                        writer.write_table(rows, row_group_size=max(1, group.n_rows))
                        del rows
                    self._taken(group)
        except BaseException as error:
            self._fault = error
            with self._room:
                self._n_bytes = 0  # whoever waits is to see the fault
                self._room.notify()
            for _ in groups:
                pass

    def _taken(self, group: RowGroup) -> None:
        with self._room:
            self._n_bytes -= group.n_bytes
            self._room.notify()


def _parquet(stream: BinaryIO, first: pa.Table) -> pq.ParquetWriter:
    """A writer for a shard whose first rows are these."""
    return pq.ParquetWriter(
        stream, first.schema, compression="zstd", use_dictionary=_repetitive(first)
    )


def _repetitive(rows: pa.Table) -> list[str]:
    """The columns whose values repeat so much that a dictionary of them is shorter."""
    found = []
    rows = rows.slice(0, _JUDGED_ROWS)
    for name, values in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_nested(values.type) or pa.types.is_boolean(values.type):
            continue
        if pc.count_distinct(values).as_py() <= _DICTIONARY_SHARE * len(values):
            found.append(name)
    return found
