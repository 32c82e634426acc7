"""How closely two columns go together, from 0 to 1, whatever their kinds.

Two figures that can stand beside each other. Of two numbers the correlation of ranks, which a
few extreme values do not move. Of anything else, and of numbers that go together in a curve,
the contingency coefficient of a table with so few levels that all of them hold several rows.
Of two normal numbers in fine bins that coefficient is the absolute correlation.
"""

from collections.abc import Sequence

import numpy as np

from tasks.evaluation.fidelity.coding import quantile_levels
from tasks.evaluation.fidelity.correlations import correlations
from tasks.evaluation.fidelity.jackknife import InMemory, Side
from tasks.evaluation.rows import Rows

MAX_LEVELS = 8
"""Quantile bins of a number, and named categories of a column, at most."""

_ROWS_OF_CELL = 10
"""Rows for each cell of a table, on average: fewer rows have fewer levels."""

_MIN_ROWS = 5
"""Real rows of a level: what is rarer is counted together, or with the most frequent level."""

_BLOCK_COLUMNS = 64
_BLOCK_ROWS = 2048
"""Columns and rows whose levels are multiplied with each other at a time."""


def n_levels_of(n_rows: int) -> int:
    """As many quantile bins or named categories as the smaller of two sets of rows can fill."""
    return int(np.clip(np.sqrt(n_rows / _ROWS_OF_CELL), 2, MAX_LEVELS))


def level_codes(
    every: Sequence[Side], place: int, n_numbers: int, n_levels: int
) -> tuple[list[np.ndarray], int]:
    """The levels of a column, by what the real rows hold.

    Args:
        every: the real rows, then the others.
        place: of the column, numbers before codes.
        n_numbers: how many numbers there are.
        n_levels: how many levels are to have a name, see `n_levels_of`.

    Returns:
        The levels of each side, and how many there are.

    Shape:
        returns: (n,) int64 each, from 0.
    """
    n_real, n_named = len(every[0]), n_levels
    if place < n_numbers:
        codes = quantile_levels([side.number(place) for side in every], n_named)
        n_named += 1  # missing values
    else:
        codes = [side.code(place - n_numbers) + 1 for side in every]
    size = max(int(one.max(initial=0)) for one in codes) + 1
    known = np.bincount(codes[0], minlength=size)
    ordered = np.argsort(-known, kind="stable")[:n_named]
    named = ordered[known[ordered] >= _MIN_ROWS]
    level = np.zeros(size, np.int64)
    level[named] = np.arange(1, len(named) + 1)
    if n_real - known[named].sum() < _MIN_ROWS:
        level = np.maximum(level - 1, 0)
    return [level[one] for one in codes], int(level.max()) + 1


