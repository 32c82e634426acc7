"""Images as a whole: how far their distribution and their labels are from the real ones."""

from collections.abc import Callable

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.features.images import features_of
from tasks.evaluation.intervals import N_GROUPS, Interval, of_jackknife
from tasks.evaluation.plots import column_plots
from tasks.evaluation.rows import MISSING
from tasks.params import Threshold


@metric(
    label="Fréchet distance of images",
    family="fidelity",
    goal="lower",
    kinds=("image",),
    explanation=(
        "Distance between the Gaussians that fit what a classifier sees in real and in synthetic"
        " images, in units of the real images' variance: 0 is the same, 1 is as far as the spread"
        " of the real images."
    ),
    source="Heusel et al. 2017, arXiv:1706.08500, on features of a classifier of the real images",
    threshold=Threshold(at_most_reference_plus=0.3),
)
def frechet_distance(comparison: Comparison) -> Outcome:
    """The intervals leave out a twentieth of the synthetic, or holdout, images in turn.

    Of equally many synthetic and holdout images, because it grows the fewer there are.

    Differs: features of a small classifier of the training images in place of the Inception
    network's; each divided by its standard deviation, all together by their variance.
    """
    features = features_of(comparison)
    n_rows = min(len(features.holdout), len(features.synthetic))
    if n_rows < 2:
        raise NotApplicable(f"needs two images to have a variance, found {n_rows}")
    variance = float(features.real.vectors.var(axis=0).sum())
    if variance == 0:
        raise NotApplicable("all training images are the same")
    rng = comparison.rng("frechet_distance")

    def distance(rows: np.ndarray) -> float:
        return gaussian_distance(features.real.vectors, rows) / variance

    (value, interval), (reference, reference_interval) = (
        jackknife(distance, one.vectors[rng.permutation(len(one))[:n_rows]], rng)
        for one in (features.synthetic, features.holdout)
    )
    return Outcome(value, reference, interval, reference_interval)


@metric(
    label="Label shares, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("image", "text"),
    explanation="Share of the synthetic labels that would have to change to be as the real ones.",
    source="total variation distance, as SDMetrics 0.32 TVComplement; 100 x (1 - score)",
    threshold=Threshold(at_most_reference_plus=10.0),
)
def class_share_error(comparison: Comparison) -> Outcome:
    """Total variation distance between the shares of the labels; intervals as of the images."""
    if comparison.target is None:
        raise NotApplicable(f"the {comparison.kind}s have no labels")
    holdout, synthetic = comparison.equal
    n_labels = len(comparison.categories[0])
    real = label_shares(comparison.train.codes, n_labels)
    rng = comparison.rng("class_share_error")

    def error(codes: np.ndarray) -> float:
        return 50 * float(np.abs(label_shares(codes, n_labels) - real).sum())

    value, interval = jackknife(error, synthetic.codes, rng)
    reference, reference_interval = jackknife(error, holdout.codes, rng)
    plots = {"columns": column_plots(comparison, np.array([value]))}
    return Outcome(value, reference, interval, reference_interval, plots=plots)


def jackknife(
    score: Callable[[np.ndarray], float], rows: np.ndarray, rng: np.random.Generator
) -> tuple[float, Interval | None]:
    """A score and its 95 % interval, which is null where there are too few rows.

    Args:
        score: of rows, at least 0.
        rows: all of them.
        rng: deals them into groups.
    """
    value = score(rows)
    if len(rows) < 2 * N_GROUPS:
        return value, None
    group = rng.permutation(len(rows)) % N_GROUPS
    without = np.array([score(rows[group != one]) for one in range(N_GROUPS)])
    return value, of_jackknife(value, without)


def label_shares(codes: np.ndarray, n_labels: int) -> np.ndarray:
    """Shape: (N, 1) to (n_labels + 1,), the last for missing labels."""
    labels = np.where(codes[:, 0] == MISSING, n_labels, codes[:, 0])
    return np.bincount(labels, minlength=n_labels + 1) / len(codes)


def gaussian_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared 2-Wasserstein distance between the Gaussians that fit two sets of vectors.

    Shape:
        first, second: (N, K) and (M, K) float64, N and M at least 2.

    Source: Dowson and Landau 1982, doi:10.1016/0047-259X(82)90077-X.
    """
    shift = float(((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum())
    a, b = (np.atleast_2d(np.cov(one, rowvar=False)) for one in (first, second))
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ b @ root), 0, None)).sum()
    return max(0.0, shift + float(np.trace(a) + np.trace(b) - 2 * cross))
