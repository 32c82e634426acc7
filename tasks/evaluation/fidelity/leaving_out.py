"""Figures of rows in memory, of all of them and with one group of them left out at a time.

The first axis of every result is R = 1 + groups: all rows, then all but each group. What leaving
a group out changes says how certain a figure is, were its rows drawn again (`intervals.of_jackknife`).
"""

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import Outcome
from tasks.evaluation.intervals import N_GROUPS


def groups(n_rows: int) -> np.ndarray:
    """The group of each row: rows are dealt like cards; a single row makes no group.

    Shape:
        returns: (N,) int64, from 0; -1 for a single row.
    """
    return np.arange(n_rows) % min(N_GROUPS, n_rows) if n_rows > 1 else np.full(n_rows, -1)


def counts(cells: np.ndarray, n_cells: int, group: np.ndarray) -> np.ndarray:
    """Rows in each cell.

    Shape:
        cells: (N,) int, from 0; rows with -1 are in none.
        group: (N,) as `groups` gives.
        returns: (R, n_cells) int64.
    """
    n_groups = int(group.max(initial=-1)) + 1
    if n_groups == 0:
        return np.bincount(cells + 1, minlength=n_cells + 1)[None, 1:]
    flat = np.bincount(group * (n_cells + 1) + cells + 1, minlength=n_groups * (n_cells + 1))
    by_group = flat.reshape(n_groups, n_cells + 1)[:, 1:]
    total = by_group.sum(axis=0)
    return np.vstack([total, total - by_group])


def sums(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Sums of rows.

    Shape:
        values: (N, ...).
        group: (N,) as `groups` gives.
        returns: (R, ...) float64.
    """
    n_groups = int(group.max(initial=-1)) + 1
    if n_groups == 0:
        return np.asarray(values.sum(axis=0, dtype=np.float64))[None]
    by_group = np.stack(
        [values[group == one].sum(axis=0, dtype=np.float64) for one in range(n_groups)]
    )
    # Sums of the others, not the whole minus a group: that leaves rounding errors.
    kept = np.vstack([np.ones(n_groups), 1 - np.eye(n_groups)])
    return np.asarray(np.tensordot(kept, by_group, axes=1))


def total_variation(real: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Half the summed differences of shares; 1 where there is nothing to have a share.

    Shape:
        real: (K,) counts, at least one.
        other: (R, K) counts.
        returns: (R,) in [0, 1].
    """
    total = other.sum(axis=1)
    share = other / np.maximum(total, 1)[:, None]
    return np.where(total > 0, np.abs(share - real / real.sum()).sum(axis=1) / 2, 1.0)


def largest_gap(real: np.ndarray, other: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The Kolmogorov-Smirnov distance of two samples; 1 where the other one is empty.

    Shape:
        real: (N,) without NaN, N > 0.
        other: (M,), NaN where missing.
        group: (M,) as `groups` gives.
        returns: (R,) in [0, 1].
    """
    steps, place = np.unique(np.concatenate([real, other]), return_inverse=True)
    known = np.bincount(place[: len(real)], minlength=len(steps)).cumsum() / len(real)
    cells = np.where(np.isnan(other), -1, place[len(real) :])
    found = np.cumsum(counts(cells, len(steps), group), axis=1)
    total = found[:, -1]
    gap = np.abs(found / np.maximum(total, 1)[:, None] - known).max(axis=1)
    return np.where(total > 0, gap, 1.0)


def outcome(synthetic: np.ndarray, holdout: np.ndarray, highest: float = 100.0) -> Outcome:
    """Value and reference, each with its interval.

    Shape:
        synthetic, holdout: (R,) each, between 0 and `highest`.
    """
    return Outcome(
        float(synthetic[0]),
        float(holdout[0]),
        intervals.of_jackknife(float(synthetic[0]), synthetic[1:], highest),
        intervals.of_jackknife(float(holdout[0]), holdout[1:], highest),
    )
