"""The contract of cleaning: what is left out of the tables, and how much of it.

One file per kind of dataset says when two rows are the same; everything else is here.
"""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import DataError, ParamsError
from tasks.params import CleanParams
from tasks.schema import DatasetSchema, TableSchema


class Cleaner(ABC):
    """Cleans the tables of a dataset, batch by batch.

    Columns are left out first, so rows that differ in nothing else become duplicates.

    Attributes:
        schema: of the clean data.
        counts: rows left out so far, by reason.
    """

    def __init__(self, schema: DatasetSchema, params: CleanParams) -> None:
        """Prepare the cleaning of a dataset.

        Raises:
            ParamsError: a column to leave out does not exist or is the target.
            DataError: rows of linked tables would be left out.
        """
        drops_rows = params.drop_duplicates or params.drop_missing
        if drops_rows and len(schema.tables) > 1:
            raise DataError(
                "clean.drop_duplicates and clean.drop_missing are for one table, found"
                f" {[t.name for t in schema.tables]}: rows that others link to cannot be left out"
            )
        self._params = params
        self.schema = _without_columns(schema, params.drop_columns)
        if params.drop_missing:
            self.schema = _without_missing(self.schema)
        self.counts = {"duplicates": 0, "missing": 0}

    def clean(self, table: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows of one table that stay, in their order."""
        names = self.schema.table(table).column_names
        seen: set[bytes] = set()
        for batch in batches:
            batch = batch.select(names)
            if self._params.drop_missing:
                batch = self._count("missing", batch, _is_complete(batch))
            if self._params.drop_duplicates:
                batch = self._count("duplicates", batch, self._is_new(batch, seen))
            yield batch

    @abstractmethod
    def row_keys(self, batch: pa.RecordBatch) -> list[bytes]:
        """A digest of each row; two rows are duplicates if theirs are equal."""

    def _count(self, reason: str, batch: pa.RecordBatch, stays: pa.Array) -> pa.RecordBatch:
        kept = batch.filter(stays)
        self.counts[reason] += batch.num_rows - kept.num_rows
        return kept

    def _is_new(self, batch: pa.RecordBatch, seen: set[bytes]) -> pa.Array:
        is_new = np.zeros(batch.num_rows, dtype=bool)
        for i, key in enumerate(self.row_keys(batch)):
            is_new[i] = key not in seen
            seen.add(key)
        return pa.array(is_new)


def _is_complete(batch: pa.RecordBatch) -> pa.Array:
    complete = pa.array(np.ones(batch.num_rows, dtype=bool))
    for values in batch.columns:
        complete = pc.and_(complete, pc.is_valid(values))
    return complete


def _without_missing(schema: DatasetSchema) -> DatasetSchema:
    (table,) = schema.tables
    columns = tuple(c.model_copy(update={"nullable": False}) for c in table.columns)
    return schema.model_copy(update={"tables": (table.model_copy(update={"columns": columns}),)})


def _without_columns(schema: DatasetSchema, names: list[str]) -> DatasetSchema:
    """The schema without some columns, and the keys and constraints that they are part of.

    A name is a column of the main table, or `table.column`.
    """
    dropped: set[tuple[str, str]] = set()
    for name in names:
        place = _place_of(schema, name)
        if place == (schema.main.name, schema.target):
            raise ParamsError(f"clean.drop_columns names the target {name!r}; it must stay")
        dropped.add(place)
    tables = tuple(_table_without(table, dropped) for table in schema.tables)
    return schema.model_copy(update={"tables": tables})


def _place_of(schema: DatasetSchema, name: str) -> tuple[str, str]:
    places = {c: (schema.main.name, c) for c in schema.main.column_names}
    for table in schema.tables:
        places |= {f"{table.name}.{c}": (table.name, c) for c in table.column_names}
    if name not in places:
        near = difflib.get_close_matches(name, places, n=3)
        raise ParamsError(
            f"clean.drop_columns names {name!r}, which is no column; choose from:"
            f" {', '.join(near or schema.main.column_names)}"
        )
    return places[name]


def _table_without(table: TableSchema, dropped: set[tuple[str, str]]) -> TableSchema:
    gone = {column for name, column in dropped if name == table.name}
    columns = tuple(c for c in table.columns if c.name not in gone)
    if not columns:
        raise ParamsError(f"clean.drop_columns names every column of {table.name!r}; keep one")
    keeps_key = gone.isdisjoint(table.primary_key)
    return table.model_copy(
        update={
            "columns": columns,
            "primary_key": table.primary_key if keeps_key else (),
            "constraints": tuple(c for c in table.constraints if gone.isdisjoint(c.names)),
            "foreign_keys": tuple(
                key
                for key in table.foreign_keys
                if gone.isdisjoint(key.columns)
                and dropped.isdisjoint((key.references, c) for c in key.referenced_columns)
            ),
        }
    )
