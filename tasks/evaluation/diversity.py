"""Does the synthetic data reach everything that the real data holds, and does it repeat itself?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.features.points import judged_points
from tasks.evaluation.projection import projection
from tasks.params import Threshold
from tasks.privacy.distances import nearest, pairwise
from tasks.privacy.points import Points, to_centre

MAX_ROWS = 5_000
"""Rows of each set at most."""

MAX_PAIRED_ROWS = 2_000
"""Rows of each set at most where all distances between two sets are needed."""

N_NEIGHBOURS = 5
"""With it, rows of the same distribution cover 97 % in the limit (section 3.3 of the paper)."""

NEAR_QUANTILE = 0.05

NEAR_ROWS = 5
"""Rows that tell as much as an independent one: were all sets drawn again, the share's variance
would be 2.3 to 4.9 times that of independent rows (simulated: 2 to 8 columns, 100 and 500 rows)."""

LEVELS = np.arange(1, 31) / 30
"""The alphas and betas."""


@dataclass(frozen=True)
class Sets:
    """Equally many rows of each origin, and distances among the real ones.

    Attributes:
        train: real rows that the generator may have seen.
        holdout: real rows that it never saw.
        synthetic: what it made.
        radius: of each training row the distance to its k-th closest other one.
        closest: of each training row the distance to its closest other one.
    """

    train: Points
    holdout: Points
    synthetic: Points
    radius: np.ndarray
    closest: np.ndarray

    def take(self, n: int) -> "Sets":
        """The first rows of each set; they are in random order."""
        parts = (one.take(np.arange(n)) for one in (self.train, self.holdout, self.synthetic))
        return _with_radii(*parts)


def equal_sets(comparison: Comparison) -> Sets:
    """At most `MAX_ROWS` rows of each origin, in random order.

    Raises:
        NotApplicable: there are too few rows.
    """
    parts = [judged_points(comparison, part) for part in ("train", "holdout", "synthetic")]
    n_rows = min(MAX_ROWS, *map(len, parts))
    if n_rows <= N_NEIGHBOURS:
        raise NotApplicable(f"needs more than {N_NEIGHBOURS} rows of each set, found {n_rows}")

    def drawn() -> Sets:
        rng = comparison.rng("equal sets")
        return _with_radii(*(one.take(rng.permutation(len(one))[:n_rows]) for one in parts))

    return comparison.once("equal sets", drawn)


@metric(
    label="Coverage of the real rows",
    family="diversity",
    goal="higher",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Share of the training rows with a synthetic row among their nearest neighbours: low where"
        " the generator forgot kinds of rows."
    ),
    source="Naeem et al. 2020, arXiv:2002.09797, equation 10, k = 5",
    threshold=Threshold(at_least_reference_minus=0.2),
)
def coverage(comparison: Comparison) -> Outcome:
    """As many synthetic rows, or holdout rows, as training rows.

    One synthetic row may cover several training rows, so the intervals are those of fewer, a fifth
    of them: as many as there are balls of five neighbours.
    """
    sets = equal_sets(comparison)
    n_independent = max(1, len(sets.train) // N_NEIGHBOURS)
    value, reference = (
        covered_share(sets.train, other, sets.radius) for other in (sets.synthetic, sets.holdout)
    )
    return Outcome(
        value,
        reference,
        intervals.of_share(value, n_independent),
        intervals.of_share(reference, n_independent),
        plots={"projection": projection(comparison)},
    )


@metric(
    label="Density around the real rows",
    family="diversity",
    goal="higher",
    kinds=("tabular", "image", "text"),
    explanation=(
        "How many training rows have a synthetic row among their nearest neighbours, over how many"
        " are expected: 1 where each row is among real ones, lower where rows are far from them."
    ),
    source="Naeem et al. 2020, arXiv:2002.09797, equation 9, k = 5",
)
def density(comparison: Comparison) -> Outcome:
    """The intervals redraw the synthetic, or holdout, rows and take the training rows as given."""
    sets = _paired(comparison)
    rng = comparison.rng("density")
    found = []
    for other in (sets.synthetic, sets.holdout):
        inside = pairwise(other, sets.train) <= sets.radius
        found.append(
            _redrawn(lambda rows: float(rows.mean()), inside.sum(axis=1) / N_NEIGHBOURS, rng)
        )
    (value, interval), (reference, reference_interval) = found
    return Outcome(value, reference, interval, reference_interval)


@metric(
    label="Alpha-precision",
    family="diversity",
    goal="higher",
    kinds=("tabular", "image", "text"),
    explanation=(
        "How typical the synthetic rows are: 1 where, for every alpha, a share alpha of them lies"
        " in the ball around the centre that holds a share alpha of the real rows."
    ),
    source="Alaa et al. 2022, arXiv:2102.08921, sections 3.1 and 4: integrated alpha-precision",
)
def alpha_precision(comparison: Comparison) -> Outcome:
    """Of at most 2,000 rows of each origin.

    Differs: distances of table rows (Gower), of texts or of a classifier's features in place of a
    learned embedding.
    """
    sets = _paired(comparison)
    real = np.sort(to_centre(sets.train, sets.train))
    levels = [
        np.searchsorted(real, to_centre(one, sets.train)) / len(real)
        for one in (sets.synthetic, sets.holdout)
    ]
    return _integrated(levels, comparison.rng("alpha_precision"))


@metric(
    label="Beta-recall",
    family="diversity",
    goal="higher",
    kinds=("tabular", "image", "text"),
    explanation=(
        "How much of the real variety the synthetic rows reach: 1 where, for every beta, their most"
        " typical share beta is the closest to a share beta of the real rows, and near to them."
    ),
    source="Alaa et al. 2022, arXiv:2102.08921, sections 3.2 and 4: integrated beta-recall, k = 1",
)
def beta_recall(comparison: Comparison) -> Outcome:
    """A real row is reached by its closest synthetic row if no other real row is closer.

    For fresh real rows that is so half the time, so the reference is about 0.5, not 1.

    Differs: distances of table rows (Gower), of texts or of a classifier's features in place of a
    learned embedding.
    """
    sets = _paired(comparison)
    levels = []
    for other in (sets.synthetic, sets.holdout):
        distance = pairwise(sets.train, other)
        nearest_one = distance.argmin(axis=1)
        reached = distance[np.arange(len(distance)), nearest_one] <= sets.closest
        from_centre = to_centre(other, other)
        level = np.searchsorted(np.sort(from_centre), from_centre, side="right") / len(from_centre)
        levels.append(np.where(reached, level[nearest_one], np.inf))
    return _integrated(levels, comparison.rng("beta_recall"))


@metric(
    label="Repeated rows (share)",
    family="diversity",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Share of the synthetic rows that equal an earlier one: more than among as many real rows"
        " where the generator collapsed to few rows."
    ),
    source="one minus the share of distinct rows; mode collapse, Goodfellow 2016, arXiv:1701.00160",
    threshold=Threshold(at_most_reference_plus=0.1),
)
def duplicates(comparison: Comparison) -> Outcome:
    """Of equally many synthetic and real rows, those of training and holdout together.

    Every row counts, not a sample. The intervals take each repeated row for an independent one.
    """
    real = np.concatenate([comparison.every[part].identities for part in ("train", "holdout")])
    synthetic = comparison.every["synthetic"].identities
    n_rows = min(len(real), len(synthetic))
    rng = comparison.rng("duplicates")
    value, reference = (
        1 - len(np.unique(rng.permutation(one)[:n_rows])) / n_rows for one in (synthetic, real)
    )
    return Outcome(
        value,
        reference,
        intervals.of_share(value, n_rows),
        intervals.of_share(reference, n_rows),
    )


@metric(
    label="Nearly repeated rows (share)",
    family="diversity",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Share of the synthetic rows as close to another synthetic row as only the closest 5 % of"
        " the training rows are to one another: more than of real rows where the generator"
        " collapsed to variants of few rows."
    ),
    source="distance to the closest record, arXiv:2102.08369, within one set of rows",
    threshold=Threshold(at_most_reference_plus=0.3),
)
def near_duplicates(comparison: Comparison) -> Outcome:
    """Of equally many rows of each origin.

    Two rows are often the closest of each other, and the limit rests on 5 % of the training rows:
    the intervals, of which all this is drawn again, are those of a fifth of the rows.
    """
    sets = equal_sets(comparison)
    limit = np.quantile(sets.closest, NEAR_QUANTILE)
    value, reference = (
        # The closest of all is the row itself.
        float((nearest(one, one, 2)[:, 1] <= limit).mean())
        for one in (sets.synthetic, sets.holdout)
    )
    n_independent = max(1, len(sets.synthetic) // NEAR_ROWS)
    return Outcome(
        value,
        reference,
        intervals.of_share(value, n_independent),
        intervals.of_share(reference, n_independent),
    )


def covered_share(real: Points, other: Points, radius: np.ndarray) -> float:
    """Share of real points whose ball to their k-th real neighbour holds one of the others.

    Source: Naeem et al. 2020, equation 10.
    Differs: the ball includes its surface, so that a row that many real rows repeat can be covered.
    """
    return float((nearest(real, other)[:, 0] <= radius).mean())


def integrated(levels: np.ndarray) -> float:
    """One minus twice the area between the curve of the shares within each level and the diagonal.

    Shape:
        levels: (N,) in [0, 1] at which each row comes in; infinite if it never does.

    Source: Alaa et al. 2022, section 4: integrated alpha-precision and beta-recall.
    """
    shares = np.searchsorted(np.sort(levels), LEVELS + 1e-12) / len(levels)
    return float(1 - 2 * np.abs(shares - LEVELS).mean())


def _integrated(levels: list[np.ndarray], rng: np.random.Generator) -> Outcome:
    found = [_redrawn(integrated, one, rng) for one in levels]
    (value, interval), (reference, reference_interval) = found
    return Outcome(value, reference, interval, reference_interval)


def _redrawn(
    score: Callable[[np.ndarray], float], rows: np.ndarray, rng: np.random.Generator
) -> tuple[float, intervals.Interval | None]:
    """A score of rows and its interval, which holds the score itself."""
    value = score(rows)
    found = intervals.of_score(lambda drawn: score(rows[drawn]), len(rows), rng)
    return value, found and (min(found[0], value), max(found[1], value))


def _paired(comparison: Comparison) -> Sets:
    sets = equal_sets(comparison)
    if len(sets.train) <= MAX_PAIRED_ROWS:
        return sets
    return comparison.once("paired sets", lambda: sets.take(MAX_PAIRED_ROWS))


def _with_radii(train: Points, holdout: Points, synthetic: Points) -> Sets:
    # The closest of all is the point itself.
    distances = nearest(train, train, N_NEIGHBOURS + 1)
    return Sets(train, holdout, synthetic, distances[:, N_NEIGHBOURS], distances[:, 1])
