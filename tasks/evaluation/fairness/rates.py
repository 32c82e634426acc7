"""Rates of an outcome by group: differences and gaps, and how certain they are.

Source: demographic parity: Dwork et al. 2012, doi:10.1145/2090236.2090255; the jackknife that
leaves out blocks of rows: Kott 2001, The Delete-a-Group Jackknife, Journal of Official Statistics
17(4).
"""

from collections.abc import Callable

import numpy as np

from tasks.evaluation.intervals import Interval

N_BLOCKS = 20
"""Blocks of rows that the jackknife leaves out in turn."""

_T19 = 2.093024054408263
"""The 97.5 % point of Student's t with as many degrees of freedom as blocks, less one."""


def rates(happened: np.ndarray, total: np.ndarray) -> np.ndarray:
    """How often it happened in each group; NaN for a group without rows.

    Shape:
        happened, total: (..., groups) rows.
        returns: (..., groups).
    """
    none = np.full(np.shape(total), np.nan)
    return np.asarray(np.divide(happened, total, out=none, where=total > 0))


def rate_error(found: np.ndarray, real: np.ndarray) -> float:
    """The mean difference of rates, in points; 100 for a group that is not there.

    Shape:
        found, real: (groups,).
    """
    return float(np.where(np.isnan(found), 1.0, np.abs(found - real)).mean() * 100)


def gap(found: np.ndarray) -> np.ndarray:
    """The difference between the highest and the lowest rate; 0 where no group has one.

    Shape:
        found: (..., groups) rates, NaN where there is none.
        returns: (...).
    """
    is_known = ~np.isnan(found)
    highest = np.where(is_known, found, -np.inf).max(axis=-1)
    lowest = np.where(is_known, found, np.inf).min(axis=-1)
    return np.where(is_known.any(axis=-1), highest - lowest, 0.0)


def gap_error(found: np.ndarray, real: np.ndarray, columns: np.ndarray) -> float:
    """The mean difference, over columns, of the gaps between their groups, in points.

    Shape:
        found, real: (groups,) rates.
        columns: (groups,) the column of each group.
    """
    own = [columns == column for column in np.unique(columns)]
    return float(np.mean([abs(gap(found[one]) - gap(real[one])) for one in own]) * 100)


def jackknifed(error: Callable[[np.ndarray], float], counts: np.ndarray) -> tuple[float, Interval]:
    """An error of rates in points, and its 95 % interval.

    Args:
        error: of the rates (groups,) of some rows.
        counts: (N_BLOCKS, groups, 2) rows where it did not happen, and where it did.
    """

    def of(kept: np.ndarray) -> float:
        return error(rates(kept[:, 1], kept.sum(axis=1)))

    total = counts.sum(axis=0)
    value = of(total)
    left_out = [of(total - block) for block in counts]
    spread = _T19 * float(np.sqrt((N_BLOCKS - 1) * np.var(left_out)))
    return value, (max(0.0, value - spread), min(100.0, value + spread))
