"""The rows that a suite is learned from: all of a small table, a random draw of a large one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from tasks.errors import DataError
from tasks.gates.learn.suite import LearnedTable, breaks, learn_table
from tasks.gates.run import to_frame
from tasks.gates.suites import Expected
from tasks.schema import TableSchema
from tasks.storage import count_rows, read_batches

LEARNED_ROWS = 100_000
"""Rows that a table is learned from at most; what must hold in every row is checked in all."""

_FEWEST_ROWS = 20


def learn_stored(folder: Path, table: TableSchema, rng: np.random.Generator) -> LearnedTable:
    """Learn the expectations of one table of a dataset.

    Args:
        folder: of the dataset.
        table: its schema.
        rng: draws the rows, and the halves on which the suite is tried.

    Raises:
        DataError: there are too few rows to learn from.
    """
    n_rows = count_rows(folder, table.name)
    if n_rows < _FEWEST_ROWS:
        raise DataError(
            f"expected at least {_FEWEST_ROWS} rows of {table.name!r} in {folder} to learn from,"
            f" found {n_rows}; write its suite by hand"
        )
    chosen = np.sort(rng.permutation(n_rows)[:LEARNED_ROWS])
    drawn = [
        batch.take(pa.array(chosen[(chosen >= start) & (chosen < start + batch.num_rows)] - start))
        for start, batch in _placed(folder, table)
    ]
    frame = _frame(pa.Table.from_batches(drawn), table)
    # Rows often lie in an order that means something; halves and searches want none.
    frame = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    learned = learn_table(frame, table, n_rows, rng)
    return _held(learned, folder, table) if n_rows > LEARNED_ROWS else learned


def _held(learned: LearnedTable, folder: Path, table: TableSchema) -> LearnedTable:
    """Less what does not hold in all rows."""
    strict = [e for e in learned.expectations if _is_about_every_row(e)]
    broken: list[Expected] = []
    for _, batch in _placed(folder, table):
        frame = _frame(pa.Table.from_batches([batch]), table)
        broken += [e for e in strict if e not in broken and breaks(e, frame)]
    kept = tuple(e for e in learned.expectations if e not in broken)
    return LearnedTable(kept, (*learned.given_up, *broken))


def _is_about_every_row(expected: Expected) -> bool:
    return "alpha" not in expected.kwargs and not expected.type.startswith("expect_table_")


def _placed(folder: Path, table: TableSchema) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches without images, each with the place of its first row."""
    names = [c.name for c in table.columns if c.meaning != "image"]
    start = 0
    for batch in read_batches(folder, table.name, names):
        yield start, batch
        start += batch.num_rows


def _frame(rows: pa.Table, table: TableSchema) -> pd.DataFrame:
    return to_frame(rows, table.column_names)
