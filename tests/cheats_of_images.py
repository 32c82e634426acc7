"""Generators of images that cheat or fail, each in its own way.

Every function takes images that the generator has seen, images that it has not, and a source of
randomness, and gives as many images as it saw. Where only part of them is bad, the rest is as
honest as can be: real and unseen.
"""

from collections.abc import Callable

import numpy as np

Labelled = tuple[np.ndarray, np.ndarray]
"""Images (N, H, W) or (N, H, W, 3) uint8, and their labels (N,) int."""

Cheat = Callable[[Labelled, Labelled, np.random.Generator], Labelled]


def fresh(seen: Labelled, unseen: Labelled, _: np.random.Generator) -> Labelled:
    """No cheat: images that it did not see."""
    return unseen[0][: len(seen[0])], unseen[1][: len(seen[0])]


def copies(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Cheat:
    """The images that it saw, each changed in the same way."""

    def cheat(seen: Labelled, _: Labelled, rng: np.random.Generator) -> Labelled:
        return change(seen[0], rng), seen[1]

    return cheat


def leaks(share: float, change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Cheat:
    """A share of its images are images that it saw, changed."""

    def cheat(seen: Labelled, unseen: Labelled, rng: np.random.Generator) -> Labelled:
        leaked = rng.choice(len(seen[0]), round(share * len(seen[0])), replace=False)
        honest = fresh(seen, unseen, rng)
        n_honest = len(seen[0]) - len(leaked)
        return (
            np.concatenate([honest[0][:n_honest], change(seen[0][leaked], rng)]),
            np.concatenate([honest[1][:n_honest], seen[1][leaked]]),
        )

    return cheat


def same(pixels: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Not changed at all."""
    return pixels


def mirrored(pixels: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Left is right."""
    return pixels[:, :, ::-1]


def dimmed(pixels: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Of less contrast, and nowhere black."""
    return np.asarray(0.7 * pixels + 20).astype(np.uint8)


def noisy(deviation: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """With noise on every pixel, of 255 levels."""

    def change(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.normal(0, deviation, pixels.shape)
        return np.clip(pixels + noise, 0, 255).round().astype(np.uint8)

    return change


def shifted(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image up to an eighth of a side aside, in any direction."""
    far = np.array(pixels.shape[1:3]) // 8
    moves = rng.integers(-far, far + 1, (len(pixels), 2))
    return np.stack(
        [np.roll(one, move, (0, 1)) for one, move in zip(pixels, moves.tolist(), strict=True)]
    )


def one_mean(seen: Labelled, unseen: Labelled, rng: np.random.Generator) -> Labelled:
    """The mean of all images, again and again."""
    labels = fresh(seen, unseen, rng)[1]
    return np.repeat(seen[0].mean(axis=0)[None].astype(np.uint8), len(labels), axis=0), labels


def label_means(deviation: float) -> Cheat:
    """The mean image of each label, with noise."""

    def cheat(seen: Labelled, unseen: Labelled, rng: np.random.Generator) -> Labelled:
        labels = fresh(seen, unseen, rng)[1]
        means = {label: seen[0][seen[1] == label].mean(axis=0) for label in np.unique(labels)}
        return noisy(deviation)(np.stack([means[label] for label in labels]), rng), labels

    return cheat


def pure_noise(seen: Labelled, unseen: Labelled, rng: np.random.Generator) -> Labelled:
    """Pixels at random."""
    pixels, labels = fresh(seen, unseen, rng)
    return rng.integers(0, 256, pixels.shape, dtype=np.uint8), labels


def collapses(label: int, n_kinds: int) -> Cheat:
    """Of one label a few images again and again, with a little noise; all others are honest."""

    def cheat(seen: Labelled, unseen: Labelled, rng: np.random.Generator) -> Labelled:
        pixels, labels = fresh(seen, unseen, rng)
        places = np.flatnonzero(labels == label)
        again = pixels[places[rng.integers(0, n_kinds, len(places))]]
        pixels = pixels.copy()
        pixels[places] = noisy(2)(again, rng)
        return pixels, labels

    return cheat


def drops(label: int) -> Cheat:
    """No image of one label."""

    def cheat(seen: Labelled, unseen: Labelled, _: np.random.Generator) -> Labelled:
        others = unseen[1] != label
        return unseen[0][others][: len(seen[0])], unseen[1][others][: len(seen[0])]

    return cheat


def shuffles_labels(seen: Labelled, unseen: Labelled, rng: np.random.Generator) -> Labelled:
    """Honest images, each with the label of another."""
    pixels, labels = fresh(seen, unseen, rng)
    return pixels, rng.permutation(labels)


def swaps(first: int, second: int) -> Cheat:
    """Honest images, two labels of which are mistaken for each other."""

    def cheat(seen: Labelled, unseen: Labelled, rng: np.random.Generator) -> Labelled:
        pixels, labels = fresh(seen, unseen, rng)
        swapped = np.where(labels == first, second, np.where(labels == second, first, labels))
        return pixels, swapped

    return cheat
