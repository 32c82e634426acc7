"""What values there are: whether all common ones appear, and none that the real data lacks.

A rare value is absent from a small sample by chance, whoever drew it. So a set of rows is only
asked about values of which a sample of its size should hold `MIN_ROWS`: by chance alone one is
then absent once in e^20 samples, and no size of the holdout or of the synthetic rows matters.
"""

from collections.abc import Iterator

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.few_values import MAX_NUMBERS, few_values, places_of
from tasks.evaluation.fidelity.leaving_out import counts, groups, outcome, sums
from tasks.evaluation.rows import MISSING, Rows
from tasks.params import Threshold

MIN_ROWS = 20
"""Training rows that a value must have, and rows that it should have in a set, to be asked for."""

N_BINS = 20
"""Parts of the range of a number."""

INNER = (0.005, 0.995)
"""Quantiles of the training rows between which the range is looked at."""

_TOO_FEW = (
    f"no {{}} has {MIN_ROWS} training rows and should have {MIN_ROWS} among as many rows as are"
    " synthetic"
)


@metric(
    label="Categories covered (share, worst column)",
    family="fidelity",
    goal="higher",
    kinds=("tabular",),
    explanation=(
        "Share of a column's categories that appear, of those that a sample of real rows as large"
        f" must hold, in the column where most are absent; numbers of at most {MAX_NUMBERS}"
        " different values count as categories."
    ),
    source="after SDMetrics 0.32, CategoryCoverage; rare categories as explained",
    threshold=Threshold(at_least=0.992),
)
def category_coverage(comparison: Comparison) -> Outcome:
    """The share of the categories or of their training rows, whichever is smaller.

    So a category with 1 % of the rows may not be absent from a column of any number of categories,
    and none may be absent from a column of up to 124. A generator that suppresses categories of
    fewer than `MIN_ROWS` rows, to protect people, loses nothing. The interval is that of the
    synthetic rows drawn again: a category that is absent stays absent.

    Differs: from SDMetrics, which asks for every category and averages columns, so that a small
    sample of real rows seems to lack some and a table of many columns hides it.
    """
    columns = _categories(comparison)
    scores, references = (
        [np.minimum(found.mean(axis=1), found @ rows / rows.sum()) for found, rows in one]
        for one in _expected(comparison, columns)
    )
    if not scores:
        raise NotApplicable(_TOO_FEW.format("category"))
    return _outcome(np.min(scores, axis=0), np.min(references, axis=0) if references else None)


@metric(
    label="Ranges covered (share)",
    family="fidelity",
    goal="higher",
    kinds=("tabular",),
    explanation=(
        "Share of a number's range that holds synthetic values, averaged over columns: of the"
        f" {N_BINS} equal parts between its 0.5 % and 99.5 % quantiles, those in which a sample of"
        " real rows as large must have values."
    ),
    source="after SDMetrics 0.32, RangeCoverage; by parts, without extremes",
)
def range_coverage(comparison: Comparison) -> Outcome:
    """Differs: from SDMetrics, whose range ends at the extremes, which one row decides.

    Parts see holes inside the range as well.
    """
    columns = [
        found
        for triple in zip(*(rows.numbers.T for rows in _sets(comparison)), strict=True)
        if (found := _parts(*triple)) is not None
    ]
    scores, references = (
        [found.mean(axis=1) for found, _ in one] for one in _expected(comparison, columns)
    )
    if not scores:
        raise NotApplicable(_TOO_FEW.format("part of a number's range"))
    return _outcome(np.mean(scores, axis=0), np.mean(references, axis=0) if references else None)


@metric(
    label="Values outside what is real (share)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Share of the values that are below the smallest or above the largest training value of"
        " their column, or a category that no training row has; a few real unseen ones are, too."
    ),
    source="SDMetrics 0.32, BoundaryAdherence and CategoryAdherence; 1 - score, all cells together",
)
def out_of_range(comparison: Comparison) -> Outcome:
    """Missing values are left out, and columns without a training value.

    A text that stands for suppressed categories counts as unknown: it is no real value.
    """
    train = comparison.train
    used = ~np.hstack([np.isnan(train.numbers).all(axis=0), (train.codes == MISSING).all(axis=0)])
    if not used.any():
        raise NotApplicable("no compared column has a value in the training rows")
    scores, references = (
        _outside(train, rows, used) for rows in (comparison.synthetic, comparison.holdout)
    )
    if np.isnan(scores[0]) or np.isnan(references[0]):
        raise NotApplicable("the synthetic rows or the holdout hold no value but missing ones")
    return outcome(scores, references, highest=1.0)


