"""Images as a whole: how far their distribution and their labels are from the real ones."""

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import MISSING, Comparison, Rows
from tasks.evaluation.plots import column_plots


@metric(
    label="Fréchet distance of images",
    family="fidelity",
    goal="lower",
    kinds=("image",),
    explanation=(
        "Distance between the Gaussians that fit real and synthetic images, in units of the real"
        " images' variance: 0 is the same, 1 is as far as the spread of the real images."
    ),
    source="Heusel et al. 2017, arXiv:1706.08500, on principal components of pixels",
)
def frechet_distance(comparison: Comparison) -> Outcome:
    """Differs: principal components in place of a network's features; divided by the variance."""
    holdout, synthetic = comparison.equal
    if len(synthetic) < 2:
        raise NotApplicable(f"needs two images to have a variance, found {len(synthetic)}")
    variance = float(comparison.train.numbers.var(axis=0).sum())
    if variance == 0:
        raise NotApplicable("all training images are the same")
    value, reference = (
        gaussian_distance(comparison.train.numbers, one.numbers) / variance
        for one in (synthetic, holdout)
    )
    return Outcome(value, reference)


@metric(
    label="Label shares, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("image",),
    explanation="Share of the synthetic labels that would have to change to be as the real ones.",
    source="total variation distance, as SDMetrics 0.32 TVComplement; 100 x (1 - score)",
)
def class_share_error(comparison: Comparison) -> Outcome:
    """Total variation distance between the shares of the labels."""
    if comparison.target is None:
        raise NotApplicable("the images have no labels")
    holdout, synthetic = comparison.equal
    names = comparison.categories[0]
    real = label_shares(comparison.train, len(names))
    value, reference = (
        50 * float(np.abs(label_shares(one, len(names)) - real).sum())
        for one in (synthetic, holdout)
    )
    return Outcome(value, reference, plots={"columns": column_plots(comparison, np.array([value]))})


def label_shares(rows: Rows, n_labels: int) -> np.ndarray:
    """Shape: (n_labels + 1,), the last for missing labels."""
    codes = np.where(rows.codes[:, 0] == MISSING, n_labels, rows.codes[:, 0])
    return np.bincount(codes, minlength=n_labels + 1) / len(rows)


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
