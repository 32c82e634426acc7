"""How many values of columns are missing."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from tasks.cleaning.statistics.base import Statistic


class Nulls(Statistic):
    """One round.

    Attributes:
        of: the number of missing values by column.
    """

    def __init__(self, columns: Iterable[str]) -> None:
        """Nothing was seen yet."""
        self.of = dict.fromkeys(columns, 0)
        self._is_done = not self.of

    @property
    def needs_round(self) -> bool:
        """See `Statistic.needs_round`."""
        return not self._is_done

    def observe(self, batch: pa.RecordBatch, note: Any) -> dict[str, int]:
        """See `Statistic.observe`."""
        del note
        return {name: batch[name].null_count for name in self.of}

    def add(self, partial: dict[str, int]) -> None:
        """See `Statistic.add`."""
        for name, n_missing in partial.items():
            self.of[name] += n_missing

    def end_round(self) -> None:
        """See `Statistic.end_round`."""
        self._is_done = True
