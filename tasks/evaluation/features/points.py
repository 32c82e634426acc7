"""Where the likeness and the variety of rows are judged: as points, of images by their features."""

from typing import Literal

from tasks.evaluation.closest import sampled_points
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.features.images import MIN_ROWS, features_of
from tasks.privacy.points import Points, euclidean


def judged_points(comparison: Comparison, part: Literal["train", "holdout", "synthetic"]) -> Points:
    """The rows of a part that are in memory; of images those that the network did not learn from.

    Images that are too few for a network are judged by their pixels.
    """
    if comparison.kind != "image" or len(comparison.train) < 2 * MIN_ROWS:
        return sampled_points(comparison, part)
    seen = features_of(comparison)
    chosen = {"train": seen.real, "holdout": seen.holdout, "synthetic": seen.synthetic}[part]
    return euclidean(chosen.vectors)
