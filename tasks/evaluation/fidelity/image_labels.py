"""Images of each label by themselves: a label that is missing, wrong or collapsed shows here."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.diversity import N_NEIGHBOURS, covered_share
from tasks.evaluation.features.images import ImageFeatures, Seen, features_of
from tasks.evaluation.fidelity.image import jackknife
from tasks.params import Threshold
from tasks.privacy.distances import nearest
from tasks.privacy.points import euclidean

MIN_ROWS = 10
"""Real images of a label below which nothing is said of it."""

MAX_ROWS = 1_000
"""Images of a label that are compared at most."""


@dataclass(frozen=True)
class OfLabel:
    """The images of one label.

    Shape:
        real, holdout: (N, K) features, equally many.
        synthetic: (M, K) features; M at most N, fewer where the generator made too few.
    """

    label: int
    real: np.ndarray
    holdout: np.ndarray
    synthetic: np.ndarray


@metric(
    label="Coverage of the least covered label",
    family="diversity",
    goal="higher",
    kinds=("image",),
    explanation=(
        "Share of the real images of a label with a synthetic image of the same label among their"
        " nearest neighbours, of the label with the lowest share: 0 where a label is missing, and"
        " low where its images are all alike or belong to another label."
    ),
    source="Naeem et al. 2020, arXiv:2002.09797, equation 10, k = 5, label by label",
    threshold=Threshold(at_least_reference_minus=0.3),
)
def label_coverage(comparison: Comparison) -> Outcome:
    """Equally many images of each origin, as many as each label should have."""
    labels = list(_labels(comparison))
    values, references = (
        [_covered(one.real, other) for one, other in pairs]
        for pairs in (
            [(one, one.synthetic) for one in labels],
            [(one, one.holdout) for one in labels],
        )
    )
    lowest, other = int(np.argmin(values)), int(np.argmin(references))
    return Outcome(
        values[lowest],
        references[other],
        _interval(values[lowest], labels[lowest]),
        _interval(references[other], labels[other]),
    )


@metric(
    label="Variety within the least varied label",
    family="diversity",
    goal="higher",
    kinds=("image",),
    explanation=(
        "How far apart two synthetic images of a label are, over how far apart two real ones are,"
        " of the label with the lowest ratio: 0 where all its images are the same."
    ),
    source="ratio of root mean square distances between pairs of one label, as defined here",
    threshold=Threshold(at_least_reference_minus=0.4),
)
def label_variety(comparison: Comparison) -> Outcome:
    """The mean square distance of pairs is twice the variance; a label without images has none."""
    features = features_of(comparison)
    judged = [(one.label, spread(one.real)) for one in _labels(comparison)]
    varied = [(label, real) for label, real in judged if real > 0]
    if not varied:
        raise NotApplicable("the real images of each label are all the same")
    rng = comparison.rng("label_variety")

    def lowest(seen: Seen) -> tuple[float, intervals.Interval | None]:
        def ratio(chosen: np.ndarray) -> float:
            vectors, codes = seen.vectors[chosen], seen.codes[chosen, 0]
            return min(spread(vectors[codes == label]) / real for label, real in varied)

        return jackknife(ratio, np.arange(len(seen)), rng)

    (value, interval), (reference, reference_interval) = (
        lowest(features.synthetic),
        lowest(features.holdout),
    )
    return Outcome(value, reference, interval, reference_interval)


def spread(vectors: np.ndarray) -> float:
    """Root mean square distance between two different rows; 0 of fewer than two.

    Shape:
        vectors: (N, K).
    """
    if len(vectors) < 2:
        return 0.0
    return float(np.sqrt(2 * vectors.var(axis=0, ddof=1).sum()))


def _labels(comparison: Comparison) -> Iterator[OfLabel]:
    """Every label of which there are enough real images."""
    if comparison.target is None:
        raise NotApplicable("the images have no labels")
    features = features_of(comparison)
    found = [
        one
        for label in range(len(comparison.categories[0]))
        if (one := _of_label(features, label)) is not None
    ]
    if not found:
        raise NotApplicable(f"no label has {MIN_ROWS} images of each origin to compare")
    yield from found


def _of_label(features: ImageFeatures, label: int) -> OfLabel | None:
    real, holdout, synthetic = (
        one.vectors[one.codes[:, 0] == label]
        for one in (features.real, features.holdout, features.synthetic)
    )
    expected = int(len(real) / len(features.real) * len(features.synthetic))
    n_rows = min(len(real), len(holdout), expected, MAX_ROWS)
    if n_rows < MIN_ROWS:
        return None
    return OfLabel(label, real[:n_rows], holdout[:n_rows], synthetic[:n_rows])


def _covered(real: np.ndarray, other: np.ndarray) -> float:
    if len(other) == 0:
        return 0.0
    points = euclidean(real)
    radius = nearest(points, points, N_NEIGHBOURS + 1)[:, N_NEIGHBOURS]
    return covered_share(points, euclidean(other), radius)


def _interval(share: float, label: OfLabel) -> intervals.Interval:
    return intervals.of_share(share, len(label.real))
