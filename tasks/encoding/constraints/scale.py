"""The values of one column as ticks of its own scale, and the least of them above another column."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.constraints.check import as_floats, is_missing
from tasks.encoding.columns.units import Units
from tasks.errors import DataError

_ROOM = 2**62
"""Ticks are smaller, so that sums of two of them stay exact."""


@dataclass(frozen=True)
class Scale:
    """Ticks: int64 multiples of 10^-decimals (of a day, a microsecond ...), or the floats themselves.

    Attributes:
        kind: Arrow type of the column.
        decimals: None where the values are floats of no fixed number of decimals.
        origin: a tick that the column has.
        step: all ticks of the column are so many from each other, or a multiple of it.
    """

    kind: pa.DataType
    decimals: int | None
    origin: int
    step: int

    @classmethod
    def fit(cls, values: pa.Array) -> "Scale":
        """Learn the scale of a column from all its cells.

        Raises:
            DataError: the values are too large to be subtracted exactly.
        """
        units = Units.fit(values.filter(pa.array(~is_missing(values))))
        if not units.whole:
            return cls(values.type, None, 0, 1)
        decimals = units.decimals
        if decimals is None:
            decimals = _decimals(values.type)
        scale = cls(values.type, decimals, units.origin, units.step)
        ticks = scale.ticks(values)
        if abs(units.origin) >= _ROOM or np.abs(ticks).max(initial=0) >= _ROOM:
            raise DataError(
                f"expected values below 2^62 in a column of type {values.type} that an inequality is"
                " about, found larger ones; cast it to double in the source"
            )
        return scale

    def ticks(self, values: pa.Array) -> np.ndarray:
        """(B,) int64, or float64 without decimals; 0 where a value is missing."""
        present = ~is_missing(values)
        cells = values.filter(pa.array(present))
        if self.decimals is None or pa.types.is_floating(self.kind):
            floats = as_floats(cells)
            if self.decimals is not None:
                floats = _whole(np.rint(floats * 10.0**self.decimals))
            found = floats
        else:
            found = _integers(cells)
        ticks = np.zeros(len(values), dtype=found.dtype)
        ticks[present] = found
        return ticks

    def values(self, ticks: np.ndarray, missing: np.ndarray) -> pa.Array:
        """The inverse of `ticks`; those `missing` become null."""
        if self.decimals is None:
            return pa.array(ticks.astype(self.kind.to_pandas_dtype()), self.kind, mask=missing)
        decimals = self.decimals if pa.types.is_floating(self.kind) else None
        low, high = _limits(self.kind)
        keys = np.where(missing, 0, np.clip(ticks, low, high)).astype(np.int64).view(np.uint64)
        return Units(self.kind, decimals, 0, 1).values(keys, missing)

    def least(self, low: pa.Array, *, strict: bool) -> np.ndarray:
        """(B,) the smallest tick of the column that is not below `low`, or is above it if `strict`."""
        if self.decimals is None:
            return self._least_float(as_floats(low), strict=strict)
        if pa.types.is_floating(self.kind) or pa.types.is_floating(low.type):
            ticks = self._least_of_floats(as_floats(low), strict=strict)
        else:
            ticks = self._least_of_integers(low, strict=strict)
        return np.asarray(self.origin - (self.origin - ticks) // self.step * self.step)

    def largest(self, bound: pa.Scalar) -> int | float:
        """The largest tick of the column that is not above `bound`."""
        bounds = pa.array([bound.as_py()], bound.type)
        if self.decimals is None:
            return float(as_floats(bounds)[0])
        return int(self.least(bounds, strict=True)[0]) - self.step

    def state(self) -> dict[str, Any]:
        """JSON that, with the column's type, makes this scale again."""
        return {"decimals": self.decimals, "origin": self.origin, "step": self.step}

    def _least_float(self, low: np.ndarray, *, strict: bool) -> np.ndarray:
        dtype = np.dtype(self.kind.to_pandas_dtype())
        nearest = low.astype(dtype)
        short = nearest.astype(np.float64) <= low if strict else nearest.astype(np.float64) < low
        above = np.nextafter(nearest, dtype.type(np.inf))
        return np.asarray(np.where(short, above, nearest).astype(np.float64))

    def _least_of_floats(self, low: np.ndarray, *, strict: bool) -> np.ndarray:
        ticks = _whole(np.ceil(np.nan_to_num(low) * 10.0 ** (self.decimals or 0)))
        # The product is rounded; what counts is how the column's own values compare.
        for _ in range(2):
            below = self._floats(ticks - 1)
            ticks = ticks - ((below > low) if strict else (below >= low))
        for _ in range(2):
            here = self._floats(ticks)
            ticks = ticks + ((here <= low) if strict else (here < low))
        return ticks

    def _least_of_integers(self, low: pa.Array, *, strict: bool) -> np.ndarray:
        present = ~is_missing(low)
        found = np.zeros(len(low), dtype=np.int64)
        found[present] = _integers(low.filter(pa.array(present)))
        shift = (self.decimals or 0) - _decimals(low.type)
        if shift < 0:
            unit = 10**-shift
            return np.asarray(found // unit + 1 if strict else -(-found // unit))
        limit = _ROOM // 10**shift
        return np.asarray(np.clip(found, -limit, limit) * 10**shift + strict)

    def _floats(self, ticks: np.ndarray) -> np.ndarray:
        """What `values` gives for ticks, as float64."""
        floats = ticks / 10.0 ** (self.decimals or 0)
        if pa.types.is_floating(self.kind):
            floats = floats.astype(self.kind.to_pandas_dtype()).astype(np.float64)
        return np.asarray(floats)


def _decimals(kind: pa.DataType) -> int:
    return int(kind.scale) if pa.types.is_decimal(kind) else 0


def _whole(floats: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(floats, -_ROOM, _ROOM).astype(np.int64))


def _integers(values: pa.Array) -> np.ndarray:
    """(B,) int64: integers, ticks of times or unscaled decimals, without missing ones."""
    if pa.types.is_unsigned_integer(values.type):
        keys = Units(values.type, None, 0, 1).keys(values)
        return np.asarray(np.minimum(keys, np.uint64(_ROOM)).astype(np.int64))
    # Counted from the smallest int64, so that no value is below the first key.
    keys = Units(values.type, None, -(2**63), 1).keys(values)
    return np.asarray((keys + np.uint64(2**63)).view(np.int64))


def _limits(kind: pa.DataType) -> tuple[int, int]:
    """The smallest and the largest tick that a type has room for."""
    if pa.types.is_integer(kind):
        info = np.iinfo(kind.to_pandas_dtype())
        return int(info.min), min(int(info.max), 2**63 - 1)
    if pa.types.is_temporal(kind) and kind.bit_width == 32:
        return -(2**31), 2**31 - 1
    if pa.types.is_decimal(kind):
        digits = min(int(kind.precision), 18)
        return 1 - 10**digits, 10**digits - 1
    return -(2**63), 2**63 - 1
