"""Pearson's correlations of all pairs of columns, from sums over batches of rows."""

from collections.abc import Sequence

import numpy as np

from tasks.evaluation.fidelity.jackknife import Side

_BLOCK_COLUMNS = 128
"""Columns whose sums with all others are held at a time."""

_TOO_CLOSE = 1e-9
"""A variance under this share of the mean square has lost digits, and is measured directly."""


def correlations(side: Side, n_columns: int) -> np.ndarray:
    """Over the rows where both columns are present; NaN where either is constant there.

    Columns are shifted by their mean and scaled to 1 before products are summed, so neither large
    values with small differences nor very large values lose digits.

    Shape:
        returns: (R, C, C) float64, of each subset of groups; the diagonal means nothing.

    Source: Pearson's product-moment correlation; shifted sums: Chan, Golub and LeVeque 1983,
    Algorithms for Computing the Sample Variance, doi:10.1080/00031305.1983.10483115.
    """
    scale = np.array([_scale(side.number(place)) for place in range(n_columns)]).reshape(-1, 3)
    n_subsets = len(side.groups.subsets)
    found = np.empty((n_subsets, n_columns, n_columns))
    doubtful = np.zeros((n_columns, n_columns), bool)
    for start in range(0, n_columns, _BLOCK_COLUMNS):
        block = slice(start, min(start + _BLOCK_COLUMNS, n_columns))
        sums = _sums(side, scale, block)
        for subset, weights in enumerate(side.groups.subsets):
            found[subset, block], lost = _pearson(np.tensordot(weights, sums, axes=1))
            if subset == 0:
                doubtful[block] = lost
    constant = scale[:, 2] == 0
    found[:, constant] = np.nan
    found[:, :, constant] = np.nan
    doubtful[constant] = doubtful[:, constant] = False
    for first, second in zip(*np.nonzero(np.triu(doubtful, 1)), strict=True):
        direct = _directly(side.number(first), side.number(second))
        found[0, first, second] = found[0, second, first] = direct
    return found


def _scale(values: np.ndarray) -> Sequence[float]:
    """Mean and largest deviation from it, and whether there is any, of those that are present."""
    present = values[~np.isnan(values)]
    if not len(present) or present.min() == present.max():
        return 0.0, 1.0, 0.0
    mean = present.mean()
    return mean, np.abs(present - mean).max(), 1.0


def _sums(side: Side, scale: np.ndarray, block: slice) -> np.ndarray:
    """Over the rows of each group where both are present: their number, and sums.

    Shape:
        returns: (G, 6, B, C) float64: 1, x, y, x^2, y^2, xy; x of the block, y of all columns.
    """
    n_columns = len(scale)
    width = block.stop - block.start
    sums = np.zeros((len(side.groups.sizes), 6, width, n_columns))
    for group, numbers in side.numbers():
        # Columns in one piece: operations on rows of few columns are slow.
        y = np.array(numbers.T, order="C")
        y -= scale[:, :1]
        y /= scale[:, 1:2]
        absent = np.isnan(y)
        if not absent.any():
            _add_complete(sums[group], y, block)
            continue
        y[absent] = 0.0
        is_there = (~absent).astype(np.float64)
        x, has_x = y[block], is_there[block]
        products = ((has_x, is_there), (x, is_there), (has_x, y), (x**2, is_there))
        for place, (left, right) in enumerate((*products, (has_x, y**2), (x, y))):
            sums[group, place] += left @ right.T
    return sums


def _add_complete(sums: np.ndarray, y: np.ndarray, block: slice) -> None:
    """Add rows (C, rows) without missing values, of which one product says everything."""
    of_one, of_two = y.sum(axis=1), np.einsum("cn,cn->c", y, y)
    sums[0] += y.shape[1]
    sums[1] += of_one[block, None]
    sums[2] += of_one
    sums[3] += of_two[block, None]
    sums[4] += of_two
    sums[5] += y[block] @ y.T


def _pearson(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlations from sums, and which of them have lost digits.

    Shape:
        sums: (6, B, C) float64.
        returns: (B, C) float64, (B, C) bool.
    """
    n, x, y, x2, y2, xy = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y, x2, y2, xy = x / n, y / n, x2 / n, y2 / n, xy / n
        x_variance, y_variance = x2 - x**2, y2 - y**2
        lost = (x_variance <= _TOO_CLOSE * x2) | (y_variance <= _TOO_CLOSE * y2)
        found = (xy - x * y) / np.sqrt(x_variance) / np.sqrt(y_variance)
    found[lost | (n < 2)] = np.nan
    return np.clip(found, -1, 1), lost & (n >= 2)


def _directly(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of two columns by two passes over them."""
    both = ~(np.isnan(x) | np.isnan(y))
    deviations = []
    for values in (x[both], y[both]):
        if values.min() == values.max():
            return float("nan")
        deviation = values - values.mean()
        deviation /= np.abs(deviation).max()
        deviations.append(deviation / np.sqrt((deviation**2).sum()))
    return float(np.clip(deviations[0] @ deviations[1], -1, 1))
