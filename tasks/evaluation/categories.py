"""Columns as categories, numbers of few different values among them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tasks.evaluation.comparison import Comparison
from tasks.evaluation.few_values import few_values, places_of
from tasks.evaluation.plots import ABSENT
from tasks.evaluation.rows import Part, Rows
from tasks.schema import Column

_MIDNIGHT = "T00:00:00"


@dataclass(frozen=True)
class Categories:
    """A column as categories.

    Attributes:
        column: it.
        place: of it among the discrete columns, or among the numeric ones.
        labels: what people read; the last one of what is missing.
        known: of a numeric column the values that the labels stand for.
    """

    column: Column
    place: int
    labels: tuple[str, ...]
    known: np.ndarray | None = None

    def of(self, rows: Rows) -> np.ndarray:
        """The place of each row's label; their number for a value that no training row has.

        Shape:
            returns: (N,) int.
        """
        if self.known is None:
            # A missing value, the code -1, is the last category.
            return np.asarray(rows.codes[:, self.place] % len(self.labels))
        numbers = rows.numbers[:, self.place]
        places = places_of(self.known, numbers)
        places[places < 0] = len(self.labels)
        places[np.isnan(numbers)] = len(self.labels) - 1
        return places

    def counted(self, rows: Rows) -> np.ndarray:
        """Shape: (labels,) rows."""
        return np.bincount(self.of(rows), minlength=len(self.labels))[: len(self.labels)]

    def counted_everywhere(self, comparison: Comparison, part: Part) -> tuple[np.ndarray, int]:
        """Rows by label, and of how many: of all of them if they have codes, else in memory."""
        rows: Rows = getattr(comparison, part)
        if self.known is not None or comparison.by_vectors:
            return self.counted(rows), len(rows)
        codes = comparison.every[part].code(self.place) % len(self.labels)
        return np.bincount(codes, minlength=len(self.labels)), len(codes)


def categories_of(comparison: Comparison) -> Iterator[Categories]:
    """All columns that are categories to the training rows; none that holds personal data."""
    for place, column in enumerate(comparison.discrete):
        if not column.personal:
            yield Categories(column, place, (*comparison.categories[place], ABSENT))
    for place, column in enumerate(comparison.numeric):
        known = None if column.personal else few_values(comparison.train.numbers[:, place])
        if known is not None:
            labels = (_label(column, value) for value in known)
            yield Categories(column, place, (*labels, ABSENT), known)


def _label(column: Column, value: float) -> str:
    if column.meaning == "datetime":
        return str(np.datetime64(round(value), "s")).removesuffix(_MIDNIGHT).replace("T", " ")
    return f"{value:.12g}"
