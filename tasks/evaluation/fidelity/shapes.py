"""Columns one by one: how far their distributions are from the real ones.

Source: the property *Column Shapes* of the quality report of SDMetrics 0.32
(docs.sdv.dev/sdmetrics), whose numbers these are.
"""

from collections.abc import Sequence

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.jackknife import Groups, Side, Source, whole
from tasks.evaluation.fidelity.sides import outcome_of, sides
from tasks.evaluation.plots import column_plots
from tasks.params import Threshold

MAX_POINTS = 4096
"""Values at which a column's distance is measured once more for every group of rows."""

_DECIMALS = 14
"""Of numbers, as SDMetrics rounds them: differences below are none."""

_EXPECTED = 20
"""Values of a column that chance alone does not lose: exp(-20) is two in 10^9."""

_NEW = 1e-6
"""Rows that SDMetrics adds to a category which the real column lacks."""


@metric(
    label="Column shapes, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Mean distance between the real and the synthetic distribution of each column alone,"
        " 0 to 100; it sees nothing of how columns belong together."
    ),
    source="SDMetrics 0.32, Column Shapes (KSComplement, TVComplement); 100 x (1 - score)",
    threshold=Threshold(at_most_reference_plus=5.0),
)
def shape_error(comparison: Comparison) -> Outcome:
    """Kolmogorov-Smirnov distance of numbers, total variation distance of categories; all rows.

    The reference is brought to as many rows as are synthetic: see `jackknife.scale_to`.

    Source: SDMetrics 0.32, `ColumnShapes`; interval by `jackknife.interval`.

    Differs: numbers are compared as float64, dates as seconds, where SDMetrics keeps integers
    beyond 2^53 exact. As there, missing values do not count, and a column without values in one
    of the two is left out: `worst_shape_error` sees it.
    """
    synthetic, holdout = _measured(comparison)
    plots = {"columns": column_plots(comparison, synthetic[0])}
    scores, references = (_mean(errors) for errors in (synthetic, holdout))
    if np.isnan(scores[0]) or np.isnan(references[0]):
        raise NotApplicable("no column has values in both the training rows and the others")
    return outcome_of(comparison, scores, references, plots)


@metric(
    label="Worst column's shape, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "The distance between the real and the synthetic distribution of the column that fits"
        " worst, 0 to 100: one spoiled column among many, or a group left out. A column that lost"
        " all its values counts 100."
    ),
    source="SDMetrics 0.32, Column Shapes: the column with the lowest score; 100 x (1 - score)",
    threshold=Threshold(at_most_reference_plus=3.0),
)
def worst_shape_error(comparison: Comparison) -> Outcome:
    """The largest of the distances that `shape_error` is the mean of.

    Differs: from SDMetrics, which leaves out a column without any synthetic value. Here it counts
    100, if by its share of real values _EXPECTED of them or more were to be expected.
    """
    errors = [
        _with_lost(one, comparison, len(side))
        for one, side in zip(_measured(comparison), sides(comparison), strict=True)
    ]
    if any(np.isnan(one[0]).all() for one in errors):
        raise NotApplicable("no column has values in both the training rows and the others")
    scores, references = (np.fmax.reduce(_known(one), axis=1) for one in errors)
    return outcome_of(comparison, scores, references)


def _with_lost(errors: np.ndarray, comparison: Comparison, n_rows: int) -> np.ndarray:
    """Shape: (R, columns), 100 where real values are there and none of the `n_rows` has one."""
    found, real = errors.copy(), comparison.every["train"]
    n_numbers = len(comparison.numeric)
    for place in np.flatnonzero(np.isnan(errors[0])).tolist():
        if place < n_numbers:
            n_values = np.count_nonzero(~np.isnan(real.number(place)))
        else:
            n_values = np.count_nonzero(real.code(place - n_numbers) >= 0)
        if n_values * n_rows >= _EXPECTED * len(real):
            found[:, place] = 100
    return found


def shape_errors(real: Source, other: Source, n_columns: tuple[int, int]) -> np.ndarray:
    """The error of each column in percent; NaN where either has no values.

    Args:
        real: the training rows.
        other: rows with the same columns.
        n_columns: how many numbers and how many codes there are.

    Shape:
        returns: (columns,) float64, numbers before codes.
    """
    errors: np.ndarray = _errors(real, [whole(other)], n_columns)[0][0]
    return errors


