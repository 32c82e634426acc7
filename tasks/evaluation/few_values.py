"""Numbers of few different values, which are categories too: codes, counts, years."""

import numpy as np

from tasks.evaluation.rows import MISSING

MAX_NUMBERS = 32
"""Different numbers up to which a numeric column is one of categories too."""

_SAME = 1e-9
"""Relative difference below which two numbers are the same value."""

_LOOKED_AT = 1_000
"""Numbers that are looked at first: most columns have too many different ones among these."""


def few_values(numbers: np.ndarray) -> np.ndarray | None:
    """The different values, ascending, if there are any and at most `MAX_NUMBERS`.

    Shape:
        numbers: (N,) float64, NaN where missing.
    """
    present = numbers[~np.isnan(numbers)]
    if len(present) == 0 or len(np.unique(present[:_LOOKED_AT])) > MAX_NUMBERS:
        return None
    known = np.unique(present)
    return known if len(known) <= MAX_NUMBERS else None


def places_of(known: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The place of each number among those known; MISSING for another one.

    Shape:
        known: (K,) float64, ascending.
        numbers: (N,) float64, NaN where missing.
        returns: (N,) int.
    """
    present = np.nan_to_num(numbers, nan=np.inf)
    after = np.minimum(np.searchsorted(known, present), len(known) - 1)
    before = np.maximum(after - 1, 0)
    for place in (after, before):
        after = np.where(_same(known[place], present), place, after)
    return np.where(_same(known[after], present), after, MISSING)


def _same(known: np.ndarray, found: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(known - found) <= _SAME * np.abs(known))
