"""This machine: parts are read ahead by threads."""

import concurrent.futures
import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks import retry
from tasks.engines.base import BatchFunction, Engine, Progress, T
from tasks.errors import SourceChanged, SourceUnavailable
from tasks.schema import TableSchema
from tasks.sources.base import Part, Source
from tasks.storage import read_batches

_log = logging.getLogger(__name__)


class LocalEngine(Engine):
    """Threads of this process."""

    def load(
        self,
        source: Source,
        table: TableSchema,
        parts: list[Part],
        report: Callable[[Progress], None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """See `Engine.load`.

        Of the source's `memory_mib`, a quarter is for rows that wait here, a quarter for batches
        that are being read (`Source.batch_bytes`), a quarter for rows that wait to be written, and
        the rest for what decoders and compressors need.
        """
        with _ReadAhead(source, table, parts) as ahead:
            # An error elsewhere leaves this generator where it stands: the engine ends it then.
            self.started.callback(ahead.stop)
            for i in range(len(parts)):
                yield from ahead.rows_of(i)
                if report is not None:
                    report(Progress(i + 1, len(parts)))

    def map(
        self, folder: Path, table: str, function: BatchFunction[T], *notes: Iterable[Any]
    ) -> Iterator[T]:
        """See `Engine.map`; what releases the GIL runs on all cores."""
        n_workers = _cores()
        pool = concurrent.futures.ThreadPoolExecutor(n_workers, "map")
        with contextlib.ExitStack() as opened:
            opened.callback(pool.shutdown, cancel_futures=True)
            waiting: deque[concurrent.futures.Future[T]] = deque()
            for items in zip(read_batches(folder, table), *notes, strict=False):
                waiting.append(pool.submit(function, *items))
                if len(waiting) > n_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


class _ReadAhead:
    """Threads that read parts, the next ones first; use it in a `with` block.

    The batches that wait take at most a quarter of the source's memory: a thread that has a batch
    beyond it waits. Only the part whose rows are wanted now may always give one, so the threads ahead of it
    cannot lock it out, and a batch that is larger than the memory still gets through.
    """

    def __init__(self, source: Source, table: TableSchema, parts: list[Part]) -> None:
        self._source, self._table, self._parts = source, table, parts
        self._memory_bytes: int = source.settings.memory_mib * 2**20 // 4
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._fault: BaseException | None = None
        self._unread = deque(range(len(parts)))
        self._batches: list[deque[pa.RecordBatch]] = [deque() for _ in parts]
        self._is_read = [False] * len(parts)
        self._wanted = 0
        self._n_bytes = 0
        n_workers = min(source.settings.workers or _cores(), len(parts))
        self._threads = [
            threading.Thread(target=self._work, name=f"load {table.name} {i}", daemon=True)
            for i in range(n_workers)
        ]

    def __enter__(self) -> "_ReadAhead":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """End all threads; each gives up at its next batch."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def rows_of(self, i: int) -> Iterator[pa.RecordBatch]:
        """The rows of a part, as they come. Ask for the parts in order.

        Raises:
            BaseException: what went wrong first in any thread.
        """
        waiting = self._batches[i]
        with self._changed:
            self._wanted = i
            self._changed.notify_all()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: waiting or self._is_read[i] or self._fault)
                if self._fault is not None:
                    raise self._fault
                if not waiting:
                    return
                batch = waiting.popleft()
                self._n_bytes -= batch.nbytes
                self._changed.notify_all()
            yield batch

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                with self._changed:
                    if not self._unread:
                        return
                    i = self._unread.popleft()
                for batch in self._rows(i):
                    if not self._put(i, batch):
                        return
                with self._changed:
                    self._is_read[i] = True
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._fault = self._fault or error
                self._stopped.set()
                self._changed.notify_all()

    def _put(self, i: int, batch: pa.RecordBatch) -> bool:
        """Let a batch wait for its turn, once there is room for it; False: stop."""
        n_bytes: int = batch.nbytes

        def fits() -> bool:
            if i == self._wanted and not self._batches[i]:
                return True
            return self._n_bytes + n_bytes <= self._memory_bytes

        with self._changed:
            self._changed.wait_for(lambda: fits() or self._stopped.is_set())
            if self._stopped.is_set():
                return False
            self._batches[i].append(batch)
            self._n_bytes += n_bytes
            self._changed.notify_all()
        return True

    def _rows(self, i: int) -> Iterator[pa.RecordBatch]:
        """The rows of a part, each once, however often it must be read.

        A read that breaks off is tried again (`tasks.retry`); a try that comes further than those
        before it starts the count anew.
        """
        n_given = 0
        waits = retry.waits()
        while True:
            n_read = 0
            try:
                for batch in self._source.read_part(self._table, self._parts[i]):
                    new = batch.slice(max(0, n_given - n_read))
                    n_read += batch.num_rows
                    if new.num_rows:
                        n_given = n_read
                        waits = retry.waits()
                        yield new
            except SourceChanged:
                raise
            except SourceUnavailable as error:
                if (wait := next(waits, None)) is None:
                    raise
                _log.warning(
                    "%s; part %d of %d of %s is read again in %.1f s, from its row %s on",
                    *(error, i + 1, len(self._parts), self._table.name, wait, f"{n_given + 1:,}"),
                )
                if self._stopped.wait(wait):
                    return
            else:
                if n_read < n_given:
                    raise SourceChanged(
                        f"part {i + 1} of {self._table.name!r} had {n_given:,} rows or more, and has"
                        f" {n_read:,} now"
                    )
                return


def _cores() -> int:
    return len(os.sched_getaffinity(0))