def _measured(comparison: Comparison) -> list[np.ndarray]:
    """Shape: (R, columns) each, of the synthetic rows and of the holdout."""

    def measure() -> list[np.ndarray]:
        n_columns = (len(comparison.numeric), len(comparison.discrete))
        return _errors(comparison.every["train"], sides(comparison), n_columns)

    return comparison.once("column shapes", measure)


def _errors(real: Source, others: Sequence[Side], n_columns: tuple[int, int]) -> list[np.ndarray]:
    """Shape: (R, columns) for each of the others; R subsets of groups, numbers before codes."""
    found: list[list[np.ndarray]] = [[] for _ in others]
    for place in range(n_columns[0]):
        values = _sorted(real.number(place))
        for errors, other in zip(found, others, strict=True):
            errors.append(_kolmogorov_smirnov(values, other.number(place), other.groups))
    for place in range(n_columns[1]):
        codes = real.code(place)
        for errors, other in zip(found, others, strict=True):
            errors.append(_total_variation(codes, other.code(place), other.groups))
    return [100 * np.column_stack(errors) for errors in found]


def _sorted(values: np.ndarray) -> np.ndarray:
    """The values that are there, ascending, rounded as SDMetrics does."""
    present = values[~np.isnan(values)]
    with np.errstate(over="ignore"):
        rounded = np.round(present, _DECIMALS)
    return np.sort(np.where(np.isfinite(rounded), rounded, present))


def _kolmogorov_smirnov(real: np.ndarray, values: np.ndarray, groups: Groups) -> np.ndarray:
    """The largest gap between two distribution functions, of each subset of groups.

    It lies at a value of the second sample, at the value itself or just before it.

    Shape:
        real: (n,) float64, sorted.
        values: (m,) float64, group after group.
        returns: (R,) float64; exact for all groups together, and for the others too unless there
            are more than MAX_POINTS values: then it is taken at quantiles.
    """
    pieces = [_sorted(piece) for piece in np.split(values, groups.starts[1:-1])]
    n_present = groups.subsets @ [len(piece) for piece in pieces]
    if not len(real) or not n_present[0]:
        return np.full(len(groups.subsets), np.nan)
    merged = pieces[0] if len(pieces) == 1 else np.sort(np.concatenate(pieces))
    upto = np.append(np.flatnonzero(merged[1:] != merged[:-1]) + 1, len(merged))
    before = np.append(0, upto[:-1])
    distinct = merged[before]
    shares = np.array([np.searchsorted(real, distinct, side) for side in ("left", "right")])
    shares = shares / len(real)
    gaps = np.abs(shares - np.array([before, upto]) / len(merged)).max(axis=0)
    if len(pieces) == 1:
        return np.array([gaps.max()])
    spread = np.linspace(0, len(distinct) - 1, min(MAX_POINTS, len(distinct))).astype(np.int64)
    chosen = np.append(spread, gaps.argmax())
    ranks = np.array(
        [
            [np.searchsorted(one, distinct[chosen], side) for side in ("left", "right")]
            for one in pieces
        ]
    )
    counts = np.tensordot(groups.subsets, ranks, axes=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.abs(counts / n_present[:, None, None] - shares[:, chosen]).max(axis=(1, 2))
        )


def _total_variation(real: np.ndarray, codes: np.ndarray, groups: Groups) -> np.ndarray:
    """Half the sum of the differences of shares, of each subset of groups.

    Shape:
        real: (n,) int32, negative where missing.
        codes: (m,) int32, group after group.
        returns: (R,) float64.
    """
    size = int(max(real.max(initial=0), codes.max(initial=0))) + 1
    known, *pieces = (
        np.bincount(piece + 1, minlength=size + 1)[1:]
        for piece in (real, *np.split(codes, groups.starts[1:-1]))
    )
    counts = groups.subsets @ np.array(pieces)
    if not known.any():
        return np.full(len(counts), np.nan)
    padded = known + _NEW * ((known == 0) & (counts > 0))
    with np.errstate(invalid="ignore"):
        shares = [one / one.sum(axis=1, keepdims=True) for one in (padded, counts)]
    return np.asarray(np.abs(shares[0] - shares[1]).sum(axis=1) / 2)


def _known(errors: np.ndarray) -> np.ndarray:
    """The columns that all rows together have an error of."""
    return errors[:, ~np.isnan(errors[0])]


def _mean(errors: np.ndarray) -> np.ndarray:
    """Shape: (R, columns) to (R,); NaN where no column has an error."""
    known = _known(errors)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(known, axis=1) / (~np.isnan(known)).sum(axis=1))
