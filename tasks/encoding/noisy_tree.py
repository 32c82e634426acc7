"""The distribution of a column of numbers, learned with noise: where its values lie, and how many.

The numbers of the type are cut into intervals that no data has a part in: zero, and one for each
power of two on either side. The rows in each are counted, with noise. Intervals that hold clearly
more than noise are cut into `FANOUT` parts, these are counted with noise, and so on for `LEVELS`
levels. So dense ranges are known finely, empty ones cost nothing, and no bounds need to be declared.

A row adds one to one count at each level: the counts of one level are one release of sensitivity 1.

Source:
    Noisy counts in a tree of intervals: Hay et al. 2010, arXiv:0904.0942; cut only where the counts
    say so: Zhang et al. 2016, PrivTree, doi:10.1145/2882903.2882928.
Differs:
    Normal noise, so that all releases compose in one accountant; a first level by powers of two in
    place of declared bounds; a part's count is corrected to that of the interval it comes from.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FANOUT = 16
LEVELS = 3
"""Of cuts after the first level: an interval of a power of two ends in 4,096 parts."""

RELEASES = 1 + LEVELS
"""Releases of sensitivity 1 that a tree consists of."""

MAX_EXPONENT = 64
MIN_EXPONENT = -30
"""Powers of two between which numbers are told apart: smaller ones than the lower count as zero."""

_CLEAR = 5.0
"""Standard deviations of noise from which on an interval of the first level is believed: with
about 200 intervals, an empty one is believed once in 20,000 columns."""

_WORTH_CUTTING = 8.0
"""Standard deviations of noise that an interval must hold to be cut."""

_KEPT = 2.0
"""Standard deviations of noise below which a part counts as empty."""

NoisyCounts = Callable[[np.ndarray], np.ndarray]
"""Adds noise to the counts of one release."""


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` up to but not including `high`, and about how many rows have one."""

    low: float
    high: float
    count: float


def intervals(
    values: np.ndarray,
    limits: tuple[float, float],
    *,
    whole: bool,
    noisy: NoisyCounts,
    noise_std: float,
) -> list[Interval]:
    """The leaves of a noisy tree that are not empty, ascending.

    Args:
        values: (N,) float64 numbers, one a row.
        limits: the lowest and the highest number of the type.
        whole: whether all numbers are integers; an interval of one integer is not cut.
        noisy: counts with noise; called at most `RELEASES` times.
        noise_std: its standard deviation.
    """
    ordered = np.sort(values)
    edges = _first_edges(whole, limits)
    counts = noisy(_count(ordered, edges))
    found = [
        Interval(low, high, count)
        for low, high, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
        if count > _CLEAR * noise_std
    ]
    leaves: list[Interval] = []
    for _ in range(LEVELS):
        cut = [i for i in found if _is_worth_cutting(i, whole, noise_std)]
        leaves += [i for i in found if not _is_worth_cutting(i, whole, noise_std)]
        if not cut:
            return sorted(leaves, key=lambda leaf: leaf.low)
        all_edges = [_cuts(interval, whole) for interval in cut]
        exact = np.concatenate([_count(ordered, edges) for edges in all_edges])
        ends = np.cumsum([len(edges) - 1 for edges in all_edges])
        parts = np.split(noisy(exact), ends[:-1])
        found = [
            part
            for interval, edges, own in zip(cut, all_edges, parts, strict=True)
            for part in _parts(interval, edges, own, _KEPT * noise_std)
        ]
    return sorted(leaves + found, key=lambda leaf: leaf.low)


def _first_edges(whole: bool, limits: tuple[float, float]) -> list[float]:
    """Edges of the first level, within the numbers of the type."""
    powers = [2.0**e for e in range(0 if whole else MIN_EXPONENT, MAX_EXPONENT + 1)]
    if whole:
        # Zero alone, then 1, 2 to 3, 4 to 7 ... and -1, -3 to -2, -7 to -4 ...
        edges = [*(1 - power for power in reversed(powers)), *powers]
    else:
        edges = [*(-power for power in reversed(powers)), *powers]
    lowest, highest = limits
    # An interval does not include its upper edge.
    end = highest + 1 if whole else math.nextafter(highest, math.inf)
    return [lowest, *(edge for edge in edges if lowest < edge < end), end]


def _is_worth_cutting(interval: Interval, whole: bool, noise_std: float) -> bool:
    if interval.count <= _WORTH_CUTTING * noise_std:
        return False
    if whole:
        return interval.high - interval.low > 1
    return not interval.low < 0 < interval.high


def _cuts(interval: Interval, whole: bool) -> list[float]:
    """Edges of the parts of an interval: `FANOUT` of them, or one an integer."""
    edges = np.linspace(interval.low, interval.high, FANOUT + 1)
    return list(np.unique(np.ceil(edges)) if whole else edges)


def _parts(
    interval: Interval, edges: list[float], counts: np.ndarray, least: float
) -> list[Interval]:
    """The parts that are not empty; together they hold what the interval does."""
    kept = np.where(counts > least, counts, 0.0)
    if not kept.any():
        return [interval]
    kept *= interval.count / kept.sum()
    return [
        Interval(low, high, count)
        for low, high, count in zip(edges[:-1], edges[1:], kept.tolist(), strict=True)
        if count > 0
    ]


def _count(ordered: np.ndarray, edges: list[float]) -> np.ndarray:
    """Rows in each interval between neighbouring edges."""
    return np.diff(np.searchsorted(ordered, edges)).astype(np.float64)