def contingency(tables: np.ndarray) -> np.ndarray:
    """Pearson's coefficient of contingency, bias corrected, as a share of its largest value.

    With phi^2 the chi^2 statistic by row: sqrt(phi^2 / (1 + phi^2)), over sqrt((k - 1) / k), with
    k the smaller number of levels. From phi^2 what independent columns have on average, (r - 1)
    (c - 1) / (n - 1), is taken off. 0 where a column has one level.

    Shape:
        tables: (..., r, c) counts.
        returns: (...) float64 from 0 to 1.

    Source: Pearson 1904, On the Theory of Contingency and Its Relation to Association and Normal
    Correlation; its largest value: Siegel 1956, Nonparametric Statistics, p. 201; the correction
    of phi^2: Bergsma 2013, A bias-correction for Cramer's V and Tschuprow's T,
    doi:10.1016/j.jkss.2012.10.002.

    Differs: from Bergsma, who corrects the numbers of levels too.
    """
    counts = tables.astype(np.float64)
    n = counts.sum((-2, -1))
    of_row, of_column = counts.sum(-1), counts.sum(-2)
    n_rows, n_columns = np.count_nonzero(of_row, -1), np.count_nonzero(of_column, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = counts / np.sqrt(of_row)[..., :, None] / np.sqrt(of_column)[..., None, :]
        phi2 = np.nansum(shares**2, (-2, -1)) - 1 - (n_rows - 1) * (n_columns - 1) / (n - 1)
        phi2 = np.maximum(phi2, 0)
        smaller = np.minimum(n_rows, n_columns)
        found = np.sqrt(phi2 / (1 + phi2) * smaller / (smaller - 1))
    return np.clip(np.where((smaller > 1) & np.isfinite(found), found, 0.0), 0, 1)


def contingencies(levels: Sequence[np.ndarray], widths: Sequence[int]) -> np.ndarray:
    """The coefficients of all pairs of columns.

    Shape:
        levels: (n,) int64 of each column.
        widths: how many levels each has.
        returns: (C, C) float64; the diagonal means nothing.
    """
    n_columns, width = len(levels), max(widths)
    found = np.zeros((n_columns, n_columns))
    coded = np.array(levels)
    for start in range(0, n_columns, _BLOCK_COLUMNS):
        n_block = len(coded[start : start + _BLOCK_COLUMNS])
        tables = np.zeros((n_block * width, (n_columns - start) * width), np.float32)
        for begin in range(0, coded.shape[1], _BLOCK_ROWS):
            hot = _one_hot(coded[start:, begin : begin + _BLOCK_ROWS], width)
            tables += hot[:, : n_block * width].T @ hot
        for place, table in enumerate(tables.reshape(n_block, width, -1, width), start):
            found[place, start:] = found[start:, place] = contingency(table.swapaxes(0, 1))
    return found


def _one_hot(levels: np.ndarray, width: int) -> np.ndarray:
    """Shape: (C, n) to (n, C * width) float32: 1 at each column's level, 0 elsewhere."""
    n_columns, n_rows = levels.shape
    hot = np.zeros((n_rows, n_columns, width), np.float32)
    hot[np.arange(n_rows)[:, None], np.arange(n_columns), levels.T] = 1
    return hot.reshape(n_rows, -1)


def tables_of(
    first: np.ndarray, second: np.ndarray, widths: tuple[int, int], side: Side
) -> np.ndarray:
    """Two-way tables of the levels of two columns.

    Shape:
        first: (n,) int64, group after group.
        second: (n,) int64.
        returns: (R, *widths) float64, of each subset of groups.
    """
    groups = side.groups
    group = np.repeat(np.arange(len(groups.sizes)), groups.sizes)
    cells = (group * widths[0] + first) * widths[1] + second
    counts = np.bincount(cells, minlength=len(groups.sizes) * widths[0] * widths[1])
    of_subset = groups.subsets @ counts.reshape(len(groups.sizes), -1)
    return np.asarray(of_subset.reshape(-1, *widths))


def ranks(values: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Where values lie among the real ones: how many are smaller, plus half of the equal ones.

    Shape:
        values: (n,) float64, NaN where missing.
        real: (m,) float64, sorted, without NaN.
        returns: (n,) float64, NaN where missing.
    """
    middle = (np.searchsorted(real, values, "left") + np.searchsorted(real, values, "right")) / 2
    return np.where(np.isnan(values), np.nan, middle)


def rank_correlations(ranked: Sequence[np.ndarray], side: Side) -> np.ndarray:
    """Correlations of ranks, over the rows where both columns are present; 0 where undefined.

    Args:
        ranked: the ranks of some columns of the side, in the order of its source.
        side: says which rows are in which group.

    Shape:
        ranked: (N,) float64 each.
        returns: (R, C, C) float64; the diagonal means nothing.

    Source: Spearman 1904; the ranks are those among the real values, on every side.
    """
    n = len(ranked[0])
    rows = Rows(np.column_stack(ranked), np.zeros((n, 0), np.int32), np.zeros(n, np.uint64))
    found = correlations(Side(InMemory(rows), side.groups), len(ranked))
    return np.asarray(np.nan_to_num(found))
