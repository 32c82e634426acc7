"""Real and synthetic rows from their most telling side: two principal components, as a picture."""

from typing import Any

import numpy as np

from tasks.evaluation.closest import sampled_points
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.plots import MIN_ROWS, bins_for, nice_edges
from tasks.privacy.points import embedded

MAX_ROWS = 20_000
"""Rows of each set that are drawn at most."""


def projection(comparison: Comparison) -> dict[str, Any]:
    """Shares of the rows in cells of the plane in which the training rows differ the most.

    Cells of fewer than `MIN_ROWS` real rows are drawn empty; the outer cells hold all beyond.

    Source: principal component analysis, Pearson 1901, doi:10.1080/14786440109462720.
    """
    rng = comparison.rng("projection")
    train = sampled_points(comparison, "train").sample(MAX_ROWS, rng)
    synthetic = sampled_points(comparison, "synthetic").sample(MAX_ROWS, rng)
    vectors = [embedded(one, train).astype(np.float64) for one in (train, synthetic)]
    centre = vectors[0].mean(axis=0)
    scatter = (
        np.atleast_2d(np.cov(vectors[0], rowvar=False)) if len(train) > 1 else np.zeros((1, 1))
    )
    variances, directions = np.linalg.eigh(scatter)
    chosen = np.argsort(-variances, kind="stable")[:2]
    axes = directions[:, chosen]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(chosen))])
    places = [np.zeros((len(one), 2)) for one in vectors]
    for place, one in zip(places, vectors, strict=True):
        place[:, : len(chosen)] = (one - centre) @ axes
    n_bins = bins_for(len(train), dimensions=2)
    edges = [nice_edges(places[0][:, axis] + 1e-9, n_bins) for axis in range(2)]
    counts = [_counts(place, edges) for place in places]
    counts[0][counts[0] < MIN_ROWS] = 0
    parts = np.zeros(2)
    parts[: len(chosen)] = variances[chosen] / max(float(variances.sum()), 1e-300)
    return {
        "x_edges": edges[0].tolist(),
        "y_edges": edges[1].tolist(),
        "real": _shares(counts[0], len(train)),
        "synthetic": _shares(counts[1], len(synthetic)),
        "axes": [f"component {i + 1} ({100 * part:.0f} %)" for i, part in enumerate(parts)],
    }


def _counts(places: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    """Shape: (N, 2) to (y cells, x cells)."""
    x, y = (
        np.clip(np.searchsorted(edge, places[:, axis], "right") - 1, 0, len(edge) - 2)
        for axis, edge in enumerate(edges)
    )
    width, height = (len(edge) - 1 for edge in edges)
    return np.bincount(y * width + x, minlength=width * height).reshape(height, width)


def _shares(counts: np.ndarray, n_rows: int) -> list[list[float]]:
    return [[round(float(count) / n_rows, 5) for count in row] for row in counts]
