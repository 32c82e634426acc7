"""Did the generator copy images and hide it: moved aside, mirrored, brightened, a little noise?"""

from collections.abc import Sequence

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.closeness import LEVELS, RATIOS
from tasks.evaluation.closest import MAX_DISTANCES, MIN_ROWS, N_CLOSEST, Closest
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.exhibits import closest_of_release
from tasks.evaluation.features.images import MIN_ROWS as MIN_LEARNED
from tasks.evaluation.features.images import content_of, features_of
from tasks.evaluation.images import evenly, principal_directions
from tasks.evaluation.rows import Rows
from tasks.params import Threshold
from tasks.privacy.distances import neighbours
from tasks.privacy.leaks import Assignment, by_labels, by_ratio, by_smallest, ratios
from tasks.privacy.points import Points, euclidean

MAX_QUERIES = 2_000
"""Synthetic images whose closest real ones are looked for at most, and as many real ones."""

MAX_REAL = 20_000
"""Real images of each part among which they are looked for at most."""

MIN_QUERIES = 500
"""Synthetic images whose closest real ones are looked for at least, however long that takes."""

SHIFT = 8
"""Copies are looked for up to a side over this number of pixels aside. Images with a side of fewer
pixels are not shifted: a pixel is too much of them."""

_BLOCK = 4096
"""Images whose pixels are floating point numbers at a time."""


@metric(
    label="Copied training images in disguise (share, at least)",
    family="privacy",
    goal="lower",
    kinds=("image",),
    explanation=(
        "At least this share of the synthetic images are copies of training images, if need be up"
        " to an eighth of a side aside, mirrored, brighter, with more or less contrast or a little"
        " noise, or otherwise so alike that a classifier hardly tells them apart: what chance explains is"
        " left out, so 0 is expected of honest images."
    ),
    source=(
        "as `copied_rows`, with the closest of all shifted and mirrored images, and on features of"
        " a classifier: copies of training data in generators of images, Somepalli et al. 2023,"
        " arXiv:2212.03860"
    ),
    threshold=Threshold(at_most=0.003),
)
def copied_images(comparison: Comparison) -> Outcome:
    """The largest of eleven lower bounds of `tasks.privacy.leaks`, each wrong once in 10,000.

    By pixels training and holdout images are searched alike. By features only training images are,
    from synthetic and from holdout images: the network learned from the training images, so that
    they are not alike to it, but those that it never saw are.
    """
    n_holdout, n_train = len(comparison.holdout), len(comparison.train)
    if min(n_holdout, n_train) < MIN_ROWS:
        raise NotApplicable(
            f"needs {MIN_ROWS} training and {MIN_ROWS} holdout images, found {n_train} and"
            f" {n_holdout}"
        )
    bounds = _by_pixels(comparison)
    if n_train >= 2 * MIN_LEARNED:
        bounds += _by_features(comparison)
    value = max(0.0, *bounds)
    return Outcome(
        value,
        0.0,
        (value, 1.0) if value else (0.0, 0.0),
        (0.0, 0.0),
        plots={"closest_images": closest_of_release(comparison)},
    )


