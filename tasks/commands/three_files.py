"""Real, holdout and synthetic rows from any three files, stored as the datasets that metrics compare.

The real file decides which columns there are and what they mean. Each file is read as it is
written: one may be Parquet, another delimited by semicolons. A column gets the one type that holds
the values of all three, so whole numbers in one file and decimals in another are numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from tasks.commands import readers
from tasks.commands.readers import Reader
from tasks.commands.table import with_markers
from tasks.errors import DataError, ParamsError, SourceError
from tasks.schema import Column, DatasetSchema, TableSchema, type_name
from tasks.sources.base import OBSERVED_ROWS, column, table_schema, with_meanings
from tasks.storage import write_dataset

TABLE = "table"

MIN_ROWS = 20
"""With fewer of any kind chance explains everything, and any data would pass."""

Part = Literal["real", "holdout", "synthetic"]

FOLDERS: dict[Part, str] = {
    "real": "split/train",
    "holdout": "split/holdout",
    "synthetic": "synthetic",
}
"""Where each part is stored: as the stages `split` and `sample` leave them."""


@dataclass(frozen=True)
class Stored:
    """The three datasets.

    Attributes:
        split: the folder of `train` and `holdout`, as the stage `split` leaves it.
        synthetic: the folder of the synthetic dataset.
        schema: of all three.
        n_rows: of each part.
        notes: what was left out or changed, a sentence each.
    """

    split: Path
    synthetic: Path
    schema: DatasetSchema
    n_rows: Mapping[Part, int]
    notes: tuple[str, ...]


def store(files: Mapping[Part, Path], folder: Path, *, target: str | None, encoding: str) -> Stored:
    """Read the three files and store their common columns under `folder`.

    Args:
        files: delimited text, gzipped or not, or Parquet.
        folder: exists.
        target: column that a model would predict; None: none is special.
        encoding: of delimited text that is neither UTF-8 nor begins with a byte order mark.

    Raises:
        SourceError: a file is missing, unreadable, no table, or has no rows.
        ParamsError: the real file has no column of the target's name.
        DataError: a column is missing, or is of another type than the real one; there are fewer
            than MIN_ROWS rows.
    """
    opened = {part: readers.open_file(path, encoding) for part, path in files.items()}
    real = opened["real"]
    if target is not None and target not in real.names:
        raise ParamsError(
            f"--target {target!r} is not a column of {real.path}; it has: {', '.join(real.names)}"
        )
    notes = _compare_names(opened)
    readers.observe(list(opened.values()), real.names)
    types, changed = _common_types(opened)
    first = _first_rows(real)
    schema = _schema(real, types, first, target)
    markers = with_markers(schema, first)
    n_rows: dict[Part, int] = {}
    for part, reader in opened.items():
        place = folder / FOLDERS[part]
        place.mkdir(parents=True)
        rows = reader.batches(types, markers)
        n_rows[part] = write_dataset(place, schema, {TABLE: rows})[TABLE]
        if n_rows[part] == 0:
            raise SourceError(f"expected rows in {reader.path}, found a header only")
        if n_rows[part] < MIN_ROWS:
            raise DataError(
                f"expected at least {MIN_ROWS} rows in {reader.path}, found {n_rows[part]}: so few"
                " tell nothing"
            )
        notes += [
            f"{reader.path}: {n:,} infinite numbers of column {name!r} count as missing"
            for name, n in reader.n_infinite.items()
        ]
    synthetic = folder / FOLDERS["synthetic"]
    return Stored(
        folder / "split", synthetic, schema, n_rows, tuple(_differences(changed, schema) + notes)
    )


# --- columns -------------------------------------------------------------------------------------


def _compare_names(opened: Mapping[Part, Reader]) -> list[str]:
    """Refuse files that lack a column of the real one; say which columns are left out."""
    real, notes = opened["real"], []
    for part in ("holdout", "synthetic"):
        other = opened[part]
        missing = [name for name in real.names if name not in other.names]
        if len(missing) == len(real.names):
            raise DataError(
                f"{real.path} and {other.path} have no column in common: expected"
                f" {_listed(real.names)}, found {_listed(other.names)}"
            )
        if missing:
            raise DataError(
                f"{other.path} lacks {_listed(missing)} of {real.path}; it has:"
                f" {_listed(other.names)}. Add what is missing, or leave it out of all three files"
                f"{_of_row_numbers(real, missing)}"
            )
        if extra := [name for name in other.names if name not in real.names]:
            notes.append(
                f"{other.path}: {_listed(extra)} left out of the comparison, as {real.path} has no"
                " such column"
            )
    return notes


def _of_row_numbers(real: Reader, missing: Sequence[str]) -> str:
    nameless = [name for name in missing if name in real.nameless]
    if not nameless:
        return ""
    return (
        f". {_listed(nameless)} has no name in {real.path}: are they row numbers?"
        " (pandas: `to_csv(..., index=False)`)"
    )


def _listed(names: Iterable[str], n_most: int = 20) -> str:
    quoted = [repr(name) for name in names]
    more = f" and {len(quoted) - n_most} more" if len(quoted) > n_most else ""
    return ", ".join(quoted[:n_most]) + more


# --- types ---------------------------------------------------------------------------------------


def _common_types(
    opened: Mapping[Part, Reader],
) -> tuple[dict[str, pa.DataType], dict[str, dict[Part, pa.DataType]]]:
    """The type of each column in all three files; and where they differ, what each has."""
    common, differing = {}, {}
    for name in opened["real"].names:
        types = {
            part: reader.types[name]
            for part, reader in opened.items()
            if reader.types[name] is not None
        }
        common[name] = _common(list(types.values()))
        if common[name] is None:
            # A column of nothing but missing values may be of any type.
            types = {part: t for part, t in types.items() if opened[part].has_values(name)}
            common[name] = _common(list(types.values()))
        if _is_text(types.get("real")) or common[name] is None:
            _check_text(opened, name, types)
            common[name] = pa.string()
        if len({_family(t).removeprefix("whole ") for t in types.values()}) > 1:
            differing[name] = types
    return common, differing


def _common(types: list[pa.DataType]) -> pa.DataType | None:
    """The one type that holds the values of all of these; None: there is none."""
    if not types or all(data_type == types[0] for data_type in types):
        return types[0] if types else pa.string()
    families = {_family(data_type) for data_type in types}
    if families <= {"whole numbers", "numbers", "truth values"}:
        small = all(pa.types.is_signed_integer(data_type) for data_type in types)
        return pa.int64() if small else pa.float64()
    if families == {"dates"}:
        zones = {data_type.tz for data_type in types if pa.types.is_timestamp(data_type)}
        if len({zone is None for zone in zones}) > 1:
            return None
        return pa.timestamp("us", tz="UTC" if zones - {None} else None)
    return pa.string() if families == {"text"} else None


def _family(data_type: pa.DataType) -> str:
    """What people call values of this type."""
    if pa.types.is_boolean(data_type):
        return "truth values"
    if pa.types.is_integer(data_type):
        return "whole numbers"
    if pa.types.is_floating(data_type) or pa.types.is_decimal(data_type):
        return "numbers"
    if pa.types.is_date(data_type) or pa.types.is_timestamp(data_type):
        return "dates"
    return "times of day" if pa.types.is_time(data_type) else "text"


def _is_text(data_type: pa.DataType | None) -> bool:
    return data_type is not None and _family(data_type) == "text"


def _check_text(
    opened: Mapping[Part, Reader], name: str, types: Mapping[Part, pa.DataType]
) -> None:
    """Refuse types that do not go together: only text holds the values of the others too.

    Codes such as `A1` and `17` are text, and a smaller file may happen to hold none but the
    numbers among them; they have values in common then.
    """
    if "real" not in types:
        parts: list[Part] = ["holdout", "synthetic"]
    else:
        parts = ["real", *(part for part in types if part != "real")]
    one = parts[0]
    for other in parts[1:]:
        if other not in types or _common([types[one], types[other]]) is not None:
            continue
        if _is_text(types[one]) and opened[one].shares_values(opened[other], name):
            continue
        example = opened[other].example(name, types[one]) if other == "synthetic" else None
        shown = "" if example is None else f", such as {example!r}"
        raise DataError(
            f"column {name!r}: expected {_spelled(types[one])} in {opened[other].path} as in"
            f" {opened[one].path}, found {_spelled(types[other])}{shown}; write both alike, or leave"
            " the column out of all three files"
        )


def _spelled(data_type: pa.DataType) -> str:
    zoned = pa.types.is_timestamp(data_type) and data_type.tz is not None
    return f"{_family(data_type)}{' with a time zone' if zoned else ''}"


def _differences(changed: dict[str, dict[Part, pa.DataType]], schema: DatasetSchema) -> list[str]:
    """A sentence about each column whose type is not the same in all files, identifiers excepted."""
    return [
        f"column {name!r} holds "
        + ", ".join(f"{_family(data_type)} in the {part} file" for part, data_type in types.items())
        + f"; compared as {_family_of(schema.main.column(name))}"
        for name, types in changed.items()
        if schema.main.column(name).meaning not in ("identifier", "text")
    ]


def _family_of(declared: Column) -> str:
    return "categories" if declared.meaning in ("categorical", "boolean") else "numbers"


# --- meanings ------------------------------------------------------------------------------------


def _first_rows(real: Reader) -> pa.Table:
    """The real rows that decide the meanings; in all columns, what stands for no value is none."""
    types = {name: real.types[name] or pa.string() for name in real.names}
    first: list[pa.RecordBatch] = []
    n_rows = 0
    for batch in real.batches(types, set(types)):
        first.append(batch.slice(0, OBSERVED_ROWS - n_rows))
        n_rows += first[-1].num_rows
        if n_rows >= OBSERVED_ROWS:
            break
    if n_rows == 0:
        raise SourceError(f"expected rows in {real.path}, found a header only")
    return pa.Table.from_batches(first)


def _schema(
    real: Reader, types: Mapping[str, pa.DataType], first: pa.Table, target: str | None
) -> DatasetSchema:
    """The columns with the common types and the meanings of the real values."""
    own = table_schema(TABLE, [column(field.name, field.type) for field in first.schema])
    observed = with_meanings(
        DatasetSchema(kind="tabular", tables=(own,), target=target), {TABLE: first}, {}
    )
    columns = tuple(
        c.model_copy(update={"type": type_name(types[c.name])})
        if real.types[c.name] is not None
        else column(c.name, types[c.name])
        for c in observed.main.columns
    )
    table = TableSchema(name=TABLE, columns=columns)
    return DatasetSchema(kind="tabular", tables=(table,), target=target)
