"""What is made of the arrays of a file: a table, or images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.errors import SourceError
from tasks.schema import Column
from tasks.sources.arrays.files import ArrayFile, Header

_DATE_UNITS = {"Y": "D", "M": "D", "W": "D", "h": "s", "m": "s"}
"""Units of NumPy's dates that Arrow has not, and a finer one that it has."""


class Maker(ABC):
    """Makes rows of the arrays of a file; all its methods raise SourceError for what cannot be."""

    @abstractmethod
    def headers(self, file: ArrayFile) -> list[Header]:
        """The arrays that are read, all of as many rows as the first."""

    @abstractmethod
    def columns(self, file: ArrayFile) -> list[Column]:
        """What they become; every array is checked as far as its header tells."""

    @abstractmethod
    def batches(
        self, file: ArrayFile, schema: pa.Schema, start: int, stop: int
    ) -> Iterator[pa.RecordBatch]:
        """The rows from `start` to `stop`."""


def arrow_type(dtype: np.dtype[Any]) -> pa.DataType:
    """The Arrow type of a column of such values: the same, or the next larger one.

    Raises:
        ValueError: Arrow has none.
    """
    if dtype.kind in "SU":
        return pa.string()
    if dtype.kind in "mM":
        unit = np.datetime_data(_plain(dtype))[0]
        if unit == "D":
            return pa.date32()
        return pa.timestamp(unit) if dtype.kind == "M" else pa.duration(unit)
    return pa.from_numpy_dtype(_plain(dtype))


def arrow_values(values: np.ndarray, given: str, array: str, first_row: int) -> pa.Array:
    """Values of an array in Arrow; NaN stays NaN, a date that is not a time (NaT) is missing.

    Shape:
        values: (n,).

    Raises:
        SourceError: bytes are not UTF-8.
    """
    dtype = values.dtype
    if dtype.kind == "S":
        try:
            return pa.array([value.decode() for value in values.tolist()], pa.string())
        except UnicodeDecodeError as error:
            broken = next(i for i, v in enumerate(values.tolist()) if not _is_utf8(v))
            raise SourceError(
                f"{given}: array {array!r}, row {first_row + broken}: expected text in UTF-8, found"
                f" {values.tolist()[broken]!r}; save it as texts (`np.char.decode`)"
            ) from error
    plain = np.ascontiguousarray(values.astype(_plain(dtype), copy=False))
    return pa.array(plain, arrow_type(dtype))


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in this machine's order of bytes, of a precision that Parquet has."""
    if dtype.kind == "f" and dtype.itemsize == 2:
        return np.dtype(np.float32)
    if dtype.kind in "mM":
        given = np.datetime_data(dtype)[0]
        unit = _DATE_UNITS.get(given, given)
        if dtype.kind == "m" and unit == "D":
            unit = "s"
        return np.dtype(f"{dtype.kind}8[{unit}]")
    return dtype.newbyteorder("=")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
