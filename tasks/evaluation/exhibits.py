"""Images for people to look at: real beside synthetic ones, and what is closest to a real one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.evaluation.comparison import Comparison
from tasks.evaluation.features.images import content_of
from tasks.evaluation.rows import Rows
from tasks.privacy.distances import neighbours
from tasks.privacy.points import euclidean

LOOKED_AT = 2_000
"""Synthetic images among which those are looked for that are closest to a training image."""

N_CLOSEST = 10
N_OF_LABEL = 10
MAX_LABELS = 12


@dataclass(frozen=True)
class ClosestImages:
    """The synthetic images that are closest to a training image, the closest first.

    Shape:
        synthetic: (N,) positions among the synthetic images.
        train: (N,) positions of the closest training images.
        distances: (N,) between the two, by pixels; 1 is what half of the holdout images exceed.
    """

    synthetic: np.ndarray
    train: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class OfLabel:
    """Real and synthetic images of one label.

    Shape:
        real, synthetic: (N, H, W, C) uint8, at most `N_OF_LABEL` each.
    """

    label: str
    real: np.ndarray
    synthetic: np.ndarray


def closest_images(comparison: Comparison) -> ClosestImages:
    """Of the first 2,000 synthetic images, compared with all training images in memory."""

    def find() -> ClosestImages:
        train = euclidean(comparison.train.numbers)
        held, made = (
            neighbours(euclidean(rows.numbers[:LOOKED_AT]), train)
            for rows in (comparison.holdout, comparison.synthetic)
        )
        distances = made[0][:, 0] / (float(np.median(held[0])) or 1.0)
        chosen = np.argsort(distances, kind="stable")[:N_CLOSEST]
        return ClosestImages(chosen, made[1][chosen, 0], distances[chosen])

    return comparison.once("closest images", find)


def closest_of_release(comparison: Comparison) -> list[dict[str, Any]]:
    """What a release may tell of them: which of its own rows they are, and how far they are.

    Nothing where the images in memory are a sample, whose rows are not known.
    """
    if len(comparison.synthetic) < len(comparison.every["synthetic"]):
        return []
    found = closest_images(comparison)
    return [
        {"row": int(row), "distance": round(float(distance), 2)}
        for row, distance in zip(found.synthetic, found.distances, strict=True)
    ]


def by_label(comparison: Comparison) -> Iterator[OfLabel]:
    """The first real and synthetic images of each label, or of all where there are no labels."""
    if comparison.target is None:
        yield OfLabel("", *(content_of(one)[:N_OF_LABEL] for one in _both(comparison)))
        return
    for code, label in enumerate(comparison.categories[0][:MAX_LABELS]):
        yield OfLabel(
            label,
            *(content_of(one)[one.codes[:, 0] == code][:N_OF_LABEL] for one in _both(comparison)),
        )


def _both(comparison: Comparison) -> tuple[Rows, Rows]:
    return comparison.train, comparison.synthetic
