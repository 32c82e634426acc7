"""Columns one by one and two by two: how far their distributions are from the real ones.

Source: the properties *Column Shapes* and *Column Pair Trends* of the quality report of SDMetrics
0.32 (docs.sdv.dev/sdmetrics), whose definitions `shape_error` and `trend_error` keep, all pairs
included (both its thresholds 0), so that the numbers compare with published ones.
"""

from itertools import combinations

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison, Rows
from tasks.evaluation.plots import column_plots, matrix

N_BINS = 10
"""Equal-width bins of a number that is compared with a category."""

MAX_CELLS = 1_000_000
"""Cells of a two-way table beyond which only the cells in use are kept."""

_PACKAGE = "SDMetrics 0.32"


@metric(
    label="Column shapes, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Mean distance between the real and the synthetic distribution of each column alone,"
        " 0 to 100; it sees nothing of how columns belong together."
    ),
    source=f"{_PACKAGE}, Column Shapes (KSComplement, TVComplement); 100 x (1 - score)",
)
def shape_error(comparison: Comparison) -> Outcome:
    """Kolmogorov-Smirnov distance of numbers, total variation distance of categories."""
    holdout, synthetic = comparison.equal
    errors = shape_errors(comparison.train, synthetic)
    references = shape_errors(comparison.train, holdout)
    if np.isnan(errors).all() or np.isnan(references).all():
        raise NotApplicable("no column has values in both the training rows and the others")
    return Outcome(
        float(np.nanmean(errors)),
        float(np.nanmean(references)),
        plots={"columns": column_plots(comparison, errors)},
    )


@metric(
    label="Column pair trends, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Mean distance between how two columns go together in real and in synthetic rows, 0 to"
        " 100; each table is binned by its own range, so one extreme value more may move it."
    ),
    source=(
        f"{_PACKAGE}, Column Pair Trends (CorrelationSimilarity, ContingencySimilarity), all pairs;"
        " 100 x (1 - score)"
    ),
)
def trend_error(comparison: Comparison) -> Outcome:
    """Half the difference of correlations, or the total variation distance of two-way tables."""
    holdout, synthetic = comparison.equal
    errors = trend_errors(comparison.train, synthetic)
    references = trend_errors(comparison.train, holdout)
    _need_pairs(errors, references)
    names = [column.name for column in (*comparison.numeric, *comparison.discrete)]
    pairs = {
        "columns": names,
        "real": matrix(associations(comparison.train)),
        "synthetic": matrix(associations(comparison.synthetic)),
        "error": matrix(errors),
    }
    return Outcome(float(np.nanmean(errors)), float(np.nanmean(references)), plots={"pairs": pairs})


@metric(
    label="Column pair trends, error in the real table's bins (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "As the column pair trends, but both tables are binned by the real table's range, and a"
        " column that became constant counts as unrelated to all others: the fairer figure."
    ),
    source=f"after {_PACKAGE}, Column Pair Trends; bins and constants as explained",
)
def trend_error_real_bins(comparison: Comparison) -> Outcome:
    """Differs: from SDMetrics, which leaves constant columns out and bins each table by itself."""
    holdout, synthetic = comparison.equal
    errors = trend_errors(comparison.train, synthetic, real_bins=True)
    references = trend_errors(comparison.train, holdout, real_bins=True)
    _need_pairs(errors, references)
    return Outcome(float(np.nanmean(errors)), float(np.nanmean(references)))


def shape_errors(real: Rows, other: Rows) -> np.ndarray:
    """The error of each column in percent; NaN where the real column has no values.

    Shape:
        returns: (columns,) float64, numbers before codes.

    Differs: a column without any value in the other rows has error 100; SDMetrics leaves it out.
    It also adds 1e-6 rows to each category that is new, which is below the digits written.
    """
    numbers = [_ks(*pair) for pair in zip(real.numbers.T, other.numbers.T, strict=True)]
    codes = [_tv(*pair) for pair in zip(real.codes.T, other.codes.T, strict=True)]
    return 100 * np.array([*numbers, *codes])


def trend_errors(real: Rows, other: Rows, *, real_bins: bool = False) -> np.ndarray:
    """The error of each pair of columns in percent; NaN on the diagonal and where undefined.

    Args:
        real: the training rows.
        other: rows with the same columns.
        real_bins: bin the numbers of both by the range of `real`; its outer bins are open, missing
            values have a bin of their own, and an undefined correlation of `other` counts as 0.

    Shape:
        returns: (columns, columns) float64, symmetric, numbers before codes.
    """
    n_numbers, n_columns = real.numbers.shape[1], real.numbers.shape[1] + real.codes.shape[1]
    errors = np.full((n_columns, n_columns), np.nan)
    ours = correlations(other.numbers)
    if real_bins:
        ours = np.nan_to_num(ours, nan=0.0)
    errors[:n_numbers, :n_numbers] = 50 * np.abs(correlations(real.numbers) - ours)
    np.fill_diagonal(errors, np.nan)
    binned = _binned(real, other) if real_bins else (_binned_alone(real), _binned_alone(other))
    for first, second in combinations(range(n_columns), 2):
        if second >= n_numbers:
            tables = [(one[:, first], one[:, second]) for one in binned]
            errors[first, second] = errors[second, first] = 100 * _contingency_distance(*tables)
    return errors


