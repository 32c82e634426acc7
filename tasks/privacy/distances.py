"""How close rows are to the closest records of another set: what copying looks like.

Distances alone cannot prove privacy (Yao et al. 2025, arXiv:2505.01524): a generator that passes
here may still leak. One that fails here has copied rows.
"""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist

from tasks.privacy.points import Points, embedded

_CHUNK_CELLS = 4_000_000
"""Distances held in memory at a time."""

_MIN_CHUNK = 64
"""Queries that are compared at a time at least: a matrix product of fewer is slow."""

_GROUP = 32
"""References of which only the closest is looked at first."""

_CANDIDATES = 16
"""References whose exact distance is computed, of each query, at least."""

_FAR = 1e30


def nearest(queries: Points, references: Points, k: int = 1) -> np.ndarray:
    """Distances from each query to its `k` closest references, in ascending order.

    Shape:
        returns: (queries, k) float64.

    Raises:
        ValueError: there are fewer than `k` references.
    """
    return neighbours(queries, references, k)[0]


def neighbours(queries: Points, references: Points, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Distances from each query to its `k` closest references, and their positions.

    The closest candidates by a matrix product in float32 are compared again, exactly: the distance
    that is returned is always that of the reference at the returned position, and 0 for equal rows.
    Another reference can be closer by as much as float32 cannot tell; and where a column has more
    than 16 categories, or the table very many columns, unequal categories are as far apart as
    random signs are, so that a reference that differs in a few more of such columns can be missed.
    One that is equal in them cannot.

    Shape:
        returns: (queries, k) float64 in ascending order; (queries, k) int.

    Raises:
        ValueError: there are fewer than `k` references.
    Source: random signs keep distances up to 1 / sqrt(dimensions), Achlioptas 2003,
    doi:10.1016/S0022-0000(03)00025-4.
    """
    if not 1 <= k <= len(references):
        raise ValueError(f"expected 1 to {len(references)} (references) as k, found {k}")
    distances = np.empty((len(queries), k))
    positions = np.empty((len(queries), k), np.int64)
    n_candidates = min(len(references), max(_CANDIDATES, 2 * k))
    for rows, candidates in _candidates(queries, references, n_candidates):
        squares = _squares(queries.take(np.arange(rows.start, rows.stop)), references, candidates)
        order = np.lexsort((candidates, squares), axis=1)[:, :k]
        distances[rows] = np.sqrt(np.take_along_axis(squares, order, axis=1))
        positions[rows] = np.take_along_axis(candidates, order, axis=1)
    return distances, positions


def pairwise(first: Points, second: Points) -> np.ndarray:
    """All distances between two sets of rows, exactly.

    Shape:
        returns: (N, M) float64.
    """
    squares = cdist(first.numbers, second.numbers, "sqeuclidean")
    for left, right in zip(first.codes.T, second.codes.T, strict=True):
        squares += first.code_weight * (left[:, None] != right)
    return np.asarray(np.sqrt(squares))


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


def _squares(queries: Points, references: Points, candidates: np.ndarray) -> np.ndarray:
    """Exact squared distances of each query to its candidates.

    Shape:
        candidates: (N, M) positions of references.
        returns: (N, M) float64.
    """
    found = np.zeros(candidates.shape)
    if queries.numbers.shape[1]:
        difference = references.numbers[candidates] - queries.numbers[:, None]
        found += np.einsum("nmc,nmc->nm", difference, difference)
    if queries.codes.shape[1]:
        unequal = references.codes[candidates] != queries.codes[:, None]
        found += queries.code_weight * unequal.sum(axis=2)
    return found


def _candidates(
    queries: Points, references: Points, n_candidates: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Of a few queries at a time the references that are about the closest, in no order."""
    left, right = embedded(queries, references), embedded(references, references)
    # Inner products with -2 of the query and 1 are squared distances, up to a constant of each.
    left = np.column_stack([-2 * left, np.ones(len(left), left.dtype)])
    right = np.column_stack([right, np.square(right).sum(axis=1)])
    n_references = len(references)
    size = _GROUP if n_references >= _GROUP * n_candidates else 1
    n_groups = -(-n_references // size)
    beyond = np.zeros((n_groups * size - n_references, right.shape[1]), right.dtype)
    beyond[:, -1] = _FAR
    right = np.concatenate([right, beyond]).T
    n_rows = max(_MIN_CHUNK, _CHUNK_CELLS // right.shape[1])
    members = np.arange(size) * n_groups
    for start in range(0, len(left), n_rows):
        found = left[start : start + n_rows] @ right
        # The n closest references lie in the n groups whose closest members are the closest.
        least = found.reshape(len(found), size, n_groups).min(axis=1)
        groups = _smallest(least, n_candidates)
        places = (groups[:, :, None] + members).reshape(len(found), -1)
        chosen = _smallest(np.take_along_axis(found, places, axis=1), n_candidates)
        yield slice(start, start + len(found)), np.take_along_axis(places, chosen, axis=1)


def _smallest(values: np.ndarray, n: int) -> np.ndarray:
    """Shape: (N, M) to (N, n) positions in each row, in no order."""
    if n >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, n - 1, axis=1)[:, :n]
