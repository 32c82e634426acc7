"""Predicates on a handful of rows."""

import numpy as np

from tasks.privacy.attacks.singling_out import Condition, Table, multivariate, univariate

RNG = np.random.default_rng
NAN = np.nan


def table(numbers: list[list[float]], codes: list[list[int]]) -> Table:
    n = max(len(numbers), len(codes))
    return Table.of(
        np.array(numbers, float).reshape(n, -1), np.array(codes, np.int32).reshape(n, -1)
    )


def test_conditions_hold_together() -> None:
    rows = table([[1], [2], [3], [NAN]], [[0], [1], [1], [1]])
    two = (Condition(0, 2, 9), Condition(1, 1, 1))
    np.testing.assert_array_equal(rows.matching(two), [1, 2])
    one = (Condition(0, 3, 9), Condition(1, 1, 1))
    np.testing.assert_array_equal(rows.singled_out([one, two]), [True, False])


def test_a_predicate_that_nobody_matches_singles_nobody_out() -> None:
    assert not table([[1]], []).singled_out([(Condition(0, 5, 6),)])[0]


def test_one_column_gives_what_occurs_once_and_both_ends() -> None:
    found = univariate(table([[1], [5], [5], [7], [NAN]], []), 10, RNG(0))
    ranges = {(one.low, one.high) for [one] in found}
    largest = np.finfo(np.float64).max
    assert ranges == {(1, 1), (7, 7), (-largest, 1), (7, largest)}


def test_an_end_that_several_rows_have_gives_nothing() -> None:
    found = univariate(table([[1], [1], [5], [7], [7]], []), 10, RNG(0))
    assert [(one.low, one.high) for [one] in found] == [(5, 5)]


def test_a_category_has_no_ends() -> None:
    found = univariate(table([], [[0], [1], [1]]), 10, RNG(0))
    assert found == [(Condition(0, 0, 0),)]


def test_columns_share_the_predicates() -> None:
    rows = table([[one, -one] for one in range(100)], [])
    found = univariate(rows, 10, RNG(0))
    assert [one.column for [one] in found] == [0] * 5 + [1] * 5
    assert univariate(table([[1], [1]], []), 10, RNG(0)) == []


def test_several_columns_describe_one_row_each() -> None:
    rng = RNG(1)
    rows = Table.of(rng.normal(size=(200, 3)), rng.integers(0, 3, (200, 2)).astype(np.int32))
    found = multivariate(rows, 50, RNG(0))
    assert len(found) == 50
    assert rows.singled_out(found).all()
    assert all(len(predicate) > 1 for predicate in found)
    # No condition can be left out at the end: descriptions are as short as their order allows.
    longer = [predicate[:-1] for predicate in found if len(predicate) > 2]
    assert not rows.singled_out(longer).any()


def test_a_row_that_another_equals_gives_none() -> None:
    rows = table([[1, 1], [1, 1], [2, 3]], [])
    found = multivariate(rows, 3, RNG(0))
    assert len(found) == 1
    np.testing.assert_array_equal(rows.matching(found[0]), [2])


def test_a_description_is_as_wide_as_it_can_be() -> None:
    # The middle two thirds of 0 ... 100 have a deviation of about 34; a quarter of it is 8.5.
    rows = table([[one, 0] for one in range(101)] + [[50, 1]], [])
    [wide] = [p for p in multivariate(rows, 102, RNG(0)) if rows.matching(p)[0] == 101]
    ranges = {one.column: one.high - one.low for one in wide}
    assert 16 < ranges[0] < 18