def correlations(numbers: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each pair over the rows where both are present; NaN if undefined.

    Shape:
        numbers: (N, C) float64.
        returns: (C, C) float64.
    """
    n_columns = numbers.shape[1]
    found = np.full((n_columns, n_columns), np.nan)
    present = ~np.isnan(numbers)
    complete = present.all(axis=0)
    found[np.ix_(complete, complete)] = _pearson(numbers[:, complete])
    for first, second in combinations(range(n_columns), 2):
        if not (complete[first] and complete[second]):
            both = present[:, first] & present[:, second]
            pair = _pearson(numbers[np.ix_(both, [first, second])])
            found[first, second] = found[second, first] = pair[0, 1]
    return found


def associations(rows: Rows) -> np.ndarray:
    """How strongly each pair goes together: the correlation of numbers, Cramer's V of the rest.

    Shape:
        returns: (columns, columns) float64, NaN on the diagonal and where undefined.

    Source: Cramer 1946, Mathematical Methods of Statistics, section 21.9.
    """
    n_numbers, n_columns = rows.numbers.shape[1], rows.numbers.shape[1] + rows.codes.shape[1]
    found = np.full((n_columns, n_columns), np.nan)
    found[:n_numbers, :n_numbers] = correlations(rows.numbers)
    np.fill_diagonal(found, np.nan)
    binned, _ = _binned(rows, rows)
    for first, second in combinations(range(n_columns), 2):
        if second >= n_numbers:
            found[first, second] = found[second, first] = _cramers_v(
                binned[:, first], binned[:, second]
            )
    return found


def _need_pairs(errors: np.ndarray, references: np.ndarray) -> None:
    if len(errors) < 2:
        raise NotApplicable("needs two columns to compare, found one")
    if np.isnan(errors).all() or np.isnan(references).all():
        raise NotApplicable("no pair of columns has a trend: all of them are constant")


def _ks(real: np.ndarray, other: np.ndarray) -> float:
    real, other = _rounded(real[~np.isnan(real)]), _rounded(other[~np.isnan(other)])
    if len(real) == 0:
        return float("nan")
    if len(other) == 0:
        return 1.0
    steps = np.concatenate([real, other])
    shares = [
        np.searchsorted(np.sort(one), steps, side="right") / len(one) for one in (real, other)
    ]
    return float(np.abs(shares[0] - shares[1]).max())


def _rounded(values: np.ndarray) -> np.ndarray:
    """To 14 decimals, as SDMetrics does; larger values have no more of them."""
    return np.where(np.abs(values) < 64, np.round(np.clip(values, -64, 64), 14), values)


def _tv(real: np.ndarray, other: np.ndarray) -> float:
    real, other = real[real >= 0], other[other >= 0]
    if len(real) == 0:
        return float("nan")
    if len(other) == 0:
        return 1.0
    size = int(max(real.max(), other.max())) + 1
    shares = [np.bincount(one, minlength=size) / len(one) for one in (real, other)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _pearson(numbers: np.ndarray) -> np.ndarray:
    """Shape: (N, C) to (C, C); NaN for columns without variation."""
    n_columns = numbers.shape[1]
    varies = (numbers != numbers[:1]).any(axis=0) if len(numbers) else np.zeros(n_columns, bool)
    found = np.full((n_columns, n_columns), np.nan)
    if varies.any():
        # Scaled first, so that the squares of very large or small numbers stay finite.
        used = numbers[:, varies] / np.abs(numbers[:, varies]).max(axis=0)
        used = used - used.mean(axis=0)
        used = used / np.sqrt((used**2).sum(axis=0))
        found[np.ix_(varies, varies)] = np.clip(used.T @ used, -1, 1)
    return found


def _binned_alone(rows: Rows) -> np.ndarray:
    """Codes of all columns, numbers by equal-width bins of their own range.

    As in SDMetrics, the maximum has a bin of its own, which it shares with missing values.
    """
    binned = [np.digitize(column, _edges(column)) for column in rows.numbers.T]
    return np.column_stack([*binned, rows.codes])


def _binned(real: Rows, other: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Codes of all columns, numbers by equal-width bins of the range of `real`."""
    pairs = []
    for column, others in zip(real.numbers.T, other.numbers.T, strict=True):
        inner = _edges(column)[1:-1]
        pairs.append(
            [np.where(np.isnan(one), N_BINS, np.digitize(one, inner)) for one in (column, others)]
        )
    return (
        np.column_stack([*(pair[0] for pair in pairs), real.codes]),
        np.column_stack([*(pair[1] for pair in pairs), other.codes]),
    )


def _edges(column: np.ndarray) -> np.ndarray:
    """Edges of equal-width bins over the range; around a constant, bins of a tenth."""
    present = column[~np.isnan(column)]
    low, high = (present.min(), present.max()) if len(present) else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, N_BINS + 1)


def _contingency_distance(
    real: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> float:
    """Total variation distance of two two-way tables."""
    width = int(max(real[1].max(), other[1].max())) + 2
    cells = [(one[0].astype(np.int64) + 1) * width + one[1] + 1 for one in (real, other)]
    if max(one.max() for one in cells) >= MAX_CELLS:
        _, place = np.unique(np.concatenate(cells), return_inverse=True)
        cells = [place[: len(cells[0])], place[len(cells[0]) :]]
    n_cells = int(max(one.max() for one in cells)) + 1
    shares = [np.bincount(one, minlength=n_cells) / len(one) for one in cells]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _cramers_v(first: np.ndarray, second: np.ndarray) -> float:
    rows, row = np.unique(first, return_inverse=True)
    columns, column = np.unique(second, return_inverse=True)
    n_cells = len(rows) * len(columns)
    if min(len(rows), len(columns)) < 2 or n_cells > MAX_CELLS:
        return float("nan")
    table = np.bincount(row * len(columns) + column, minlength=n_cells).reshape(len(rows), -1)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / len(first)
    chi2 = float(((table - expected) ** 2 / expected).sum())
    return float(np.sqrt(chi2 / (len(first) * (min(table.shape) - 1))))
