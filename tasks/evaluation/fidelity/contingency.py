"""Two-way tables of columns: counted by group of rows, and how far they are apart.

A table with few cells for its rows is counted whole. Of a larger one only the cells in use are
kept, so that two columns of 100,000 categories each take no more memory than their rows.
"""

from collections.abc import Sequence

import numpy as np

from tasks.evaluation.fidelity.coding import Coded
from tasks.evaluation.fidelity.jackknife import Groups

MIN_DENSE_CELLS = 2**14
"""Cells up to which a table is counted whole, however few the rows."""

ROWS_OF_CELL = 8
"""Rows for each cell of a larger table that is counted whole."""

_BLOCK_ROWS = 2**15
"""Rows counted at a time: what they need stays in the processor's cache."""


class TwoWay:
    """The two-way tables of one column with others, real rows beside those of other sides."""

    def __init__(self, first: Coded, groups: Sequence[Groups]) -> None:
        """Args: first: the column; groups: of each side's rows, which lie group after group."""
        self._first, self._groups = first, groups
        self._rows = [
            codes.astype(np.int64) + np.repeat(np.arange(len(one.sizes)) * first.width, one.sizes)
            for codes, one in zip(first.codes, groups, strict=True)
        ]
        self._n_rows = sum(map(len, self._rows))

    def compare(self, second: Coded, *, strengths: bool) -> tuple[list[np.ndarray], list[float]]:
        """How far two columns go together otherwise than in the real rows.

        Args:
            second: the other column.
            strengths: whether to tell how strongly the two go together.

        Returns:
            Of each side but the real one the total variation distance, (R,) by subset of groups;
            and Cramer's V of all sides, if asked for.
        """
        n_cells = self._first.width * second.width
        if n_cells > max(MIN_DENSE_CELLS, self._n_rows / ROWS_OF_CELL):
            return self._sparse(second, strengths=strengths)
        counts = [self._counted(side, second) for side in range(len(self._groups))]
        known = counts[0].sum(axis=0)
        distances = [
            _total_variation(known, groups.subsets @ count)
            for groups, count in zip(self._groups[1:], counts[1:], strict=True)
        ]
        sums = [count.sum(axis=0) for count in counts] if strengths else []
        return distances, [
            cramers_v(np.flatnonzero(one), one[one > 0], second.width) for one in sums
        ]

    def _counted(self, side: int, second: Coded) -> np.ndarray:
        """Shape: (G, cells) int64, the whole table of each group."""
        n_groups = len(self._groups[side].sizes)
        n_cells = n_groups * self._first.width * second.width
        rows, columns = self._rows[side], second.codes[side]
        found = np.zeros(n_cells, np.int64)
        step = max(_BLOCK_ROWS, n_cells)
        for start in range(0, len(rows), step):
            cells = rows[start : start + step] * second.width
            cells += columns[start : start + step]
            found += np.bincount(cells, minlength=n_cells)
        return found.reshape(n_groups, -1)

    def _sparse(self, second: Coded, *, strengths: bool) -> tuple[list[np.ndarray], list[float]]:
        """As `compare`, of the cells in use alone."""
        real, *others = (
            first.astype(np.int64) * second.width + codes
            for first, codes in zip(self._first.codes, second.codes, strict=True)
        )
        distances = []
        for found, groups in zip(others, self._groups[1:], strict=True):
            _, place = np.unique(np.concatenate([real, found]), return_inverse=True)
            known = np.bincount(place[: len(real)], minlength=int(place.max()) + 1)
            distances.append(_sparse_distances(known, place[len(real) :], groups))
        used = [np.unique(one, return_inverse=True) for one in (real, *others) if strengths]
        return distances, [
            cramers_v(cells, np.bincount(place), second.width) for cells, place in used
        ]


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
