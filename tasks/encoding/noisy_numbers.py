"""The encoder of a column of numbers or times, made from noisy counts alone.

Two things are released: on which grid the values lie (multiples of 10, whole days, two decimals)
and how they spread (`noisy_tree`). What the encoder then has (tokens, quantiles, origin, step) is
computed from those, so it costs no more privacy.
"""

import math
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.encoding.columns.numeric import DISCRETE_COVERAGE, NumericEncoder
from tasks.encoding.columns.units import Units
from tasks.encoding.noisy_tree import RELEASES, Interval, intervals
from tasks.schema import Column

NUMERIC_RELEASES = 1 + RELEASES
"""Releases of sensitivity 1 that a column takes."""

MAX_DECIMALS = 6
"""Decimals of floats that are told apart; with more, values are taken as they are."""

MAX_DISCRETE = 32
"""Distinct values up to which every one is a token. Fewer than without privacy (`NumericEncoder`):
a network that learns with noise learns the shape of a distribution better than many shares."""

SPIKE_FRACTION = 0.05
"""Share of the rows from which on one value of a continuous column is a token."""

_FINER = 0.005
"""Share of the rows that may lie beside the grid; they are rounded to it."""

_CLEAR = 4.0
"""Standard deviations of noise from which on a count is believed."""

_DOUBT = 0.1
"""Share of the rows that noise may hide at most, where a grid is believed."""

_EXACT = 2.0**53
_DAY_SECONDS = 86_400
_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

Noisy = Callable[[np.ndarray], np.ndarray]


def noisy_numeric(column: Column, values: pa.Array, noisy: Noisy, std: float) -> NumericEncoder:
    """The encoder of a column of numbers or times.

    Args:
        column: its entry in the schema.
        values: all training cells.
        noisy: counts with noise; called `NUMERIC_RELEASES` times at most, each time with counts of
            which a row changes one, by one.
        std: standard deviation of that noise.
    """
    present = (
        values.filter(pc.is_finite(values))
        if pa.types.is_floating(values.type)
        else (values.drop_null())
    )
    units, n_missing = _grid(present, len(values) - len(present), noisy, std)
    limits = _limits(units)
    numbers = _numbers(units, present, limits)
    leaves = intervals(numbers, limits, whole=units.whole, noisy=noisy, noise_std=std) or [
        _everything(limits, len(values))
    ]
    tokens, rest = _tokens_and_rest(leaves, len(values), units.whole, std)
    origin = int(min(leaf.low for leaf in leaves)) if units.whole else 0
    levels, knots = _quantiles(rest, origin, units.whole)
    return NumericEncoder(
        column,
        Units(units.kind, units.decimals, origin * units.step, units.step),
        values=np.array(
            [int(leaf.low) - origin if units.whole else 0.0 for leaf in tokens],
            dtype=np.uint64 if units.whole else np.float64,
        ),
        levels=levels,
        knots=knots,
        has_null=column.nullable and n_missing > _CLEAR * std,
    )


def _grid(present: pa.Array, n_missing: int, noisy: Noisy, std: float) -> tuple[Units, float]:
    """The coarsest grid that nearly all values lie on, and about how many are missing.

    A coarser grid than the finest is believed where noise could not hide a tenth of the rows.
    """
    kind = present.type
    if pa.types.is_floating(kind):
        bins = _decimals(present)
        grids = [Units(kind, d, 0, 1) for d in range(MAX_DECIMALS + 1)] + [Units(kind, None, 0, 1)]
    else:
        steps, integers = _steps(kind), _integers(present)
        bins = np.full(len(integers), len(steps) - 1)
        for i, step in reversed(list(enumerate(steps))):
            bins[integers % integers.dtype.type(step) == 0] = i
        grids = [Units(kind, None, 0, step) for step in steps]
    counts = noisy(np.append(np.bincount(bins, minlength=len(grids)), n_missing).astype(float))
    total = max(float(counts[:-1].sum()), 0.0)
    n_finer = np.arange(len(grids))[::-1]
    finer = np.append(np.cumsum(counts[:-1][::-1])[::-1][1:], 0.0)
    doubt = _CLEAR * std * np.sqrt(n_finer)
    believed = (finer <= np.maximum(_FINER * total, doubt)) & (doubt <= _DOUBT * total)
    return grids[int(np.argmax(believed | (n_finer == 0)))], float(counts[-1])


def _decimals(present: pa.Array) -> np.ndarray:
    """(N,) the fewest decimals that spell each value; `MAX_DECIMALS` + 1: more than those."""
    floats = present.cast(pa.float64()).to_numpy(zero_copy_only=False)
    found = np.full(len(floats), MAX_DECIMALS + 1)
    dtype = present.type.to_pandas_dtype()
    for decimals in reversed(range(MAX_DECIMALS + 1)):
        with np.errstate(over="ignore"):
            scaled = np.rint(floats * 10.0**decimals)
            spelled = (scaled / 10.0**decimals).astype(dtype) == floats.astype(dtype)
        found[spelled & (np.abs(scaled) < 2.0**53)] = decimals
    return found


