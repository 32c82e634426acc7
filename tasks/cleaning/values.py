"""Values that settings name, as values of a column."""

import decimal
import math
from typing import Any

import pyarrow as pa

from tasks.errors import ParamsError
from tasks.schema import Column, arrow_type


def scalar_of(column: Column, value: Any, where: str) -> pa.Scalar:
    """A value from params.yaml in the type of a column.

    Args:
        column: the column.
        value: not None.
        where: the setting, for the message.

    Raises:
        ParamsError: the type does not hold the value as it is.
    """
    kind = arrow_type(column)
    fits = isinstance(value, bool) == pa.types.is_boolean(kind)
    # Arrow would cut off what is behind the point.
    is_cut = isinstance(value, float) and pa.types.is_integer(kind) and value % 1
    if isinstance(value, float) and pa.types.is_decimal128(kind):
        value = decimal.Decimal(repr(value))
    try:
        if not fits or is_cut:
            raise ValueError("another type")
        scalar = pa.scalar(value, kind)
        if pa.types.is_floating(kind) and not math.isfinite(scalar.as_py()):
            raise ValueError("NaN, infinity or too large a number")
        return scalar
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, OverflowError) as error:
        hint = "; quote it, if it is a text" if pa.types.is_string(kind) else ""
        raise ParamsError(
            f"{where}: expected a value of type {column.type} for {column.name!r}, found"
            f" {value!r}{hint}"
        ) from error
