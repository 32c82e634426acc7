"""Columns as small whole numbers, ready to be counted two by two.

Numbers become equal-width bins: by a table's own range, as SDMetrics has them, or by that of the
real table. Missing values are a category.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.evaluation.fidelity.jackknife import Side

Bins = Literal["own", "real"]
"""Whether numbers are binned by the range of their own table or by that of the real one."""

N_BINS = 10
"""Equal-width bins of a number that is compared with a category."""

N_LEVELS = N_BINS + 1
"""And one more: for missing values, in the bins of SDMetrics for the maximum too."""

MEMORY_BYTES = 2**30
"""Of coded columns; further ones lie in a temporary file."""


@dataclass(frozen=True)
class Coded:
    """A column of every side, as whole numbers that mean the same on all of them.

    Shape:
        codes: (n,) unsigned of each side, less than `width`; the real rows come first.
    """

    codes: Sequence[np.ndarray]
    width: int


class Store:
    """Keeps coded columns in as few bytes as they need, in memory as long as there is room."""

    def __init__(self) -> None:
        self._free = MEMORY_BYTES

    def categories(self, sides: Sequence[Side], place: int) -> Coded:
        """A discrete column; 0 is missing."""
        found = [side.code(place) for side in sides]
        width = max(int(one.max(initial=0)) for one in found) + 2
        return Coded([self._kept(one + 1, width) for one in found], width)

    def numbers(
        self, sides: Sequence[Side], place: int, wanted: Sequence[Bins]
    ) -> dict[Bins, Coded]:
        """A numeric column in each kind of bins that exists for it.

        Bins of their own have those tables alone whose range is wide enough for them; around a
        value as large as 1e18 there are none.
        """
        found: dict[Bins, list[np.ndarray]] = {bins: [] for bins in wanted}
        edges_of_real: np.ndarray | None = None
        for side in sides:
            values = side.number(place)
            edges = bin_edges(values)
            edges_of_real = edges if edges_of_real is None else edges_of_real
            if "real" in found:
                found["real"].append(self._kept(real_bins(values, edges_of_real), N_LEVELS))
            if "own" in found and not (np.diff(edges) > 0).all():
                del found["own"]
            if "own" in found:
                found["own"].append(self._kept(own_bins(values, edges), N_LEVELS))
        return {bins: Coded(codes, N_LEVELS) for bins, codes in found.items()}

    def _kept(self, codes: np.ndarray, width: int) -> np.ndarray:
        compact = codes.astype(np.min_scalar_type(width - 1))
        self._free -= compact.nbytes
        if self._free >= 0 or not compact.nbytes:
            return compact
        with tempfile.TemporaryFile() as file:
            mapped = np.memmap(file, compact.dtype, "w+", shape=compact.shape)
        mapped[:] = compact
        return mapped


def bin_edges(values: np.ndarray) -> np.ndarray:
    """Edges of equal-width bins over the range; around a constant, bins of a tenth.

    Shape:
        values: (n,) float64, NaN where missing.
        returns: (N_BINS + 1,) float64.

    Source: `numpy.histogram_bin_edges`, as SDMetrics calls it.
    """
    low, high = np.fmin.reduce(values, initial=np.nan), np.fmax.reduce(values, initial=np.nan)
    if np.isnan(low):
        low, high = 0.0, 1.0
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, N_BINS + 1)


def own_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bins by a table's own range, as in SDMetrics: the maximum is in one with missing values.

    Shape:
        returns: (n,) int64 from 0 to N_BINS.
    """
    return np.asarray(np.searchsorted(edges, values, side="right") - 1)


def real_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bins by the real range, the outer ones open; missing values have one of their own.

    Shape:
        returns: (n,) int64 from 0 to N_BINS.
    """
    bins = np.searchsorted(edges[1:-1], values, side="right")
    return np.where(np.isnan(values), N_BINS, bins)
