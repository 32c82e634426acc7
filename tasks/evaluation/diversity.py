"""Does the synthetic data reach everything that the real data holds?"""

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.closest import points
from tasks.evaluation.comparison import Comparison
from tasks.privacy.distances import Points, nearest

MAX_ROWS = 5_000
"""Rows of each set at most."""

N_NEIGHBOURS = 5
"""With it, rows of the same distribution cover 97 % in the limit (section 3.3 of the paper)."""


@metric(
    label="Coverage of the real rows",
    family="diversity",
    goal="higher",
    kinds=("tabular", "image"),
    explanation=(
        "Share of the training rows with a synthetic row among their nearest neighbours: low where"
        " the generator forgot kinds of rows."
    ),
    source="Naeem et al. 2020, arXiv:2002.09797, k = 5",
)
def coverage(comparison: Comparison) -> Outcome:
    """As many synthetic rows, or holdout rows, as training rows."""
    holdout, synthetic = (points(comparison, rows) for rows in comparison.equal)
    n_rows = min(len(comparison.train), len(holdout), MAX_ROWS)
    if n_rows <= N_NEIGHBOURS:
        raise NotApplicable(f"needs more than {N_NEIGHBOURS} rows of each set, found {n_rows}")
    rng = comparison.rng("coverage")
    train = points(comparison, comparison.train.sample(n_rows, rng))
    value = covered_share(train, synthetic.sample(n_rows, rng))
    reference = covered_share(train, holdout.sample(n_rows, rng))
    return Outcome(value, reference, intervals.of_share(value, n_rows))


def covered_share(real: Points, other: Points) -> float:
    """Share of real points whose ball to their k-th real neighbour holds one of the others.

    Source: Naeem et al. 2020, equation 10.
    Differs: the ball includes its surface, so that a row that many real rows repeat can be covered.
    """
    # The closest of all is the point itself.
    radius = nearest(real, real, N_NEIGHBOURS + 1)[:, N_NEIGHBOURS]
    return float((nearest(real, other)[:, 0] <= radius).mean())
