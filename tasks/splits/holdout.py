"""Which rows are set aside: at random, or so that each class gives its share."""

import numpy as np

from tasks.errors import DataError


def holdout_mask(
    n_rows: int,
    fraction: float,
    classes: np.ndarray | None,
    rng: np.random.Generator,
    setting: str = "holdout_fraction",
) -> np.ndarray:
    """True for the rows that are set aside.

    Stratified, each class gives its share, rounded so that the sizes add up (largest remainders);
    one row of every class at least stays for training, so a class of one row has none in the
    holdout.

    Args:
        n_rows: how many there are.
        fraction: of them to set aside.
        classes: of the rows; None: all rows are of one class.
        rng: decides which.
        setting: that gave the fraction, for messages.

    Shape:
        classes: (n_rows,) integers from 0, the class of each row.
        returns: (n_rows,) bool.

    Raises:
        DataError: there are not enough rows for both sides.
    """
    if classes is None:
        classes = np.zeros(n_rows, dtype=np.int8)
    sizes = np.bincount(classes) if n_rows else np.zeros(0, dtype=np.int64)
    taken = _shares(sizes, fraction)
    if taken.sum() == 0:
        raise DataError(
            f"expected enough rows to set {fraction:.0%} of them aside, found {n_rows}"
            f" in {np.count_nonzero(sizes)} classes; use more rows or another {setting}"
        )
    mask = np.zeros(n_rows, dtype=bool)
    for members, n_taken in zip(members_of(classes, len(sizes)), taken, strict=True):
        mask[rng.permutation(members)[:n_taken]] = True
    return mask


def members_of(classes: np.ndarray, n_classes: int) -> list[np.ndarray]:
    """The rows of each class, in their order: one sort, however many classes there are.

    Shape:
        classes: (N,) integers from 0.
        returns: `n_classes` arrays of places.
    """
    if n_classes == 1:
        return [np.arange(len(classes))]
    ends = np.cumsum(np.bincount(classes, minlength=n_classes))
    return np.split(np.argsort(classes, kind="stable"), ends[:-1]) if n_classes else []


def _shares(sizes: np.ndarray, fraction: float) -> np.ndarray:
    """How many of each class are set aside.

    Shape:
        sizes: (K,) rows of each class.
        returns: (K,) at most `sizes - 1` each.
    """
    exact = sizes * fraction
    taken = np.floor(exact).astype(np.int64)
    most = np.maximum(sizes - 1, 0)
    left = int(np.floor(sizes.sum() * fraction + 0.5)) - int(taken.sum())
    for label in np.argsort(-(exact - taken), kind="stable"):
        if left > 0 and taken[label] < most[label]:
            taken[label] += 1
            left -= 1
    bounded: np.ndarray = np.minimum(taken, most)
    return bounded
