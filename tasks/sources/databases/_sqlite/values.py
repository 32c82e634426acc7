"""Columns of SQLite, which declare a type and hold what they like: the type that all values have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tasks.errors import SourceError

_EXACT_FLOAT = 2**53
"""Up to here a double holds every integer."""

_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_TIME = "[0-9][0-9]:[0-9][0-9]:[0-9][0-9]"


@dataclass(frozen=True)
class Declared:
    """A column as the database declares it.

    Attributes:
        name: of the column.
        type: as written, in upper case; empty: none.
        not_null: whether it may have no missing values.
    """

    name: str
    type: str
    not_null: bool


@dataclass(frozen=True)
class Found:
    """What the values of a column are.

    Attributes:
        data_type: the Arrow type that holds all of them.
        n_as_text: numbers and bytes that are read as text because other values are text.
    """

    data_type: pa.DataType
    n_as_text: int


def questions(name: str) -> str:
    """The expressions whose values `found` asks for, over all rows.

    Args:
        name: of the column, quoted.
    """
    kind = f"typeof({name})"
    # With `+0 days`, SQLite makes 2020-03-02 of 2020-02-31, so a day that is none is not itself.
    return (
        f"SUM({kind} = 'integer'), SUM({kind} = 'real'), SUM({kind} = 'text'),"
        f" SUM({kind} = 'blob'),"
        f" MIN(CASE {kind} WHEN 'integer' THEN {name} END),"
        f" MAX(CASE {kind} WHEN 'integer' THEN {name} END),"
        f" SUM({kind} = 'text' AND {name} GLOB '{_DAY}' AND date({name}, '+0 days') = {name}),"
        f" SUM({kind} = 'text' AND {name} GLOB '{_DAY}[ T]{_TIME}*'"
        f" AND substr({name}, 20) NOT GLOB '*[^0-9.]*' AND length({name}) BETWEEN 19 AND 26"
        f" AND (length({name}) = 19 OR {name} GLOB '*:[0-9][0-9].[0-9]*')"
        f" AND datetime({name}, '+0 days') = replace(substr({name}, 1, 19), 'T', ' '))"
    )


N_QUESTIONS = 8


def found(declared: Declared, answers: Sequence[Any]) -> Found:
    """The type of a column, of what is declared and of what all its values are.

    1. Integers are `int64`; 0 and 1 of a column declared BOOLEAN are truth values.
    2. Numbers of which some are not whole are `double`.
    3. Texts of a column declared DATE, DATETIME or TIMESTAMP that all are one are dates or times.
    4. All else is text, bytes among it as hexadecimal digits; so are numbers among texts, and
       numbers that no one type holds.
    """
    n_integer, n_real, n_text, n_blob, least, most, n_days, n_times = (x or 0 for x in answers)
    n_values = n_integer + n_real + n_text + n_blob
    if n_values == 0:
        return Found(_of_nothing(declared.type), 0)
    if n_integer == n_values:
        is_truth = declared.type.startswith("BOOL") and 0 <= least <= most <= 1
        return Found(pa.bool_() if is_truth else pa.int64(), 0)
    if n_integer + n_real == n_values and -_EXACT_FLOAT <= least <= most <= _EXACT_FLOAT:
        return Found(pa.float64(), 0)
    if n_days == n_values and declared.type == "DATE":
        return Found(pa.date32(), 0)
    if n_times == n_values and declared.type.startswith(("DATETIME", "TIMESTAMP")):
        return Found(pa.timestamp("us"), 0)
    is_mixed = n_blob not in (0, n_values) or n_text < n_values - n_blob
    return Found(pa.string(), n_values - n_text if is_mixed else 0)


def _of_nothing(declared: str) -> pa.DataType:
    """The type of a column without values, by SQLite's rules for what is declared.

    **Source**: https://www.sqlite.org/datatype3.html, section 3.1.
    """
    if "INT" in declared:
        return pa.int64()
    if any(part in declared for part in ("CHAR", "CLOB", "TEXT", "BLOB")) or not declared:
        return pa.string()
    if any(part in declared for part in ("REAL", "FLOA", "DOUB", "DEC", "NUM")):
        return pa.float64()
    return pa.string()


def array(values: Sequence[Any], data_type: pa.DataType, name: str) -> pa.Array:
    """Values as the driver gives them (texts as `bytearray`), as the column's type.

    Raises:
        SourceError: a text is not UTF-8, or changed since the types were found.
    """
    try:
        if pa.types.is_temporal(data_type) or pa.types.is_string(data_type):
            texts = pa.array([_spelled(value) for value in values], pa.binary()).cast(pa.string())
            return texts.cast(data_type)
        if pa.types.is_floating(data_type):
            return pa.array([None if v is None else float(v) for v in values], data_type)
        if pa.types.is_boolean(data_type):
            return pa.array([None if v is None else bool(v) for v in values], data_type)
        return pa.array(values, data_type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError) as error:
        raise SourceError(
            f"column {name!r} holds a value that is not {data_type}: {error}; mend it, or leave it"
            " out with a `query`"
        ) from error


def _spelled(value: Any) -> Any:
    return None if value is None else _SPELLINGS[type(value)](value)


_SPELLINGS: dict[type, Callable[[Any], Any]] = {
    bytearray: bytes,
    bytes: lambda value: b"\\x" + value.hex().encode(),
    int: lambda value: str(value).encode(),
    float: lambda value: repr(value).encode(),
}
"""The driver is told to give texts as `bytearray`; `bytes` are then a BLOB."""
