"""How certain a distance between two sets of rows is, and what it were with more rows.

Everything here comes from dealing the rows of a set into a few random groups: what is counted or
summed by group gives the distance of all rows, of all but one group (a jackknife), and of halves
(how the distance shrinks where there are more rows) without reading a row twice.

How the interval follows from that is said in `tasks.evaluation.intervals.of_jackknife`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tasks.evaluation.intervals import N_GROUPS, Interval, of_jackknife
from tasks.evaluation.rows import Rows

_HIGHEST = 100.0
"""Distances are in percent."""


class Source(Protocol):
    """Rows that are read a column or a batch at a time, as `tasks.evaluation.rows.AllRows`."""

    def __len__(self) -> int: ...

    def number(self, place: int) -> np.ndarray:
        """Shape: (N,) float64, NaN where missing."""

    def code(self, place: int) -> np.ndarray:
        """Shape: (N,) int32, MISSING where missing."""

    def batches(self) -> Iterator[Rows]:
        """All rows in their order, a piece at a time."""


@dataclass(frozen=True)
class InMemory:
    """Rows in memory as a source."""

    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def number(self, place: int) -> np.ndarray:
        """Shape: (N,) float64, NaN where missing."""
        return np.ascontiguousarray(self.rows.numbers[:, place])

    def code(self, place: int) -> np.ndarray:
        """Shape: (N,) int32, MISSING where missing."""
        return np.ascontiguousarray(self.rows.codes[:, place])

    def batches(self) -> Iterator[Rows]:
        """All rows at once."""
        yield self.rows


@dataclass(frozen=True)
class Groups:
    """The groups that rows are dealt into.

    Shape:
        of_row: (N,) uint8, the group of each row; as many as there are groups for rows left out.
        order: (n,) positions of the rows that are used, group after group; a slice of all.
        sizes: (G,) rows of each group.
        subsets: (R, G) of 0 and 1, the groups that are measured together: all; all but one, for
            each of them; the two halves. With one group (R = 1) there is only the whole.
    """

    of_row: np.ndarray
    order: np.ndarray | slice
    sizes: np.ndarray
    subsets: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """Shape: (G + 1,) where in `order` the groups begin, and its length."""
        return np.concatenate([[0], np.cumsum(self.sizes)])


@dataclass(frozen=True)
class Side:
    """A set of rows as distances read it: by group."""

    rows: Source
    groups: Groups

    def __len__(self) -> int:
        return int(self.groups.sizes.sum())

    def number(self, place: int) -> np.ndarray:
        """Shape: (n,) float64, group after group."""
        return self.rows.number(place)[self.groups.order]

    def code(self, place: int) -> np.ndarray:
        """Shape: (n,) int32, group after group."""
        return self.rows.code(place)[self.groups.order]

    def numbers(self) -> Iterator[tuple[int, np.ndarray]]:
        """All numeric columns, rows of one group at a time.

        Shape:
            yields: the group, and (rows, C) float64 of it; a group comes many times.
        """
        begin = 0
        for batch in self.rows.batches():
            group = self.groups.of_row[begin : begin + len(batch)]
            begin += len(batch)
            if len(self.groups.sizes) == 1:
                yield 0, batch.numbers
                continue
            by_group = batch.numbers[np.argsort(group, kind="stable")]
            ends = np.cumsum(np.bincount(group, minlength=len(self.groups.sizes)))
            for place, end in enumerate(ends[: len(self.groups.sizes)]):
                yield place, by_group[ends[place - 1] if place else 0 : end]


def whole(rows: Source) -> Side:
    """All rows in one group: a distance without its uncertainty."""
    n = len(rows)
    groups = Groups(np.zeros(n, np.uint8), slice(None), np.array([n]), np.ones((1, 1)))
    return Side(rows, groups)


def dealt(rows: Source, n: int, rng: np.random.Generator) -> Side:
    """`n` of the rows, at random, in `N_GROUPS` groups of equal size as far as they suffice."""
    n = min(n, len(rows))
    n_groups = min(N_GROUPS, n)
    group = np.full(len(rows), n_groups, np.uint8)
    group[rng.permutation(len(rows))[:n]] = np.arange(n) % n_groups
    order = np.argsort(group, kind="stable")[:n]
    subsets = np.ones((1, n_groups))
    if n_groups > 1:
        first_half = np.arange(n_groups) < n_groups // 2
        subsets = np.vstack([subsets, 1 - np.eye(n_groups), first_half, ~first_half])
    sizes = np.bincount(group[order], minlength=n_groups)
    return Side(rows, Groups(group, order, sizes, subsets))


def interval(distances: np.ndarray) -> Interval | None:
    """95 % of a distance in percent, were its rows drawn again; None of a single group.

    Shape:
        distances: (R,) of the subsets of `Groups`; NaN of those that have none.
    """
    return of_jackknife(float(distances[0]), distances[1:-2], _HIGHEST)


def scale_to(distances: np.ndarray, n_real: int, n_found: int, n_wanted: int) -> float:
    """The factor that brings a distance between real samples to more rows of the second one.

    Two samples of one distribution are apart by x^a, x = 1 / n_real + 1 / n. Where cells hold many
    rows a is 1/2 (central limit theorem); where nearly every row has a cell of its own, as in wide
    two-way tables, the distance does not shrink and a is near 0. So a is measured, between the
    halves of the rows and all of them, and kept within 0 and 1/2. It grows as rows are added,
    so the reference comes out rather too large, which is lenient to the generator.

    Args:
        distances: (R,) of the subsets of `Groups`.
        n_real: training rows.
        n_found: rows that the distances are of.
        n_wanted: rows that the reference is to stand for.
    """
    if n_wanted <= n_found or len(distances) == 1 or not distances[0] > 0:
        return 1.0
    halves = distances[-2:][np.isfinite(distances[-2:])]
    x_half, x_all, x_wanted = (1 / n_real + 1 / n for n in (n_found / 2, n_found, n_wanted))
    grown = halves.mean() / distances[0] if len(halves) else 1.0
    exponent = np.clip(np.log(max(grown, 1.0)) / np.log(x_half / x_all), 0, 0.5)
    return float((x_wanted / x_all) ** exponent)
