"""Columns two by two: how far the way they go together is from the real one.

Source: the property *Column Pair Trends* of the quality report of SDMetrics 0.32
(docs.sdv.dev/sdmetrics), all pairs included (both its thresholds 0) and all rows.
"""

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.coding import Bins, Store
from tasks.evaluation.fidelity.contingency import Compared, TwoWay
from tasks.evaluation.fidelity.correlations import correlations
from tasks.evaluation.fidelity.jackknife import Side, Source, whole
from tasks.evaluation.fidelity.sides import outcome_of, sides
from tasks.evaluation.plots import pair_plots
from tasks.params import Threshold

_PACKAGE = "SDMetrics 0.32"


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
    """Half the difference of correlations, or the total variation distance of two-way tables.

    The reference is brought to as many rows as are synthetic: see `jackknife.scale_to`.

    Source: SDMetrics 0.32, `ColumnPairTrends`, `real_correlation_threshold` and
    `real_association_threshold` 0; interval by `jackknife.interval`.

    Differs: takes all rows, where SDMetrics draws 50,000 for two-way tables of more, unless its
    `num_rows_subsample` is None. As there, pairs of numbers are left out where a correlation is
    undefined in either table or exactly 0 in the real one, and so are numbers beside categories
    where their range is too narrow for bins. Whether a correlation is exactly 0 or 1e-17 may
    depend on the order of a sum.
    """
    found = _measured(comparison)
    names = [column.name for column in (*comparison.numeric, *comparison.discrete)]
    real, synthetic = found.strengths[:2]
    plots = pair_plots(names, real, synthetic, found.tallies["own"][0].matrix)
    return _outcome(comparison, "own", {"pairs": plots})


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
    threshold=Threshold(at_most_reference_plus=7.0),
)
def trend_error_real_bins(comparison: Comparison) -> Outcome:
    """As `trend_error`, in bins that do not depend on the synthetic rows.

    Differs: from SDMetrics, which leaves constant columns out and bins each table by itself. Here
    the outer bins are open, missing values have a bin of their own, and an undefined correlation
    of the synthetic rows counts as 0.
    """
    return _outcome(comparison, "real", {})


def trend_errors(
    real: Source,
    other: Source,
    n_columns: tuple[int, int],
    bins: Bins = "own",
    dates: Collection[int] = (),
) -> np.ndarray:
    """The error of each pair of columns in percent; NaN on the diagonal and where undefined.

    Args:
        real: the training rows.
        other: rows with the same columns.
        n_columns: how many numbers and how many codes there are.
        bins: of numbers.
        dates: which of the numbers are seconds since 1970.

    Shape:
        returns: (columns, columns) float64, symmetric, numbers before codes.
    """
    every = whole(real), [whole(other)]
    found = measure_pairs(*every, n_columns, (bins,), dates, strengths=False)
    return found.tallies[bins][0].matrix