Columns = list[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Of each column, the cells of training, holdout and synthetic rows: int from 0, -1 for none."""


def _sets(comparison: Comparison) -> tuple[Rows, Rows, Rows]:
    return comparison.train, comparison.holdout, comparison.synthetic


def _categories(comparison: Comparison) -> Columns:
    discrete = list(zip(*(rows.codes.T for rows in _sets(comparison)), strict=True))
    numeric = [
        (places_of(known, triple[0]), places_of(known, triple[1]), places_of(known, triple[2]))
        for triple in zip(*(rows.numbers.T for rows in _sets(comparison)), strict=True)
        if (known := few_values(triple[0])) is not None
    ]
    return [*discrete, *numeric]


def _parts(
    train: np.ndarray, holdout: np.ndarray, synthetic: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The part of the training range that each number is in; None for a range of no width."""
    present = train[~np.isnan(train)]
    if len(present) == 0:
        return None
    low, high = np.quantile(present, INNER)
    width = (high - low) / N_BINS
    if not width > 0:
        return None

    def part(numbers: np.ndarray) -> np.ndarray:
        inside = (numbers >= low) & (numbers <= high)
        place = np.floor((np.where(inside, numbers, low) - low) / width)
        return np.where(inside, np.minimum(place, N_BINS - 1), MISSING).astype(np.int64)

    return part(train), part(holdout), part(synthetic)


def _expected(
    comparison: Comparison, columns: Columns
) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """What is found of synthetic rows, then of the holdout; see `_found`."""
    yield list(_found(columns, 2, len(comparison.synthetic)))
    yield list(_found(columns, 1, len(comparison.holdout)))


def _found(columns: Columns, place: int, n_rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each column of which something is expected, what is there of it.

    Args:
        columns: the cells.
        place: which of the three sets is asked.
        n_rows: of that set.

    Shape:
        yields: (R, K) bool, whether each of the K expected cells holds rows; (K,) training rows.
    """
    group = groups(n_rows)
    for cells in columns:
        train, other = cells[0], cells[place]
        real = np.bincount(train + 1, minlength=int(other.max()) + 2)[1:]
        expected = (real >= MIN_ROWS) & (real * (n_rows / len(train)) >= MIN_ROWS)
        n_expected = int(expected.sum())
        if n_expected:
            # The last place is read by those without a cell, whose number is -1.
            place_of = np.full(len(real) + 1, -1)
            place_of[:-1][expected] = np.arange(n_expected)
            yield counts(place_of[other], n_expected, group) > 0, real[expected]


def _outcome(scores: np.ndarray, references: np.ndarray | None) -> Outcome:
    if references is None:
        return Outcome(
            float(scores[0]), None, intervals.of_jackknife(float(scores[0]), scores[1:], 1.0)
        )
    return outcome(scores, references, highest=1.0)


def _outside(train: Rows, other: Rows, used: np.ndarray) -> np.ndarray:
    """Shape: (R,) share of the present values in the columns `used`; NaN where there is none."""
    with_values = ~np.isnan(train.numbers).all(axis=0)
    low, high = np.zeros(len(with_values)), np.zeros(len(with_values))
    low[with_values] = np.nanmin(train.numbers[:, with_values], axis=0)
    high[with_values] = np.nanmax(train.numbers[:, with_values], axis=0)
    beyond = (other.numbers < low) | (other.numbers > high)
    unknown = [
        ~np.isin(one, known) & (one != MISSING)
        for one, known in zip(other.codes.T, map(np.unique, train.codes.T), strict=True)
    ]
    outside = np.column_stack([beyond, *unknown])[:, used]
    present = ~np.hstack([np.isnan(other.numbers), other.codes == MISSING])[:, used]
    group = groups(len(other))
    found = [sums(cells.sum(axis=1), group) for cells in (outside, present)]
    with np.errstate(invalid="ignore"):
        return np.asarray(found[0] / found[1])
