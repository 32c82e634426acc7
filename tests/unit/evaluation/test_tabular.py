"""Shape and trend errors, worked out by hand, and where they differ from SDMetrics on purpose."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Rows
from tasks.evaluation.fidelity import tabular
from tasks.evaluation.fidelity.tabular import (
    associations,
    correlations,
    shape_error,
    shape_errors,
    trend_error,
    trend_errors,
)
from tests.comparisons import compare, schema_of

NAN = np.nan


def rows(numbers: list[list[float]], codes: list[list[int]]) -> Rows:
    """Columns to rows."""
    n = len((numbers or codes)[0])
    return Rows(
        np.array(numbers, float).reshape(-1, n).T,
        np.array(codes, np.int32).reshape(-1, n).T,
        np.arange(n),
    )


def test_shape_of_numbers_is_the_largest_gap_of_the_distribution_functions() -> None:
    # At 2, 2 of 4 real but 0 of 2 other values have been passed; at 4, all and 1 of 2.
    found = shape_errors(rows([[1, 2, 3, 4]], []), rows([[3.5, 9]], []))
    np.testing.assert_allclose(found, [75.0])


def test_shape_of_categories_is_the_share_that_must_move() -> None:
    # Real 2/4, 1/4, 1/4, 0; other 1/4, 1/4, 0, 2/4: half of |1/4| + 0 + |1/4| + |1/2|.
    found = shape_errors(rows([], [[0, 0, 1, 2]]), rows([], [[0, 1, 3, 3]]))
    np.testing.assert_allclose(found, [50.0])


def test_missing_values_do_not_count_as_shape() -> None:
    found = shape_errors(rows([[1, 2, NAN]], [[0, -1, 1]]), rows([[1, NAN, 2]], [[1, 0, -1]]))
    np.testing.assert_allclose(found, [0, 0])


def test_a_column_without_values() -> None:
    real = rows([[1, 2], [NAN, NAN]], [[0, 1], [-1, -1]])
    lost = rows([[NAN, NAN], [1, 2]], [[-1, -1], [0, 1]])
    np.testing.assert_allclose(shape_errors(real, lost), [100, NAN, 100, NAN])


def test_differences_below_14_decimals_are_none() -> None:
    assert shape_errors(rows([[0.3, 1e300]], []), rows([[0.1 + 0.2, 1e300]], []))[0] == 0


def test_trend_of_numbers_is_half_the_difference_of_correlations() -> None:
    real = rows([[1, 2, 3, NAN], [2, 4, 6, 5], [1, 1, 1, 1]], [])
    other = rows([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 1]], [])
    found = trend_errors(real, other)
    assert found[0, 1] == found[1, 0] == pytest.approx(100.0)
    assert np.isnan(found[0, 2])  # a constant has no correlation
    assert np.isnan(found.diagonal()).all()


def test_a_column_that_became_constant_counts_in_the_real_bins_only() -> None:
    real = rows([[1, 2, 3], [2, 4, 6]], [])
    other = rows([[1, 2, 3], [5, 5, 5]], [])
    assert np.isnan(trend_errors(real, other)[0, 1])
    assert trend_errors(real, other, real_bins=True)[0, 1] == pytest.approx(50.0)


def test_trend_of_categories_is_the_distance_of_two_way_tables() -> None:
    # Real: half (0, 0), half (1, 1). Other: all four cells a quarter.
    real, other = rows([], [[0, 1], [0, 1]]), rows([], [[0, 0, 1, 1], [0, 1, 0, 1]])
    assert trend_errors(real, other)[0, 1] == pytest.approx(50.0)


def test_large_two_way_tables_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    real, other = (
        Rows(np.zeros((90, 0)), rng.integers(-1, 9, (90, 3)), np.arange(90)) for _ in "ab"
    )
    dense = trend_errors(real, other)
    monkeypatch.setattr(tabular, "MAX_CELLS", 1)
    np.testing.assert_allclose(trend_errors(real, other), dense)


def test_missing_is_a_category_of_a_two_way_table() -> None:
    real, other = rows([], [[0, -1], [0, 0]]), rows([], [[0, 0], [0, 0]])
    assert trend_errors(real, other)[0, 1] == pytest.approx(50.0)


def test_each_table_is_binned_by_itself_unless_the_real_bins_are_asked_for() -> None:
    # Bins of width 1. The last number is alone in its bin, as in SDMetrics.
    values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    real = rows([values], [[0] * 10])
    stretched = rows([[*values[:-1], 100]], [[0] * 10])
    # By itself bins are 10 wide: 9 of 10 rows fall into the first, where 1 of 10 real rows is.
    assert trend_errors(real, stretched)[0, 1] == pytest.approx(80.0)
    assert trend_errors(real, stretched, real_bins=True)[0, 1] == pytest.approx(0.0)


def test_a_constant_too_large_to_have_bins_around_it() -> None:
    real, other = rows([[1e18] * 3], [[0, 0, 1]]), rows([[1e18, 1e18, 5]], [[0, 0, 1]])
    for real_bins in (False, True):
        assert np.isfinite(trend_errors(real, other, real_bins=real_bins)[0, 1])


def test_a_missing_number_shares_the_last_bin_only_in_the_bins_of_sdmetrics() -> None:
    real = rows([[0, 5, 10, 10]], [[0, 0, 0, 0]])
    other = rows([[0, 5, 10, NAN]], [[0, 0, 0, 0]])
    assert trend_errors(real, other)[0, 1] == pytest.approx(0.0)
    assert trend_errors(real, other, real_bins=True)[0, 1] == pytest.approx(25.0)


def test_correlations_use_the_rows_where_both_are_present() -> None:
    numbers = np.array([[1, 1, 5], [2, 2, NAN], [3, NAN, 1], [4, 4, 0]], float)
    found = correlations(numbers)
    assert found[0, 1] == pytest.approx(1.0)
    assert found[0, 2] == pytest.approx(np.corrcoef([1, 3, 4], [5, 1, 0])[0, 1])
    assert np.isfinite(correlations(numbers * 1e200)[0, 1])


def test_association_of_categories_is_cramers_v() -> None:
    # chi2 of [[3, 1], [1, 3]] is 2, so V = sqrt(2 / 8).
    found = associations(rows([], [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 0, 1, 1, 1]]))
    assert found[0, 1] == pytest.approx(0.5)


def test_one_column_has_no_trend(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0]})
    data = compare(tmp_path, schema_of(table), table, table, table)
    assert shape_error(data).value == 0
    with pytest.raises(NotApplicable, match="needs two columns"):
        trend_error(data)


def test_only_empty_columns(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([None, None], pa.float64()), "y": pa.nulls(2, pa.float64())})
    data = compare(tmp_path, schema_of(table), table, table, table)
    with pytest.raises(NotApplicable, match="no column has values"):
        shape_error(data)
    with pytest.raises(NotApplicable, match="all of them are constant"):
        trend_error(data)
