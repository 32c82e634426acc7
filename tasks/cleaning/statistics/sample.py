"""A random sample of the rows: every one as likely as another, the same for any batches."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.cleaning.statistics.base import Statistic


class Sample(Statistic):
    """Two rounds: the first counts the rows, the second takes those that were drawn.

    Attributes:
        rows: the sample, in the order of the rows.
    """

    def __init__(
        self, columns: Sequence[str], n_rows: int, seed: int, *, known: str | None = None
    ) -> None:
        """Nothing was seen yet.

        Args:
            columns: to take.
            n_rows: of the sample, at most.
            seed: of the draw.
            known: a column; only rows where it has a value are drawn.
        """
        self._columns = list(columns)
        self._n_rows = n_rows
        self._seed = seed
        self._known = known
        self._round = 0
        self._counts: list[int] = []
        self._taken: list[pa.RecordBatch] = []
        self.rows: pa.Table | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what only the learning side needs."""
        return self.__dict__ | {"_counts": [], "_taken": [], "rows": None}

    @property
    def needs_round(self) -> bool:
        """See `Statistic.needs_round`."""
        return self._round < 2

    def notes(self) -> Iterator[npt.NDArray[np.int64] | None]:
        """In the second round, the places of the rows of each batch that were drawn."""
        return self._places() if self._round == 1 else repeat(None)

    def _places(self) -> Iterator[npt.NDArray[np.int64]]:
        ends = np.cumsum(self._counts)
        total = int(ends[-1]) if self._counts else 0
        rng = np.random.default_rng(self._seed)
        drawn = np.sort(rng.choice(total, min(total, self._n_rows), replace=False))
        start = 0
        for end in ends:
            yield drawn[np.searchsorted(drawn, start) : np.searchsorted(drawn, end)] - start
            start = end

    def observe(self, batch: pa.RecordBatch, note: Any) -> int | pa.RecordBatch:
        """See `Statistic.observe`."""
        if self._known is not None:
            batch = batch.filter(batch[self._known].is_valid())
        return batch.num_rows if self._round == 0 else batch.select(self._columns).take(note)

    def add(self, partial: Any) -> None:
        """See `Statistic.add`."""
        if self._round == 0:
            self._counts.append(partial)
        else:
            self._taken.append(partial)

    def end_round(self) -> None:
        """See `Statistic.end_round`."""
        self._round += 1
        if self._round == 2:
            self.rows = pa.Table.from_batches(self._taken) if self._taken else pa.table({})
            self._taken = []
