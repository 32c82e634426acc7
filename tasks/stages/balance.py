"""Stage: even out the target's values in the training data."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.errors import DataError
from tasks.params import DatasetParams
from tasks.schema import DatasetSchema
from tasks.seeding import rng_for
from tasks.splits.balancing import undersample
from tasks.splits.classes import classes_of
from tasks.storage import (
    count_rows,
    new_folder,
    read_batches,
    read_table,
    write_dataset,
    write_json,
)

logger = logging.getLogger(__name__)


def balance(split: Path, out: Path, params: DatasetParams) -> None:
    """Leave out training rows until the classes of the target are of one size.

    Reads:
        split: the dataset `train` in it.

    Writes:
        out: the dataset, rows in their order, and `report.json`.

    Raises:
        DataError: there is no target with classes.
    """
    train = split / "train"
    schema = DatasetSchema.load(train)
    table = schema.main.name
    n_before = count_rows(train, table)
    method = params.balance.method
    kept = np.ones(n_before, dtype=bool)
    if method == "undersample":
        classes = classes_of(read_table(train, table, [_target(schema, method)])[0])
        kept = undersample(classes, rng_for(params.seed, "balance"))
    with new_folder(out) as draft:
        batches = _kept(read_batches(train, table), kept)
        n_rows = write_dataset(draft, schema, {table: batches})[table]
        left_out = int(np.count_nonzero(~kept))
        report = {"method": method, "rows": n_rows, "rows_before": n_before, "left_out": left_out}
        write_json(draft / "report.json", report)
    logger.info("%s: %s rows after %s", table, f"{n_rows:,}", method)


def _target(schema: DatasetSchema, method: str) -> str:
    if schema.target is None:
        raise DataError(f"balance.method {method!r} needs a `target`, found none")
    meaning = schema.main.column(schema.target).meaning
    if meaning not in ("categorical", "boolean"):
        raise DataError(
            f"balance.method {method!r} needs a target of classes, but {schema.target!r} is {meaning};"
            " set `balance: {}` or state the meaning under `source: {meanings: …}`"
        )
    return schema.target


def _kept(batches: Iterator[pa.RecordBatch], kept: np.ndarray) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in batches:
        yield batch.filter(pa.array(kept[start : start + batch.num_rows]))
        start += batch.num_rows
