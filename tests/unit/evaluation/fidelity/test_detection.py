"""What a classifier that adds can see, and what it cannot."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity.detection import detection_logistic, inputs
from tasks.evaluation.rows import Rows
from tests.comparisons import compare, schema_of


def table(n_rows: int, seed: int, shift: float = 0.0, sign: float = 1.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n_rows)
    c = rng.choice(["a", "b"], n_rows)
    return pa.table({"x": x + shift, "y": sign * x, "c": c})


def test_numbers_are_scaled_by_quartiles_and_missing_ones_marked() -> None:
    # Quartiles 1, 2 and 3 of 0 to 4, 1.349 deviations apart; the far one stops at the reach.
    numbers = np.array([[0.0, 1.0, 2.0, 3.0, 4.0], [7.0] * 4 + [np.nan]]).T
    found = inputs(Rows(numbers, np.array([[0, 0, 1, 1, -1]], np.int32).T, np.arange(5)))
    np.testing.assert_allclose(found[:, 0], np.arange(-2, 3) / 2 * 1.3489795)
    np.testing.assert_array_equal(found[:, 1], np.zeros(5))
    np.testing.assert_array_equal(found[:, 2], [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(
        found[:, 3:].T, [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]]
    )
    far = inputs(Rows(np.array([[0.0, 1, 2, 3, 1e300]]).T, np.zeros((5, 0), int), np.arange(5)))
    assert far[4, 0] == 8.0
    assert np.isfinite(far).all()


def test_a_shift_is_seen_and_a_turned_correlation_is_not(tmp_path: Path) -> None:
    train, holdout = table(600, 0), table(400, 1)
    schema = schema_of(train)
    shifted = detection_logistic(
        compare(tmp_path / "a", schema, train, holdout, table(500, 2, 9.0))
    )
    assert shifted.value < 0.05
    assert shifted.reference == pytest.approx(1, abs=0.12)
    assert shifted.interval is not None
    assert shifted.interval[0] <= shifted.value <= shifted.interval[1]
    turned = detection_logistic(
        compare(tmp_path / "b", schema, train, holdout, table(500, 2, sign=-1.0))
    )
    assert turned.value > 0.8


def test_many_categories_share_the_inputs() -> None:
    codes = np.random.default_rng(0).integers(0, 1000, (5000, 4))
    found = inputs(Rows(np.zeros((5000, 0)), codes, np.arange(5000)))
    assert found.shape == (5000, 300)


def test_nothing_to_tell_rows_apart_by(tmp_path: Path) -> None:
    few = table(9, 0)
    with pytest.raises(NotApplicable, match="needs 20 rows on each side, found 9"):
        detection_logistic(compare(tmp_path / "a", schema_of(few), few, few, few))
    empty = pa.table({"c": pa.nulls(30, pa.string())})
    with pytest.raises(NotApplicable, match="no column has two values"):
        detection_logistic(compare(tmp_path / "b", schema_of(empty), empty, empty, empty))
