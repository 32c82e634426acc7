"""Ranges and categories that are covered, and values that no real row has."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity.ranges import category_coverage, out_of_range, range_coverage
from tests.comparisons import compare, schema_of


def categories(**rows: int) -> pa.Table:
    return pa.table({"c": [name for name, n in rows.items() for _ in range(n)]})


def test_an_absent_category_counts_by_number_or_by_rows(tmp_path: Path) -> None:
    # Four categories are common enough; one of them, with 30 of 400 rows, is absent.
    train = categories(a=300, b=40, c=30, d=30, rare=19)
    made = categories(a=300, b=60, c=40)
    data = compare(tmp_path, schema_of(train), train, train, made)
    found = category_coverage(data)
    assert (found.value, found.reference) == (0.75, 1.0)
    assert found.interval == (0.75, 0.75)


def test_rows_weigh_where_a_frequent_one_of_many_categories_is_absent(tmp_path: Path) -> None:
    few = {f"c{i}": 20 for i in range(150)}
    train, made = (
        categories(big=1000, **few),
        categories(**few, **{f"c{i}x": 7 for i in range(150)}),
    )
    found = category_coverage(compare(tmp_path, schema_of(train), train, train, made))
    assert found.value == pytest.approx(3000 / 4000)


def test_a_rare_category_may_be_absent_and_a_small_sample_is_asked_for_less(
    tmp_path: Path,
) -> None:
    train = categories(a=500, b=500, rare=19, c=30)
    made = categories(a=50, b=50)
    found = category_coverage(compare(tmp_path, schema_of(train), train, categories(a=9), made))
    # c should have 3 of 100 rows; of 9 rows nothing is expected at all.
    assert (found.value, found.reference, found.reference_interval) == (1.0, None, None)


def test_numbers_of_few_values_are_categories(tmp_path: Path) -> None:
    train = pa.table({"grade": [1.0, 2.0, 0.3] * 40, "x": np.arange(120.0)})
    made = pa.table({"grade": [1.0, 2.0, 0.1 + 0.2, 7.0] * 30, "x": np.arange(120.0)})
    assert (
        category_coverage(compare(tmp_path / "a", schema_of(train), train, train, made)).value == 1
    )
    lost = pa.table({"grade": [1.0, 0.3, 1.5] * 40, "x": np.arange(120.0)})
    found = category_coverage(compare(tmp_path / "b", schema_of(train), train, train, lost))
    assert found.value == pytest.approx(2 / 3)


def test_the_worst_column_counts(tmp_path: Path) -> None:
    train = pa.table({f"c{i}": ["a", "b"] * 30 for i in range(9)} | {"last": ["a", "b"] * 30})
    made = train.set_column(9, "last", pa.array(["a"] * 60))
    assert category_coverage(compare(tmp_path, schema_of(train), train, train, made)).value == 0.5


def test_parts_of_a_range(tmp_path: Path) -> None:
    # 2,000 numbers from 0 to 1, 100 in each part; synthetic ones are in the lower half only.
    train = pa.table({"x": np.linspace(0, 1, 2000), "constant": [1.0] * 2000})
    made = pa.table({"x": np.linspace(0, 0.499, 2000), "constant": [1.0] * 2000})
    found = range_coverage(compare(tmp_path, schema_of(train), train, train, made))
    assert (found.value, found.reference) == (0.5, 1.0)


def test_one_extreme_does_not_stretch_the_range(tmp_path: Path) -> None:
    train = pa.table({"x": [*np.linspace(0, 1, 1000), 1e300, -1e300]})
    made = pa.table({"x": np.linspace(0, 1, 1000)})
    assert range_coverage(compare(tmp_path, schema_of(train), train, train, made)).value == 1.0


def test_values_that_no_real_row_has(tmp_path: Path) -> None:
    train = pa.table({"x": [1.0, 2.0, None, 3.0], "c": ["a", "b", None, "a"]})
    # 0 and 9 are beyond, z is unknown: three of seven values that are present.
    made = pa.table({"x": [0.0, 9.0, 2.0, None], "c": ["a", "z", "b", "b"]})
    found = out_of_range(compare(tmp_path, schema_of(train), train, train, made))
    assert (found.value, found.reference) == (pytest.approx(3 / 7), 0.0)
    assert found.interval is not None
    assert found.interval[0] <= 3 / 7 <= found.interval[1]


def test_columns_without_training_values_have_no_range(tmp_path: Path) -> None:
    train = pa.table({"x": [1.0, 2.0], "c": pa.nulls(2, pa.string())})
    made = pa.table({"x": [1.0, 2.0], "c": ["new", "new"]})
    assert out_of_range(compare(tmp_path / "a", schema_of(train), train, train, made)).value == 0
    empty = pa.table({"x": pa.nulls(2, pa.float64()), "c": pa.nulls(2, pa.string())})
    with pytest.raises(NotApplicable, match="no compared column has a value"):
        out_of_range(compare(tmp_path / "b", schema_of(train), empty, train, made))
    with pytest.raises(NotApplicable, match="hold no value but missing ones"):
        out_of_range(compare(tmp_path / "c", schema_of(train), train, train, empty))


def test_too_few_rows_to_expect_anything(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.0, 2.0, 3.0], "c": ["a", "b", "a"]})
    data = compare(tmp_path, schema_of(rows), rows, rows, rows)
    with pytest.raises(NotApplicable, match="no category has 20 training rows"):
        category_coverage(data)
    with pytest.raises(NotApplicable, match="no part of a number's range has 20 training rows"):
        range_coverage(data)


@pytest.mark.parametrize("n_rows", [200, 600, 6000])
def test_real_rows_cover_whatever_their_number(tmp_path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    for draw in range(5):
        train, holdout, fresh = (
            pa.table({"c": [str(v) for v in rng.zipf(1.5, n)], "x": rng.lognormal(0, 3, n)})
            for n in (n_rows, n_rows // 3, n_rows)
        )
        data = compare(tmp_path / str(draw), schema_of(train), train, holdout, fresh)
        for metric in (category_coverage, range_coverage):
            assert metric(data).value == 1.0
