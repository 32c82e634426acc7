"""Fill missing values of a batch from the rows around them, beyond its ends too."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.cleaning.base import put_in
from tasks.cleaning.statistics.exact import exact_of, value_of
from tasks.cleaning.statistics.neighbours import Neighbour


def fill_forward(values: pa.Array, before: Neighbour | None) -> pa.Array:
    """Each missing value is that of the nearest row before that has one; the first stay missing."""
    filled = pc.fill_null_forward(values)
    return filled if before is None else pc.fill_null(filled, before.value)


def fill_backward(values: pa.Array, behind: Neighbour | None) -> pa.Array:
    """Each missing value is that of the nearest row behind that has one; the last stay missing."""
    filled = pc.fill_null_backward(values)
    return filled if behind is None else pc.fill_null(filled, behind.value)


def interpolate(values: pa.Array, before: Neighbour | None, behind: Neighbour | None) -> pa.Array:
    """Each missing value is on the line between its neighbours, rounded to what the type holds.

    The first and the last ones are as their only neighbour. There is a known value somewhere.
    """
    known = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    rows = known
    points = values.drop_null()
    if before is not None:
        rows = np.concatenate([[before.row], rows])
        points = pa.concat_arrays([pa.array([before.value], values.type), points])
    if behind is not None:
        rows = np.concatenate([rows, [behind.row]])
        points = pa.concat_arrays([points, pa.array([behind.value], values.type)])
    missing = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))
    right = np.searchsorted(rows, missing)
    left = np.maximum(right - 1, 0)
    right = np.minimum(right, len(rows) - 1)
    filled = _between(points, rows, missing, left, right)
    return put_in(values, values.is_null(), filled)


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
    exact = [exact_of(point) for point in points]
    found = []
    for i, j, step, span in zip(
        left.tolist(), right.tolist(), steps.tolist(), spans.tolist(), strict=True
    ):
        rise = (exact[j] - exact[i]) * Fraction(step, span) if span else Fraction(0)
        found.append(value_of(exact[i] + rise, points.type))
    return pa.array(found, points.type)