def _steps(kind: pa.DataType) -> list[int]:
    """Steps of a type, from the coarsest to 1; each is a multiple of the next."""
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind) or pa.types.is_duration(kind):
        second = _TICKS[kind.unit]
        finer = [second // n for n in (10**3, 10**6, 10**9) if second > n]
        natural = [_DAY_SECONDS * second, 3_600 * second, 60 * second, second]
        return list(dict.fromkeys([*natural, *finer, 1]))
    if pa.types.is_date64(kind):
        return [_DAY_SECONDS * 1_000, 1]
    if pa.types.is_date32(kind):
        return [1]
    return [10**3, 10**2, 10, 1]


def _integers(present: pa.Array) -> np.ndarray:
    """(N,) int64 or uint64: the integers under values that are no floats."""
    if pa.types.is_unsigned_integer(present.type):
        return Units(present.type, None, 0, 1).keys(present)
    keys = Units(present.type, None, -(2**63), 1).keys(present)
    return np.asarray((keys + np.uint64(2**63)).view(np.int64))


def _numbers(units: Units, present: pa.Array, limits: tuple[float, float]) -> np.ndarray:
    """(N,) float64: values in steps of the grid, or as they are."""
    if pa.types.is_floating(units.kind):
        floats = present.cast(pa.float64()).to_numpy(zero_copy_only=False)
        if units.decimals is not None:
            floats = np.rint(np.clip(floats * 10.0**units.decimals, -_EXACT, _EXACT))
    else:
        floats = np.floor(_integers(present).astype(np.float64) / units.step)
    return np.asarray(np.clip(floats, *limits))


def _limits(units: Units) -> tuple[float, float]:
    """The lowest and the highest number of the type, in steps of the grid."""
    kind, lowest = units.kind, None
    if pa.types.is_floating(kind):
        highest = min(float(np.finfo(kind.to_pandas_dtype()).max), 2.0**63)
        if units.decimals is not None:
            highest = math.floor(min(highest * 10.0**units.decimals, _EXACT))
    elif pa.types.is_time(kind):
        lowest, highest = 0.0, _DAY_SECONDS * _TICKS[kind.unit] // units.step - 1.0
    elif pa.types.is_decimal(kind):
        highest = float((10 ** min(kind.precision, 18) - 1) // units.step)
    elif pa.types.is_unsigned_integer(kind):
        lowest, highest = 0.0, float((min(2**kind.bit_width, 2**62) - 1) // units.step)
    else:
        # Of 64 bits, half of the range: enough, and safe from rounding.
        highest = float(min(2 ** (kind.bit_width - 1) - 1, 2**62) // units.step)
    return (-highest if lowest is None else lowest), highest


def _everything(limits: tuple[float, float], n_rows: int) -> Interval:
    """Where no interval is believed: too few rows for this much noise, or all missing."""
    lowest = max(limits[0], -1.0)
    return Interval(lowest, lowest + 2.0, float(max(n_rows, 1)))


def _tokens_and_rest(
    leaves: list[Interval], n_rows: int, whole: bool, std: float
) -> tuple[list[Interval], list[Interval]]:
    """Which intervals are single values and common enough to be tokens; and the others."""
    single = [leaf for leaf in leaves if _is_single(leaf, whole)]
    total = sum(leaf.count for leaf in leaves)
    covered = sum(leaf.count for leaf in single)
    if len(single) <= MAX_DISCRETE and covered >= DISCRETE_COVERAGE * total:
        return single, []
    least = max(SPIKE_FRACTION * n_rows, _CLEAR * std)
    tokens = [leaf for leaf in single if leaf.count >= least]
    return tokens, [leaf for leaf in leaves if leaf not in tokens]


def _is_single(leaf: Interval, whole: bool) -> bool:
    return leaf.high - leaf.low == 1 if whole else leaf.low < 0 < leaf.high


def _quantiles(rest: list[Interval], origin: int, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """Levels and knots of the distribution of the values that are no tokens."""
    if not rest:
        return np.empty(0), np.empty(0)
    half = 0.5 if whole else 0.0
    masses = np.array([leaf.count for leaf in rest])
    ends = np.cumsum(masses) / masses.sum()
    ends[-1] = 1.0
    starts = np.concatenate([[0.0], ends[:-1]])
    edges = np.array([[leaf.low - origin - half, leaf.high - origin - half] for leaf in rest])
    return np.stack([starts, ends], axis=1).ravel(), edges.ravel()
