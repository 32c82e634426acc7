"""How many rows each class of the target should have, and which rows stay or are repeated."""

import numpy as np

from tasks.errors import DataError, ParamsError
from tasks.params import BalanceParams

ADDING = ("oversample", "smote", "adasyn", "augment")
"""Methods that add rows to the real ones."""

MAX_ROWS = 1_000_000
MAX_CELLS = 50_000_000
"""Rows and cells that methods which hold all rows take at most: smote and adasyn hold doubles, and
search the nearest of each among all of its class."""


def wanted_rows(sizes: np.ndarray, values: list[str | None], params: BalanceParams) -> np.ndarray:
    """Rows that each class should have.

    With the ratio r, undersampling leaves no class more than 1/r times the rows of the smallest; all
    other methods bring each class to r times those of the largest. Classes without rows stay so, and
    a missing target is no class: such rows stay as they are.

    Args:
        sizes: rows of each class.
        values: what the classes are, as text; None: missing.
        params: section `balance`.

    Shape:
        sizes: (K,) integers.
        returns: (K,) int64.

    Raises:
        ParamsError: `rows` names no class.
        DataError: `rows` wants what the method cannot give.
    """
    if params.rows:
        return _given(sizes, values, params)
    is_class = (sizes > 0) & np.array([value is not None for value in values], dtype=bool)
    present = sizes[is_class]
    if not len(present):
        return sizes.astype(np.int64)
    # 1e-9 is more than the error of a product or quotient: 0.1 * 30 is a little more than 3.
    if params.method == "undersample":
        most = int(np.floor(present.min() / params.ratio + 1e-9))
        return np.where(is_class, np.minimum(sizes, most), sizes).astype(np.int64)
    least = int(np.ceil(present.max() * params.ratio - 1e-9))
    return np.where(is_class, np.maximum(sizes, least), sizes).astype(np.int64)


def _given(sizes: np.ndarray, values: list[str | None], params: BalanceParams) -> np.ndarray:
    places = {value: i for i, value in enumerate(values) if value is not None and sizes[i]}
    if unknown := sorted(set(params.rows) - set(places)):
        raise ParamsError(
            f"balance.rows names {unknown}, which no training row has; choose from: {sorted(places)}"
        )
    wanted = np.array(sizes, dtype=np.int64)
    for value, n_rows in params.rows.items():
        has = int(sizes[places[value]])
        if params.method == "undersample" and n_rows > has:
            raise DataError(
                f"balance.rows: expected at most the {has:,} training rows of {value!r}, found"
                f" {n_rows:,}: undersampling only leaves rows out"
            )
        if params.method in ADDING and n_rows < has:
            raise DataError(
                f"balance.rows: expected at least the {has:,} training rows of {value!r}, found"
                f" {n_rows:,}: {params.method} only adds rows"
            )
        wanted[places[value]] = n_rows
    return wanted


def undersample(classes: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leave rows out until no class has more than it should.

    Shape:
        classes: (N,) integers from 0, the class of each row.
        wanted: (K,) rows of each class.
        returns: (N,) bool, whether the row is kept.
    """
    kept = np.zeros(len(classes), dtype=bool)
    for label in np.flatnonzero(np.bincount(classes, minlength=len(wanted))):
        members = rng.permutation(np.flatnonzero(classes == label))
        kept[members[: wanted[label]]] = True
    return kept


def oversample(classes: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How often each row is repeated, beside the row itself: within a class, equally often, or once more.

    Shape:
        classes: (N,) integers from 0, the class of each row.
        wanted: (K,) rows of each class, at least as many as it has.
        returns: (N,) int64.
    """
    repeats = np.zeros(len(classes), dtype=np.int64)
    for label, size in enumerate(np.bincount(classes, minlength=len(wanted))):
        if size:
            members = rng.permutation(np.flatnonzero(classes == label))
            repeats[members] = (wanted[label] - size) // size
            repeats[members[: (wanted[label] - size) % size]] += 1
    return repeats


def check_size(n_rows: int, n_columns: int, method: str) -> None:
    """See that so many rows may be held in memory.

    Raises:
        DataError: they may not.
    """
    if n_rows > MAX_ROWS or n_rows * n_columns > MAX_CELLS:
        raise DataError(
            f"balance.method {method!r} holds all rows in memory: expected at most {MAX_ROWS:,} rows"
            f" and {MAX_CELLS:,} cells, found {n_rows:,} rows of {n_columns} columns; take"
            " class_weights, or undersample"
        )
