"""Closest records, worked out by hand."""

import numpy as np
import pytest

from tasks.privacy import distances
from tasks.privacy.distances import Points, blocks, closer_share, euclidean, gower, nearest

NAN = np.nan


def numbers(*values: float) -> Points:
    return euclidean(np.array(values, float)[:, None])


def test_euclidean_distance_to_the_closest() -> None:
    queries = euclidean(np.array([[0.0, 0.0], [3.0, 4.0]]))
    references = euclidean(np.array([[3.0, 4.0], [6.0, 8.0], [30.0, 40.0]]))
    np.testing.assert_allclose(nearest(queries, references), [[5], [0]])
    np.testing.assert_allclose(nearest(queries, references, k=2), [[5, 10], [0, 5]])


def test_gower_is_the_mean_over_ranks_and_unequal_categories() -> None:
    real = np.array([[10.0], [20.0], [30.0], [1e9]])
    first = gower(np.array([[10.0]]), np.array([[0, 7]]), real)
    others = gower(np.array([[30.0], [1e9]]), np.array([[0, 8], [1, 8]]), real)
    # Ranks 1/8 and 5/8, one of two categories unequal: (4/8 + 1) / 3.
    assert nearest(first, others.take(np.array([0])))[0, 0] == pytest.approx(0.5)
    # Ranks 1/8 and 7/8, both unequal: (6/8 + 2) / 3.
    assert nearest(first, others.take(np.array([1])))[0, 0] == pytest.approx(2.75 / 3)


def test_a_missing_number_is_far_from_all_but_a_missing_one() -> None:
    real = np.array([[1.0], [2.0]])
    rows = gower(np.array([[NAN], [NAN], [1.0]]), np.zeros((3, 0), int), real)
    found = [nearest(rows.take(np.array([0])), rows.take(np.array([i])))[0, 0] for i in (1, 2)]
    np.testing.assert_allclose(found, [0, 0.75])  # rank of 1 is 1/4, of a missing value -1/2


def test_a_column_without_real_values_separates_nothing() -> None:
    rows = gower(np.array([[1.0], [5.0]]), np.zeros((2, 0), int), np.array([[NAN]]))
    assert nearest(rows.take(np.array([0])), rows.take(np.array([1])))[0, 0] == 0


def test_only_categories() -> None:
    rows = gower(np.zeros((2, 0)), np.array([[0, 1], [0, 2]]), np.zeros((2, 0)))
    assert nearest(rows.take(np.array([0])), rows.take(np.array([1])))[0, 0] == pytest.approx(0.5)


def test_pieces_give_the_same_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, references = euclidean(rng.normal(size=(50, 3))), euclidean(rng.normal(size=(40, 3)))
    whole = nearest(queries, references, k=3)
    monkeypatch.setattr(distances, "_CHUNK_CELLS", 100)
    np.testing.assert_array_equal(nearest(queries, references, k=3), whole)


def test_blocks_are_equally_large_and_hold_every_row() -> None:
    found = blocks(10, 4, np.random.default_rng(0))
    assert [len(set(block.tolist())) for block in found] == [4, 4, 4]
    assert set(np.concatenate(found).tolist()) == set(range(10))


def test_ties_count_half() -> None:
    to_train = np.array([[1.0, 3.0], [2.0, 2.0], [0.0, 1.0]])
    np.testing.assert_allclose(closer_share(to_train, np.full(3, 2.0)), [0.5, 0.5, 1.0])


def test_a_sample_keeps_the_order_and_asks_for_no_more_than_there_is() -> None:
    points = numbers(0, 1, 2, 3, 4)
    assert points.sample(9, np.random.default_rng(0)) is points
    kept = points.sample(3, np.random.default_rng(0)).numbers[:, 0]
    assert len(kept) == 3
    assert (np.diff(kept) > 0).all()
