"""A delimited file as a stored table that remembers how its values were written."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.commands import spelling
from tasks.commands.delimited import as_lines
from tasks.commands.examples import Examples, new_text
from tasks.encoding.columns.base import COMMON_ROWS
from tasks.errors import ParamsError, SourceError
from tasks.schema import DatasetSchema
from tasks.sources.base import OBSERVED_ROWS, column, table_schema, with_meanings
from tasks.sources.formats import _delimited, _dialect, _forms, _inference
from tasks.storage import StoredRows, write_dataset

SPELLED_ROWS = 20_000
"""Rows at the start whose texts tell the spelling of values; and a twentieth of each later block."""

_NAME = "table"


@dataclass(frozen=True)
class DelimitedTable(Examples):
    """What was read.

    Attributes:
        dialect: how the file is written.
        forms: the form of each column's values, by name.
        schema: a dataset of this one table.
        rows: passes over the stored rows.
        n_rows: their number.
        n_infinite: infinite numbers that became missing values, by column.
        writes: the spelling of each column.
    """

    dialect: _dialect.Dialect
    forms: dict[str, _inference.Inferred]
    schema: DatasetSchema
    rows: StoredRows
    n_rows: int
    n_infinite: dict[str, int]
    writes: list[spelling.Write]

    def value(self, name: str, text: str) -> Any:
        """A value of a column from its text, read as those in the file are; None: a missing one.

        Raises:
            ParamsError: the column's values are of another form.
        """
        form = self.forms[name].form
        if form is None:
            return text or None
        texts = _forms.without_missing(pa.array([text]))
        if texts.null_count:
            return None
        if not form.fits(texts):
            raise ParamsError(
                f"--condition {name}={text}: expected a value like those of the column, which are"
                f" of type {form.data_type}"
            )
        return form.parse(texts)[0].as_py()

    @property
    def notes(self) -> list[str]:
        """See `Examples`."""
        return [
            f"{name!r}: {n} infinite numbers count as missing"
            for name, n in self.n_infinite.items()
        ]

    def write(self, output: Path, batches: Iterable[pa.RecordBatch], n_rows: int) -> None:
        """See `Examples.write`: with the delimiter, line ends, encoding and spellings of the file."""
        del n_rows
        dialect = self.dialect
        with new_text(output, dialect.encoding) as stream:
            stream.write(as_lines(dialect, [dialect.header or dialect.names]))
            for batch in batches:
                columns = map(spelling.write_all, self.writes, batch.columns)
                stream.write(as_lines(dialect, zip(*columns, strict=True)))

    def told(self, n_rows: int) -> str:
        """See `Examples.told`."""
        columns = self.schema.main.columns
        kinds = Counter(column.meaning for column in columns).most_common()
        words = ", ".join(f"{n} {meaning}" for meaning, n in kinds)
        return f"{n_rows:,} synthetic rows of {len(columns)} columns ({words})"

    def sample(self, n_rows: int) -> pa.Table:
        """So many rows, evenly spaced; all where there are fewer."""
        wanted = np.linspace(0, self.n_rows - 1, min(n_rows, self.n_rows)).astype(np.int64)
        taken, end = [], 0
        for batch in self.rows():
            start, end = end, end + batch.num_rows
            first, last = np.searchsorted(wanted, [start, end])
            taken.append(batch.take(pa.array(wanted[first:last] - start)))
        return pa.Table.from_batches(taken)


def read_table(path: Path, folder: Path, *, target: str | None, encoding: str) -> DelimitedTable:
    """Read a file in three passes (types, meanings, rows) and store its rows in a new folder.

    Raises:
        SourceError: the file is no table, or has a header only.
        ParamsError: it has no column of the target's name.
    """
    dialect = _dialect.sniff(path, _dialect.Told(encoding=encoding))
    if target is not None and target not in dialect.names:
        raise ParamsError(
            f"--target {target!r} is not a column of {path}; it has: {', '.join(dialect.names)}"
        )
    known = _forms.respelled_forms(dialect.delimiter)
    forms = _inference.infer(_delimited.read_texts(path, dialect), dialect.names, known)
    first = _first_rows(path, dialect, forms)
    schema = _observed(forms, first, target)
    reading = _Reading(path, dialect, forms, with_markers(schema, first))
    folder.mkdir()
    n_rows = write_dataset(folder, schema, {_NAME: reading.rows()})[_NAME]
    return DelimitedTable(
        dialect,
        forms,
        schema,
        StoredRows(folder, _NAME),
        n_rows,
        dict(reading.n_infinite),
        reading.writes(),
    )


class _Reading:
    """The pass that gives the rows, and looks at the spelling of their values."""

    def __init__(
        self,
        path: Path,
        dialect: _dialect.Dialect,
        forms: dict[str, _inference.Inferred],
        with_markers: set[str],
    ) -> None:
        self.path, self.dialect, self.forms = path, dialect, forms
        self.with_markers = with_markers
        self.n_infinite: Counter[str] = Counter()
        self._texts: list[pa.RecordBatch] = []
        self._values: list[pa.RecordBatch] = []

    def rows(self) -> Iterator[pa.RecordBatch]:
        for texts in _delimited.read_texts(self.path, self.dialect):
            batch = self._finite(_convert(texts, self.forms, self.with_markers))
            n_looked_at = SPELLED_ROWS // 20 if self._texts else SPELLED_ROWS
            self._texts.append(texts.slice(0, n_looked_at))
            self._values.append(batch.slice(0, n_looked_at))
            yield batch

    def writes(self) -> list[spelling.Write]:
        texts, values = pa.Table.from_batches(self._texts), pa.Table.from_batches(self._values)
        return [spelling.learn(texts[i], values[i]) for i in range(texts.num_columns)]

    def _finite(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for i, field in enumerate(batch.schema):
            if pa.types.is_floating(field.type):
                infinite = pc.is_inf(batch[i])
                if n := pc.sum(infinite).as_py():
                    self.n_infinite[field.name] += n
                    finite = pc.if_else(infinite, pa.scalar(None, field.type), batch[i])
                    batch = batch.set_column(i, field, finite)
        return batch


def _first_rows(
    path: Path, dialect: _dialect.Dialect, forms: dict[str, _inference.Inferred]
) -> pa.Table:
    """The rows that decide the meanings; in all columns, what stands for no value is none."""
    first: list[pa.RecordBatch] = []
    n_rows = 0
    for texts in _delimited.read_texts(path, dialect):
        first.append(_convert(texts.slice(0, OBSERVED_ROWS - n_rows), forms, set(forms)))
        n_rows += first[-1].num_rows
        if n_rows >= OBSERVED_ROWS:
            break
    if n_rows == 0:
        raise SourceError(f"expected rows in {path}, found a header only")
    return pa.Table.from_batches(first)


def _observed(
    forms: dict[str, _inference.Inferred], first: pa.Table, target: str | None
) -> DatasetSchema:
    columns = [column(name, form.data_type) for name, form in forms.items()]
    schema = DatasetSchema(kind="tabular", tables=(table_schema(_NAME, columns),), target=target)
    return with_meanings(schema, {_NAME: first}, {})


def with_markers(schema: DatasetSchema, first: pa.Table) -> set[str]:
    """The columns in which `NA` and the like stand for no value.

    Among categories `NA` may be one. Where most values are too rare to be published, it would be
    what all of them turn into.
    """
    names = {c.name for c in schema.main.columns_of("identifier", "text")}
    for c in schema.main.columns_of("categorical"):
        counts = pc.value_counts(first[c.name].drop_null()).field("counts")
        n_common = pc.sum(counts.filter(pc.greater_equal(counts, COMMON_ROWS))).as_py() or 0
        if 2 * n_common < pc.sum(counts, min_count=0).as_py():
            names.add(c.name)
    return names


def _convert(
    texts: pa.RecordBatch, forms: dict[str, _inference.Inferred], with_markers: set[str]
) -> pa.RecordBatch:
    """Rows in the types of their columns; missing values may be in any of them."""
    batch = _inference.convert(texts, forms)
    arrays = [
        pc.if_else(_forms.is_missing(values), pa.scalar(None, pa.string()), values)
        if name in with_markers and pa.types.is_string(values.type)
        else values
        for name, values in zip(forms, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(forms))
