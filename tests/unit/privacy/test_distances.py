"""Closest records, worked out by hand."""

import numpy as np
import pytest

from tasks.privacy import distances
from tasks.privacy.distances import blocks, closer_share, nearest, neighbours
from tasks.privacy.points import Gower, Points, euclidean, gower

NAN = np.nan


def numbers(*values: float) -> Points:
    return euclidean(np.array(values, float)[:, None])


def test_euclidean_distance_to_the_closest() -> None:
    queries = euclidean(np.array([[0.0, 0.0], [3.0, 4.0]]))
    references = euclidean(np.array([[3.0, 4.0], [6.0, 8.0], [30.0, 40.0]]))
    np.testing.assert_allclose(nearest(queries, references), [[5], [0]])
    np.testing.assert_allclose(nearest(queries, references, k=2), [[5, 10], [0, 5]])


def test_gower_is_the_root_of_the_mean_over_squared_ranks_and_unequal_categories() -> None:
    real = np.array([[10.0], [20.0], [30.0], [1e9]])
    first = gower(np.array([[10.0]]), np.array([[0, 7]]), real)
    others = gower(np.array([[30.0], [1e9]]), np.array([[0, 8], [1, 8]]), real)
    # Ranks 1/8 and 5/8, one of two categories unequal.
    expected = np.sqrt((0.5**2 + 1) / 3)
    assert nearest(first, others.take(np.array([0])))[0, 0] == pytest.approx(expected)
    # Ranks 1/8 and 7/8, both unequal.
    expected = np.sqrt((0.75**2 + 2) / 3)
    assert nearest(first, others.take(np.array([1])))[0, 0] == pytest.approx(expected)


def test_a_missing_number_is_far_from_all_but_a_missing_one() -> None:
    real = np.array([[1.0], [2.0]])
    rows = gower(np.array([[NAN], [NAN], [1.0]]), np.zeros((3, 0), int), real)
    found = [nearest(rows.take(np.array([0])), rows.take(np.array([i])))[0, 0] for i in (1, 2)]
    np.testing.assert_allclose(found, [0, 0.75])  # rank of 1 is 1/4, of a missing value -1/2


def test_a_column_without_real_values_separates_nothing() -> None:
    rows = gower(np.array([[1.0], [5.0]]), np.zeros((2, 0), int), np.array([[NAN]]))
    assert nearest(rows.take(np.array([0])), rows.take(np.array([1])))[0, 0] == 0


def test_numbers_next_to_zero_are_zero() -> None:
    real = np.array([[0.0], [5e-324], [-3e-310], [2e-151], [1.0]])
    rows = gower(real, np.zeros((5, 0), int), real)
    # Four of five values are one, of the rank 0.4; the last one has 0.9.
    np.testing.assert_allclose(rows.numbers[:, 0], [0.4, 0.4, 0.4, 0.4, 0.9])


def test_only_categories() -> None:
    rows = gower(np.zeros((2, 0)), np.array([[0, 1], [0, 2]]), np.zeros((2, 0)))
    found = nearest(rows.take(np.array([0])), rows.take(np.array([1])))[0, 0]
    assert found == pytest.approx(np.sqrt(0.5))


def brute_force(queries: Points, references: Points) -> np.ndarray:
    squares = np.square(queries.numbers[:, None] - references.numbers).sum(axis=2)
    unequal = (queries.codes[:, None] != references.codes).sum(axis=2)
    return np.asarray(np.sqrt(squares + queries.code_weight * unequal))


@pytest.mark.parametrize("n_references", [40, 3_000])
@pytest.mark.parametrize("k", [1, 4])
def test_the_closest_are_those_of_a_full_search(n_references: int, k: int) -> None:
    rng = np.random.default_rng(0)

    def rows(n: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.normal(size=(n, 6)), rng.integers(-1, [1, 4, 9], (n, 3))

    space = Gower.of(rows(200)[0], 3)
    queries, references = space.points(*rows(150)), space.points(*rows(n_references))
    found, positions = neighbours(queries, references, k)
    expected = brute_force(queries, references)
    np.testing.assert_allclose(found, np.sort(expected, axis=1)[:, :k], atol=1e-12)
    np.testing.assert_allclose(np.take_along_axis(expected, positions, axis=1), found, atol=1e-12)


def test_an_equal_row_is_found_at_distance_zero_whatever_the_number_of_categories() -> None:
    rng = np.random.default_rng(0)
    numbers, codes = (
        rng.normal(size=(9_000, 3)),
        rng.permuted(np.tile(np.arange(9_000), (4, 1)), axis=1).T,
    )
    references = gower(numbers, codes, numbers)
    chosen = rng.permutation(9_000)[:500]
    found, positions = neighbours(references.take(chosen), references)
    np.testing.assert_array_equal(found, 0)
    np.testing.assert_array_equal(positions[:, 0], chosen)


def test_many_categories_cost_little_exactness() -> None:
    # 40 columns of 30 categories that depend on one another, so that some rows are close.
    rng = np.random.default_rng(0)
    kinds, which = rng.integers(0, 30, (300, 40)), rng.integers(0, 300, 4_400)
    codes = np.where(rng.random((4_400, 40)) < 0.3, rng.integers(0, 30, (4_400, 40)), kinds[which])
    rows = gower(np.zeros((4_400, 0)), codes, np.zeros((1, 0)))
    queries, references = rows.take(np.arange(400)), rows.take(np.arange(400, 4_400))
    expected = brute_force(queries, references).min(axis=1)
    found = nearest(queries, references)[:, 0]
    assert (found >= expected - 1e-12).all()
    assert (found - expected).mean() < 0.02 * expected.mean()


def test_a_category_that_no_reference_has_is_unequal_to_all() -> None:
    references = gower(np.zeros((3, 0)), np.array([[0, 1], [1, 2], [2, 3]]), np.zeros((1, 0)))
    query = gower(np.zeros((1, 0)), np.array([[9, 2]]), np.zeros((1, 0)))
    found, positions = neighbours(query, references)
    assert (found[0, 0], positions[0, 0]) == (pytest.approx(np.sqrt(0.5)), 1)


def test_pieces_give_the_same_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, references = euclidean(rng.normal(size=(150, 3))), euclidean(rng.normal(size=(40, 3)))
    whole = nearest(queries, references, k=3)
    monkeypatch.setattr(distances, "_CHUNK_CELLS", 100)
    np.testing.assert_array_equal(nearest(queries, references, k=3), whole)


@pytest.mark.parametrize("k", [0, 4])
def test_no_more_neighbours_than_references(k: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 3"):
        nearest(numbers(1), numbers(1, 2, 3), k)


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
