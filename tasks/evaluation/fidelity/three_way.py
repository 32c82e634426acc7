"""Columns three by three: what no single column and no pair shows.

Source: marginals of k columns as a measure of synthetic tables: the k-marginal score of the NIST
differential privacy challenges (SDNist, doi:10.6028/NIST.TN.2151), and the workload error of
McKenna et al. 2022, AIM, arXiv:2201.12677, section 6.
"""

from collections.abc import Sequence
from itertools import combinations, islice
from math import comb

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.coding import Coded, quantile_levels
from tasks.evaluation.fidelity.contingency import TwoWay
from tasks.evaluation.fidelity.jackknife import InMemory, Side, dealt, whole
from tasks.evaluation.fidelity.sides import outcome
from tasks.params import Threshold

MAX_TRIPLES = 300
"""Of more columns than 13, triples are drawn at random."""

N_LEVELS = 8
"""Quantile bins of a number, and named categories of a column, at most."""


@metric(
    label="Three-way tables, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Mean distance between real and synthetic rows counted by three columns at once, 0 to 100:"
        " it sees what columns have in common beyond pairs, missing values included."
    ),
    source="after SDNist's k-marginal score (doi:10.6028/NIST.TN.2151), k = 3; arXiv:2201.12677",
    threshold=Threshold(at_most_reference_plus=5.0),
)
def three_way_error(comparison: Comparison) -> Outcome:
    """Total variation distance of three-way tables, mean over triples of columns.

    Of more than 100,000 rows of a set a sample is counted (`Comparison.train` and so on). Where
    the holdout has fewer rows, the reference is brought to the number of synthetic ones.

    Source: as above; interval and reference by `jackknife`.

    Differs: from SDNist, in bins: numbers by the quantiles of the real rows, categories by name as
    far as they are among the most frequent real ones; and in the distance, which is half of its L1.
    """
    n_columns = len(comparison.numeric) + len(comparison.discrete)
    if n_columns < 3:
        raise NotApplicable(f"needs three columns to compare, found {n_columns}")
    rng = comparison.rng("three-way tables")
    n = len(comparison.synthetic)
    real = whole(InMemory(comparison.train))
    synthetic, holdout = (
        dealt(InMemory(rows), n, rng) for rows in (comparison.synthetic, comparison.holdout)
    )
    scores, references = distances(
        (real, synthetic, holdout),
        (len(comparison.numeric), len(comparison.discrete)),
        triples(n_columns, rng),
    )
    return outcome(scores, references, (len(real), len(holdout), len(synthetic)))


def triples(n_columns: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Three different columns each: all there are, or at most MAX_TRIPLES at random."""
    if comb(n_columns, 3) <= MAX_TRIPLES:
        return list(combinations(range(n_columns), 3))
    drawn = (rng.choice(n_columns, 3, replace=False) for _ in range(MAX_TRIPLES))
    return sorted({tuple(sorted(int(place) for place in triple)) for triple in drawn})


def distances(
    sides: Sequence[Side], n_columns: tuple[int, int], wanted: Sequence[tuple[int, ...]]
) -> list[np.ndarray]:
    """The mean distance in percent over these triples, of each side from the first.

    Args:
        sides: the real rows, then the others.
        n_columns: how many numbers and how many codes there are.
        wanted: places of columns, numbers before codes.

    Shape:
        returns: (R,) float64 of each other side, by subset of its groups.
    """
    n_numbers = n_columns[0]
    coded = {
        place: _number(sides, place) if place < n_numbers else _category(sides, place - n_numbers)
        for place in {place for triple in wanted for place in triple}
    }
    groups = [side.groups for side in sides]
    total = [np.zeros(len(one.subsets)) for one in groups[1:]]
    for first, second, third in wanted:
        two = _together(coded[first], coded[second])
        for compared in TwoWay(two, groups, strengths=False).beside(coded[third]):
            for one, distance in zip(total, compared.distances, strict=True):
                one += 100 * distance / len(wanted)
    return total


def _together(first: Coded, second: Coded) -> Coded:
    """Two columns as one, whose codes stand for pairs of theirs."""
    codes = [
        one * np.uint16(second.width) + other
        for one, other in zip(first.codes, second.codes, strict=True)
    ]
    return Coded(first.places, (first.width * second.width,), codes)


def _number(sides: Sequence[Side], place: int) -> Coded:
    """By quantiles of the real values; the last level is for missing ones."""
    codes = quantile_levels([side.number(place) for side in sides], N_LEVELS)
    width = 1 + max(int(one.max(initial=0)) for one in codes)
    return Coded((place,), (width,), codes)


def _category(sides: Sequence[Side], place: int) -> Coded:
    """The most frequent real categories, all others together, and missing values."""
    codes = [side.code(place) for side in sides]
    counts = np.bincount(codes[0][codes[0] >= 0], minlength=1)
    named = islice((i for i in np.argsort(-counts, kind="stable") if counts[i]), N_LEVELS)
    size = max(int(one.max(initial=0)) for one in codes) + 1
    levels = np.zeros(size + 1, np.uint16)
    for level, category in enumerate(named, start=1):
        levels[category] = level
    # The code of a missing value is -1: the last place.
    levels[-1] = N_LEVELS + 1
    return Coded((place,), (N_LEVELS + 2,), [levels[one] for one in codes])
