"""Outliers by hand: bounds, flags, clips; rows that a forest isolates."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import ParamsError
from tasks.schema import DatasetSchema, TableSchema
from tests.cleaned import clean, column

IQR = {"method": "iqr", "action": "clip"}
# Quartiles 2 and 4 (positions 1.5 and 4.5 of 1, 2, 2, 3, 4, 4, 100): bounds -1 and 7.
ROWS = [1, 2, 100, 2, 3, 4, 4]


def outliers(values: pa.Array, rule: dict, **given: object) -> object:
    return clean({"x": values}, {"outliers": {"x": rule}}, **given)


@pytest.mark.parametrize("cut", [(1,), (3,), (100,)])
@pytest.mark.parametrize("kind", [pa.float64(), pa.int64(), pa.decimal128(21, 2), pa.float32()])
def test_values_past_the_quartiles_are_clipped(kind, cut):
    found = outliers(pa.array([*ROWS, None], pa.int64()).cast(kind), IQR, cut=cut)
    assert found.values("x") == [1, 2, 7, 2, 3, 4, 4, None]
    assert found.effects["outliers"]["clipped"] == {"x": 1}
    assert found.effects["outliers"]["learned"]["x"]["low"] is None


def test_three_standard_deviations():
    """Of 0 ten times and 11: mean 1, deviation sqrt(10); 3 of them reach to 10.49."""
    values = pa.array([0.0] * 10 + [11.0])
    rule = {"method": "sigma", "action": "flag"}
    found = outliers(values, rule)
    assert found.values("x_outlier") == [False] * 10 + [True]
    assert found.values("x") == values.to_pylist()
    flag = found.schema.main.column("x_outlier")
    assert (flag.type, flag.meaning, flag.nullable) == ("bool", "boolean", False)
    assert found.effects["outliers"] == {
        "rows_dropped": 0,
        "flagged": {"x": 1},
        "learned": {"x": {"low": None, "high": 1 + 3 * 10**0.5}},
    }
    assert outliers(values, rule | {"factor": 4.0}).values("x_outlier") == [False] * 11


def test_bounds_of_whole_numbers_are_whole():
    """Mean 1, deviation sqrt(10): 10.49 is clipped to 10."""
    found = outliers(pa.array([0] * 10 + [11]), {"method": "sigma", "action": "clip"})
    assert found.values("x")[-1] == 10


def test_rows_with_outliers_go():
    found = outliers(pa.array([*ROWS, None]), {"method": "iqr", "action": "drop"})
    assert found.values("x") == [1, 2, 2, 3, 4, 4, None]
    assert found.effects["outliers"]["rows_dropped"] == 1


def test_dates_have_outliers_too():
    days = [datetime.date(2024, 1, d) for d in (1, 2, 2, 3, 4, 4)] + [datetime.date(1900, 1, 1)]
    found = outliers(pa.array(days), IQR)
    # Quartiles 1.5 and 3.5 (positions 1.5 and 4.5 of 1900, 1, 2, 2, 3, 4, 4): from the day -1.5 on.
    assert found.values("x")[-1] == datetime.date(2023, 12, 30)


@pytest.mark.parametrize("method", ["iqr", "sigma"])
@pytest.mark.parametrize(
    "values",
    [
        pa.array([5.0]),
        pa.array([5, 5, 5]),
        pa.nulls(3, pa.float64()),
        pa.array([2**63 - 1, -(2**63)]),
        pa.array([2**64 - 1, 0], pa.uint64()),
        pa.array([1.7e308, -1.7e308]),
        pa.array([Decimal(10) ** 37, -(Decimal(10) ** 37)], pa.decimal128(38, 0)),
    ],
    ids=str,
)
def test_nothing_is_far_from_nothing(values, method):
    found = outliers(values, {"method": method, "action": "drop"})
    assert found.values("x") == values.to_pylist()


def test_half_of_the_values_alike_say_nothing_about_the_others():
    values = pa.array([0, 0, 0, 0, 0, 0, 0, 7, 9])
    assert outliers(values, IQR).values("x") == values.to_pylist()


def test_all_quantities_are_meant_but_those_named_the_target_and_keys():
    described = (
        column("id", pa.int64(), "identifier"),
        column("a", pa.int64(), "numeric"),
        column("b", pa.int64(), "numeric"),
        column("y", pa.int64(), "numeric"),
    )
    schema = DatasetSchema(
        kind="tabular", tables=(TableSchema(name="t", columns=described),), target="y"
    )
    rules = {"*": IQR, "b": IQR | {"factor": 1_000.0}}
    found = clean(dict.fromkeys(["id", "a", "b", "y"], ROWS), {"outliers": rules}, schema=schema)
    assert found.rows[2] == {"id": 100, "a": 7, "b": 100, "y": 100}


@pytest.mark.parametrize("action", ["flag", "drop"])
def test_a_forest_isolates_rows_by_all_of_their_numbers(action):
    rng = np.random.default_rng(0)
    columns = {name: np.append(rng.normal(size=2_000), 4.0) for name in "abcde"}
    columns["f"] = pa.array(["x"] * 2_001)
    rule = {"method": "isolation_forest", "share": 0.002, "action": action}
    found = clean(columns, {"outliers": {"*": rule}}, cut=[700])
    assert found.rows == clean(columns, {"outliers": {"*": rule}}, cut=[64]).rows
    if action == "flag":
        flags = found.values("is_outlier")
        assert flags[-1]
        assert sum(flags) <= 5
    else:
        assert 1_995 <= len(found.rows) <= 2_000
        assert found.values("b")[-1] != 4.0


def test_a_forest_takes_missing_and_huge_values():
    columns = {
        "a": pa.array([None, 1.0, 2.0, -1.7e308, 1.7e308]),
        "b": pa.array([2**62, 2, None, 3, 4]),
        "c": pa.nulls(5, pa.float64()),
        "d": pa.array([7] * 5),
    }
    rule = {"method": "isolation_forest", "action": "flag"}
    assert len(clean(columns, {"outliers": {"*": rule}}).values("is_outlier")) == 5


@pytest.mark.parametrize(
    ("columns", "rules", "message"),
    [
        ({"x": ["a"]}, {"x": IQR}, "'x' of 't' is of type string, expected numbers, dates"),
        ({"x": [1]}, {"x": {"method": "isolation_forest", "action": "drop"}}, "under '*'"),
        ({"x": [1]}, {"x": IQR | {"factor": 0.1}}, "factor: input should be greater than"),
        ({"x": [1]}, {"x": {"method": "iqrr", "action": "clip"}}, "outliers is not valid"),
        ({"x": [1]}, {"x": {"method": "iqr"}}, "action: field required"),
        ({"x": [1], "x_outlier": [1]}, {"x": IQR | {"action": "flag"}}, "'x_outlier'"),
        (
            {"x": [1]},
            {"*": {"method": "isolation_forest", "action": "drop", "columns": ["xx"]}},
            "names 'xx'",
        ),
    ],
)
def test_what_does_not_fit_is_named(columns, rules, message):
    with pytest.raises(ParamsError, match=message.replace("*", r"\*")):
        clean(columns, {"outliers": rules})
