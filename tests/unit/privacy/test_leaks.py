"""Lower bounds of what was copied, worked out by hand."""

import math

import numpy as np
import pytest

from tasks.privacy.leaks import (
    ALPHA,
    Assignment,
    by_labels,
    by_ratio,
    by_share,
    by_smallest,
    ratios,
)

LOG = math.log(1 / ALPHA)


def closest(distances: list[list[float]], rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(distances, float), np.array(rows)


def nothing_equal(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.arange(n, dtype=np.uint64), np.zeros(n, int), np.zeros(n, int)


def test_distance_ratio() -> None:
    found = ratios(np.array([[1.0, 4.0], [0.0, 2.0], [0.0, 0.0], [3.0, 3.0]]))
    np.testing.assert_array_equal(found, [0.25, 0, 1, 1])


def test_ties_are_shared_by_the_real_rows() -> None:
    found = Assignment.of(
        closest([[0.1, 0.5], [0.3, 0.3], [0.2, 0.9]], [[4, 0], [1, 2], [3, 0]]),
        closest([[0.4, 0.6], [0.3, 0.7], [0.2, 0.8]], [[0, 1], [5, 1], [6, 2]]),
        nothing_equal(3),
        (8, 8),
    )
    # The closest of the first is a training row. Two training rows and a holdout row tie for the
    # second, but all that were looked at in training do: there may be more, so nothing is known.
    # The third is as close to a training row as to a holdout row.
    np.testing.assert_allclose(found.in_train, [1, 0.5, 0.5])
    np.testing.assert_allclose(found.ratio, [0.25, 1, 1])
    assert sorted(zip(found.owner, found.real, found.part, strict=True)) == [
        (0, 4, 1.0),
        (2, 3, 0.5),
        (2, 8 + 6, 0.5),
    ]


def test_rows_equal_to_real_ones_are_shared_by_all_of_those() -> None:
    found = Assignment.of(
        closest([[0.0, 0.0], [0.0, 0.0]], [[0, 1], [0, 1]]),
        closest([[0.0, 0.5], [0.0, 0.5]], [[0, 1], [0, 1]]),
        (np.array([7, 7], np.uint64), np.array([3, 3]), np.array([1, 1])),
        (8, 8),
    )
    np.testing.assert_allclose(found.in_train, [0.75, 0.75])
    assert (found.size.tolist(), found.part.tolist()) == ([4, 4], [1, 1])
    assert len(set(found.real.tolist())) == 1


def test_labels_of_the_closest_rows() -> None:
    # 100 rows, each close to a real row of its own; of the closest 10 all are training rows, though
    # only half of the real rows are.
    in_train = np.array([1.0] * 10 + [1.0, 0.0] * 45)
    found = Assignment(
        ratio=np.linspace(0, 1, 100),
        in_train=in_train,
        owner=np.arange(100),
        real=np.arange(100),
        size=np.ones(100),
        part=np.ones(100),
        n_train=500,
        n_holdout=500,
    )
    estimate, radius = by_labels(found, 0.09)
    # 10 - 5 too many; a copy adds the half that chance would not have given.
    assert estimate == pytest.approx(5 / (100 * 0.5))
    # Bernstein: variance 10 / 4, one row adds 1/2 at most.
    expected = 0.5 * LOG / 3 + math.sqrt((0.5 * LOG / 3) ** 2 + 2 * LOG * 2.5)
    assert radius == pytest.approx(expected / 50)


def test_many_rows_close_to_one_real_row_tell_as_much_as_one() -> None:
    found = Assignment(
        ratio=np.zeros(400),
        in_train=np.ones(400),
        owner=np.arange(400),
        real=np.zeros(400, int),
        size=np.ones(400),
        part=np.ones(400),
        n_train=500,
        n_holdout=500,
    )
    estimate, radius = by_labels(found, 0.05)
    assert estimate == pytest.approx(1)
    assert radius > 1


def test_a_difference_of_shares_is_bounded_by_both_intervals() -> None:
    # 1 of 10 rows is at least 1 - (1 - ALPHA)^(1/10), 0 of 10 at most 1 - ALPHA^(1/10).
    low, high = 1 - (1 - ALPHA) ** 0.1, 1 - ALPHA**0.1
    assert by_share(0.1, 10, 0.0, 10) == pytest.approx(0.1 - math.hypot(0.1 - low, high))
    assert by_share(0.02, 10_000, 0.0, 10_000) == pytest.approx(0.0151, abs=5e-4)
    assert by_share(0.5, 1_000, 0.5, 1_000) == pytest.approx(-0.083, abs=2e-3)


def test_rows_closer_than_any_unseen_row() -> None:
    synthetic = np.concatenate([np.full(30, 0.01), np.linspace(0.2, 1, 70)])
    # Each of the smallest is one of the 100 in 200 with probability 1/2.
    bound = by_smallest(synthetic, np.linspace(0.1, 1, 100), 100)
    assert bound == pytest.approx((30 - math.log(ALPHA) / math.log(0.5)) / 100)


def test_rows_that_point_at_the_same_row_count_once() -> None:
    ratio = np.concatenate([np.zeros(200), np.ones(800)])
    unseen = np.ones(1_000), np.arange(1_000)
    apart = by_ratio((ratio, np.arange(1_000)), unseen, 1_000, 0.1)
    assert apart == pytest.approx(by_share(0.2, 1_000, 0.0, 1_000))
    same = by_ratio((ratio, np.zeros(1_000, int)), unseen, 1_000, 0.1)
    assert same == pytest.approx(by_share(0.2, 1_000 / 200, 0.0, 1_000))
    assert same < 0 < apart
