"""The commonest value of columns."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.cleaning.statistics.base import Statistic

MAX_VALUES = 1_000_000
"""Different values of a column at most: of more, the commonest says nothing about it."""


class Modes(Statistic):
    """One round.

    Attributes:
        of: the commonest value by column, the smallest of several; None where it has no value.
        too_many: columns with more than `MAX_VALUES` different values, which are not in `of`.
    """

    def __init__(self, columns: Iterable[str]) -> None:
        """Nothing was seen yet."""
        self._counts: dict[str, Counter[Any]] = {name: Counter() for name in columns}
        self._is_done = not self._counts
        self.of: dict[str, Any] = {}
        self.too_many: set[str] = set()

    @property
    def needs_round(self) -> bool:
        """See `Statistic.needs_round`."""
        return not self._is_done

    def observe(self, batch: pa.RecordBatch, note: Any) -> dict[str, tuple[list[Any], list[int]]]:
        """See `Statistic.observe`."""
        del note
        counts = {name: pc.value_counts(batch[name].drop_null()) for name in self._counts}
        return {
            name: (found.field("values").to_pylist(), found.field("counts").to_pylist())
            for name, found in counts.items()
        }

    def add(self, partial: dict[str, tuple[list[Any], list[int]]]) -> None:
        """See `Statistic.add`."""
        for name, (values, numbers) in partial.items():
            if name in self.too_many:
                continue
            counts = self._counts[name]
            counts.update(dict(zip(values, numbers, strict=True)))
            if len(counts) > MAX_VALUES:
                self.too_many.add(name)
                counts.clear()

    def end_round(self) -> None:
        """See `Statistic.end_round`."""
        for name, counts in self._counts.items():
            if name in self.too_many:
                continue
            most = max(counts.values(), default=0)
            self.of[name] = min((v for v, n in counts.items() if n == most), default=None)
            counts.clear()
        self._is_done = True
