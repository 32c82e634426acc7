"""MySQL's types: how each is selected, which Arrow type holds it, and the way from text to there."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pymysql.constants import FIELD_TYPE, FLAG

from tasks.errors import SourceError
from tasks.schema import Column
from tasks.sources.base import column

_INTEGER_BITS = {
    FIELD_TYPE.TINY: 8,
    FIELD_TYPE.SHORT: 16,
    FIELD_TYPE.INT24: 32,
    FIELD_TYPE.LONG: 32,
    FIELD_TYPE.LONGLONG: 64,
}

_TEMPORAL = (FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP)
_FLOATING = (FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE)
_BINARY_CHARSET = 63

_SORTED_BYTES = 1024
"""The server sorts by so many bytes of a value (its default of max_sort_length)."""

_NO_DATE = r"^0000-|-00"
"""A year, month or day zero, which MySQL stores where a date is missing or known in part."""

_HEX_DIGITS = np.array(
    [int.from_bytes(f"{byte:02x}".encode(), "little") for byte in range(256)], np.uint16
)


def column_of(field: Any) -> Column:
    """The column for a field of a result, as PyMySQL describes it."""
    data_type = _arrow_type(field)
    # A date that is NOT NULL may still be 0000-00-00, which is missing.
    nullable = not field.flags & FLAG.NOT_NULL or field.type_code in _TEMPORAL
    return column(field.name, data_type, nullable=nullable)


def _arrow_type(field: Any) -> pa.DataType:
    kind = field.type_code
    if kind in _INTEGER_BITS:
        sign = "u" if field.flags & FLAG.UNSIGNED else ""
        return pa.type_for_alias(f"{sign}int{_INTEGER_BITS[kind]}")
    if kind == FIELD_TYPE.BIT:
        return pa.bool_() if field.length == 1 else _bits(field.length)
    if kind in (FIELD_TYPE.NEWDECIMAL, FIELD_TYPE.DECIMAL):
        # The length is that of the text: with a sign, and a point where there are decimals.
        unsigned = bool(field.flags & FLAG.UNSIGNED)
        precision = field.length - (not unsigned) - (field.scale > 0)
        fits = 0 < precision <= 38 and field.scale <= precision
        return pa.decimal128(precision, field.scale) if fits else pa.string()
    return {
        FIELD_TYPE.YEAR: pa.int16(),
        FIELD_TYPE.FLOAT: pa.float32(),
        FIELD_TYPE.DOUBLE: pa.float64(),
        FIELD_TYPE.DATE: pa.date32(),
        FIELD_TYPE.NEWDATE: pa.date32(),
        FIELD_TYPE.DATETIME: pa.timestamp("us"),
        FIELD_TYPE.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    }.get(kind, pa.string())


def _bits(n_bits: int) -> pa.DataType:
    return next(
        t for t in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()) if n_bits <= t.bit_width
    )


def is_binary(field: Any) -> bool:
    """Whether the values are bytes and no text."""
    texts = (
        FIELD_TYPE.STRING,
        FIELD_TYPE.VAR_STRING,
        FIELD_TYPE.VARCHAR,
        FIELD_TYPE.TINY_BLOB,
        FIELD_TYPE.BLOB,
        FIELD_TYPE.MEDIUM_BLOB,
        FIELD_TYPE.LONG_BLOB,
    )
    in_bytes = field.type_code in texts and field.charsetnr == _BINARY_CHARSET
    return bool(in_bytes or field.type_code == FIELD_TYPE.GEOMETRY)


def selected(field: Any, name: str) -> str:
    """The expression that gives the exact values of a column.

    Args:
        field: its description.
        name: quoted.
    """
    if field.type_code in _FLOATING:
        return f"{name} * 1e0"  # A FLOAT is sent with six digits, a DOUBLE with all it needs.
    if field.type_code == FIELD_TYPE.BIT:
        return f"{name} + 0"
    return name


def sorted_by(field: Any, name: str) -> list[str]:
    """The expressions that put a column in the order of its values, texts by their bytes.

    Args: as of `selected`.
    """
    kind = field.type_code
    if kind == FIELD_TYPE.GEOMETRY:
        return [f"SHA2(ST_AsWKB({name}), 256)"]
    if _arrow_type(field) != pa.string() or kind in (FIELD_TYPE.NEWDECIMAL, FIELD_TYPE.TIME):
        return [name]
    expression = name if is_binary(field) else f"CAST(CONVERT({name} USING utf8mb4) AS BINARY)"
    # Of a longer value, the server does not look at the end.
    rest = [f"SHA2({expression}, 256)"] if field.length > _SORTED_BYTES else []
    return [expression, *rest]


def decoded(values: pa.Array, field: Any, data_type: pa.DataType) -> tuple[pa.Array, int]:
    """Values as the server spelled them, as those of the column's type.

    Returns:
        The values, and how many dates became missing because no calendar has them.

    Raises:
        SourceError: a value is not of the type.
    """
    try:
        if is_binary(field):
            return _hexadecimal(values), 0
        texts = values.cast(pa.string())
        if not pa.types.is_temporal(data_type):
            return texts.cast(data_type), 0
        return _dates(texts, data_type)
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"column {field.name!r} holds a value that is not {data_type}: {error}; cast it to CHAR"
            " in a `query`"
        ) from error


def _dates(texts: pa.Array, data_type: pa.DataType) -> tuple[pa.Array, int]:
    plain = pa.timestamp("us") if pa.types.is_timestamp(data_type) else data_type
    try:
        found, n_missing = texts.cast(plain), 0
        if pc.any(pc.starts_with(texts, "0000-")).as_py():
            raise pa.ArrowInvalid("the year 0")
    except pa.ArrowInvalid:
        no_date = pc.match_substring_regex(texts, _NO_DATE)
        n_missing = pc.sum(no_date).as_py() or 0
        found = pc.if_else(no_date, None, texts).cast(plain)
    return found.cast(data_type), n_missing


def _hexadecimal(values: pa.Array) -> pa.Array:
    r"""Bytes as the text `\x` and two digits a byte."""
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int32, len(values) + 1, 4 * values.offset)
    content = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]] if data is not None else _NO_BYTES
    digits = pa.LargeStringArray.from_buffers(
        len(values),
        pa.py_buffer((ends - ends[0]).astype(np.int64) * 2),
        pa.py_buffer(_HEX_DIGITS[content]),
        values.is_valid().buffers()[1],
    )
    return pc.binary_join_element_wise(
        pa.scalar("\\x", pa.large_string()), digits, pa.scalar("", pa.large_string())
    ).cast(pa.string())


_NO_BYTES = np.empty(0, np.uint8)
