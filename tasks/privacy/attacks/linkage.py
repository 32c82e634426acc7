"""Linkage: do the synthetic rows join two halves of a person's record that are held apart?

The attacker holds some columns of each person by name, and the other columns of the same persons
without names: a pool of records of which one is that person's. The synthetic rows, which have both,
are the bridge. The closest of them by the columns that are held says what the other columns should
be; the record of the pool that is closest to that is taken for the person's.
"""

import numpy as np

from tasks.privacy.distances import neighbours
from tasks.privacy.points import Points


def linked(
    held: Points, pooled: Points, synthetic_held: Points, synthetic_pooled: Points, pool: int
) -> np.ndarray:
    """For each person the chance that the attacker picks their record out of their pool.

    Persons are in pools in their order; those who fill no pool are left out. Among records that are
    equally close the attacker guesses.

    Shape:
        held: N persons by the columns that are held.
        pooled: the same persons by the other columns.
        synthetic_held: M rows by the columns that are held.
        synthetic_pooled: the same rows by the other columns.
        returns: (N // pool * pool,) in [0, 1]; 1 / pool where nothing is told.

    Source: distance-based record linkage, and that files are linked which share no columns,
    Domingo-Ferrer and Torra 2003, doi:10.1023/A:1025666923033; record linkage as such, Fellegi and
    Sunter 1969, doi:10.1080/01621459.1969.10501049.
    Differs: what links the two files is the synthetic data, not the structure within each.
    """
    _, closest = neighbours(held, synthetic_held)
    expected = synthetic_pooled.take(closest[:, 0])
    starts = range(0, len(held) - pool + 1, pool)
    chances = [_picked(expected, pooled, np.arange(start, start + pool)) for start in starts]
    return np.concatenate(chances) if chances else np.zeros(0)


def _picked(expected: Points, pooled: Points, pool: np.ndarray) -> np.ndarray:
    wanted, offered = expected.take(pool), pooled.take(pool)
    differences = wanted.numbers[:, None] - offered.numbers[None]
    unequal = wanted.codes[:, None] != offered.codes[None]
    squares = np.square(differences).sum(axis=2) + pooled.code_weight * unequal.sum(axis=2)
    is_closest = squares == squares.min(axis=1, keepdims=True)
    return np.asarray(is_closest.diagonal() / is_closest.sum(axis=1))
