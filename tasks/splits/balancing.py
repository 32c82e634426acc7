"""Which training rows are kept, so that the classes are of one size."""

import numpy as np


def undersample(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leave rows of the larger classes out until each is as small as the smallest.

    There is no oversampling: a repeated row looks common to what protects rare values, and stands
    on both sides of the validation split, so a generator would learn it by heart unseen.

    Shape:
        classes: (N,) integers from 0, the class of each row.
        returns: (N,) bool, whether the row is kept.
    """
    kept = np.zeros(len(classes), dtype=bool)
    sizes = np.bincount(classes)
    for label in np.flatnonzero(sizes):
        members = rng.permutation(np.flatnonzero(classes == label))
        kept[members[: sizes[sizes > 0].min()]] = True
    return kept
