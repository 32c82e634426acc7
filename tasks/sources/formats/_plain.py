r"""Columns of files that know their types, as plain ones: every type that a dataset cannot have is told otherwise.

A structure becomes a column for each of its fields (`address.city`); lists and maps become JSON,
times of day and UUIDs text, bytes text (`\x` and hexadecimal digits, as in databases), durations whole numbers in their unit.
"""

import datetime
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import SourceError
from tasks.schema import IMAGE_TYPE
from tasks.sources.base import column
from tasks.sources.formats.base import FileTable, check_same

BATCH_ROWS = 65_536
"""Rows of a batch at most."""


@dataclass(frozen=True)
class PlainColumn:
    """A column of one value a row.

    Attributes:
        field: name, plain type, and whether a value may be missing.
        path: the places of the column, and of the fields in it, where the file has it.
        given: the type that it has there.
    """

    field: pa.Field
    path: tuple[int, ...]
    given: pa.DataType

    def values(self, batch: pa.RecordBatch) -> pa.Array:
        """The column of a batch as the file has it."""
        values = batch[self.path[0]]
        for place in self.path[1:]:
            # Unlike `field`, it knows that nothing is in a structure that is missing.
            values = pc.struct_field(_storage(values), [place])
        return _plain(values, self.field.type)


def plain_columns(schema: pa.Schema, path: Path) -> list[PlainColumn]:
    """The columns of a file as a dataset has them.

    Raises:
        SourceError: there are none, two of one name, one without a name, or one of a type that has
            no single values.
    """
    found = [c for i, field in enumerate(schema) for c in _columns(field, (i,), path)]
    if not found:
        raise SourceError(f"expected columns in {path}, found none")
    counts = Counter(c.field.name for c in found)
    if twice := sorted(name for name, n in counts.items() if n > 1):
        raise SourceError(f"{path}: more than one column is named {twice}; rename them")
    if "" in counts:
        raise SourceError(f"{path}: a column has no name; give it one")
    return found


def one_table(looks: Iterable[tuple[Path, list[PlainColumn]]]) -> list[FileTable]:
    """The one table of files whose columns are equal, by a look at each of them.

    Raises:
        SourceError: a file has other columns than the first.
    """
    first: tuple[Path, list[PlainColumn]] | None = None
    for path, columns in looks:
        first = first or (path, columns)
        check_same(first[0], _named(first[1]), path, _named(columns))
    fields = [c.field for c in first[1]] if first else []
    return [FileTable([column(f.name, f.type, nullable=f.nullable) for f in fields])]


def _named(columns: list[PlainColumn]) -> list[str]:
    """Names and given types, to compare files by."""
    return [f"{c.field.name} ({c.given})" for c in columns]


def plain_batch(batch: pa.RecordBatch, columns: list[PlainColumn]) -> pa.RecordBatch:
    """The rows of a batch in plain columns."""
    schema = pa.schema([c.field for c in columns])
    return pa.RecordBatch.from_arrays([c.values(batch) for c in columns], schema=schema)


def in_batches(batch: pa.RecordBatch, n_bytes: int) -> Iterator[pa.RecordBatch]:
    """A batch in pieces of about `n_bytes` and `BATCH_ROWS` at most."""
    n_rows = rows_of(n_bytes, batch.get_total_buffer_size(), batch.num_rows)
    for start in range(0, batch.num_rows, n_rows):
        yield batch.slice(start, n_rows)


def rows_of(n_bytes: int, total_bytes: int, n_rows: int) -> int:
    """Rows that make a batch of about `n_bytes`, of rows that take `total_bytes` together."""
    return max(1, min(BATCH_ROWS, n_bytes * max(1, n_rows) // max(1, total_bytes)))


def plain_type(field: pa.Field, path: Path) -> pa.DataType:
    """The type that a column, or the field of a structure, gets here.

    Raises:
        SourceError: its values cannot be told as single ones.
    """
    given = _stored(field.type)
    if given == IMAGE_TYPE:
        return IMAGE_TYPE
    types = pa.types
    for is_such, plain in (
        (types.is_float16, pa.float32()),
        (types.is_duration, pa.int64()),
        (types.is_date, pa.date32()),
    ):
        if is_such(given):
            return plain
    if types.is_decimal(given):
        known = given.precision <= 38
        return pa.decimal128(given.precision, given.scale) if known else pa.string()
    is_same = (
        types.is_integer(given)
        or types.is_floating(given)
        or types.is_boolean(given)
        or types.is_timestamp(given)
    )
    if is_same:
        return given
    if _speller(given) is None:
        raise SourceError(
            f"{path}: column {field.name!r} is of type {field.type}, which is no single value; leave"
            " it out or split it into columns"
        )
    return pa.string()


def _columns(field: pa.Field, place: tuple[int, ...], path: Path) -> Iterator[PlainColumn]:
    given = _stored(field.type)
    if pa.types.is_struct(given) and given != IMAGE_TYPE:
        for i, inner in enumerate(given):
            nullable = field.nullable or inner.nullable
            named = pa.field(f"{field.name}.{inner.name}", inner.type, nullable)
            yield from _columns(named, (*place, i), path)
        return
    plain = pa.field(field.name, plain_type(field, path), field.nullable)
    yield PlainColumn(plain, place, field.type)


def _stored(data_type: pa.DataType) -> pa.DataType:
    """The type of the values behind dictionaries, runs and extensions; of UUIDs, the extension."""
    if pa.types.is_dictionary(data_type) or pa.types.is_run_end_encoded(data_type):
        return _stored(data_type.value_type)
    if isinstance(data_type, pa.BaseExtensionType) and not isinstance(data_type, pa.UuidType):
        return _stored(data_type.storage_type)
    return data_type


def _storage(values: pa.Array) -> pa.Array:
    """The values behind dictionaries, runs and extensions."""
    if pa.types.is_dictionary(values.type):
        return _storage(values.dictionary_decode())
    if pa.types.is_run_end_encoded(values.type):
        return _storage(pc.run_end_decode(values))
    if isinstance(values.type, pa.BaseExtensionType) and not isinstance(values.type, pa.UuidType):
        return _storage(values.storage)
    return values


def _plain(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    values = _storage(values)
    if values.type == wanted:
        return values
    if pa.types.is_string(wanted) and (speller := _speller(values.type)) is not None:
        return speller(values)
    return values.cast(wanted)


def _speller(given: pa.DataType) -> Callable[[pa.Array], pa.Array] | None:
    """What makes text of values of a type; None: nothing does."""
    types = pa.types
    if isinstance(given, pa.UuidType):
        return lambda values: pa.array(
            [None if v is None else str(v) for v in values.to_pylist()], pa.string()
        )
    if types.is_nested(given) and not types.is_union(given):
        return lambda values: pa.array([_json(v) for v in values.to_pylist()], pa.string())
    is_bytes = types.is_binary(given) or types.is_large_binary(given)
    if is_bytes or types.is_fixed_size_binary(given) or types.is_binary_view(given):
        return lambda values: pa.array(
            [None if v is None else _spelled(v) for v in values.to_pylist()], pa.string()
        )
    is_text = types.is_string(given) or types.is_large_string(given) or types.is_string_view(given)
    if is_text or types.is_null(given) or types.is_time(given) or types.is_decimal(given):
        return lambda values: values.cast(pa.string())
    return None


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=_spelled)


def _spelled(value: Any) -> str:
    """What JSON has no spelling for."""
    if isinstance(value, bytes):
        return rf"\x{value.hex()}"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)
