"""What a network sees in images: the vectors in which their likeness and variety are judged.

The network learns from one half of the training images. The other half, the holdout and the
synthetic images are all new to it, so that nothing but their content tells them apart: a network
sees images that it has learned from more clearly than others.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import MISSING, Rows

if TYPE_CHECKING:
    # What compares tables need not wait for torch.
    from tasks.evaluation.features.network import Classifier

MAX_ROWS = 10_000
"""Images of each origin that are looked at at most."""

MIN_ROWS = 50
"""Images of each half of the training images below which a network learns too little to judge by."""

MIN_CLASS_ROWS = 3
"""Images of a label that the network is to learn at least."""

N_TURNS = 4

_HARDLY = 1e-3
"""Of the widest feature's standard deviation, under which one says nothing."""

_MAX_CLASSES = 100
"""Labels that the network learns at most: the most frequent ones."""


@dataclass(frozen=True)
class Seen:
    """Images and what the network sees in them.

    Shape:
        vectors: (N, K) float64, standardised by the real ones.
        codes: (N, D) int32 of the label, D 0 where there are no labels.
    """

    vectors: np.ndarray
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, index: np.ndarray) -> "Seen":
        """The images at these positions, or where a mask is true."""
        return Seen(self.vectors[index], self.codes[index])


@dataclass(frozen=True)
class ImageFeatures:
    """The three sets of images as the network sees them.

    Attributes:
        real: training images that the network did not learn from.
        holdout: real images that neither the network nor the generator saw.
        synthetic: what the generator made.
        network: what looks at them.
        centre: of the features of the real images, (K,).
        scale: standard deviations of the features of the real images, (K,).
    """

    real: Seen
    holdout: Seen
    synthetic: Seen
    network: "Classifier"
    centre: np.ndarray
    scale: np.ndarray

    def vectors(self, pixels: np.ndarray) -> np.ndarray:
        """Shape: (N, H, W, C) uint8 to (N, K) float64, standardised."""
        return np.asarray((self.network.features(pixels) - self.centre) / self.scale)


def features_of(comparison: Comparison) -> ImageFeatures:
    """What a network that learned from half of the training images sees in the others; made once.

    It learns the labels, or, where there are none, which way up an image is.

    Raises:
        NotApplicable: there are too few training images.

    Source: features of a classifier in place of pixels, Heusel et al. 2017, arXiv:1706.08500; of
    a network that tells rotations apart, Gidaris, Singh and Komodakis 2018, arXiv:1803.07728.
    Differs: the classifier knows the images at hand alone; nothing is downloaded.
    """
    n_train = len(comparison.train)
    if n_train < 2 * MIN_ROWS:
        raise NotApplicable(f"needs {2 * MIN_ROWS} training images to see by, found {n_train}")
    return comparison.once("image features", lambda: _features(comparison))


def content_of(rows: Rows) -> np.ndarray:
    """The pixels of images; shape: (N, H, W, C) uint8."""
    if rows.contents is None:
        raise ValueError("expected images, found rows without pixels")
    return rows.contents


def _features(comparison: Comparison) -> ImageFeatures:
    rng = comparison.rng("image features")
    order = rng.permutation(len(comparison.train))
    half = len(order) // 2
    learned = comparison.train.take(np.sort(order[:half]))
    real = comparison.train.take(np.sort(order[half:])).sample(MAX_ROWS, rng)
    network = _learned(learned, rng)
    seen = network.features(content_of(real))
    centre, scale = seen.mean(axis=0), seen.std(axis=0)
    # What hardly ever varies would weigh as much as everything else.
    scale = np.where(scale > _HARDLY * scale.max(initial=0.0), scale, np.inf)
    others = [one.sample(MAX_ROWS, rng) for one in (comparison.holdout, comparison.synthetic)]
    real_seen, holdout_seen, synthetic_seen = (
        Seen((network.features(content_of(one)) - centre) / scale, one.codes)
        for one in (real, *others)
    )
    return ImageFeatures(real_seen, holdout_seen, synthetic_seen, network, centre, scale)


def _learned(rows: Rows, rng: np.random.Generator) -> "Classifier":
    from tasks.evaluation.features.network import MAX_LEARNED, learn

    pixels = content_of(rows)
    if rows.codes.shape[1]:
        labels, counts = np.unique(rows.codes[rows.codes[:, 0] != MISSING, 0], return_counts=True)
        frequent = np.argsort(-counts, kind="stable")[:_MAX_CLASSES]
        known = np.sort(labels[frequent[counts[frequent] >= MIN_CLASS_ROWS]])
        if len(known) > 1:
            labelled = np.isin(rows.codes[:, 0], known)
            classes = np.searchsorted(known, rows.codes[labelled, 0])
            return learn(pixels[labelled], classes, len(known), rng)
    turned = _turned(pixels[: MAX_LEARNED // N_TURNS])
    return learn(np.concatenate(turned), np.repeat(range(N_TURNS), len(turned[0])), N_TURNS, rng)


def _turned(pixels: np.ndarray) -> list[np.ndarray]:
    """The images turned and mirrored so that they keep their size."""
    if pixels.shape[1] == pixels.shape[2]:
        return [np.rot90(pixels, turns, axes=(1, 2)) for turns in range(N_TURNS)]
    return [pixels, pixels[:, ::-1], pixels[:, :, ::-1], pixels[:, ::-1, ::-1]]
