"""Fill missing values of a batch from the rows around them, beyond its ends too."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.cleaning.base import put_in
from tasks.cleaning.statistics.exact import of_whole_numbers, whole_numbers
from tasks.cleaning.statistics.neighbours import Neighbour


def fill_forward(values: pa.Array, before: Neighbour | None) -> pa.Array:
    """Each missing value is that of the nearest row before that has one; the first stay missing."""
    rows = np.arange(1, len(values) + 1)
    places = np.maximum.accumulate(np.where(_is_known(values), rows, 0))
    return pa.concat_arrays([_one(before, values.type), values]).take(pa.array(places))


def fill_backward(values: pa.Array, behind: Neighbour | None) -> pa.Array:
    """Each missing value is that of the nearest row behind that has one; the last stay missing."""
    n_rows = len(values)
    rows = np.where(_is_known(values), np.arange(n_rows), n_rows)
    places = np.minimum.accumulate(rows[::-1])[::-1]
    return pa.concat_arrays([values, _one(behind, values.type)]).take(pa.array(places))


def interpolate(values: pa.Array, before: Neighbour | None, behind: Neighbour | None) -> pa.Array:
    """Each missing value is on the line between its neighbours, rounded to what the type holds.

    The first and the last ones are as their only neighbour. There is a known value somewhere.
    """
    rows = np.flatnonzero(_is_known(values))
    points = values.drop_null()
    if before is not None:
        rows = np.concatenate([[before.row], rows])
        points = pa.concat_arrays([_one(before, values.type), points])
    if behind is not None:
        rows = np.concatenate([rows, [behind.row]])
        points = pa.concat_arrays([points, _one(behind, values.type)])
    missing = np.flatnonzero(~_is_known(values))
    right = np.searchsorted(rows, missing)
    left = np.maximum(right - 1, 0)
    right = np.minimum(right, len(rows) - 1)
    filled = _between(points, rows, missing, left, right)
    return put_in(values, values.is_null(), filled)


def _is_known(values: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False))


def _one(near: Neighbour | None, kind: pa.DataType) -> pa.Array:
    """(1,) of the type: a neighbour's value, or a missing one."""
    return pa.nulls(1, kind) if near is None else pa.array([near.value], kind)


def _between(
    points: pa.Array,
    rows: npt.NDArray[np.int64],
    missing: npt.NDArray[np.int64],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
) -> pa.Array:
    """Of each missing row, the value between the points with the numbers `left` and `right`."""
    steps = missing - rows[left]
    spans = rows[right] - rows[left]
    if pa.types.is_floating(points.type):
        numbers = points.cast(pa.float64()).to_numpy()
        share = np.where(spans > 0, steps / np.maximum(spans, 1), 0.0)
        found = numbers[left] * (1 - share) + numbers[right] * share
        return pa.array(np.where(left == right, numbers[left], found)).cast(points.type)
    # Python's numbers: products of the differences may be larger than 64 bits.
    whole = whole_numbers(points).astype(object)
    rises = (whole[right] - whole[left]) * steps.astype(object)
    return of_whole_numbers(whole[left] + _divided(rises, np.maximum(spans, 1)), points.type)


def _divided(numbers: npt.NDArray[Any], by: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Whole quotients, rounded to the nearest one; of two, up."""
    quotients: npt.NDArray[Any] = (2 * numbers + by.astype(object)) // (2 * by.astype(object))
    return quotients
