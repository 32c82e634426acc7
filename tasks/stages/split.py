"""Stage: set a holdout aside that no generator ever sees."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.params import DatasetParams
from tasks.schema import DatasetSchema
from tasks.splits.digests import row_digests
from tasks.splits.folds import write_folds
from tasks.splits.links import Divided, divide
from tasks.splits.parts import HOLDOUT, PARTS, TRAIN, Division, divide_rows
from tasks.storage import (
    count_rows,
    new_folder,
    read_batches,
    read_table,
    write_dataset,
    write_json,
)

logger = logging.getLogger(__name__)


def split(clean: Path, out: Path, params: DatasetParams) -> None:
    """Divide the clean data into parts for training, validation and holdout; rows keep their order.

    Reads:
        clean: a dataset; rows of linked tables go with the rows of the main table.

    Writes:
        out: the datasets `train` and `holdout`, `validation` where it is asked for, `folds.parquet`
            where folds are (see `tasks.splits.folds`), and `report.json`.

    Raises:
        ParamsError: a setting names no column, or one that it cannot use.
        DataError: the rows cannot be divided so: too few rows, groups or moments.
    """
    schema = DatasetSchema.load(clean)
    main = schema.main.name
    division = divide_rows(
        schema,
        count_rows(clean, main),
        lambda name: read_table(clean, main, [name])[name],
        params.split,
        params.seed,
    )
    tables = divide(schema, division.parts, lambda table, names: read_batches(clean, table, names))
    report: dict[str, Any] = {"rows": {}, "method": division.method}
    with new_folder(out) as draft:
        for number in np.unique(division.parts):
            part = PARTS[number]
            (draft / part).mkdir()
            rows = {t.name: _rows_of(clean, t.name, tables, number) for t in schema.tables}
            written = write_dataset(draft / part, schema, rows)
            report["rows"][part] = written[main]
            logger.info("%s: %s rows", part, f"{written[main]:,}")
        if division.folds is not None:
            write_folds(draft, division.folds, forward=division.method == "time")
            report["folds"] = np.bincount(division.folds).tolist()
        report |= _findings(clean, schema, division, tables)
        write_json(draft / "report.json", report, encrypt=schema.encrypted)


def _findings(
    clean: Path, schema: DatasetSchema, division: Division, tables: Divided
) -> dict[str, Any]:
    """What the report says beside the sizes of the parts."""
    found: dict[str, Any] = {"stratified_by": division.stratified_by}
    if (classes := division.classes) is not None:
        held = np.unique(classes[division.parts == HOLDOUT])
        found["classes_without_holdout"] = len(np.unique(classes)) - len(held)
    found["holdout_rows_like_training_rows"] = n_alike = _count_alike(clean, schema, division)
    if n_alike:
        logger.warning(
            "%s rows of the holdout equal a training row in all but their key: a generator has seen"
            " them; to keep equal rows once, set clean.drop_duplicates, or keep what belongs together in"
            " one part by split.group",
            f"{n_alike:,}",
        )
    if len(schema.tables) > 1:
        divided = list(tables.parts)
        found["divided_tables"] = divided
        found["shared_tables"] = [t.name for t in schema.tables if t.name not in divided]
        found["rows_without_a_link"] = tables.unlinked
        found["rows_linked_across_parts"] = tables.across
    return found


def _count_alike(clean: Path, schema: DatasetSchema, division: Division) -> int:
    """Rows of the holdout that equal a training row, their primary key aside."""
    table = schema.main
    names = [c.name for c in table.columns if c.name not in table.primary_key]
    if not names:
        return 0
    digests = np.concatenate(
        [
            row_digests(batch.columns, batch.num_rows)
            for batch in read_batches(clean, table.name, names)
        ]
    )
    trained = np.unique(digests[division.parts == TRAIN])
    return int(np.isin(digests[division.parts == HOLDOUT], trained).sum())


def _rows_of(clean: Path, table: str, tables: Divided, number: int) -> Iterator[pa.RecordBatch]:
    """The rows of a table that go into one part, in their order."""
    batches = read_batches(clean, table)
    if table not in tables.parts:
        yield from batches
        return
    keep = tables.parts[table] == number
    start = 0
    for batch in batches:
        yield batch.filter(pa.array(keep[start : start + batch.num_rows]))
        start += batch.num_rows
