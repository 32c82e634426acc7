"""Scores and curves of membership inference, worked out by hand."""

import numpy as np
import pytest

from tasks.privacy.attacks.membership import (
    calibrated_distance,
    density_ratio,
    roc,
    true_positive_rate,
)


def test_the_density_ratio_is_that_of_two_gaussian_kernels() -> None:
    # The bandwidth is the median distance to the closest reference row: 2.
    to_synthetic = np.array([[0.0, 4.0], [2.0, 2.0], [6.0, 6.0]])
    to_reference = np.array([[2.0, 2.0], [2.0, 4.0], [1.0, 2.0]])
    found = density_ratio(to_synthetic, to_reference, n_synthetic=10, n_reference=5)
    e = np.exp
    expected = [
        ((1 + e(-2)) / 10) / (2 * e(-0.5) / 5),
        (2 * e(-0.5) / 10) / ((e(-0.5) + e(-2)) / 5),
        (2 * e(-4.5) / 10) / ((e(-1 / 8) + e(-0.5)) / 5),
    ]
    np.testing.assert_allclose(found, np.log(expected))


def test_a_density_that_underflows_is_still_a_number() -> None:
    found = density_ratio(np.array([[1e6], [2e6]]), np.array([[1.0], [1.0]]), 1, 1)
    assert np.isfinite(found).all()
    assert found[0] > found[1]


def test_the_distance_is_calibrated_by_the_reference() -> None:
    found = calibrated_distance(np.array([1.0, 4.0, 0.0]), np.array([2.0, 2.0, 2.0]))
    # Twice as close, twice as far, and equal to a synthetic row: 2.002 / 0.002.
    np.testing.assert_allclose(found, np.log([2.002 / 1.002, 2.002 / 4.002, 1001]))


def test_equal_rows_everywhere_tell_nothing() -> None:
    np.testing.assert_array_equal(calibrated_distance(np.zeros(3), np.zeros(3)), 0)
    np.testing.assert_array_equal(density_ratio(np.zeros((3, 2)), np.zeros((3, 2)), 4, 4), 0)


def test_the_curve_has_a_point_for_each_threshold() -> None:
    false, true = roc(np.array([3.0, 2.0]), np.array([2.0, 1.0]))
    np.testing.assert_array_equal(false, [0, 0, 0.5, 1])
    np.testing.assert_array_equal(true, [0, 0.5, 1, 1])


@pytest.mark.parametrize(
    ("false_positive_rate", "expected"), [(0.0, 0.5), (0.25, 0.75), (0.5, 1.0), (1.0, 1.0)]
)
def test_members_found_at_few_false_alarms(false_positive_rate: float, expected: float) -> None:
    # A member and another share the score 2: half of a tie is as good as a coin.
    members, others = np.array([3.0, 2.0]), np.array([2.0, 1.0])
    assert true_positive_rate(members, others, false_positive_rate) == pytest.approx(expected)


def test_one_score_for_all_finds_as_many_as_it_takes() -> None:
    assert true_positive_rate(np.zeros(4), np.zeros(9), 0.01) == pytest.approx(0.01)
