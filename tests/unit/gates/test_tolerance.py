"""Tolerances: numbers worked out by hand, and false alarms counted."""

import math

import numpy as np
import pytest

from tasks.gates.tolerance import (
    is_fewer,
    is_more,
    ks_distance,
    ks_limit,
    psi,
    psi_limit,
    repeats_limit,
)


def test_rows_that_never_were_are_chance_until_a_coin_would_not_fall_so():
    # Of 100 and 100 rows, 9 concerned ones all fall on one side with chance 1/512.
    assert not is_more(9, 100, 0, 100, alpha=1 / 513)
    assert is_more(10, 100, 0, 100, alpha=1 / 513)
    assert not is_more(0, 100, 0, 100, alpha=0.5)


def test_many_rows_checked_may_have_more_exceptions():
    assert is_more(20, 100, 0, 100, alpha=1e-4)
    assert not is_more(20, 1000, 0, 100, alpha=1e-4)


def test_fewer_rows_than_before_are_found_too():
    assert is_fewer(0, 100, 20, 100, alpha=1e-4)
    assert not is_fewer(0, 10, 20, 100, alpha=1e-4)
    assert not is_fewer(0, 100, 0, 100, alpha=0.5)


def test_ks_distance_by_hand():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    # Shares up to 2 and up to 3 are 0.5 and 0.75; learned were 0.25 and 0.5.
    assert ks_distance(values, np.array([2.0, 3.0]), np.array([0.25, 0.5])) == 0.25


def test_ks_limit_by_hand():
    assert ks_limit(100, 100, alpha=2 / math.e**2) == pytest.approx(math.sqrt(0.02))


def test_psi_by_hand():
    found, k = psi(np.array([30, 70]), np.array([0.5, 0.5]), 100)
    q, p = np.array([30.5, 70.5]) / 101, np.array([50.5, 50.5]) / 101
    assert k == 2
    assert found == pytest.approx(sum((q - p) * np.log(q / p)))


def test_rare_cells_are_one_cell():
    shares = np.array([0.96, 0.02, 0.02])
    assert psi(np.array([96, 2, 2]), shares, 100)[1] == 2
    assert psi(np.array([9600, 200, 200]), shares, 10_000)[1] == 3


def test_one_cell_says_nothing():
    assert psi(np.array([7]), np.array([1.0]), 100) == (0.0, 1)
    assert psi_limit(1, 7, 100, 1e-3) == 0.0


@pytest.mark.parametrize(("n", "m"), [(50, 500), (500, 500), (5000, 500)])
def test_psi_of_two_samples_of_one_source_is_within_its_limit(n, m):
    rng = np.random.default_rng(0)
    source = np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.01, 0.01])
    alarms = 0
    for _ in range(1000):
        index, k = psi(rng.multinomial(n, source), rng.multinomial(m, source) / m, m)
        alarms += index > psi_limit(k, n, m, alpha=0.01)
    assert alarms <= 15


def test_pairs_grow_with_the_square_of_the_rows():
    # 100 pairs of 1,000 rows; ten times the rows make a hundred times the pairs.
    assert repeats_limit(10_000, 100, 1000, 1e-4) == pytest.approx(3 * 103 * 100, rel=0.05)
    assert repeats_limit(100, 0, 1000, 1e-4) < 10
