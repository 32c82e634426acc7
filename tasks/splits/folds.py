"""k folds of the training rows, for cross-validation by whoever wants it.

    split/folds.parquet     column `fold`, one row for each row of `split/train`, in its order

Row i is validated in the fold that it names and trained on in all others. Folds by time go forward:
fold 0 is never validated, and fold f > 0 is predicted from the folds before it alone, as in
scikit-learn's `TimeSeriesSplit`.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import DataError

FOLDS_FILE = "folds.parquet"

_FORWARD = b"forward"


def deal(
    classes: np.ndarray | None, n_rows: int, n_folds: int, rng: np.random.Generator
) -> np.ndarray:
    """Folds whose sizes differ by one row at most, as do the rows of each class in them.

    Shape:
        classes: (n_rows,) integers from 0; None: all rows are of one class.
        returns: (n_rows,) int16 from 0.

    Raises:
        DataError: there are fewer rows than folds.
    """
    if n_rows < n_folds:
        raise DataError(
            f"split.folds: expected at least {n_folds} rows to train on, found {n_rows}"
        )
    order = rng.permutation(n_rows)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    folds = np.empty(n_rows, dtype=np.int16)
    # Dealt like cards, class by class: the next class goes on where the last one ended.
    folds[order] = np.arange(n_rows) % n_folds
    return folds


def write_folds(split: Path, folds: np.ndarray, *, forward: bool) -> None:
    """Write the fold of each training row."""
    table = pa.table({"fold": pa.array(folds, pa.int16())})
    if forward:
        table = table.replace_schema_metadata({"order": _FORWARD})
    pq.write_table(table, split / FOLDS_FILE, compression="zstd")


def folds_of(split: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The places of training and of validation rows in `split/train`, fold by fold.

    What scikit-learn takes as `cv`: `cross_val_score(model, X, y, cv=list(folds_of(folder)))`.

    Raises:
        DataError: the split has no folds.
    """
    path = split / FOLDS_FILE
    if not path.exists():
        raise DataError(f"expected {path}, found none: set split.folds and split again")
    table = pq.read_table(path)
    folds = table["fold"].to_numpy()
    forward = (table.schema.metadata or {}).get(b"order") == _FORWARD
    for fold in range(1 if forward else 0, int(folds.max(initial=-1)) + 1):
        others = folds < fold if forward else folds != fold
        yield np.flatnonzero(others), np.flatnonzero(folds == fold)
