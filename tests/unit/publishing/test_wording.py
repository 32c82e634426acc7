from typing import Any

import pytest

from tasks.metrics import Result
from tasks.params import Threshold
from tasks.publishing.wording import bounds_in_words, number
from tests.releases import MEASUREMENTS


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0"),
        (3.0, "3"),
        (3.414, "3.41"),
        (0.95812, "0.958"),
        (51.2, "51.2"),
        (12345.6, "12,346"),
        (1797, "1,797"),
        (-0.5, "-0.5"),
        (1e-7, "1e-07"),
        (1e300, "1e+300"),
    ],
)
def test_numbers_have_three_digits(value: float | None, shown: str) -> None:
    assert number(value) == shown


# The metric's reference is 2.87, its value 3.41 lies 0.39 above and 0.49 below its interval's ends.
@pytest.mark.parametrize(
    ("threshold", "shown"),
    [
        ({"at_most": 10.0}, "≤ 10"),
        ({"at_most_reference_plus": 2.0}, "≤ 5.26 (reference + 2 + 0.39 for chance)"),
        ({"at_most_reference_plus": 0.0}, "≤ 3.26 (reference + 0.39 for chance)"),
        ({"at_most": 4.0, "at_most_reference_plus": 2.0}, "≤ 4"),
        ({"at_least": 1.0, "at_most": 5.0}, "≥ 1 and ≤ 5"),
        ({"at_least_reference_minus": 0.87}, "≥ 1.51 (reference − 0.87 − 0.49 for chance)"),
    ],
)
def test_the_tighter_of_two_bounds_is_the_one_in_force(
    threshold: dict[str, Any], shown: str
) -> None:
    assert bounds_in_words(Result(MEASUREMENTS[0], Threshold(**threshold))) == shown


def test_a_metric_without_a_threshold_is_not_judged() -> None:
    result = Result(MEASUREMENTS[0], None)
    assert bounds_in_words(result) == ""
    assert result.passed is None


# Its value is 3.41.
@pytest.mark.parametrize(
    ("threshold", "passed"),
    [({"at_most": 3.41}, True), ({"at_most": 3.4}, False), ({"at_least": 3.5}, False)],
)
def test_a_bound_itself_passes(threshold: dict[str, float], passed: bool) -> None:
    assert Result(MEASUREMENTS[0], Threshold(**threshold)).passed is passed


def test_a_metric_that_could_not_be_measured_is_not_judged() -> None:
    assert Result(MEASUREMENTS[-1], Threshold(at_least=0.5)).passed is None
