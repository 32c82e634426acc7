"""How often each training row is used, so that the classes are of one size."""

from typing import Literal

import numpy as np

Method = Literal["none", "oversample", "undersample"]


def repeats(classes: np.ndarray, method: Method, rng: np.random.Generator) -> np.ndarray:
    """How many times each row is taken.

    `oversample` repeats rows of the smaller classes, each as often as any other of its class up to
    one; `undersample` leaves rows of the larger classes out.

    Shape:
        classes: (N,) integers from 0, the class of each row.
        returns: (N,) integers from 0.
    """
    counts = np.ones(len(classes), dtype=np.int64)
    sizes = np.bincount(classes)
    sizes = sizes[sizes > 0]
    if method == "none" or len(sizes) == 0:
        return counts
    goal = int(sizes.max() if method == "oversample" else sizes.min())
    for label in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == label))
        counts[members] = goal // len(members)
        counts[members[: goal % len(members)]] += 1
    return counts
