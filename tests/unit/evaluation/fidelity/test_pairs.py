"""Trend errors, worked out by hand, and where the real table's bins differ on purpose."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity import coding, contingency, correlations
from tasks.evaluation.fidelity.coding import Bins
from tasks.evaluation.fidelity.jackknife import InMemory, dealt, whole
from tasks.evaluation.fidelity.pairs import (
    measure_pairs,
    trend_error,
    trend_error_real_bins,
    trend_errors,
)
from tests.columns import NAN, columns, mixed, shape_of, taken
from tests.comparisons import compare, schema_of


def errors(real: InMemory, other: InMemory, bins: Bins = "own") -> np.ndarray:
    return trend_errors(real, other, shape_of(real), bins)


def strength(source: InMemory) -> np.ndarray:
    side = whole(source)
    return measure_pairs(side, [side], shape_of(source), ("real",), strengths=True).strengths[0]


def test_trend_of_numbers_is_half_the_difference_of_correlations() -> None:
    real = columns([[1, 2, 3, NAN], [2, 4, 6, 5], [1, 1, 1, 1]], [])
    other = columns([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 1]], [])
    found = errors(real, other)
    assert found[0, 1] == found[1, 0] == pytest.approx(100.0)
    assert np.isnan(found[0, 2])  # a constant has no correlation
    assert np.isnan(found.diagonal()).all()


def test_a_column_that_became_constant_counts_in_the_real_bins_only() -> None:
    real = columns([[1, 2, 3], [2, 4, 6]], [])
    other = columns([[1, 2, 3], [5, 5, 5]], [])
    assert np.isnan(errors(real, other)[0, 1])
    assert errors(real, other, "real")[0, 1] == pytest.approx(50.0)


def test_trend_of_categories_is_the_distance_of_two_way_tables() -> None:
    # Real: half (0, 0), half (1, 1). Other: all four cells a quarter.
    real, other = columns([], [[0, 1], [0, 1]]), columns([], [[0, 0, 1, 1], [0, 1, 0, 1]])
    assert errors(real, other)[0, 1] == pytest.approx(50.0)


@pytest.mark.parametrize("bins", ["own", "real"])
def test_errors_without_a_group_are_those_of_the_other_rows(bins: Bins) -> None:
    real, other = mixed(300, 0), mixed(210, 1, shift=0.2)
    side = dealt(other, 210, np.random.default_rng(2))
    found = measure_pairs(whole(real), [side], shape_of(real), (bins,), strengths=False)
    scores = found.tallies[bins][0].scores
    np.testing.assert_allclose(found.tallies[bins][0].matrix, errors(real, other, bins))
    subsets = [np.full(210, True), *(side.groups.of_row != group for group in range(20))]
    subsets += [side.groups.of_row < 10, side.groups.of_row >= 10]
    if bins == "real":
        direct = [np.nanmean(errors(real, taken(other, s), bins)) for s in subsets]
        np.testing.assert_allclose(scores, direct)
    else:  # bins of its own are those of all its rows, whichever are left out
        assert scores[0] == pytest.approx(np.nanmean(errors(real, other)))
        assert len(set(scores)) == 23


def test_large_two_way_tables_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured() -> tuple[np.ndarray, np.ndarray]:
        real, other = whole(mixed(300, 0)), dealt(mixed(210, 1), 210, np.random.default_rng(2))
        found = measure_pairs(real, [other], (3, 3), ("own", "real"), strengths=True)
        scores = [found.tallies[bins][0].scores for bins in ("own", "real")]
        return np.array(scores), np.array(found.strengths)

    dense = measured()
    monkeypatch.setattr(contingency, "MIN_DENSE_CELLS", 0)
    monkeypatch.setattr(contingency, "ROWS_OF_CELL", np.inf)
    for sparse, expected in zip(measured(), dense, strict=True):
        np.testing.assert_allclose(sparse, expected)


@pytest.mark.parametrize("min_dense", [2**14, 100, 0])
def test_columns_counted_together_give_the_same(
    min_dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, other = mixed(3000, 0), mixed(2000, 1)
    with monkeypatch.context() as alone:
        alone.setattr(coding, "MAX_JOINT_WIDTH", 1)
        expected = errors(real, other)
    monkeypatch.setattr(contingency, "MIN_DENSE_CELLS", min_dense)
    monkeypatch.setattr(contingency, "ROWS_OF_CELL", np.inf)
    np.testing.assert_allclose(errors(real, other), expected)


def test_little_memory_and_few_rows_at_a_time_give_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, other = mixed(300, 0), mixed(210, 1)
    expected = errors(real, other)
    monkeypatch.setattr(coding, "MEMORY_BYTES", 300)
    monkeypatch.setattr(contingency, "_BLOCK_ROWS", 7)
    monkeypatch.setattr(correlations, "_BLOCK_COLUMNS", 2)
    np.testing.assert_allclose(errors(real, other), expected)


def test_missing_is_a_category_of_a_two_way_table() -> None:
    real, other = columns([], [[0, -1], [0, 0]]), columns([], [[0, 0], [0, 0]])
    assert errors(real, other)[0, 1] == pytest.approx(50.0)


def test_each_table_is_binned_by_itself_unless_the_real_bins_are_asked_for() -> None:
    # Bins of width 1. The last number is alone in its bin, as in SDMetrics.
    values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    real = columns([values], [[0] * 10])
    stretched = columns([[*values[:-1], 100]], [[0] * 10])
    # By itself bins are 10 wide: 9 of 10 rows fall into the first, where 1 of 10 real rows is.
    assert errors(real, stretched)[0, 1] == pytest.approx(80.0)
    assert errors(real, stretched, "real")[0, 1] == pytest.approx(0.0)


def test_a_constant_too_large_to_have_bins_around_it() -> None:
    real, other = columns([[1e18] * 3], [[0, 0, 1]]), columns([[1e18, 1e18, 5]], [[0, 0, 1]])
    assert np.isnan(errors(real, other)[0, 1])  # as SDMetrics
    assert errors(real, other, "real")[0, 1] == pytest.approx(100 / 3)


def test_a_date_without_variation_has_no_bins_as_in_sdmetrics() -> None:
    real, other = columns([[1.6e9] * 3], [[0, 0, 1]]), columns([[1.6e9, 0, 5]], [[0, 0, 1]])
    assert errors(real, other)[0, 1] == pytest.approx(100)
    assert np.isnan(trend_errors(real, other, (1, 1), dates=[0])[0, 1])


def test_a_missing_number_shares_the_last_bin_only_in_the_bins_of_sdmetrics() -> None:
    real = columns([[0, 5, 10, 10]], [[0, 0, 0, 0]])
    other = columns([[0, 5, 10, NAN]], [[0, 0, 0, 0]])
    assert errors(real, other)[0, 1] == pytest.approx(0.0)
    assert errors(real, other, "real")[0, 1] == pytest.approx(25.0)


def test_correlations_use_the_rows_where_both_are_present() -> None:
    numbers = np.array([[1, 1, 5], [2, 2, NAN], [3, NAN, 1], [4, 4, 0]], float)
    for scale in (1, 1e200, 1e-200):
        found = correlations.correlations(whole(columns((scale * numbers.T).tolist(), [])), 3)[0]
        assert found[0, 1] == pytest.approx(1.0)
        assert found[0, 2] == pytest.approx(np.corrcoef([1, 3, 4], [5, 1, 0])[0, 1])


def test_correlations_of_large_values_with_small_differences() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 100, 1000).astype(float)
    y = x + rng.integers(0, 100, 1000)
    expected = np.corrcoef(x, y)[0, 1]
    found = correlations.correlations(whole(columns([(x + 1e13).tolist(), y.tolist()], [])), 2)
    assert found[0, 0, 1] == pytest.approx(expected, abs=1e-12)
    # All of x is present where y is not zero: far from the mean of x, and hardly varying.
    x = np.append(x + 1e9, np.zeros(1000))
    y = np.append(y, np.full(1000, NAN))
    found = correlations.correlations(whole(columns([x.tolist(), y.tolist()], [])), 2)
    assert found[0, 0, 1] == pytest.approx(expected, abs=1e-9)


def test_a_column_that_is_constant_where_the_other_is_present() -> None:
    found = errors(
        columns([[0.1, 0.1, 0.1, 7], [1, 2, 4, NAN]], []), columns([[1, 2, 3, 7], [1, 2, 5, 4]], [])
    )
    assert np.isnan(found[0, 1])


def test_a_real_correlation_of_exactly_0_is_left_out_as_in_sdmetrics() -> None:
    real, other = columns([[-1, 1, -1, 1], [-1, -1, 1, 1]], []), columns([[1, 2, 3], [1, 2, 3]], [])
    assert np.isnan(errors(real, other)[0, 1])
    assert errors(real, other, "real")[0, 1] == pytest.approx(50)


def test_association_of_categories_is_cramers_v() -> None:
    # chi2 of [[3, 1], [1, 3]] is 2, so V = sqrt(2 / 8).
    found = strength(columns([], [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 0, 1, 1, 1]]))
    assert found[0, 1] == pytest.approx(0.5)


def test_one_column_has_no_trend(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0]})
    data = compare(tmp_path, schema_of(table), table, table, table)
    with pytest.raises(NotApplicable, match="needs two columns"):
        trend_error(data)


def test_only_empty_columns(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([None, None], pa.float64()), "y": pa.nulls(2, pa.float64())})
    other = pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    data = compare(tmp_path, schema_of(table), table, other, table)
    with pytest.raises(NotApplicable, match="all of them are constant"):
        trend_error(data)


def test_a_value_does_not_depend_on_the_holdout(tmp_path: Path) -> None:
    days = np.datetime64("2020-01-01") + np.arange(8)
    table = pa.table({"day": pa.array(days), "c": ["a", "b"] * 4})
    found = []
    for place, holdout in enumerate((table, table.slice(0, 1))):
        data = compare(tmp_path / str(place), schema_of(table), table, holdout, table.slice(3))
        found.append(trend_error(data))
    assert found[0].value == found[1].value > 0
    assert found[1].reference is not None


@pytest.mark.parametrize("n_rows", [1, 2, 30, 3000])
def test_any_number_of_rows(tmp_path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(0)

    def made(n: int) -> pa.Table:
        return pa.table(
            {
                "x": rng.normal(size=n),
                "y": rng.normal(size=n),
                "many": [f"{i}" for i in range(n)],
                "none": pa.nulls(n, pa.string()),
                "one": ["a"] * n,
            }
        )

    real = made(300)
    data = compare(tmp_path, schema_of(real), real, real.slice(0, 200), made(n_rows))
    for metric in (trend_error, trend_error_real_bins):
        found = metric(data)
        assert 0 <= found.value <= 100
        assert found.reference is not None
        assert (found.interval is None) == (n_rows == 1)
    plot = trend_error(data).plots["pairs"]
    assert plot["columns"] == ["x", "y", "many", "none", "one"]
    assert len(plot["real"]) == len(plot["error"]) == 5
