"""Degrees of roundness, and what becomes of integers and decimals."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity.precision import N_STEPS, degrees, precision_error
from tests.comparisons import compare, schema_of

WHOLE = 14


@pytest.mark.parametrize(
    ("number", "degree"),
    [
        (3, WHOLE),
        (-15, WHOLE + 1),
        (20, WHOLE + 2),
        (99950, WHOLE + 3),
        (1e300, N_STEPS - 1),
        (0.5, WHOLE - 1),
        (-1.7, WHOLE - 2),
        (0.1 + 0.2, WHOLE - 2),
        (19.95, WHOLE - 3),
        (19.99, WHOLE - 4),
        (12345678.37, WHOLE - 4),
        (0.000001, 2),
        (1 / 3, 0),
        (1e-9, 0),
        (0.0, -1),
        (-0.0, -1),
        (np.nan, -1),
    ],
)
def test_the_coarsest_step_that_a_number_is_a_multiple_of(number: float, degree: int) -> None:
    assert degrees(np.array([number]))[0] == degree


def test_single_precision_is_allowed_for() -> None:
    tenth = np.array([np.float32(0.1)], np.float64)
    assert degrees(tenth, single=True)[0] == WHOLE - 2
    assert degrees(tenth)[0] == 0


def test_decimals_that_became_many(tmp_path: Path) -> None:
    # Prices: 3 of 4 end in .99, one is whole. Synthetic: half of them as they should be.
    train = pa.table({"price": [1.99, 2.99, 3.99, 4.0] * 5, "n": [1, 2, 3, 4] * 5})
    made = pa.table({"price": [1.99, 2.313377, 3.99, 4.271828] * 5, "n": [1, 2, 3, 4] * 5})
    found = precision_error(compare(tmp_path, schema_of(train), train, train, made))
    # Of the prices 1/2 must change, of the integers none.
    assert (found.value, found.reference) == (25.0, 0.0)
    assert found.interval is not None


def test_numbers_rounded_too_much_are_wrong_too(tmp_path: Path) -> None:
    train = pa.table({"x": np.random.default_rng(0).normal(size=50)})
    made = pa.table({"x": np.round(train["x"].to_numpy(), 1) + 10.1})
    assert precision_error(compare(tmp_path, schema_of(train), train, train, made)).value == 100


def test_nothing_to_be_precise_about(tmp_path: Path) -> None:
    texts = pa.table({"c": ["a", "b"]})
    with pytest.raises(NotApplicable, match="no column of numbers"):
        precision_error(compare(tmp_path / "a", schema_of(texts), texts, texts, texts))
    zeros = pa.table({"x": [0.0, None, -0.0]})
    with pytest.raises(NotApplicable, match="other than zero"):
        precision_error(compare(tmp_path / "b", schema_of(zeros), zeros, zeros, zeros))
