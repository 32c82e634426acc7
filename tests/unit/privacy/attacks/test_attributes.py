"""Attribute inference on a handful of rows."""

import numpy as np

from tasks.privacy.attacks.attributes import binned, edges, guessed
from tasks.privacy.points import euclidean


def test_the_secret_is_that_of_the_closest_synthetic_row() -> None:
    synthetic = euclidean(np.array([[0.0], [10.0], [20.0]]))
    known = euclidean(np.array([[9.0], [1.0], [100.0]]))
    np.testing.assert_array_equal(guessed(known, synthetic, np.array([7, 8, 9])), [8, 7, 9])


def test_bins_hold_about_equally_many() -> None:
    found = edges(np.arange(10.0), 5)
    np.testing.assert_array_equal(found, [1, 3, 5, 7])
    bins = binned(np.array([-5.0, 0.0, 1.0, 6.9, 7.0, np.nan]), found)
    np.testing.assert_array_equal(bins, [0, 0, 1, 3, 4, -1])


def test_a_value_that_most_rows_have_makes_fewer_bins() -> None:
    np.testing.assert_array_equal(edges(np.array([0.0] * 9 + [5.0]), 5), [])
    np.testing.assert_array_equal(edges(np.array([0.0] * 5 + [1.0, 2.0, 3.0, 4.0, 5.0]), 5), [1, 3])


def test_without_values_there_are_no_bins() -> None:
    nothing = edges(np.array([np.nan, np.nan]), 5)
    assert len(nothing) == 0
    np.testing.assert_array_equal(binned(np.array([np.nan]), nothing), [-1])
