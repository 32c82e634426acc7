"""Missing values: what is put in, by hand, for every method and type."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import DataError, ParamsError
from tasks.schema import DatasetSchema, ForeignKey, TableSchema
from tests.cleaned import clean, column

DAY = datetime.date(2024, 1, 1)


def filled(values: pa.Array, method: object, **given: object) -> list:
    return clean({"x": values}, {"missing": {"x": method}}, **given).values("x")


@pytest.mark.parametrize(
    ("method", "values", "expected"),
    [
        ("mean", pa.array([1.0, None, 4.0]), [1.0, 2.5, 4.0]),
        ("mean", pa.array([1, None, 4]), [1, 2, 4]),
        ("mean", pa.array([1, None, 2, 4]), [1, 2, 2, 4]),
        ("mean", pa.array([2**62, None, 2**62 - 2]), [2**62, 2**62 - 1, 2**62 - 2]),
        ("mean", pa.array([Decimal("1.10"), None, Decimal("1.20")]), ["1.10", "1.15", "1.20"]),
        ("mean", pa.array([DAY, None, DAY.replace(day=3)]), [DAY, DAY.replace(day=2), None]),
        ("median", pa.array([9.0, None, 1.0, 2.0]), [9.0, 2.0, 1.0, 2.0]),
        ("median", pa.array([9, None, 1, 2, 4]), [9, 3, 1, 2, 4]),
        ("median", pa.array([None, -7], pa.int8()), [-7, -7]),
        ("mode", pa.array(["b", None, "a", "b"]), ["b", "b", "a", "b"]),
        ("mode", pa.array(["🙂", None, "a"]), ["🙂", "a", "a"]),
        ("mode", pa.array([True, None, True, False]), [True, True, True, False]),
        ("mode", pa.array([DAY, None]), [DAY, DAY]),
        ({"constant": 0}, pa.array([1.5, None]), [1.5, 0.0]),
        ({"constant": 0.5}, pa.array([None, Decimal("1.0")], pa.decimal128(3, 1)), ["0.5", "1.0"]),
        ({"constant": "?"}, pa.array(["a", None]), ["a", "?"]),
        ({"constant": DAY}, pa.array([None, DAY]), [DAY, DAY]),
        ("forward", pa.array([None, 1, None, None, 2, None]), [None, 1, 1, 1, 2, 2]),
        ("backward", pa.array([None, "a", None, None, "b", None]), ["a", "a", "b", "b", "b", None]),
        (
            "interpolate",
            pa.array([None, 1.0, None, None, 4.0, None]),
            [1.0, 1.0, 2.0, 3.0, 4.0, 4.0],
        ),
        (
            "interpolate",
            pa.array([0, None, None, None, 2**62]),
            [0, 2**60, 2**61, 3 * 2**60, 2**62],
        ),
        ("interpolate", pa.array([DAY, None, DAY.replace(day=3)]), [DAY, DAY.replace(day=2), None]),
        ("drop", pa.array([1, None, 2]), [1, 2]),
    ],
)
@pytest.mark.parametrize("cut", [(1,), (2,), (100,)])
def test_what_is_put_in(method, values, expected, cut):
    found = filled(values, method, cut=cut)
    if isinstance(expected[0], str) and pa.types.is_decimal128(values.type):
        expected = [Decimal(text) for text in expected]
    if expected[-1] is None and values[-1].is_valid:
        expected[-1] = values[-1].as_py()
    assert found == expected


def test_moments_of_nanoseconds_keep_them():
    values = pa.array([0, None, 3], pa.timestamp("ns", tz="UTC"))
    found = clean({"x": values}, {"missing": {"x": "interpolate"}})
    assert [v.value for v in found.values("x")] == [0, 2, 3]


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1).filter(any),
    cut=st.lists(st.integers(1, 6), min_size=1),
    method=st.sampled_from(["forward", "backward", "interpolate", "mean", "median", "mode"]),
)
def test_batches_leave_no_trace(values, cut, method):
    array = pa.array(values, pa.float64())
    whole = filled(array, method, cut=[100])
    assert filled(array, method, cut=cut) == whole
    if method == "interpolate":
        known = [i for i, value in enumerate(values) if value is not None]
        expected = np.interp(range(len(values)), known, [values[i] for i in known])
        assert whole == pytest.approx(expected.tolist(), abs=1e-6)


def test_groups_leave_out_keys_the_target_and_what_is_named_itself():
    columns = {
        "id": pa.array([1, None, 3]),
        "age": pa.array([1.0, None, 3.0]),
        "height": pa.array([1.0, None, 2.0]),
        "city": pa.array(["x", None, "x"]),
        "y": pa.array([0, None, 1]),
    }
    described = [
        column("id", pa.int64(), "identifier"),
        column("age", pa.float64(), "numeric"),
        column("height", pa.float64(), "numeric"),
        column("city", pa.string(), "categorical"),
        column("y", pa.int64(), "numeric"),
    ]
    table = TableSchema(name="t", columns=tuple(described))
    schema = DatasetSchema(kind="tabular", tables=(table,), target="y")
    rules = {"numeric": "mean", "age": {"constant": 9.0}, "*": "mode"}
    found = clean(columns, {"missing": rules}, schema=schema)
    assert found.rows[1] == {"id": None, "age": 9.0, "height": 1.5, "city": "x", "y": None}
    assert [c.nullable for c in found.schema.main.columns] == [True, False, False, False, True]
    assert found.effects["missing"] == {
        "rows_dropped": 0,
        "filled": {"age": 1, "city": 1, "height": 1},
        "learned": {"age": 9.0, "city": "x", "height": 1.5},
    }


def test_a_column_may_have_the_name_of_a_group():
    found = clean({"text": pa.array(["a", None])}, {"missing": {"text": {"constant": ""}}})
    assert found.values("text") == ["a", ""]


@pytest.mark.parametrize(
    ("values", "method", "message"),
    [
        (pa.array(["a", None]), "mean", "'x' of 't' is of type string, expected numbers, dates"),
        (pa.array([True, None]), "median", "is of type bool, expected numbers"),
        (pa.array(["a", None]), "interpolate", "is of type string, expected numbers"),
        (pa.array([1, None]), {"constant": "a"}, "value of type int64 for 'x', found 'a'"),
        (pa.array([1, None]), {"constant": 1.5}, "value of type int64 for 'x', found 1.5"),
        (pa.array([1, None], pa.int8()), {"constant": 300}, "value of type int8"),
        (pa.array([1, None]), {"constant": True}, "value of type int64"),
        (pa.array([True, None]), {"constant": 1}, "value of type bool"),
        (pa.array([1, None]), {"constant": None}, "expected a constant"),
        (
            pa.array([1.0, None]),
            {"constant": float("nan")},
            "value of type double for 'x', found nan",
        ),
        (pa.array([1.0, None], pa.float32()), {"constant": 1e39}, "value of type float for 'x'"),
        (pa.array([1, None]), "avarage", "missing is not valid"),
    ],
)
def test_what_does_not_fit_is_named(values, method, message):
    with pytest.raises(ParamsError, match=message):
        filled(values, method)


@pytest.mark.parametrize("method", ["mean", "median", "mode", "interpolate", "regression"])
def test_a_column_without_values_cannot_be_filled_from_them(method):
    with pytest.raises(DataError, match=r"expected values of 'x' in 't' .* found none"):
        filled(pa.nulls(3, pa.float64()), method)


def test_links_keep_their_missing_values():
    key = ForeignKey(columns=("x",), references="t", referenced_columns=("y",))
    described = (column("x", pa.int64(), "numeric"), column("y", pa.int64(), "numeric"))
    table = TableSchema(name="t", columns=described, foreign_keys=(key,))
    schema = DatasetSchema(kind="tabular", tables=(table,))
    rows = {"x": [1, None], "y": [1, None]}
    assert clean(rows, {"missing": {"numeric": "mean"}}, schema=schema).rows[1] == {
        "x": None,
        "y": 1,
    }


def test_regression_predicts_from_the_other_columns():
    rng = np.random.default_rng(0)
    size = rng.integers(0, 50, 600)
    columns = {
        "size": pa.array(size),
        "kind": pa.array(np.where(size > 25, "large", "small")),
        "twice": pa.array(2 * size, mask=np.arange(600) % 10 == 0),
        "is_large": pa.array(size > 25, mask=np.arange(600) % 7 == 0),
        "label": pa.array(np.where(size > 25, "L", "S"), mask=np.arange(600) % 5 == 0),
        "day": pa.array(size.astype("datetime64[D]"), mask=np.arange(600) % 6 == 0),
        "cost": pa.array([Decimal(int(s)) if s % 9 else None for s in size], pa.decimal128(9, 2)),
    }
    names = ["twice", "is_large", "label", "day", "cost"]
    found = clean(columns, {"missing": dict.fromkeys(names, "regression")}, cut=[250])
    again = clean(columns, {"missing": dict.fromkeys(names, "regression")}, cut=[99])
    assert found.rows == again.rows
    off = np.array(found.values("twice")) - 2 * size
    assert np.abs(off).mean() < 0.5
    assert found.values("is_large") == (size > 25).tolist()
    assert found.values("label") == ["L" if s > 25 else "S" for s in size]
    days = np.array(found.values("day"), dtype="datetime64[D]").astype(int)
    assert np.abs(days - size).mean() < 0.5
    assert all(0 < cost <= 49 for cost in found.values("cost"))
    assert all(not c.nullable for c in found.schema.main.columns if c.name in names)


def test_regression_of_one_known_row_gives_its_value():
    assert filled(pa.array([None, 7]), "regression") == [7, 7]
    assert filled(pa.array([None, "a"]), "regression") == ["a", "a"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (2**63 - 1, pa.int64()),
        (-(2**63), pa.int64()),
        (2**64 - 1, pa.uint64()),
        (Decimal(10**38 - 1), pa.decimal128(38, 0)),
        (datetime.timedelta(microseconds=2**60 + 1), pa.duration("us")),
        (1.7e308, pa.float64()),
        (-5e-324, pa.float64()),
    ],
    ids=str,
)
def test_regression_reaches_the_ends_of_a_type(value, kind):
    assert filled(pa.array([None, value, value], kind), "regression") == [value] * 3


def test_a_mode_of_too_many_values_is_refused_where_one_is_missing(monkeypatch):
    for module in ("statistics.modes", "steps.missing"):
        monkeypatch.setattr(f"tasks.cleaning.{module}.MAX_VALUES", 3)
    assert filled(pa.array([1, 2, 3, 4, 5]), "mode") == [1, 2, 3, 4, 5]
    assert filled(pa.array([1, 2, 2, 3, None]), "mode") == [1, 2, 2, 3, 2]
    with pytest.raises(ParamsError, match="'x' of 't' has more than 3 different values"):
        filled(pa.array([1, 2, 3, 4, None]), "mode")
