"""Are the synthetic rows among the real ones, and the real ones among the synthetic?

Source: Kynkäänniemi et al. 2019, arXiv:1904.06991, with k = 5 as in Naeem et al. 2020,
arXiv:2002.09797.
"""

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.diversity import N_NEIGHBOURS, equal_sets
from tasks.params import Threshold
from tasks.privacy.distances import nearest, pairwise
from tasks.privacy.points import Points

_BLOCK = 1_000
"""Rows whose distances to all others are in memory at a time."""


@metric(
    label="Precision (share of realistic images)",
    family="fidelity",
    goal="higher",
    kinds=("image",),
    explanation=(
        "Share of the synthetic images that lie among real ones, nearer to one than its fifth"
        " nearest real neighbour is: low where images are blurred, noisy or of nothing real."
    ),
    source="Kynkäänniemi et al. 2019, arXiv:1904.06991, equation 2, k = 5, on a classifier's features",
    threshold=Threshold(at_least_reference_minus=0.25),
)
def precision(comparison: Comparison) -> Outcome:
    """As many synthetic images, or holdout images, as training images."""
    sets = equal_sets(comparison)
    value, reference = (
        float(within(other, sets.train, sets.radius).mean())
        for other in (sets.synthetic, sets.holdout)
    )
    return _shares(value, reference, len(sets.train))


@metric(
    label="Recall (share of real images reached)",
    family="diversity",
    goal="higher",
    kinds=("image",),
    explanation=(
        "Share of the real images that lie among synthetic ones, nearer to one than its fifth"
        " nearest synthetic neighbour is: low where the generator forgot kinds of images."
    ),
    source="Kynkäänniemi et al. 2019, arXiv:1904.06991, equation 2, k = 5, on a classifier's features",
    threshold=Threshold(at_least_reference_minus=0.25),
)
def recall(comparison: Comparison) -> Outcome:
    """As precision, with the parts of synthetic and real images exchanged."""
    sets = equal_sets(comparison)
    value, reference = (
        float(within(sets.train, other, _radius(other)).mean())
        for other in (sets.synthetic, sets.holdout)
    )
    return _shares(value, reference, len(sets.train))


def within(rows: Points, others: Points, radius: np.ndarray) -> np.ndarray:
    """Which rows lie in the ball of any other.

    Shape:
        radius: (M,) of the balls around the others.
        returns: (N,) bool.
    """
    blocks = (np.arange(len(rows))[i : i + _BLOCK] for i in range(0, len(rows), _BLOCK))
    return np.concatenate(
        [(pairwise(rows.take(block), others) <= radius).any(axis=1) for block in blocks]
    )


def _radius(rows: Points) -> np.ndarray:
    # The closest of all is the row itself.
    return nearest(rows, rows, N_NEIGHBOURS + 1)[:, N_NEIGHBOURS]


def _shares(value: float, reference: float, n_rows: int) -> Outcome:
    """One ball holds several rows, so the intervals are those of a fifth of them."""
    n_independent = max(1, n_rows // N_NEIGHBOURS)
    return Outcome(
        value,
        reference,
        intervals.of_share(value, n_independent),
        intervals.of_share(reference, n_independent),
    )