class Tally:
    """Errors of the pairs of one side in percent, as they are found.

    Shape:
        matrix: (C, C) float64 of all rows; NaN where undefined.
    """

    def __init__(self, n_columns: int, n_subsets: int) -> None:
        """Before the first pair."""
        self.matrix = np.full((n_columns, n_columns), np.nan)
        self._total, self._n_pairs = np.zeros(n_subsets), np.zeros(n_subsets)

    def add(self, first: int, second: int, errors: np.ndarray) -> None:
        """Errors (R,) of a pair by subset of groups, none of them NaN."""
        self.matrix[first, second] = self.matrix[second, first] = errors[0]
        self._total += errors
        self._n_pairs += 1

    def add_pairs(self, first: np.ndarray, second: np.ndarray, errors: np.ndarray) -> None:
        """Errors (R, pairs) of several, NaN where undefined."""
        self.matrix[first, second] = self.matrix[second, first] = errors[0]
        self._total += np.nansum(errors, axis=1)
        self._n_pairs += (~np.isnan(errors)).sum(axis=1)

    @property
    def scores(self) -> np.ndarray:
        """Shape: (R,) the mean over the pairs that have an error; NaN without any."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self._total / self._n_pairs)


class Pairs:
    """What was found of all pairs of columns.

    Attributes:
        tallies: by bins, one of each side but the real one.
        strengths: (C, C) of each side, the real one first: how strongly two columns go together,
            by correlation or Cramer's V; NaN where unknown.
    """

    def __init__(self, others: Sequence[Side], n_columns: int, bins: Sequence[Bins]) -> None:
        """Before the first pair."""
        self.tallies = {
            name: [Tally(n_columns, len(side.groups.subsets)) for side in others] for name in bins
        }
        self.strengths = [np.full((n_columns, n_columns), np.nan) for _ in range(len(others) + 1)]

    def add(self, compared: Compared, bins: Sequence[Bins]) -> None:
        """What holds for a pair with these bins."""
        first, second, distances, strengths = compared
        for name in bins:
            for tally, distance in zip(self.tallies[name], distances, strict=True):
                tally.add(first, second, 100 * distance)
        for matrix, strength in zip(self.strengths, strengths, strict=bool(strengths)):
            matrix[first, second] = matrix[second, first] = strength


def measure_pairs(
    real: Side,
    others: Sequence[Side],
    n_columns: tuple[int, int],
    bins: Sequence[Bins],
    dates: Collection[int] = (),
    *,
    strengths: bool,
) -> Pairs:
    """All pairs of columns in one go: every column is read and coded once."""
    found = Pairs(others, sum(n_columns), bins)
    _numbers_with_numbers((real, *others), n_columns[0], found)
    _with_categories((real, *others), n_columns, dates, found, strengths=strengths)
    return found


def _measured(comparison: Comparison) -> Pairs:
    def measure() -> Pairs:
        n_columns = (len(comparison.numeric), len(comparison.discrete))
        dates = [i for i, c in enumerate(comparison.numeric) if c.meaning == "datetime"]
        real, others = whole(comparison.every["train"]), sides(comparison)
        return measure_pairs(real, others, n_columns, ("own", "real"), dates, strengths=True)

    return comparison.once("column pairs", measure)


def _outcome(comparison: Comparison, bins: Bins, plots: dict[str, Any]) -> Outcome:
    scores, references = (tally.scores for tally in _measured(comparison).tallies[bins])
    if len(comparison.numeric) + len(comparison.discrete) < 2:
        raise NotApplicable("needs two columns to compare, found one")
    if np.isnan(scores[0]) or np.isnan(references[0]):
        raise NotApplicable("no pair of columns has a trend: all of them are constant")
    return outcome_of(comparison, scores, references, plots)


def _numbers_with_numbers(every: Sequence[Side], n_numbers: int, found: Pairs) -> None:
    if n_numbers < 2:
        return
    pairs = np.triu_indices(n_numbers, 1)
    known, *others = (correlations(side, n_numbers)[:, *pairs] for side in every)
    for matrix, one in zip(found.strengths, (known, *others), strict=True):
        matrix[pairs] = matrix.T[pairs] = one[0]
    for bins, tallies in found.tallies.items():
        for tally, one in zip(tallies, others, strict=True):
            if bins == "own":
                # SDMetrics takes a real correlation of exactly 0 for one that does not count.
                errors = 50 * np.abs(one - np.where(known == 0, np.nan, known))
            else:
                errors = 50 * np.abs(np.nan_to_num(one, nan=0.0) - known)
            tally.add_pairs(*pairs, errors)


def _with_categories(
    every: Sequence[Side],
    n_columns: tuple[int, int],
    dates: Collection[int],
    found: Pairs,
    *,
    strengths: bool,
) -> None:
    """Pairs of a category with anything, by two-way tables."""
    n_numbers, n_codes = n_columns
    store, groups = Store(every), [side.groups for side in every]
    categories = list(
        store.joined(store.categories(place, n_numbers + place) for place in range(n_codes))
    )
    for bins in found.tallies if categories else ():
        coded = (store.numbers(place, bins, are_dates=place in dates) for place in range(n_numbers))
        for first in store.joined(one for one in coded if one is not None):
            tables = TwoWay(first, groups, strengths=strengths and bins == "real")
            for second in categories:
                for compared in tables.beside(second):
                    found.add(compared, (bins,))
    for place, first in enumerate(categories):
        tables = TwoWay(first, groups, strengths=strengths)
        every_pair = chain(tables.within(), *map(tables.beside, categories[place + 1 :]))
        for compared in every_pair:
            found.add(compared, tuple(found.tallies))