def variants(pixels: np.ndarray) -> list[np.ndarray]:
    """The inner parts of images and of their mirror images, and what is around the inner parts.

    Every whole number of pixels up to an eighth of a side aside, in all directions; the edges are
    left out, so that it does not matter what a copy that was shifted is filled up with.

    Shape:
        pixels: (N, H, W, C) uint8.
        returns: (N, H - 2 (H // 8), W - 2 (W // 8), C) each, the first where the image is; of images
            with a side of fewer than 8 pixels (N, H, W, C), which are mirrored only.
    """
    height, width = pixels.shape[1:3]
    down, right = (side // SHIFT for side in (height, width))
    if not (down and right):
        down = right = 0
    inner = height - 2 * down, width - 2 * right
    starts = [(y, x) for y in range(2 * down + 1) for x in range(2 * right + 1)]
    starts.sort(key=lambda start: start != (down, right))
    shifted = [pixels[:, y : y + inner[0], x : x + inner[1]] for y, x in starts]
    middle = shifted[0]
    return [*shifted, middle[:, ::-1], middle[:, :, ::-1], middle[:, ::-1, ::-1]]


class _Space:
    """Principal components of images of one brightness and contrast.

    Shape:
        mean: (D,).
        directions: (D, K).
    """

    def __init__(self, origins: Sequence[np.ndarray]) -> None:
        """Args: origins: (N, H, W, C) uint8 each, the images that it is learned from."""
        some = _even(np.concatenate([evenly(pixels) for pixels in origins]))
        self.mean = some.mean(axis=0)
        self.directions = principal_directions(some - self.mean)

    def __call__(self, pixels: np.ndarray) -> Points:
        """Shape: (N, H, W, C) uint8 to points of K numbers."""
        blocks = (pixels[start : start + _BLOCK] for start in range(0, len(pixels), _BLOCK))
        return euclidean(
            np.concatenate([(_even(block) - self.mean) @ self.directions for block in blocks])
        )


def _even(pixels: np.ndarray) -> np.ndarray:
    """Shape: (N, H, W, C) uint8 to (N, D) float64, each row of mean 0 and length 1, or 0."""
    flat = pixels.reshape(len(pixels), -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.divide(flat, length, out=np.zeros_like(flat), where=length > 0))


def _by_pixels(comparison: Comparison) -> list[float]:
    rng = comparison.rng("copied images")
    train, holdout = (
        content_of(rows.sample(MAX_REAL, rng)) for rows in (comparison.train, comparison.holdout)
    )
    n_searched = n_queries(len(variants(train[:1])) * (2 * len(train) + len(holdout)))
    synthetic = content_of(comparison.synthetic.sample(n_searched, rng))
    real = [variants(one)[0] for one in (train, holdout)]
    space = _Space([*real, variants(synthetic)[0]])
    references = [space(one) for one in real]
    to_train, to_holdout = (_closest(synthetic, space, one) for one in references)
    held = rng.permutation(len(holdout))[: n_searched // 2]
    seen = rng.permutation(len(train))[: n_searched - len(held)]
    # The closest training image to a training image would be this image itself.
    parts = [
        _closest(holdout[held], space, references[0]),
        _closest(train[seen], space, references[0], own=seen),
    ]
    unseen = Closest(
        np.vstack([one.distances for one in parts]), np.vstack([one.rows for one in parts])
    )
    nothing = np.zeros(len(synthetic), int)
    found = Assignment.of(
        (to_train.distances, to_train.rows),
        (to_holdout.distances, to_holdout.rows),
        (nothing, nothing, nothing),
        (len(train), len(holdout)),
    )
    tests = [by_labels(found, level) for level in LEVELS]
    return [
        *(estimate - radius for estimate, radius in tests),
        *_pointed(to_train, unseen, len(held) + len(seen) // 2),
    ]


def n_queries(n_distances: int) -> int:
    """Images to search for, where each takes so many distances."""
    return min(MAX_QUERIES, max(MIN_QUERIES, MAX_DISTANCES // n_distances))


def _by_features(comparison: Comparison) -> list[float]:
    rng = comparison.rng("copied images by features")
    features = features_of(comparison)

    def seen(rows: Rows, n: int) -> Points:
        return euclidean(features.vectors(content_of(rows.sample(n, rng))))

    train = seen(comparison.train, MAX_REAL)
    synthetic, unseen = (
        Closest(*neighbours(seen(rows, MAX_QUERIES), train, 2))
        for rows in (comparison.synthetic, comparison.holdout)
    )
    return _pointed(synthetic, unseen, len(unseen.rows))


def _pointed(synthetic: Closest, unseen: Closest, n_independent: int) -> list[float]:
    """Lower bounds by how many images point at one training image, more than unseen ones do."""
    sides = [(ratios(one.distances), one.rows[:, 0]) for one in (synthetic, unseen)]
    return [
        *(by_ratio(sides[0], sides[1], n_independent, limit) for limit in RATIOS),
        by_smallest(sides[0][0], sides[1][0], n_independent),
    ]


def _closest(
    pixels: np.ndarray, space: _Space, references: Points, own: np.ndarray | None = None
) -> Closest:
    """The closest references to any variant of each image.

    Args:
        pixels: of the images.
        space: of the references.
        references: real images.
        own: which reference each image itself is, if it is among them; it does not count.
    """
    n_found = min(len(references), N_CLOSEST + (own is not None))
    searched = [neighbours(space(one), references, n_found) for one in variants(pixels)]
    distances = np.hstack([one for one, _ in searched])
    rows = np.hstack([one for _, one in searched])
    if own is not None:
        distances[rows == own[:, None]] = np.inf
    every = np.arange(len(pixels))
    chosen = []
    for _ in range(min(N_CLOSEST, len(references) - 1)):
        best = distances.argmin(axis=1)
        chosen.append((distances[every, best], rows[every, best]))
        # Another variant may be close to the same reference.
        distances[rows == rows[every, best][:, None]] = np.inf
    return Closest(*(np.column_stack(one) for one in zip(*chosen, strict=True)))
