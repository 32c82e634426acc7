"""How rows are dealt into groups, and what is made of distances by group."""

import numpy as np
import pytest
from scipy import stats

from tasks.evaluation.fidelity.jackknife import dealt, interval, scale_to, whole
from tests.columns import columns, mixed


def test_rows_are_dealt_into_groups_of_equal_size() -> None:
    rows = mixed(90, 0)
    side = dealt(rows, 50, np.random.default_rng(0))
    assert len(side) == 50
    assert set(side.groups.sizes) == {2, 3}
    assert np.bincount(side.groups.of_row).tolist() == [*side.groups.sizes, 40]
    group = np.repeat(np.arange(20), side.groups.sizes)
    np.testing.assert_array_equal(side.groups.of_row[side.groups.order], group)
    np.testing.assert_array_equal(side.code(1), rows.code(1)[side.groups.order])
    np.testing.assert_array_equal(side.number(2), rows.number(2)[side.groups.order])
    by_group = list(side.numbers())
    assert [place for place, _ in by_group] == list(range(20))
    np.testing.assert_array_equal(
        np.vstack([found for _, found in by_group]), rows.rows.numbers[side.groups.order]
    )


def test_subsets_are_all_all_but_one_and_the_halves() -> None:
    side = dealt(columns([[1.0] * 3], []), 3, np.random.default_rng(0))
    expected = [[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 1, 1]]
    np.testing.assert_array_equal(side.groups.subsets, expected)
    assert whole(columns([[1.0] * 3], [])).groups.subsets.tolist() == [[1]]


def test_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(50, 2, 20)
    without = (values.sum() - values) / 19
    found = interval(np.array([values.mean(), *without, 0, 0]))
    spread = stats.t.ppf(0.975, 19) * values.std(ddof=1) / np.sqrt(20)
    assert found == pytest.approx((values.mean() - spread, values.mean() + spread))


def test_an_interval_stays_within_0_and_100() -> None:
    assert interval(np.array([1.0, 0.0, 2.0, 4.0, 0.0, 0.0]))[0] == 0
    assert interval(np.array([99.0, 90.0, 98.0, 99.0, 0.0, 0.0]))[1] == 100
    assert interval(np.array([3.0])) is None


def test_a_distance_of_noise_shrinks_with_the_square_root() -> None:
    # 100 real rows, 100 others; a half is sqrt((1/100 + 1/50) / (2/100)) = sqrt(1.5) as far.
    half = np.sqrt(1.5)
    found = scale_to(np.array([1.0, half, half]), 100, 100, 10**9)
    assert found == pytest.approx(np.sqrt(0.5))


def test_a_distance_that_does_not_shrink_stays() -> None:
    assert scale_to(np.array([1.0, 1.0, 1.0]), 100, 100, 10**6) == 1
    assert scale_to(np.array([1.0, 0.9, 0.9]), 100, 100, 10**6) == 1
    assert scale_to(np.array([1.0, 1.2, 1.2]), 100, 100, 100) == 1
    assert scale_to(np.array([0.0, 1.2, 1.2]), 100, 100, 1000) == 1
    # Never more than the square root.
    assert scale_to(np.array([1.0, 3.0, 3.0]), 100, 100, 10**9) == pytest.approx(np.sqrt(0.5))
