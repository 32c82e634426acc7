"""Linkage of a handful of persons."""

import numpy as np

from tasks.privacy.attacks.linkage import linked
from tasks.privacy.points import Points, euclidean


def numbers(*values: float) -> Points:
    return euclidean(np.array(values, float)[:, None])


def test_the_closest_synthetic_row_says_what_the_other_half_is() -> None:
    held, pooled = numbers(1, 2, 3, 4), numbers(10, 20, 30, 40)
    # Rows close to the persons by the first half; of the second, those of 3 and 4 are exchanged.
    found = linked(held, pooled, numbers(1.1, 2.1, 3.1, 4.1), numbers(11, 19, 40, 30), pool=4)
    np.testing.assert_array_equal(found, [1, 1, 0, 0])


def test_a_person_is_looked_for_in_their_own_pool() -> None:
    held, pooled = numbers(1, 2, 3, 4, 5), numbers(10, 20, 30, 40, 50)
    # In pools of two, 3 is told from 4 by a row that is closest to 10; the fifth fills no pool.
    found = linked(held, pooled, numbers(3), numbers(10), pool=2)
    np.testing.assert_array_equal(found, [1, 0, 1, 0])


def test_equal_records_are_guessed_among() -> None:
    held, pooled = numbers(1, 2, 3), numbers(10, 10, 30)
    found = linked(held, pooled, numbers(1), numbers(10), pool=3)
    np.testing.assert_array_equal(found, [0.5, 0.5, 0])


def test_categories_count_by_their_weight() -> None:
    pooled = Points(np.array([[0.0], [1.0]]), np.array([[0], [1]]), code_weight=0.5)
    bridge = Points(np.array([[0.0]]), np.array([[1]]), code_weight=0.5)
    # The first is away 0.5 for its category, the second 1 for its number.
    found = linked(numbers(1, 1), pooled, numbers(1), bridge, pool=2)
    np.testing.assert_array_equal(found, [1, 0])


def test_too_few_for_a_pool() -> None:
    assert len(linked(numbers(1), numbers(1), numbers(1), numbers(1), pool=2)) == 0
