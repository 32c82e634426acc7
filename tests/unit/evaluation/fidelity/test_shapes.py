"""Shape errors, worked out by hand, of all rows and of all but a group of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity import shapes
from tasks.evaluation.fidelity.jackknife import InMemory, dealt
from tasks.evaluation.fidelity.shapes import shape_error, shape_errors, worst_shape_error
from tests.columns import NAN, columns, mixed, shape_of, taken
from tests.comparisons import compare, schema_of


def errors(real: InMemory, other: InMemory) -> np.ndarray:
    return shape_errors(real, other, shape_of(real))


def test_shape_of_numbers_is_the_largest_gap_of_the_distribution_functions() -> None:
    # At 2, 2 of 4 real but 0 of 2 other values have been passed; at 4, all and 1 of 2.
    found = errors(columns([[1, 2, 3, 4]], []), columns([[3.5, 9]], []))
    np.testing.assert_allclose(found, [75.0])


def test_the_gap_just_before_a_value_counts() -> None:
    # Before 4, all 3 real but no other value has been passed.
    assert errors(columns([[1, 2, 3]], []), columns([[4, 4]], []))[0] == 100
    # At 2, 2 of 3 real and 2 of 2 other values; before it 1 of 3 and none.
    assert errors(columns([[1, 2, 3]], []), columns([[2, 2]], []))[0] == pytest.approx(100 / 3)


def test_shape_of_categories_is_the_share_that_must_move() -> None:
    # Real 2/4, 1/4, 1/4, 0; other 1/4, 1/4, 0, 2/4: half of |1/4| + 0 + |1/4| + |1/2|.
    # SDMetrics takes the new category for one of 1e-6 real rows.
    found = errors(columns([], [[0, 0, 1, 2]]), columns([], [[0, 1, 3, 3]]))
    np.testing.assert_allclose(found, [50.0], atol=1e-4)
    assert found[0] < 50


def test_missing_values_do_not_count_as_shape() -> None:
    found = errors(columns([[1, 2, NAN]], [[0, -1, 1]]), columns([[1, NAN, 2]], [[1, 0, -1]]))
    np.testing.assert_allclose(found, [0, 0])


def test_a_column_without_values_has_no_shape() -> None:
    real = columns([[1, 2], [NAN, NAN]], [[0, 1], [-1, -1]])
    lost = columns([[NAN, NAN], [1, 2]], [[-1, -1], [0, 1]])
    assert np.isnan(errors(real, lost)).all()


def test_differences_below_14_decimals_are_none() -> None:
    assert errors(columns([[0.3, 1e300]], []), columns([[0.1 + 0.2, 1e300]], []))[0] == 0


@pytest.mark.parametrize("max_points", [4096, 10])
def test_errors_without_a_group_are_those_of_the_other_rows(
    max_points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "MAX_POINTS", max_points)
    real, other = mixed(300, 0), mixed(210, 1, shift=0.2)
    side = dealt(other, 210, np.random.default_rng(2))
    found = shapes._errors(real, [side], shape_of(real))[0]
    assert found.shape == (1 + 20 + 2, 6)
    np.testing.assert_allclose(found[0], errors(real, other))
    subsets = [side.groups.of_row != group for group in range(20)]
    subsets += [side.groups.of_row < 10, side.groups.of_row >= 10]
    for error, subset in zip(found[1:], subsets, strict=True):
        direct = errors(real, taken(other, subset))
        # At few of the values the gap can only be seen smaller.
        assert (error <= direct + 1e-9).all()
        np.testing.assert_allclose(error, direct, atol=1e-9 if max_points > 1000 else 15)


def test_value_is_of_all_rows_and_reference_of_as_many(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0], "c": ["a", "a", "b", None]})
    made = pa.table({"x": [3.5, 9.0], "c": ["a", "b"]})
    data = compare(tmp_path, schema_of(table), table, table, made)
    found = shape_error(data)
    # Half of |2/3 - 1/2| + |1/3 - 1/2|: 16.7.
    assert found.value == pytest.approx((75 + 100 / 6) / 2)
    assert worst_shape_error(data).value == pytest.approx(75)
    assert found.interval is not None
    assert found.interval[0] <= found.value <= found.interval[1]
    assert found.reference_interval is not None


def test_a_set_of_one_row_has_no_interval(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0]})
    data = compare(tmp_path, schema_of(table), table, table, table.slice(0, 1))
    found = shape_error(data)
    assert found.value == 75
    assert found.interval is None


def test_values_that_only_one_row_has(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0]})
    made = pa.table({"x": [1.0, None]})
    data = compare(tmp_path, schema_of(table), table, table, made)
    for metric in (shape_error, worst_shape_error):
        found = metric(data)
        assert found.value == 75
        assert found.interval is None


def test_only_empty_columns(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([None, None], pa.float64()), "y": pa.nulls(2, pa.float64())})
    other = pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    data = compare(tmp_path, schema_of(table), table, other, table)
    for metric in (shape_error, worst_shape_error):
        with pytest.raises(NotApplicable, match="no column has values"):
            metric(data)


def test_a_column_that_lost_all_its_values_is_the_worst(tmp_path: Path) -> None:
    n = 40
    table = pa.table(
        {
            "x": np.arange(n, dtype=float),
            "half": pa.array([1.0, None] * 20),
            "c": ["a", "b"] * 20,
            "rare": ["a"] + [None] * (n - 1),
        }
    )
    values = {"half": pa.nulls(n, pa.float64()), "c": pa.nulls(n, pa.string())}
    rare = table.set_column(3, "rare", pa.nulls(n, pa.string()))
    for name, lost in values.items():
        place = table.column_names.index(name)
        data = compare(
            tmp_path / name, schema_of(table), table, table, rare.set_column(place, name, lost)
        )
        assert shape_error(data).value == pytest.approx(0)
        found = worst_shape_error(data)
        assert found.value == 100
        assert found.reference == pytest.approx(0)
        assert found.interval == (100, 100)
    # Of one real value in forty rows chance loses all in every third table.
    data = compare(tmp_path / "rare", schema_of(table), table, table, rare)
    assert worst_shape_error(data).value == pytest.approx(0)
