"""One text for one value, whatever type it is stored as, so that a retyped column is known again."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_WHOLE = 2.0**53
"""Doubles below it are whole numbers that an integer column could hold."""


def canonical(values: pa.Array) -> pa.Array | None:
    """The values as text: `1` for 1, 1.0 and Decimal("1.00"); None where values have no text.

    Whole numbers as `1`, other numbers without trailing zeros, truth as `true` and `false`, dates
    and times as ISO in UTC with a fraction only where there is one, text as it is.

    Args:
        values: none of them missing.
    """
    kind = values.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if is_text or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date(kind):
        return values.cast(pa.string())
    if pa.types.is_floating(kind):
        return _of_floats(values)
    if pa.types.is_timestamp(kind) and kind.tz:
        values = values.cast(pa.timestamp(kind.unit))
    if pa.types.is_decimal(kind) or pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return _shortened(values.cast(pa.string()))
    return None


def as_numbers(values: pa.Array) -> np.ndarray | None:
    """Finite numbers as they are, dates and times as seconds since 1970 (a time of day: since 0:00).

    Shape:
        returns: (N,) float64; None where values are neither.
    """
    kind, scale = values.type, 1.0
    if pa.types.is_date(kind):
        values, scale = values.cast(pa.date32()).cast(pa.int32()), 86_400.0
    elif pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        scale = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[kind.unit]
        values = values.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return None
    numbers: np.ndarray = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    finite: np.ndarray = numbers[np.isfinite(numbers)] * scale
    return finite


def _of_floats(values: pa.Array) -> pa.Array:
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    is_whole = (np.abs(numbers) < _WHOLE) & (numbers == np.trunc(numbers))
    whole = pa.array(np.where(is_whole, numbers, 0).astype(np.int64)).cast(pa.string())
    return pc.if_else(pa.array(is_whole), whole, values.cast(pa.string()))


def _shortened(texts: pa.Array) -> pa.Array:
    """Without zeros at the end of a fraction."""
    return pc.replace_substring_regex(
        pc.replace_substring_regex(texts, r"(\.[0-9]*?)0+$", r"\1"), r"\.$", ""
    )
