"""Stage: set a holdout aside that no generator ever sees."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.errors import DataError
from tasks.params import DatasetParams
from tasks.schema import DatasetSchema
from tasks.seeding import rng_for
from tasks.splits.holdout import classes_of, holdout_mask
from tasks.storage import (
    count_rows,
    new_folder,
    read_batches,
    read_table,
    write_dataset,
    write_json,
)

logger = logging.getLogger(__name__)

PARTS = ("train", "holdout")


def split(clean: Path, out: Path, params: DatasetParams) -> None:
    """Divide the clean data into a training part and a holdout; rows keep their order.

    Reads:
        clean: a dataset of one table.

    Writes:
        out: the datasets `train` and `holdout`, and `report.json`.

    Raises:
        DataError: there are too few rows, or several tables.
    """
    schema = DatasetSchema.load(clean)
    if len(schema.tables) > 1:
        raise DataError(
            f"expected one table to split, found {[t.name for t in schema.tables]}: rows of linked"
            " tables cannot be split yet; join them in the source with a `query`"
        )
    table = schema.main.name
    column = _stratified_by(schema) if params.split.stratify else None
    classes = None if column is None else classes_of(read_table(clean, table, [column])[column])
    mask = holdout_mask(
        count_rows(clean, table),
        params.split.holdout_fraction,
        classes,
        rng_for(params.seed, "split"),
    )
    n_rows = {}
    with new_folder(out) as draft:
        for part, keep in zip(PARTS, (~mask, mask), strict=True):
            (draft / part).mkdir()
            rows = {table: _kept(read_batches(clean, table), keep)}
            n_rows[part] = write_dataset(draft / part, schema, rows)[table]
            logger.info("%s: %s rows", part, f"{n_rows[part]:,}")
        report: dict[str, Any] = {"rows": n_rows, "stratified_by": column}
        if classes is not None:
            report["classes_without_holdout"] = len(set(classes) - set(classes[mask]))
        write_json(draft / "report.json", report)


def _stratified_by(schema: DatasetSchema) -> str | None:
    """The target, if its values are classes."""
    if schema.target is None:
        return None
    is_class = schema.main.column(schema.target).meaning in ("categorical", "boolean")
    return schema.target if is_class else None


def _kept(batches: Iterator[pa.RecordBatch], keep: np.ndarray) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in batches:
        yield batch.filter(pa.array(keep[start : start + batch.num_rows]))
        start += batch.num_rows
