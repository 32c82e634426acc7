"""The rows of one origin as arrays: a sample in memory, or all of them a piece at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import DataError
from tasks.schema import Column, arrow_type
from tasks.storage import OpenTable

Part = Literal["train", "holdout", "synthetic"]

MISSING = -1
"""The code of a missing value."""

LARGEST = 1e300
"""Numbers beyond it have no width, no square and no mean."""

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Rows:
    """Rows in memory.

    Shape:
        numbers: (N, C) float64, NaN where missing; of images and texts: vectors of them.
        codes: (N, D) int32, MISSING where missing; of images and texts: their label.
        identities: (N,) equal for equal rows (or images, or texts).
        contents: of images (N, H, W, C) uint8, as they are compared; of texts (N,) str objects; of
            tables None.
    """

    numbers: np.ndarray
    codes: np.ndarray
    identities: np.ndarray
    contents: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: np.ndarray) -> "Rows":
        """The rows at these positions, or where a mask is true."""
        contents = None if self.contents is None else self.contents[index]
        return Rows(self.numbers[index], self.codes[index], self.identities[index], contents)

    def sample(self, n: int, rng: np.random.Generator) -> "Rows":
        """`n` of the rows at random, in their order; all of them if there are no more."""
        if n >= len(self):
            return self
        return self.take(np.sort(rng.choice(len(self), n, replace=False)))


class AllRows:
    """Every row of one origin, read from its files by columns or by batches: memory is bounded."""

    def __init__(
        self,
        part: Part,
        table: OpenTable,
        columns: tuple[Sequence[Column], Sequence[Column]],
        values: Sequence[pa.Array],
    ) -> None:
        """Nothing is read yet.

        Args:
            part: which origin, for messages.
            table: the main table of the dataset.
            columns: the numeric and the discrete ones that are compared, as the training data
                has them.
            values: for each discrete column the sorted values that its codes stand for.
        """
        self.part, self.folder = part, table.folder
        self._table = table
        self._numeric, self._discrete = columns
        self._types = {c.name: arrow_type(c) for c in (*self._numeric, *self._discrete)}
        self._values = values
        self._n_rows = len(table)

    def __len__(self) -> int:
        return self._n_rows

    def column(self, name: str) -> pa.ChunkedArray:
        """Any column as it is stored, all rows."""
        batches = list(self._table([name]))
        return pa.Table.from_batches(batches).column(name)

    def number(self, place: int) -> np.ndarray:
        """All values of a numeric column.

        Shape:
            returns: (N,) float64, NaN where missing; dates, times and durations in seconds.
        """
        column = self._numeric[place]
        return _joined(
            [self._numbers(batch.column(0), column) for batch in self._read([column.name])],
            np.float64,
        )

    def code(self, place: int) -> np.ndarray:
        """All values of a discrete column.

        Shape:
            returns: (N,) int32, MISSING where missing.
        """
        name = self._discrete[place].name
        return _joined(
            [self._codes(batch.column(0), place) for batch in self._read([name])], np.int32
        )

    def batches(self) -> Iterator[Rows]:
        """All rows, some ten thousands at a time, in the order of the files."""
        names = [column.name for column in (*self._numeric, *self._discrete)]
        for batch in self._read(names):
            numbers = [self._numbers(batch.column(c.name), c) for c in self._numeric]
            codes = [self._codes(batch.column(c.name), i) for i, c in enumerate(self._discrete)]
            yield rows_of(numbers, codes, batch.num_rows)

    @cached_property
    def identities(self) -> np.ndarray:
        """Shape: (N,) uint64, equal for rows that are equal in all compared columns."""
        return _joined([rows.identities for rows in self.batches()], np.uint64)

    def sample(self, n: int, rng: np.random.Generator) -> Rows:
        """`n` of the rows at random, in their order; all of them if there are no more."""
        chosen: np.ndarray | slice = slice(None)
        if n < len(self):
            chosen = np.sort(rng.choice(len(self), n, replace=False))
        numbers = [self.number(place)[chosen] for place in range(len(self._numeric))]
        codes = [self.code(place)[chosen] for place in range(len(self._discrete))]
        return rows_of(numbers, codes, min(n, len(self)))

    def _read(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """The columns in the types of the training data."""
        schema = pa.schema([(name, self._types[name]) for name in names])
        for batch in self._table(names):
            arrays = [self._cast(batch.column(name), name, self._types[name]) for name in names]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _cast(self, values: pa.Array, name: str, wanted: pa.DataType) -> pa.Array:
        try:
            return values.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"column {name!r} of the {self.part} data: expected values of type {wanted}, as in"
                f" the training data, found {values.type}: {error}"
            ) from error

    def _numbers(self, values: pa.Array, column: Column) -> np.ndarray:
        numbers = _as_numbers(values, column)
        if (np.abs(numbers) > LARGEST).any():
            raise DataError(
                f"column {column.name!r} of the {self.part} data: expected numbers up to"
                f" {LARGEST:g}, found larger or infinite ones, which no metric can compare; drop or"
                " replace them"
            )
        return numbers

    def _codes(self, values: pa.Array, place: int) -> np.ndarray:
        return codes_of(values, self._discrete[place], self._values[place])


class AllContents(AllRows):
    """All images or texts of one origin, which have identities and no columns."""

    def __init__(self, identities: np.ndarray) -> None:
        """Args: identities: (N,), equal for equal pixels, or texts."""
        self._n_rows = len(identities)
        self.identities = identities


def known_values(tables: Sequence[OpenTable], column: Column) -> pa.Array:
    """The sorted values, as texts, that a column has in any of these tables, without null.

    Args:
        tables: of all origins.
        column: a discrete one.

    Raises:
        DataError: its values cannot be written as text.
    """
    found = [
        pc.unique(_as_texts(batch.column(0), column))
        for table in tables
        for batch in table([column.name])
    ]
    values = pc.unique(pa.chunked_array(found, pa.string())).drop_null()
    return values.take(pc.sort_indices(values))


def codes_of(values: pa.Array, column: Column, known: pa.Array) -> np.ndarray:
    """Shape: (N,) int32, the places of the values among those `known`; MISSING where missing."""
    codes = pc.fill_null(pc.index_in(_as_texts(values, column), value_set=known), MISSING)
    return np.asarray(codes.to_numpy(zero_copy_only=False), np.int32)


def rows_of(numbers: Sequence[np.ndarray], codes: Sequence[np.ndarray], n_rows: int) -> Rows:
    """Columns side by side.

    Shape:
        numbers: (N,) float64 each.
        codes: (N,) int32 each.
    """
    return Rows(
        _stack(numbers, n_rows, np.float64),
        _stack(codes, n_rows, np.int32),
        _identities(numbers, codes, n_rows),
    )


def _as_texts(values: pa.Array, column: Column) -> pa.Array:
    """Values of a discrete column in the column's type, written as text."""
    try:
        return values.cast(arrow_type(column)).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"column {column.name!r}: expected values of type {arrow_type(column)} that can be"
            f" written as text, found {values.type}: {error}; give the column another meaning or"
            " drop it"
        ) from error


