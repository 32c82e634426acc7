"""What a learned suite may say of data that nobody may see: nothing exact, nothing rare.

Suites are committed and published. So bounds lie beyond the extremes, edges are rounded, counts
under ten become ten, and values are named only where ten rows or more have them.
"""

import math

import numpy as np

NAMED_ROWS = 10
"""Rows that must have a value before a suite names it."""

FEW = 10
"""What a smaller count above zero is told as."""


def rows_told(n_rows: int) -> int:
    """A number of rows, rounded down to two digits: fewer rows allow for more chance."""
    if n_rows < 100:
        return n_rows
    step = 10 ** (len(str(n_rows)) - 2)
    return int(n_rows // step * step)


def count_told(count: int, n_rows: int) -> int:
    """A count as a share of `rows_told`; never one that tells of fewer than `FEW` rows."""
    if count == 0:
        return 0
    told = round(count * rows_told(n_rows) / n_rows)
    return min(max(FEW, told), rows_told(n_rows))


def share_told(count: float, n_rows: int) -> float:
    """A share with five decimals."""
    return round(float(count) / n_rows, 5)


def step_of(spread: float, digits: int = 2) -> float:
    """A power of ten that divides a spread into some hundred steps."""
    if not (spread > 0 and math.isfinite(spread)):
        return 1.0
    return float(10.0 ** (math.floor(math.log10(spread)) - digits + 1))


def outward(value: float, step: float, direction: int) -> float:
    """The next multiple of `step`, at least half a step further out (`direction` -1 or 1)."""
    multiple = math.ceil((direction * value + step / 2) / step)
    return direction * clean_float(multiple * step, step)


def rounded(values: np.ndarray, step: float) -> list[float]:
    """Values as multiples of `step`, each once, ascending."""
    multiples = np.unique(np.round(values / step))
    return [clean_float(float(m) * step, step) for m in multiples]


def clean_float(value: float, step: float) -> float:
    """A multiple of a power of ten without the noise of floats."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return round(value, decimals) + 0.0
