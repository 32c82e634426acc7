"""Columns as models without an own notion of categories and missing values need them."""

from dataclasses import dataclass

import numpy as np

from tasks.evaluation.utility.problem import Labelled

MAX_COLUMNS = 400
"""Of a linear model's design, as near as two categories per column allow."""

MAX_CATEGORIES = 20
"""Categories of a column that a linear model tells apart at most."""

FARTHEST = 10.0
"""Standard deviations beyond which a number weighs no more."""


@dataclass(frozen=True)
class Design:
    """What real rows say of scales and categories; models of other rows are given the same.

    Shape:
        scale, centre, width: (C,) numbers are divided by the first, then standardised.
        missing: (C,) bool, where real rows lack a number.
        ranks: for each discrete column (codes,) the place of a code by its frequency.
    """

    scale: np.ndarray
    centre: np.ndarray
    width: np.ndarray
    missing: np.ndarray
    ranks: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, real: Labelled) -> "Design":
        """Learn from rows, of which each column may be empty or constant."""
        absent = np.isnan(real.numbers)
        # Divided first, so that squares of the largest numbers are finite.
        largest = np.where(absent, 0.0, np.abs(real.numbers)).max(axis=0, initial=0.0)
        scale = np.where(largest > 0, largest, 1.0)
        known = np.where(absent, 0.0, real.numbers / scale)
        n_known = np.maximum((~absent).sum(axis=0), 1)
        centre = known.sum(axis=0) / n_known
        width = np.sqrt((np.where(absent, 0.0, known - centre) ** 2).sum(axis=0) / n_known)
        return cls(
            scale=scale,
            centre=centre,
            width=np.where(width > 1e-12, width, 1.0),
            missing=absent.any(axis=0),
            ranks=tuple(_ranks(column) for column in real.codes.T),
        )

    def standardised(self, rows: Labelled) -> np.ndarray:
        """Shape: (N, C), within `FARTHEST`, NaN where missing."""
        with np.errstate(over="ignore"):
            numbers = (rows.numbers / self.scale - self.centre) / self.width
        return np.asarray(np.clip(numbers, -FARTHEST, FARTHEST))

    def ordinal(self, rows: Labelled) -> np.ndarray:
        """For trees: numbers, then categories by their frequency.

        Shape:
            returns: (N, C + D) float32, NaN where missing.
        """
        codes = [
            _ranked(column, rank) for column, rank in zip(rows.codes.T, self.ranks, strict=True)
        ]
        places = np.stack(codes, axis=1) if codes else np.zeros(rows.codes.shape)
        places = np.where(places < 0, np.nan, places)
        return np.hstack([self.standardised(rows), places]).astype(np.float32)

    def one_hot(self, rows: Labelled) -> np.ndarray:
        """For linear models: numbers, whether they are missing, and frequent categories.

        Shape:
            returns: (N, columns) float64 without NaN.
        """
        numbers = self.standardised(rows)
        absent = np.isnan(numbers)
        parts = [np.where(absent, 0.0, numbers), absent[:, self.missing].astype(np.float64)]
        room = MAX_COLUMNS - numbers.shape[1] - int(self.missing.sum())
        n_each = min(MAX_CATEGORIES, max(2, room // max(1, len(self.ranks))))
        for column, rank in zip(rows.codes.T, self.ranks, strict=True):
            told = np.arange(min(n_each, len(rank)))
            parts.append((_ranked(column, rank)[:, None] == told).astype(np.float64))
        return np.hstack(parts)


def _ranks(codes: np.ndarray) -> np.ndarray:
    counts = np.bincount(codes[codes >= 0])
    ranks = np.empty(len(counts), np.int32)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return ranks


def _ranked(codes: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Shape: (N,) places, as many as there are ranks for a code without one, -1 where missing."""
    known = np.append(ranks, [len(ranks), -1]).astype(np.int32)
    return known[np.where(codes < 0, -1, np.minimum(codes, len(ranks)))]