def _as_numbers(values: pa.Array, column: Column) -> np.ndarray:
    kind = values.type
    scale = 1.0
    if pa.types.is_date32(kind):
        values, scale = values.cast(pa.int32()), 86_400.0
    elif pa.types.is_date64(kind):
        values, scale = values.cast(pa.int64()), 1e-3
    elif pa.types.is_temporal(kind) and hasattr(kind, "unit"):
        wide = values.cast(pa.int32()) if pa.types.is_time32(kind) else values
        values, scale = wide.cast(pa.int64()), _SECONDS[kind.unit]
    elif pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    try:
        doubles = values.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"column {column.name!r}: expected numbers or dates, found {kind}: {error};"
            " give the column another meaning or drop it"
        ) from error
    return np.asarray(doubles.to_numpy(zero_copy_only=False), np.float64) * scale


def _identities(
    numbers: Sequence[np.ndarray], codes: Sequence[np.ndarray], n_rows: int
) -> np.ndarray:
    """64 bits of each row, mixed column by column.

    Among a million times a million different rows two are taken for equal once in 10^7 tables.

    Source: the finaliser of SplitMix64, Steele et al. 2014, doi:10.1145/2714064.2660195.
    """
    mixed = np.zeros(n_rows, np.uint64)
    for values in numbers:
        # Adding 0.0 turns -0.0 into 0.0; one NaN stands for all.
        plain = np.where(np.isnan(values), np.nan, values + 0.0)
        mixed = _mix(mixed + plain.view(np.uint64))
    for values in codes:
        mixed = _mix(mixed + values.astype(np.uint64))
    return mixed


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def _joined(pieces: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype)


def _stack(columns: Sequence[np.ndarray], n_rows: int, dtype: type) -> np.ndarray:
    if not columns:
        return np.zeros((n_rows, 0), dtype)
    return np.ascontiguousarray(np.column_stack(columns), dtype)
