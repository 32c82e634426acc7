"""Rates, gaps and their intervals, by hand."""

import numpy as np
import pytest

from tasks.evaluation.fairness.parity import most_probable
from tasks.evaluation.fairness.rates import (
    N_BLOCKS,
    gap,
    gap_error,
    jackknifed,
    rate_error,
    rates,
)

NAN = float("nan")


def test_rates_and_their_error() -> None:
    found = rates(np.array([1.0, 3.0, 0.0]), np.array([4.0, 4.0, 0.0]))
    assert found == pytest.approx([0.25, 0.75, NAN], nan_ok=True)
    # 5 and 15 points; the group that is not there counts 100.
    assert rate_error(found, np.array([0.3, 0.6, 0.5])) == pytest.approx(120 / 3)


def test_gaps_between_the_groups_of_each_column() -> None:
    assert gap(np.array([0.2, NAN, 0.7])) == pytest.approx(0.5)
    assert gap(np.array([[0.2, 0.3], [NAN, NAN]])) == pytest.approx([0.1, 0])
    columns = np.array([3, 3, 5, 5])
    found, real = np.array([0.2, 0.7, 0.1, 0.1]), np.array([0.3, 0.6, 0.0, 0.4])
    # Gaps of 50 and 0 points where there are 30 and 40.
    assert gap_error(found, real, columns) == pytest.approx((20 + 40) / 2)


def test_the_jackknife_of_a_rate_has_the_width_of_its_standard_error() -> None:
    happened = np.random.default_rng(0).binomial(500, 0.3, N_BLOCKS)
    counts = np.stack([500 - happened, happened], axis=1)[:, None, :]
    value, (low, high) = jackknifed(lambda rate: float(rate[0] * 100), counts)
    assert value == pytest.approx(happened.sum() / 100)
    # Blocks of equal size: the variance of the mean of block rates, by Student's t.
    standard_error = np.std(happened / 5, ddof=1) / np.sqrt(N_BLOCKS)
    assert (high - low) / 2 == pytest.approx(2.093024 * standard_error, rel=1e-5)


def test_the_most_probable_rows_and_the_first_of_equal_ones() -> None:
    assert most_probable(np.array([0.1, 0.9, 0.5, 0.5]), 2).tolist() == [False, True, True, False]
