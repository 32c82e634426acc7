"""How closely two columns go together, worked out by hand."""

import numpy as np
import pytest

from tasks.evaluation.fidelity.associations import (
    contingencies,
    contingency,
    level_codes,
    n_levels_of,
    rank_correlations,
    ranks,
    tables_of,
)
from tasks.evaluation.fidelity.jackknife import InMemory, dealt, whole
from tests.columns import NAN, columns, mixed


def test_contingency_is_a_share_of_its_largest_value() -> None:
    # chi2 of [[30, 10], [10, 30]] is 20, so phi2 = 1/4; 1/79 of it is chance. k = 2.
    phi2 = 0.25 - 1 / 79
    expected = np.sqrt(phi2 / (1 + phi2) * 2)
    assert contingency(np.array([[30, 10], [10, 30]])) == pytest.approx(expected)
    # Wholly tied: phi2 = 1 - 1/79, which is all but the largest.
    assert contingency(np.array([[40, 0], [0, 40]])) == pytest.approx(np.sqrt(156 / 157))
    # A level without rows changes nothing.
    assert contingency(np.array([[30, 10, 0], [10, 30, 0]])) == pytest.approx(expected)


@pytest.mark.parametrize(
    "table", [[[4, 4], [4, 4]], [[7, 9]], [[0, 0], [0, 0]], [[1, 0], [0, 0]], [[8, 0], [3, 0]]]
)
def test_contingency_of_nothing_is_0(table: list[list[int]]) -> None:
    assert contingency(np.array(table)) == 0


def test_contingency_of_normal_numbers_is_about_their_correlation() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=100_000)
    y = 0.6 * x + 0.8 * rng.normal(size=len(x))
    bins = [np.searchsorted(np.linspace(-2, 2, 19), one) for one in (x, y)]
    table = np.bincount(bins[0] * 20 + bins[1], minlength=400).reshape(20, 20)
    assert contingency(table) == pytest.approx(0.6, abs=0.03)


def test_all_pairs_at_once_are_as_one_by_one() -> None:
    side = whole(mixed(5_000, 0))
    coded = [level_codes([side], place, 3, 8) for place in range(6)]
    found = contingencies([codes[0] for codes, _ in coded], [width for _, width in coded])
    for i in range(6):
        for j in range(6):
            (first, second), widths = (coded[i][0][0], coded[j][0][0]), (coded[i][1], coded[j][1])
            table = tables_of(first, second, widths, side)
            assert found[i, j] == pytest.approx(contingency(table)[0])


def test_tables_leave_out_groups() -> None:
    rows = mixed(500, 0)
    side = dealt(rows, 200, np.random.default_rng(0))
    first, second = (level_codes([side], place, 3, 8)[0][0] for place in (3, 4))
    found = tables_of(first, second, (10, 10), side)
    assert found.shape == (1 + 20 + 2, 10, 10)
    assert found.sum((1, 2)).tolist() == [200, *[190] * 20, 100, 100]


def test_few_rows_have_few_levels() -> None:
    # 10 rows for each of 2 x 2 cells, and of 8 x 8.
    assert [n_levels_of(n) for n in (1, 40, 90, 640, 10**6)] == [2, 2, 3, 8, 8]
    (codes,), width = level_codes([whole(columns([list(range(40))], []))], 0, 1, 2)
    assert width == 2
    assert np.bincount(codes).tolist() == [20, 20]


def test_rare_and_new_categories_are_one_level() -> None:
    real = [0] * 20 + [1] * 12 + [2] * 4 + [3] * 4
    sides = [whole(columns([], [one])) for one in (real, [0, 1, 2, 3, 7, -1])]
    (_, other), width = level_codes(sides, 0, 0, 2)
    assert width == 3
    assert other.tolist() == [1, 2, 0, 0, 0, 0]


def test_too_few_rows_for_a_level_are_with_the_most_frequent() -> None:
    real = [0] * 21 + [1] * 16 + [2] * 3
    sides = [whole(columns([], [one])) for one in (real, [0, 1, 2, 7, -1])]
    (_, other), width = level_codes(sides, 0, 0, 2)
    assert width == 2
    assert other.tolist() == [0, 1, 0, 0, 0]


def test_ranks_are_those_among_the_real_values() -> None:
    found = ranks(np.array([0, 1, 1.5, 2, 9, NAN]), np.array([1.0, 2.0, 2.0, 3.0]))
    np.testing.assert_array_equal(found, [0, 0.5, 1, 2, 4, NAN])


def test_rank_correlation_does_not_see_how_large_values_are() -> None:
    x, y = [1, 2, 3, 4, 5, NAN], [1, 8, 27, 64, 1e9, 3]
    ranked = [ranks(np.array(one), np.sort(np.array(one)[:5])) for one in (x, y)]
    side = whole(columns([x, y], []))
    assert rank_correlations(ranked, side)[0, 0, 1] == pytest.approx(1)
    constant = [np.zeros(6), ranked[1]]
    assert rank_correlations(constant, side)[0, 0, 1] == 0


def test_columns_without_values() -> None:
    empty = InMemory(columns([[NAN] * 30], [[-1] * 30]).rows)
    for place in (0, 1):
        (codes,), width = level_codes([whole(empty)], place, 1, 2)
        assert width == 1
        assert not codes.any()
