"""Types: every cast, what fails, what is inferred, and that it is counted."""

import datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import DataError, ParamsError
from tasks.schema import DatasetSchema, TableSchema
from tests.cleaned import clean, column

DAY = datetime.date(2024, 3, 4)
NOON = datetime.datetime.fromisoformat("2024-03-04T12:00:00")


@pytest.mark.parametrize("cut", [(1,), (99,)])
@pytest.mark.parametrize(
    ("texts", "kind", "expected"),
    [
        (["1", " -2 ", "x", "N/A", "", None], "int64", [1, -2, None, None, None, None]),
        (["5.0", "1e3", "5.5", "9" * 19], "int64", [5, 1000, None, None]),
        (["18446744073709551615", "-1"], "uint64", [2**64 - 1, None]),
        (["300", "100"], "int8", [None, 100]),
        (["0007", "+7", "-007", "00", "+-7"], "int64", [7, 7, -7, 0, None]),
        (["+00.5", "+.5", "01,250.5"], "double", [0.5, 0.5, 1250.5]),
        (["1.5", "-.5", "1e400", "inf"], "double", [1.5, -0.5, None, None]),
        (["$1,250.50", "$3", "12"], "double", [1250.5, 3.0, 12.0]),
        (["12,5", "3,25", "7"], "double", [12.5, 3.25, 7.0]),
        (["1.250,50", "12,5", "2.000.000,00"], "double", [1250.5, 12.5, 2e6]),
        (["1.250,50 €", "12 €"], "double", [1250.5, 12.0]),
        (["1,250", "3", "2,000,000"], "int64", [1250, 3, 2_000_000]),
        (["12.5 %", "3 %"], "double", [12.5, 3.0]),
        (["0.10", "1.015", "12345678.9"], "decimal128(10, 2)", ["0.10", "1.02", "12345678.90"]),
        (["1" * 36 + ".25", "1e3"], "decimal128(38, 2)", ["1" * 36 + ".25", "1000.00"]),
        (["123456789.00"], "decimal128(10, 2)", [None]),
        (["9" * 24 + ".999"], "decimal128(38, 2)", ["1" + "0" * 24]),
        (["2024-03-04", "2024-02-30", "soon"], "date32", [DAY, None, None]),
        (["04.03.2024", "2024-03-04"], "date32", [DAY, DAY]),
        (
            ["03/04/2024", "12/31/2024", "31/12/2024"],
            "date32",
            [DAY, datetime.date(2024, 12, 31), None],
        ),
        (["04/03/2024", "31/12/2024"], "date32", [DAY, datetime.date(2024, 12, 31)]),
        (["2024-03-04 12:00", "2024-03-04T12:00:00Z"], "timestamp[us]", [NOON, NOON]),
        (["2024-03-04 12:00:00"], "date32", [DAY]),
        (["12:30", "x"], "time64[us]", [datetime.time(12, 30), None]),
        (
            ["23:59:59.5", "9:15", "12:30", "25:00"],
            "time64[us]",
            [datetime.time(23, 59, 59, 500_000), datetime.time(9, 15), datetime.time(12, 30), None],
        ),
        (
            ["23:59:59", "12:30"],
            "time32[s]",
            [datetime.time(23, 59, 59), datetime.time(12, 30)],
        ),
        (["9999-12-31", "2024-03-04"], "timestamp[ns]", [None, pd.Timestamp("2024-03-04")]),
        (["yes", "No", "TRUE", "0", "maybe", "-"], "bool", [True, False, True, False, None, None]),
        (["🙂"], "int64", [None]),
    ],
)
def test_texts_are_read(texts, kind, expected, cut):
    if kind.startswith("decimal"):
        expected = [value and Decimal(value) for value in expected]
    found = clean({"x": pa.array(texts, pa.string())}, {"types": {"x": kind}}, cut=cut)
    assert found.values("x") == expected
    assert found.schema.main.column("x").type.startswith(kind)


def test_failed_casts_and_marks_are_counted():
    found = clean({"x": ["1", "x", "N/A", None, "?"]}, {"types": {"x": "int64"}})
    assert found.effects["types"] == {
        "rows_dropped": 0,
        "converted": {"x": 1},
        "failed": {"x": 1},
        "marks_made_missing": {"x": 2},
        "learned": {"x": "int64"},
    }


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pa.array([1.0, 1.5, None]), "int64", [1, None, None]),
        (pa.array([1e300, 2.0]), "int64", [None, 2]),
        (pa.array([2**53 + 1]), "double", [float(2**53)]),
        (pa.array([1e300]), "float", [None]),
        (pa.array([1, 2, 0]), "bool", [True, None, False]),
        (pa.array([True, None]), "int64", [1, None]),
        (pa.array([1.005, 1e9]), "decimal128(5, 2)", [Decimal("1.00"), None]),
        (pa.array([Decimal("1.50")]), "double", [1.5]),
        (pa.array([Decimal("1.55")]), "decimal128(5, 1)", [Decimal("1.6")]),
        (pa.array([1e308, 1.5]), "decimal128(5, 2)", [None, Decimal("1.50")]),
        (pa.array([3e38, 1.5], pa.float32()), "decimal128(5, 2)", [None, Decimal("1.50")]),
        (pa.array([Decimal("9.99")]), "decimal128(5, 1)", [Decimal("10.0")]),
        (pa.array([12, 123456]), "decimal128(5, 2)", [Decimal("12.00"), None]),
        (pa.array([NOON]), "date32", [DAY]),
        (pa.array([NOON.replace(microsecond=5)]), "timestamp[s]", [NOON]),
        (pa.array([NOON.replace(year=9999), NOON]), "timestamp[ns]", [None, pd.Timestamp(NOON)]),
        (pa.array([DAY.replace(year=1600), DAY]), "timestamp[ns]", [None, pd.Timestamp(DAY)]),
        (pa.array([DAY]), "timestamp[us]", [datetime.datetime(2024, 3, 4)]),  # noqa: DTZ001
        (pa.array([1, None]), "string", ["1", None]),
        (pa.array([DAY]), "string", ["2024-03-04"]),
        (pa.array(["a"]), "string", ["a"]),
    ],
    ids=str,
)
def test_values_of_other_types_are_converted(values, kind, expected):
    assert clean({"x": values}, {"types": {"x": kind}}).values("x") == expected


