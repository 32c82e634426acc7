"""Count, mean, standard deviation and range of columns, exactly."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.cleaning.statistics.base import Statistic
from tasks.cleaning.statistics.exact import exact_of, root_of, total, total_of_squares


@dataclass(frozen=True)
class Moment:
    """One column, or one batch of it; missing values do not count.

    Attributes:
        n_values: how many there are.
        total: their sum, in the unit of their type.
        squares: the sum of their squares; 0 where it was not asked for.
        low: the smallest; None where there is no value.
        high: the largest.
    """

    n_values: int = 0
    total: Fraction = Fraction(0)
    squares: Fraction = Fraction(0)
    low: Fraction | None = None
    high: Fraction | None = None

    def __add__(self, other: "Moment") -> "Moment":
        """Of both."""
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Moment(
            self.n_values + other.n_values,
            self.total + other.total,
            self.squares + other.squares,
            min(lows, default=None),
            max(highs, default=None),
        )

    @property
    def mean(self) -> Fraction:
        """There must be a value."""
        return self.total / self.n_values

    @property
    def deviation(self) -> float:
        """The standard deviation of these values as they are: divided by their number."""
        return root_of(self.squares / self.n_values - self.mean**2)


class Moments(Statistic):
    """One round.

    Attributes:
        of: the moments by column.
    """

    def __init__(self, columns: Mapping[str, pa.DataType], *, squares: bool) -> None:
        """Nothing was seen yet.

        Args:
            columns: of ordered types (`exact.is_ordered`).
            squares: whether deviations are asked for.
        """
        self._squares = squares
        self._is_done = not columns
        self.of = dict.fromkeys(columns, Moment())

    @property
    def needs_round(self) -> bool:
        """See `Statistic.needs_round`."""
        return not self._is_done

    def observe(self, batch: pa.RecordBatch, note: Any) -> dict[str, Moment]:
        """See `Statistic.observe`."""
        del note
        return {name: self._moment(batch[name]) for name in self.of}

    def add(self, partial: dict[str, Moment]) -> None:
        """See `Statistic.add`."""
        for name, moment in partial.items():
            self.of[name] += moment

    def end_round(self) -> None:
        """See `Statistic.end_round`."""
        self._is_done = True

    def _moment(self, values: pa.Array) -> Moment:
        n_values = len(values) - values.null_count
        if n_values == 0:
            return Moment()
        # Arrow has no order of durations.
        is_span = pa.types.is_duration(values.type)
        ends = pc.min_max(values.view(pa.int64()) if is_span else values)
        return Moment(
            n_values,
            total(values),
            total_of_squares(values) if self._squares else Fraction(0),
            exact_of(ends["min"]),
            exact_of(ends["max"]),
        )
