"""Which rows are set aside as the holdout, which no generator ever sees."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import DataError


def holdout_mask(
    n_rows: int, fraction: float, classes: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """True for the rows of the holdout.

    Stratified, each class gives its share, rounded so that the sizes add up (largest remainders);
    one row of every class at least stays for training, so a class of one row has none in the
    holdout.

    Shape:
        classes: (n_rows,) integers from 0, the class of each row; None: all rows are of one class.
        returns: (n_rows,) bool.

    Raises:
        DataError: there are not enough rows for a training part and a holdout.
    """
    if classes is None:
        classes = np.zeros(n_rows, dtype=np.int64)
    sizes = np.bincount(classes) if n_rows else np.zeros(0, dtype=np.int64)
    taken = _shares(sizes, fraction)
    if taken.sum() == 0:
        raise DataError(
            f"expected enough rows to set {fraction:.0%} of them aside, found {n_rows}"
            f" in {np.count_nonzero(sizes)} classes; use more rows or another holdout_fraction"
        )
    mask = np.zeros(n_rows, dtype=bool)
    for label, n_taken in enumerate(taken):
        members = np.flatnonzero(classes == label)
        mask[rng.permutation(members)[:n_taken]] = True
    return mask


def classes_of(values: pa.ChunkedArray) -> np.ndarray:
    """The values of a column as integers from 0, by the order of first appearance.

    Missing values are a class of their own.
    """
    encoded = pc.dictionary_encode(values.combine_chunks(), null_encoding="encode")
    return np.asarray(encoded.indices).astype(np.int64)


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