@pytest.mark.parametrize("cut", [(1,), (99,)])
@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-2", "N/A", None], "int64"),
        (["1", "2.5"], "double"),
        (["true", "False"], "bool"),
        (["2024-03-04", ""], "date32[day]"),
        (["13/01/2024", "01/02/2024"], "date32[day]"),
        (["2024-03-04 12:00:01", "2024-03-04"], "timestamp[us]"),
        (["007", "1"], "string"),
        (["1", "x"], "string"),
        (["$5", "$6"], "string"),
        ([None, "N/A"], "string"),
    ],
)
def test_types_are_inferred_of_all_texts(texts, kind, cut):
    rows = {"x": pa.array(texts, pa.string()), "n": list(range(len(texts)))}
    for given_types in ("infer", {"x": "infer"}, {"*": "infer"}):
        found = clean(rows, {"types": given_types}, cut=cut)
        assert found.schema.main.column("x").type == kind
        if kind == "string":
            assert found.values("x") == texts
        assert found.schema.main.column("n").type == "int64"


@pytest.mark.parametrize("kind", ["infer", "date32"])
@pytest.mark.parametrize(
    ("texts", "warned"),
    [
        (["01/02/2024", "03/04/2024"], True),
        (["01/02/2024", "13/04/2024"], False),
        (["01/02/2024", "04/13/2024"], False),
        (["2024-02-01"], False),
    ],
)
def test_who_cannot_tell_days_from_months_says_so(texts, kind, warned, caplog):
    clean({"x": texts}, {"types": {"x": kind}})
    assert ("'x' of 't' is read with the month before the day" in caplog.text) == warned


def test_what_is_named_is_not_inferred_and_meanings_follow():
    described = (
        column("zip", pa.string(), "categorical"),
        column("age", pa.string(), "categorical"),
        column("id", pa.string(), "identifier"),
        column("y", pa.string(), "categorical"),
    )
    schema = DatasetSchema(
        kind="tabular", tables=(TableSchema(name="t", columns=described),), target="y"
    )
    rows = {name: ["1", "2"] for name in ("zip", "age", "id", "y")}
    found = clean(rows, {"types": {"*": "infer", "zip": "string"}}, schema=schema)
    assert [(c.type, c.meaning) for c in found.schema.main.columns] == [
        ("string", "categorical"),
        ("int64", "numeric"),
        ("int64", "identifier"),
        ("int64", "categorical"),
    ]


def test_a_failed_cast_may_stop_the_stage():
    rule = {"x": {"to": "int64", "on_error": "fail"}}
    assert clean({"x": ["1", "?"]}, {"types": rule}).values("x") == [1, None]
    with pytest.raises(DataError, match=r"all of 'x' in 't' to be int64, found 1 or more other"):
        clean({"x": ["1", "x"]}, {"types": rule})


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (pa.array(["a"]), "integer", "unknown type 'integer'; write int64"),
        (pa.array([1]), "date32", "'x' of 't' is of type int64, expected one whose values can be"),
        (pa.array([DAY]), "int64", "is of type date32"),
        (pa.array(["a"]), "binary", "expected one whose values can be binary"),
        (pa.array([b"a"]), "string", "expected one whose values can be string"),
    ],
)
def test_types_that_cannot_be_are_named(values, kind, message):
    with pytest.raises(ParamsError, match=message):
        clean({"x": values}, {"types": {"x": kind}})


def test_only_infer_is_for_all_columns():
    with pytest.raises(ParamsError, match=r"types.\*: expected 'infer', found 'int64'"):
        clean({"x": ["a"]}, {"types": {"*": "int64"}})


@settings(deadline=None, max_examples=25)
@given(
    texts=st.lists(
        st.one_of(
            st.integers(-(10**20), 10**20).map(str),
            st.floats(allow_nan=False).map(repr),
            st.dates().map(str),
            st.sampled_from(["", "x", "$1", "1,000", "N/A", "03/04/2020"]),
        ),
        min_size=1,
    ),
    kind=st.sampled_from(["int64", "double", "decimal128(20, 3)", "date32", "infer", "bool"]),
    cut=st.lists(st.integers(1, 5), min_size=1),
)
def test_batches_leave_no_trace(texts, kind, cut):
    found = [clean({"x": texts}, {"types": {"x": kind}}, cut=lengths) for lengths in (cut, [100])]
    assert found[0] == found[1]
