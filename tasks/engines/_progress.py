"""What a person sees of a load: a bar on a terminal, elsewhere a line now and then."""

import logging
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from tqdm import tqdm

from tasks.engines.base import Progress

LOG_SECONDS = 5.0
"""Between two lines at least, where there is no terminal for a bar."""

_log = logging.getLogger(__name__)


class LoadProgress:
    """Shows the rows of one table that came, how fast, and the parts; use it in a `with` block."""

    def __init__(self, table: str, n_parts: int) -> None:
        """Start with no rows."""
        self._table = table
        self._parts = Progress(0, n_parts)
        self._n_rows = 0
        self._started = time.monotonic()
        self._next_line = self._started + LOG_SECONDS
        self._bar: tqdm[Any] = tqdm(desc=table, unit="row", unit_scale=True, disable=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        if error is None:
            self._log("read")

    def part(self, progress: Progress) -> None:
        """A part is done."""
        self._parts = progress
        self._bar.set_postfix({"parts": f"{progress.parts}/{progress.of}"}, refresh=False)

    def watch(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches, as they go by."""
        for batch in batches:
            self._n_rows += batch.num_rows
            self._bar.update(batch.num_rows)
            if self._bar.disable and time.monotonic() >= self._next_line:
                self._log("reading")
                self._next_line = time.monotonic() + LOG_SECONDS
            yield batch

    def _log(self, verb: str) -> None:
        seconds = max(time.monotonic() - self._started, 1e-3)
        _log.info(
            "%s %s: %s rows, %s rows/s, part %d of %d",
            *(verb, self._table, f"{self._n_rows:,}", f"{self._n_rows / seconds:,.0f}"),
            *(self._parts.parts, self._parts.of),
        )
