"""Columns as small whole numbers, ready to be counted two by two.

Numbers become equal-width bins: by a table's own range, as SDMetrics has them, or by that of the
real table. Missing values are a category.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from tasks.evaluation.fidelity.jackknife import Side

Bins = Literal["own", "real"]
"""Whether numbers are binned by the range of their own table or by that of the real one."""

N_BINS = 10
"""Equal-width bins of a number that is compared with a category."""

N_LEVELS = N_BINS + 1
"""And one more: for missing values, in the bins of SDMetrics for the maximum too."""

_JUDGED = 2
"""The real and the synthetic rows come first: what a score is of must not depend on the holdout."""

_NANOSECONDS = 1e9
"""Of a second: SDMetrics bins dates by them, which leaves none around a date without variation."""

MAX_JOINT_WIDTH = 128
"""Codes of several columns that are counted as one, at most."""

MEMORY_BYTES = 2**30
"""Of coded columns; further ones lie in a temporary file."""


@dataclass(frozen=True)
class Coded:
    """One or several columns of every side, as whole numbers that mean the same on all of them.

    Several columns are one whose categories are their combinations, so that one count gives the
    tables of all of them.

    Attributes:
        places: of the columns.
        widths: how many codes each of them has.

    Shape:
        codes: (n,) unsigned of each side, less than `width`; the real rows come first.
    """

    places: tuple[int, ...]
    widths: tuple[int, ...]
    codes: Sequence[np.ndarray]

    @property
    def width(self) -> int:
        """How many codes there are."""
        return prod(self.widths)

    @property
    def columns(self) -> Iterator["Coded"]:
        """Each of the columns by itself."""
        if len(self.places) == 1:
            yield self
            return
        for axis, (place, width) in enumerate(zip(self.places, self.widths, strict=True)):
            after = prod(self.widths[axis + 1 :])
            codes = [(one // after % width).astype(one.dtype) for one in self.codes]
            yield Coded((place,), (width,), codes)


class Store:
    """Keeps coded columns in as few bytes as they need, in memory as long as there is room."""

    def __init__(self, sides: Sequence[Side]) -> None:
        """Args: sides: the real rows, then the others."""
        self._sides = sides
        self._free = MEMORY_BYTES
        n_rows = min(len(side) for side in sides)
        n_groups = max(len(side.groups.sizes) for side in sides)
        self._max_width = min(MAX_JOINT_WIDTH, int((n_rows / n_groups) ** 0.5))

    def categories(self, place: int, named: int) -> Coded:
        """A discrete column, whose place among all columns is `named`; 0 is missing."""
        found = [side.code(place) for side in self._sides]
        width = max(int(one.max(initial=-1)) for one in found) + 2
        return self._kept((named,), (width,), [one + 1 for one in found])

    def numbers(self, place: int, bins: Bins, *, are_dates: bool) -> Coded | None:
        """A numeric column in bins; None where there are none.

        Bins of their own have those tables alone whose range is wide enough for them: around one
        value as large as 1e18 there are none.
        """
        found: list[np.ndarray] = []
        edges_of_real: np.ndarray | None = None
        for which, side in enumerate(self._sides):
            values = side.number(place)
            if bins == "real":
                edges_of_real = bin_edges(values) if edges_of_real is None else edges_of_real
                found.append(real_bins(values, edges_of_real))
                continue
            values = values * _NANOSECONDS if are_dates else values
            edges = bin_edges(values)
            if which < _JUDGED and not (np.diff(edges) > 0).all():
                return None
            found.append(own_bins(values, edges))
        return self._kept((place,), (N_LEVELS,), found)

    def joined(self, columns: Iterable[Coded]) -> Iterator[Coded]:
        """Neighbouring columns as one, as long as it has few codes for the rows there are."""
        pending: Coded | None = None
        for column in columns:
            if pending is None:
                pending = column
            elif pending.width * column.width <= self._max_width:
                codes = [
                    one.astype(np.uint16) * np.uint16(column.width) + other
                    for one, other in zip(pending.codes, column.codes, strict=True)
                ]
                places, widths = pending.places + column.places, pending.widths + column.widths
                pending = self._kept(places, widths, codes)
            else:
                yield pending
                pending = column
        if pending is not None:
            yield pending

    def _kept(
        self, places: tuple[int, ...], widths: tuple[int, ...], codes: Sequence[np.ndarray]
    ) -> Coded:
        dtype = np.min_scalar_type(prod(widths) - 1)
        return Coded(places, widths, [self._stored(one.astype(dtype)) for one in codes])

    def _stored(self, compact: np.ndarray) -> np.ndarray:
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
        returns: (n,) uint8 from 0 to N_BINS.
    """
    return _passed(values, edges[1:])


def real_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bins by the real range, the outer ones open; missing values have one of their own.

    Shape:
        returns: (n,) uint8 from 0 to N_BINS.
    """
    return _passed(values, edges[1:-1])


def quantile_levels(values: Sequence[np.ndarray], n_levels: int) -> list[np.ndarray]:
    """Levels that hold about as many real values each; the last one is for missing values.

    Shape:
        values: (n,) float64 of each side, NaN where missing; the real rows come first.
        returns: (n,) uint16 each.
    """
    present = values[0][~np.isnan(values[0])]
    shares = np.arange(1, n_levels) / n_levels
    # Values themselves, so that repeated ones are at the end of a level and never split one.
    inner = (
        np.unique(np.quantile(present, shares, method="inverted_cdf")) if len(present) else present
    )
    return [
        np.where(np.isnan(one), len(inner) + 1, np.searchsorted(inner, one)).astype(np.uint16)
        for one in values
    ]


def _passed(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How many edges each value has reached; N_BINS where it is missing.

    With so few edges counting is several times as fast as `numpy.digitize`, and as exact.
    """
    count = np.zeros(len(values), np.uint8)
    for edge in edges:
        count += values >= edge
    count[np.isnan(values)] = N_BINS
    return count
