"""What the report draws, and what it must not give away."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.plots import bins_for, column_plots, matrix, nice_edges, pair_plots, worst
from tests.comparisons import compare, schema_of


def test_no_extreme_and_no_rare_category_is_published(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    salary = rng.lognormal(10, 1, 1000)
    salary[7] = 123_456_789.25
    town = ["Rome"] * 500 + ["Oslo"] * 491 + ["Tiny"] * 9
    rows = pa.table({"salary": salary, "town": town})
    made = pa.table({"salary": salary[:500], "town": ["Rome"] * 400 + ["Mars"] * 100})
    data = compare(tmp_path, schema_of(rows), rows, rows, made)
    numbers, towns = column_plots(data, np.array([1.0, np.nan]))
    assert len(numbers["edges"]) == len(numbers["real"]) + 1
    assert sum(numbers["real"]) == pytest.approx(1, abs=0.06)  # but for bins of few rows
    assert min(share for share in numbers["real"] if share) >= 10 / 1000
    assert numbers["edges"][-1] < 300_000
    assert not set(numbers["edges"]) & set(salary)
    assert towns == {
        "name": "town",
        "meaning": "categorical",
        "error": None,
        "categories": ["Rome", "Oslo", "(other)"],
        "real": [0.5, 0.491, 0.009],
        "holdout": [0.5, 0.491, 0.009],
        "synthetic": [0.8, 0.0, 0.2],
    }
    assert "Tiny" not in json.dumps([numbers, towns], allow_nan=False)


def test_missing_values_have_their_own_share(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.0, 2.0, None, 3.0] * 10, "c": ["a", None, "b", "b"] * 10})
    data = compare(tmp_path, schema_of(rows), rows, rows, rows.slice(0, 2))
    x, c = column_plots(data, np.zeros(2))
    assert x["missing"] == {"real": 0.25, "holdout": 0.25, "synthetic": 0.0}
    assert c["missing"] == {"real": 0.25, "holdout": 0.25, "synthetic": 0.5}
    assert sum(x["real"]) == pytest.approx(0.75)
    assert (c["categories"], c["real"]) == (["b", "a", "(missing)"], [0.5, 0.25, 0.25])
    assert c["synthetic"] == [0.0, 0.5, 0.5]


def test_dates_have_labels(tmp_path: Path) -> None:
    days = np.datetime64("2020-01-01") + np.arange(600)
    rows = pa.table({"day": pa.array(days), "moment": pa.array(days.astype("datetime64[s]")[:600])})
    data = compare(tmp_path, schema_of(rows), rows, rows, rows)
    day, _ = column_plots(data, np.zeros(2))
    assert len(day["edge_labels"]) == len(day["edges"])
    assert day["edge_labels"][0].startswith(("2019-", "2020-"))


@pytest.mark.parametrize(
    "values",
    [
        np.array([]),
        np.array([np.nan]),
        np.array([5.0]),
        np.zeros(9),
        np.array([1e-12, 2e-12]),
        np.array([5e-320, 9e-310]),
        np.array([0.0, 5e-324]),
        np.array([-1e300, 1e300]),
        np.array([1e15, 1e15 + 1]),
        np.arange(100.0),
    ],
)
def test_edges_are_finite_and_ascending(values: np.ndarray) -> None:
    edges = nice_edges(values)
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
    assert 2 <= len(edges) <= 60


def test_whole_numbers_have_whole_edges() -> None:
    edges = nice_edges(np.arange(17.0))
    np.testing.assert_array_equal(edges, np.floor(edges))


def test_matrix_has_null_for_nan() -> None:
    assert matrix(np.array([[np.nan, 0.123456]])) == [[None, 0.1235]]


def test_few_missing_values_are_not_told(tmp_path: Path) -> None:
    rows = pa.table({"x": [*range(50), *([None] * 9)], "c": ["a"] * 50 + [None] * 9})
    made = pa.table({"x": [*range(8), None, None], "c": ["a"] * 9 + [None]})
    data = compare(tmp_path, schema_of(rows), rows, rows, made)
    x, c = column_plots(data, np.zeros(2))
    assert x["missing"] == {"real": 0.0, "holdout": 0.0, "synthetic": 0.2}
    assert c["missing"] == {"real": 0.0, "holdout": 0.0, "synthetic": 0.1}


def test_few_holdout_rows_of_a_category_are_not_told(tmp_path: Path) -> None:
    rows = pa.table({"c": ["a"] * 60 + ["b"] * 30 + [None] * 10})
    holdout = pa.table({"c": ["a"] * 82 + ["b"] * 9 + [None] * 9})
    data = compare(tmp_path, schema_of(rows), rows, holdout, rows)
    [c] = column_plots(data, np.zeros(1))
    assert c["categories"] == ["a", "b", "(missing)"]
    assert c["real"] == [0.6, 0.3, 0.1]
    assert c["holdout"] == [0.82, 0.0, 0.0]


def test_personal_columns_are_not_drawn(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.0, 2.0] * 20, "c": ["a", "b"] * 20, "d": ["u", "v"] * 20})
    schema = schema_of(rows)
    columns = tuple(
        one.model_copy(update={"personal": one.name != "d"}) for one in schema.main.columns
    )
    main = schema.main.model_copy(update={"columns": columns})
    schema = schema.model_copy(update={"tables": (main,)})
    data = compare(tmp_path, schema, rows, rows, rows)
    assert [one["name"] for one in column_plots(data, np.zeros(3))] == ["d"]


def test_wide_tables_are_drawn_by_their_worst_columns(tmp_path: Path) -> None:
    rows = pa.table({f"c{i}": [1.0, 2.0, 3.0] for i in range(250)})
    data = compare(tmp_path, schema_of(rows), rows, rows, rows)
    errors = np.arange(250.0)
    errors[249] = np.nan
    assert [plot["name"] for plot in column_plots(data, errors)] == [
        f"c{i}" for i in range(49, 249)
    ]
    names = [f"c{i}" for i in range(250)]
    square = np.add.outer(errors, errors)
    found = pair_plots(names, square, square, square)
    assert found["columns"] == names[189:249]
    assert len(found["error"]) == len(found["real"]) == len(found["synthetic"][0]) == 60


def test_worst_are_in_their_order() -> None:
    assert worst(np.array([1, np.nan, 3, 2]), 2) == [2, 3]
    assert worst(np.array([np.nan, 1.0]), 5) == [0, 1]


@pytest.mark.parametrize(
    ("n_rows", "dimensions", "expected"),
    [(1, 1, 2), (1000, 1, 20), (10**6, 1, 24), (81, 2, 4), (10**6, 2, 24)],
)
def test_few_rows_have_few_bins(n_rows: int, dimensions: int, expected: int) -> None:
    assert bins_for(n_rows, dimensions) == expected
