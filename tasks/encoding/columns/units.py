"""Numbers, dates and times as exact multiples of the column's own step, and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.errors import DataError

MAX_DECIMALS = 12
"""Decimals that a float column is searched for; beyond, its values are taken as they are."""

_EXACT = 2.0**53


@dataclass(frozen=True)
class Units:
    """How the values of one numeric column become keys that sort and subtract.

    Integers, times, decimals and floats with a fixed number of decimals become
    `(value * 10^decimals - origin) / step`, an exact unsigned integer; other floats stay floats.

    Attributes:
        kind: Arrow type of the column.
        decimals: of a float column, if it has few enough; None: keys are the floats themselves.
        origin: smallest scaled value.
        step: greatest common divisor of the scaled values' distances from `origin`.
    """

    kind: pa.DataType
    decimals: int | None
    origin: int
    step: int

    @classmethod
    def fit(cls, values: pa.Array) -> "Units":
        """Learn decimals, origin and step from values without missing ones."""
        kind, decimals = values.type, None
        if pa.types.is_floating(kind):
            floats = _floats(values)
            decimals = _decimals(floats, kind.to_pandas_dtype())
            if decimals is None:
                return cls(kind, None, 0, 1)
            scaled = np.rint(floats * 10.0**decimals).astype(np.int64)
        else:
            scaled = _integers(values)
        if len(scaled) == 0:
            return cls(kind, decimals, 0, 1)
        origin = int(scaled.min())
        step = int(np.gcd.reduce(_minus(scaled, origin)))
        return cls(kind, decimals, origin, max(step, 1))

    @property
    def whole(self) -> bool:
        """Whether keys are integers."""
        return self.decimals is not None or not pa.types.is_floating(self.kind)

    def keys(self, values: pa.Array) -> np.ndarray:
        """Keys of values without missing ones: uint64, or float64 where not `whole`.

        Values beside the grid that `fit` found take the nearest key below, those below `origin`
        the first key.
        """
        if not self.whole:
            return _floats(values) + 0.0  # no negative zero
        if self.decimals is not None:
            scaled = np.rint(np.clip(_floats(values) * 10.0**self.decimals, -_EXACT, _EXACT))
            scaled = scaled.astype(np.int64)
        else:
            scaled = _integers(values)
        below = scaled < np.array(self.origin, dtype=scaled.dtype)
        keys = _minus(scaled, self.origin) // np.uint64(self.step)
        return np.where(below, np.uint64(0), keys)

    def values(self, keys: np.ndarray, missing: np.ndarray) -> pa.Array:
        """The column's values for keys; those `missing` become null."""
        if not self.whole:
            return pa.array(keys.astype(self.kind.to_pandas_dtype()), self.kind, mask=missing)
        origin = np.array(self.origin % 2**64, dtype=np.uint64)
        wrapped = keys * np.uint64(self.step) + origin  # exact modulo 2^64
        if self.decimals is not None:
            floats = wrapped.view(np.int64) / 10.0**self.decimals
            return pa.array(floats.astype(self.kind.to_pandas_dtype()), self.kind, mask=missing)
        return _from_integers(wrapped, self.kind, missing)

    def state(self) -> dict[str, Any]:
        """JSON that, with the column's type, makes these units again."""
        return {"decimals": self.decimals, "origin": self.origin, "step": self.step}


def is_measurable(kind: pa.DataType) -> bool:
    """Whether values of this Arrow type have an order and distances."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal128(kind)
        or (pa.types.is_temporal(kind) and not pa.types.is_interval(kind))
    )


def _floats(values: pa.Array) -> np.ndarray:
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _decimals(floats: np.ndarray, dtype: Any) -> int | None:
    """The fewest decimals that spell all values exactly, or None."""
    for decimals in range(MAX_DECIMALS + 1):
        scaled = np.rint(floats * 10.0**decimals)
        if np.abs(scaled).max(initial=0.0) >= _EXACT:
            return None
        if np.array_equal((scaled / 10.0**decimals).astype(dtype), floats.astype(dtype)):
            return decimals
    return None


def _minus(scaled: np.ndarray, origin: int) -> np.ndarray:
    """`scaled - origin` as uint64, exact for every pair of 64-bit integers."""
    return scaled.astype(np.uint64) - np.array(origin % 2**64, dtype=np.uint64)


def _integers(values: pa.Array) -> np.ndarray:
    """(B,) int64 or uint64: integers, ticks of times, or the unscaled integers of decimals."""
    kind = values.type
    if pa.types.is_unsigned_integer(kind):
        return np.asarray(values.cast(pa.uint64()).to_numpy(zero_copy_only=False))
    if pa.types.is_decimal(kind):
        return _unscaled(values)
    if pa.types.is_temporal(kind) and kind.bit_width == 32:
        values = values.cast(pa.int32())
    return np.asarray(values.cast(pa.int64()).to_numpy(zero_copy_only=False))


def _from_integers(wrapped: np.ndarray, kind: pa.DataType, missing: np.ndarray) -> pa.Array:
    if pa.types.is_unsigned_integer(kind):
        return pa.array(wrapped, pa.uint64(), mask=missing).cast(kind)
    ticks = wrapped.view(np.int64)
    if pa.types.is_decimal(kind):
        pairs = np.stack([ticks, ticks >> 63], axis=1)
        valid = pa.array(~missing).buffers()[1]
        return pa.Array.from_buffers(kind, len(ticks), [valid, pa.py_buffer(pairs.tobytes())])
    if pa.types.is_temporal(kind) and kind.bit_width == 32:
        return pa.array(ticks.astype(np.int32), pa.int32(), mask=missing).cast(kind)
    return pa.array(ticks, pa.int64(), mask=missing).cast(kind)


def _unscaled(values: pa.Array) -> np.ndarray:
    """The integers under decimal128 values without missing ones: value * 10^scale."""
    values = pa.concat_arrays([values])
    pairs = np.frombuffer(values.buffers()[1], dtype=np.int64).reshape(-1, 2)
    pairs = pairs[values.offset : values.offset + len(values)]
    if not np.array_equal(pairs[:, 1], pairs[:, 0] >> 63):
        raise DataError(
            f"expected decimals of at most 18 digits, found larger ones in a column of type"
            f" {values.type}; cast it to double in the source"
        )
    return pairs[:, 0]
