"""How close rows are to the closest records of another set: what copying looks like.

Distances alone cannot prove privacy (Yao et al. 2025, arXiv:2505.01524): a generator that passes
here may still leak. One that fails here has copied rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.distance import cdist

_CHUNK_CELLS = 4_000_000
"""Distances held in memory at a time."""


@dataclass(frozen=True)
class Points:
    """Rows in a space with a distance.

    Shape:
        numbers: (N, C) float64 without NaN.
        codes: (N, D) float64, compared for equality; D is 0 in a euclidean space.

    Attributes:
        norm: how the numbers are compared.
        code_weight: what a row with other codes throughout is away for that.
    """

    numbers: np.ndarray
    codes: np.ndarray
    norm: Literal["cityblock", "euclidean"]
    code_weight: float

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: np.ndarray) -> "Points":
        """The points at these positions."""
        return Points(self.numbers[index], self.codes[index], self.norm, self.code_weight)

    def sample(self, n: int, rng: np.random.Generator) -> "Points":
        """`n` of the points at random, in their order; all of them if there are no more."""
        if n >= len(self):
            return self
        return self.take(np.sort(rng.choice(len(self), n, replace=False)))


def euclidean(vectors: np.ndarray) -> Points:
    """Points at their L2 distance."""
    return Points(vectors, np.zeros((len(vectors), 0)), "euclidean", 0.0)


def gower(numbers: np.ndarray, codes: np.ndarray, real_numbers: np.ndarray) -> Points:
    """Rows of a table with numbers and categories, at their mean distance over the columns.

    Two numbers are as far apart as the share of the real rows between them, two different
    categories are 1 apart, a missing number and a present one 0.5 to 1.5.

    Shape:
        numbers: (N, C) float, NaN where missing.
        codes: (N, D) int, a missing value is a code of its own.
        real_numbers: (R, C) the rows that ranks refer to.
    Source: Gower 1971, doi:10.2307/2528823.
    Differs: ranks in place of values over the range, so that one extreme value or a skewed column
    does not make all others equal.
    """
    n_columns = max(1, numbers.shape[1] + codes.shape[1])
    ranks = np.zeros(numbers.shape)
    for column in range(numbers.shape[1]):
        ranks[:, column] = _ranks(numbers[:, column], real_numbers[:, column])
    weight = codes.shape[1] / n_columns
    return Points(ranks / n_columns, codes.astype(np.float64), "cityblock", weight)


def nearest(queries: Points, references: Points, k: int = 1) -> np.ndarray:
    """Distances from each query to its `k` closest references, in ascending order.

    Shape:
        returns: (queries, k) float64.
    """
    found = np.empty((len(queries), k))
    for rows, distances in _distances(queries, references):
        if k == 1:
            found[rows, 0] = distances.min(axis=1)
        else:
            found[rows] = np.sort(np.partition(distances, k - 1, axis=1)[:, :k], axis=1)
    return found


def blocks(n_rows: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Positions of `n_rows` rows in random blocks of exactly `size`; each row is in one at least.

    The last block is filled up with rows of the first.
    """
    order = rng.permutation(n_rows)
    n_blocks = -(-n_rows // size)
    return list(np.resize(order, (n_blocks, size)))


def closer_share(to_train: np.ndarray, to_holdout: np.ndarray) -> np.ndarray:
    """For each row the share of the training blocks that it is closer to than to the holdout.

    Shape:
        to_train: (N, blocks) distances to the closest record of each block.
        to_holdout: (N,) distances to the closest record of the holdout, as large as a block.
        returns: (N,) in [0, 1]; a tie counts half.

    Source: Platzer and Reutterer 2021, doi:10.3389/fdata.2021.679939.
    """
    other = to_holdout[:, None]
    closer = (to_train < other) + 0.5 * (to_train == other)
    return np.asarray(closer.mean(axis=1))


def _ranks(values: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Shares of the real values below, ties half; -0.5 where missing."""
    known = np.sort(real[~np.isnan(real)])
    below = np.searchsorted(known, values, side="left")
    up_to = np.searchsorted(known, values, side="right")
    return np.where(np.isnan(values), -0.5, (below + up_to) / (2 * max(1, len(known))))


def _distances(queries: Points, references: Points) -> Iterator[tuple[slice, np.ndarray]]:
    """All distances, a few queries at a time."""
    n_rows = max(1, _CHUNK_CELLS // max(1, len(references)))
    for start in range(0, len(queries), n_rows):
        rows = slice(start, start + n_rows)
        found = np.zeros((len(queries.numbers[rows]), len(references)))
        if queries.numbers.shape[1]:
            found += cdist(queries.numbers[rows], references.numbers, queries.norm)
        if queries.codes.shape[1]:
            unequal = cdist(queries.codes[rows], references.codes, "hamming")
            found += queries.code_weight * unequal
        yield rows, found
