"""The space in which attackers look for close rows of a table."""

from dataclasses import dataclass

import numpy as np

from tasks.privacy.points import SMALLEST, Points

_TAIL = 0.001
"""Share of the real values at either end of a column that do not decide its scale."""


@dataclass(frozen=True)
class Standardised:
    """Rows whose numbers are told in standard deviations and whose categories are equal or not.

    The squared distance of two rows is the mean over the columns of their squared difference, 1
    for unequal categories. A missing number is a deviation below the lowest number. Beside the
    ranks of `distances.Gower` it is the other common space, and the sharper one where noise was
    added in proportion to each column's deviation: a small number added to the zeros of a column
    that is mostly zero changes half of all ranks, but next to nothing here.

    Attributes:
        low: of each number column the 0.1 % quantile of the real values.
        high: the 99.9 % quantile; what is beyond either is brought back to it.
        peak: the larger of their magnitudes, so that no square overflows.
        mean: of the real values, cut and divided by `peak`.
        deviation: of them; infinite where a column has one value only, or numbers too small to have
            squares, which separate nothing.
        n_columns: numbers and categories together.

    Source: closeness by the L2 distance of normalised attributes, Chen et al. 2020,
    arXiv:1909.03935.
    """

    low: np.ndarray
    high: np.ndarray
    peak: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    n_columns: int

    @classmethod
    def of(cls, real_numbers: np.ndarray, n_codes: int) -> "Standardised":
        """The space whose scales are those of these rows.

        Shape:
            real_numbers: (R, C) float, NaN where missing.
        """
        scales = [_scale(column[~np.isnan(column)]) for column in real_numbers.T]
        low, high, peak, mean, deviation = np.array(scales).reshape(-1, 5).T
        return cls(low, high, peak, mean, deviation, max(1, len(scales) + n_codes))

    def points(self, numbers: np.ndarray, codes: np.ndarray) -> Points:
        """Rows in this space.

        Shape:
            numbers: (N, C) float, NaN where missing.
            codes: (N, D) int, a missing value is a code of its own.
        """
        lowest = (self.low / self.peak - self.mean) / self.deviation
        told = (np.clip(numbers, self.low, self.high) / self.peak - self.mean) / self.deviation
        placed = np.where(np.isnan(numbers), lowest - 1, told)
        return Points(placed / np.sqrt(self.n_columns), codes, 1 / self.n_columns)


def only(points: Points, numbers: np.ndarray, codes: np.ndarray) -> Points:
    """The same rows by some of their columns; what each adds to a squared distance stays.

    Shape:
        numbers: (C,) bool, the number columns that are kept.
        codes: (D,) bool, the code columns that are kept.
    """
    return Points(points.numbers[:, numbers], points.codes[:, codes], points.code_weight)


def _scale(present: np.ndarray) -> tuple[float, float, float, float, float]:
    if len(present) == 0:
        return 0.0, 0.0, 1.0, 0.0, np.inf
    low, high = np.quantile(present, [_TAIL, 1 - _TAIL], method="nearest")
    peak = max(abs(low), abs(high))
    if peak < SMALLEST or low == high:
        return low, high, max(peak, 1.0), low / max(peak, 1.0), np.inf
    values = np.clip(present, low, high) / peak
    return low, high, peak, float(values.mean()), float(values.std()) or np.inf
