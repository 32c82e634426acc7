"""The closest tie of each column: whether synthetic columns still have it.

The mean over all pairs hides one column that was cut loose from all others: of 24 columns it has
a part in one pair of twelve, and most of these hardly go together in the real rows either.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.associations import (
    contingencies,
    contingency,
    level_codes,
    n_levels_of,
    rank_correlations,
    ranks,
    tables_of,
)
from tasks.evaluation.fidelity.jackknife import InMemory, Side, dealt, whole
from tasks.evaluation.fidelity.sides import outcome
from tasks.params import Threshold

SAMPLE_ROWS = 20_000
"""Rows of each set that are looked at: a strength is then known to about a point."""

_BENT = 0.2
"""By how much the contingency of two numbers must exceed their rank correlation to be taken."""


class Tie(NamedTuple):
    """Two columns of which one goes together with no other more closely, in the real rows.

    Attributes:
        first: place of one of them, numbers before codes.
        second: place of the other, which is larger.
        is_ranked: whether the correlation of ranks tells it, or the contingency of levels.
    """

    first: int
    second: int
    is_ranked: bool


@metric(
    label="Worst column's tie, loss (points)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Each column beside the one that it goes together with most closely in the real rows: how"
        " much of that tie, 0 to 100, is lost in the synthetic rows; the largest loss of all."
    ),
    source=(
        "Spearman's rank correlation; Pearson's contingency coefficient, bias corrected as in"
        " Bergsma 2013 (doi:10.1016/j.jkss.2012.10.002)"
    ),
    threshold=Threshold(at_most_reference_plus=30.0),
)
def worst_trend_error(comparison: Comparison) -> Outcome:
    """The largest loss of strength, in points, among the closest ties of all columns.

    Of more than SAMPLE_ROWS rows of a set a sample is measured. Where the holdout has fewer rows,
    the reference is brought to the number of synthetic ones.

    Which ties are looked at depends on the real rows alone. A tie of the other sign is lost whole,
    and one that is closer than in the real rows counts 0. A column that goes together with no
    other cannot lose anything; one whose few ties are chance loses as much in other real rows,
    which is what the reference is for.

    Source: strengths by `associations`; interval and reference by `jackknife`.
    """
    n_columns = (len(comparison.numeric), len(comparison.discrete))
    if sum(n_columns) < 2:
        raise NotApplicable("needs two columns to compare, found one")
    rng = comparison.rng("ties")
    real, synthetic, holdout = (
        InMemory(rows.sample(SAMPLE_ROWS, rng))
        for rows in (comparison.train, comparison.synthetic, comparison.holdout)
    )
    n = len(synthetic)
    every = (whole(real), dealt(synthetic, n, rng), dealt(holdout, n, rng))
    n_levels = n_levels_of(min(len(real), n))
    ties = closest(every[0], n_columns, n_levels)
    if not ties:
        raise NotApplicable("no two columns of the training rows go together")
    scores, references = (lost.max(axis=1) for lost in losses(every, n_columns[0], ties, n_levels))
    return outcome(scores, references, (len(real), len(every[2]), n))


def closest(real: Side, n_columns: tuple[int, int], n_levels: int) -> list[Tie]:
    """For each column the tie to the one that it goes together with most closely; each tie once.

    Args:
        real: the training rows.
        n_columns: how many numbers and how many codes there are.
        n_levels: see `associations.level_codes`.
    """
    n_numbers, n_all = n_columns[0], sum(n_columns)
    coded = [level_codes([real], place, n_numbers, n_levels) for place in range(n_all)]
    strengths = contingencies([codes[0] for codes, _ in coded], [width for _, width in coded])
    is_ranked = np.zeros((n_all, n_all), bool)
    if n_numbers:
        ranked = [_ranks_of([real], place)[0] for place in range(n_numbers)]
        by_rank = np.abs(rank_correlations(ranked, real)[0])
        numbers = (slice(n_numbers), slice(n_numbers))
        is_ranked[numbers] = by_rank + _BENT >= strengths[numbers]
        strengths[numbers] = np.where(is_ranked[numbers], by_rank, strengths[numbers])
    np.fill_diagonal(strengths, 0)
    found = set()
    for place, other in enumerate(strengths.argmax(axis=1)):
        if strengths[place, other] > 0:
            first, second = sorted((place, int(other)))
            found.add(Tie(first, second, bool(is_ranked[first, second])))
    return sorted(found)


def losses(
    every: Sequence[Side], n_numbers: int, ties: Sequence[Tie], n_levels: int
) -> list[np.ndarray]:
    """By how many points of 100 each tie is looser than in the real rows; none is below 0.

    Args:
        every: the real rows, then the others.
        n_numbers: how many numbers there are.
        ties: as `closest` finds them.
        n_levels: see `associations.level_codes`.

    Shape:
        returns: (R, ties) float64 of each of the others, by subset of its groups.
    """
    found: list[list[np.ndarray]] = [[] for _ in every[1:]]
    for tie in ties:
        real, *others = (
            _ranked(every, tie) if tie.is_ranked else _counted(every, tie, n_numbers, n_levels)
        )
        for columns, strength in zip(found, others, strict=True):
            columns.append(np.clip(abs(real[0]) - np.sign(real[0]) * strength, 0, 1))
    return [100 * np.column_stack(columns) for columns in found]


def _ranked(every: Sequence[Side], tie: Tie) -> list[np.ndarray]:
    """Shape: (R,) of each side: the correlation of ranks, from -1 to 1."""
    both = zip(*(_ranks_of(every, place) for place in (tie.first, tie.second)), strict=True)
    return [rank_correlations(pair, side)[:, 0, 1] for pair, side in zip(both, every, strict=True)]


def _counted(every: Sequence[Side], tie: Tie, n_numbers: int, n_levels: int) -> list[np.ndarray]:
    """Shape: (R,) of each side: the contingency of levels, from 0 to 1."""
    first, n_first = level_codes(every, tie.first, n_numbers, n_levels)
    second, n_second = level_codes(every, tie.second, n_numbers, n_levels)
    return [
        contingency(tables_of(one, other, (n_first, n_second), side))
        for one, other, side in zip(first, second, every, strict=True)
    ]


def _ranks_of(every: Sequence[Side], place: int) -> list[np.ndarray]:
    """A number of each side as ranks among the real values, in the order of its source."""
    values = [side.rows.number(place) for side in every]
    real = np.sort(values[0][~np.isnan(values[0])])
    return [ranks(one, real) for one in values]
