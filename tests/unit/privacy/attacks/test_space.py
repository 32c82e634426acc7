"""The space of standard deviations, worked out by hand."""

import numpy as np
import pytest

from tasks.privacy.attacks.space import Standardised, only
from tasks.privacy.distances import nearest

NAN = np.nan


def test_numbers_are_told_in_deviations_and_categories_are_equal_or_not() -> None:
    # Two values, 10 and 30: mean 20, deviation 10.
    space = Standardised.of(np.array([[10.0], [30.0]]), n_codes=1)
    rows = space.points(np.array([[10.0], [30.0], [10.0]]), np.array([[0], [0], [1]]))
    np.testing.assert_allclose(rows.numbers[:, 0] * np.sqrt(2), [-1, 1, -1])
    first = rows.take(np.array([0]))
    # (2 deviations) squared over two columns; one unequal category over two columns.
    far = [nearest(first, rows.take(np.array([i])))[0, 0] for i in (1, 2)]
    np.testing.assert_allclose(far, [np.sqrt(4 / 2), np.sqrt(1 / 2)])


def test_what_is_beyond_the_real_tails_is_brought_back() -> None:
    real = np.array([[0.0], [1.0]] * 1000 + [[1e9]])
    space = Standardised.of(real, n_codes=0)
    found = space.points(np.array([[1.0], [1e300], [-1e300]]), np.zeros((3, 0), int))
    np.testing.assert_allclose(found.numbers[:, 0], [1, 1, -1], atol=0.01)


def test_a_missing_number_is_a_deviation_below_the_lowest() -> None:
    space = Standardised.of(np.array([[10.0], [30.0], [NAN]]), n_codes=0)
    found = space.points(np.array([[NAN], [10.0]]), np.zeros((2, 0), int))
    np.testing.assert_allclose(found.numbers[:, 0], [-2, -1])


@pytest.mark.parametrize("value", [NAN, 7.0, 0.0, 1e300, -1e-300])
def test_a_column_of_one_value_separates_nothing(value: float) -> None:
    space = Standardised.of(np.full((5, 1), value), n_codes=0)
    found = space.points(np.array([[1.0], [2.0], [1e300]]), np.zeros((3, 0), int))
    np.testing.assert_array_equal(found.numbers, 0)


def test_numbers_too_small_to_have_squares_separate_nothing() -> None:
    space = Standardised.of(np.array([[5e-320], [1e-310], [-1e-151]]), n_codes=0)
    found = space.points(np.array([[5e-320], [1e-310], [1e300], [NAN]]), np.zeros((4, 0), int))
    np.testing.assert_allclose(found.numbers[:, 0], [0, 0, 0, -1], atol=1e-150)


def test_some_columns_keep_what_they_add() -> None:
    space = Standardised.of(np.array([[10.0, 1.0], [30.0, 2.0]]), n_codes=2)
    rows = space.points(np.array([[10.0, 1.0], [30.0, 2.0]]), np.array([[0, 0], [0, 1]]))
    part = only(rows, np.array([True, False]), np.array([False, True]))
    assert (part.numbers.shape, part.codes.shape) == ((2, 1), (2, 1))
    # Of four columns one number, 2 deviations apart, and one category: (4 + 1) / 4.
    found = nearest(part.take(np.array([0])), part.take(np.array([1])))
    assert found[0, 0] == pytest.approx(np.sqrt(5 / 4))
