"""Figures without one group of rows, worked out by hand."""

import numpy as np

from tasks.evaluation.fidelity.leaving_out import (
    counts,
    groups,
    largest_gap,
    sums,
    total_variation,
)


def test_counts_and_sums_without_each_group() -> None:
    group = np.array([0, 1, 0])
    np.testing.assert_array_equal(
        counts(np.array([0, 2, 2]), 3, group), [[1, 0, 2], [0, 0, 1], [1, 0, 1]]
    )
    np.testing.assert_array_equal(counts(np.array([0, -1]), 1, np.array([0, 1])), [[1], [0], [1]])
    np.testing.assert_array_equal(
        sums(np.array([[1.0, 0.0], [2.0, 1.0], [4.0, 1.0]]), group), [[7, 2], [2, 1], [5, 1]]
    )


def test_a_single_row_makes_no_group() -> None:
    alone = groups(1)
    np.testing.assert_array_equal(counts(np.array([1]), 3, alone), [[0, 1, 0]])
    np.testing.assert_array_equal(sums(np.array([[2.0]]), alone), [[2.0]])
    assert len(np.unique(groups(3))) == 3
    assert len(np.unique(groups(1000))) == 20


def test_distances() -> None:
    # Real shares 1/2, 1/2, 0; the others 0, 1/2, 1/2, and nothing at all.
    found = total_variation(np.array([2, 2, 0]), np.array([[0, 1, 1], [0, 0, 0]]))
    np.testing.assert_allclose(found, [0.5, 1.0])
    # At 2, 2 of 4 real but no other value have been passed.
    gaps = largest_gap(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.5, np.nan, 9.0]), groups(3))
    np.testing.assert_allclose(gaps, [0.75, 1.0, 0.75, 0.75])
    np.testing.assert_array_equal(
        largest_gap(np.array([1.0]), np.array([np.nan, np.nan]), groups(2)), [1, 1, 1]
    )
