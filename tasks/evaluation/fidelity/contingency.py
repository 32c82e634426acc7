"""Two-way tables of columns: counted by group of rows, and how far they are apart.

A table with few cells for its rows is counted whole. Of a larger one only the cells in use are
kept, so that two columns of 100,000 categories each take no more memory than their rows.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from tasks.evaluation.fidelity.coding import Coded
from tasks.evaluation.fidelity.jackknife import Groups

MIN_DENSE_CELLS = 2**14
"""Cells up to which a table is counted whole, however few the rows."""

ROWS_OF_CELL = 8
"""Rows for each cell of a larger table that is counted whole."""

_BLOCK_ROWS = 2**15
"""Rows counted at a time: what they need stays in the processor's cache."""


class Compared(NamedTuple):
    """What was found of a pair of columns.

    Attributes:
        first: the place of a column.
        second: the place of the other.
        distances: of each side but the real one the total variation distance, (R,) by subset of
            groups.
        strengths: Cramer's V of all sides, if asked for.
    """

    first: int
    second: int
    distances: list[np.ndarray]
    strengths: list[float]


class TwoWay:
    """The two-way tables of some columns, real rows beside those of other sides."""

    def __init__(self, first: Coded, groups: Sequence[Groups], *, strengths: bool) -> None:
        """Nothing is counted yet.

        Args:
            first: one or several columns.
            groups: of each side's rows, which lie group after group.
            strengths: whether to tell how strongly columns go together.
        """
        self._first, self._groups, self._strengths = first, groups, strengths
        self._rows = [
            codes.astype(np.int64) + np.repeat(np.arange(len(one.sizes)) * first.width, one.sizes)
            for codes, one in zip(first.codes, groups, strict=True)
        ]
        self._n_rows = sum(map(len, self._rows))

    def within(self) -> Iterator[Compared]:
        """The pairs of its own columns."""
        first = self._first
        if len(first.places) > 1:
            counts = [
                np.bincount(rows, minlength=len(groups.sizes) * first.width)
                for rows, groups in zip(self._rows, self._groups, strict=True)
            ]
            pairs = list(combinations(range(len(first.places)), 2))
            yield from self._compared(counts, first.places, first.widths, pairs)

    def beside(self, second: Coded) -> Iterator[Compared]:
        """The pairs of its columns with those of another."""
        first = self._first
        n_cells = first.width * second.width
        if n_cells > max(MIN_DENSE_CELLS, self._n_rows / ROWS_OF_CELL):
            yield from self._sparse(second)
            return
        counts = [self._counted(side, second) for side in range(len(self._groups))]
        n = len(first.places)
        pairs = list(product(range(n), range(n, n + len(second.places))))
        places, widths = first.places + second.places, first.widths + second.widths
        yield from self._compared(counts, places, widths, pairs)

    def _counted(self, side: int, second: Coded) -> np.ndarray:
        """Shape: (G * cells,) int64, the whole table of each group."""
        n_cells = len(self._groups[side].sizes) * self._first.width * second.width
        rows, columns = self._rows[side], second.codes[side]
        found = np.zeros(n_cells, np.int64)
        step = max(_BLOCK_ROWS, n_cells)
        for start in range(0, len(rows), step):
            cells = rows[start : start + step] * second.width
            cells += columns[start : start + step]
            found += np.bincount(cells, minlength=n_cells)
        return found

    def _compared(
        self,
        counts: Sequence[np.ndarray],
        places: tuple[int, ...],
        widths: tuple[int, ...],
        pairs: Sequence[tuple[int, int]],
    ) -> Iterator[Compared]:
        """Pairs of columns from the counts of their combinations on each side."""
        for pair in pairs:
            others = tuple(1 + axis for axis in range(len(widths)) if axis not in pair)
            tables = [
                count.reshape(-1, *widths).sum(axis=others).reshape(len(groups.sizes), -1)
                for count, groups in zip(counts, self._groups, strict=True)
            ]
            distances = [
                _total_variation(tables[0][0], groups.subsets @ table)
                for groups, table in zip(self._groups[1:], tables[1:], strict=True)
            ]
            strengths = []
            for table in tables if self._strengths else []:
                total = table.sum(axis=0)
                cells = np.flatnonzero(total)
                strengths.append(cramers_v(cells, total[cells], widths[pair[1]]))
            yield Compared(places[pair[0]], places[pair[1]], distances, strengths)

    def _sparse(self, second: Coded) -> Iterator[Compared]:
        """As `beside`, of the cells in use alone; of several columns one after the other."""
        if len(self._first.places) > 1 or len(second.places) > 1:
            for one, other in product(self._first.columns, list(second.columns)):
                tables = TwoWay(one, self._groups, strengths=self._strengths)
                yield from tables.beside(other)
            return
        real, *others = (
            first.astype(np.int64) * second.width + codes
            for first, codes in zip(self._first.codes, second.codes, strict=True)
        )
        distances = []
        for found, groups in zip(others, self._groups[1:], strict=True):
            _, place = np.unique(np.concatenate([real, found]), return_inverse=True)
            known = np.bincount(place[: len(real)], minlength=int(place.max()) + 1)
            distances.append(_sparse_distances(known, place[len(real) :], groups))
        every = (real, *others) if self._strengths else ()
        used = [np.unique(one, return_inverse=True) for one in every]
        strengths = [cramers_v(cells, np.bincount(place), second.width) for cells, place in used]
        yield Compared(self._first.places[0], second.places[0], distances, strengths)


def _sparse_distances(known: np.ndarray, place: np.ndarray, groups: Groups) -> np.ndarray:
    """Shape: (R,); one subset of groups at a time, from what it has or from what it lacks."""
    pieces = np.split(place, groups.starts[1:-1])
    total = np.bincount(place, minlength=len(known))
    found = []
    for subset in groups.subsets:
        wanted = subset.sum() * 2 < len(subset)
        count = np.zeros(len(known), np.int64)
        for piece, is_used in zip(pieces, subset, strict=True):
            if is_used == wanted:
                count += np.bincount(piece, minlength=len(known))
        count = count if wanted else total - count
        found.append(_total_variation(known, count[None, :])[0])
    return np.array(found)


def _total_variation(known: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Shape: (cells,) and (R, cells) to (R,)."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    shares -= known / known.sum()
    return np.asarray(np.abs(shares, out=shares).sum(axis=1) / 2)


def cramers_v(cells: np.ndarray, counts: np.ndarray, width: int) -> float:
    """How strongly two columns go together, from 0 to 1; NaN where one of them is constant.

    Shape:
        cells: (used,) int64, row * width + column of the cells in use.
        counts: (used,) their rows, more than 0.

    Source: Cramer 1946, Mathematical Methods of Statistics, section 21.9.
    """
    row, column = np.divmod(cells, width)
    of_row, of_column = (np.bincount(one, weights=counts) for one in (row, column))
    smaller = min(np.count_nonzero(of_row), np.count_nonzero(of_column))
    if smaller < 2:
        return float("nan")
    phi2 = float((counts * (counts / of_row[row] / of_column[column])).sum()) - 1
    return float(np.sqrt(np.clip(phi2 / (smaller - 1), 0, 1)))
