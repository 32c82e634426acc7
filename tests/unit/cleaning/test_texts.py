"""Texts in one form, values in place of others, lengths."""

import datetime

import pyarrow as pa
import pytest

from tasks.errors import ParamsError
from tasks.schema import DatasetSchema, TableSchema
from tests.cleaned import clean, column


def texts(values: list, operations: list) -> list:
    return clean({"x": pa.array(values, pa.string())}, {"text": {"x": operations}}).values("x")


@pytest.mark.parametrize(
    ("operation", "before", "after"),
    [
        ("nfc", "e\u0301", "é"),
        ("nfkc", "ﬁ ①", "fi 1"),
        ("trim", " \t\u00a0x y\u3000\n", "x y"),
        ("collapse_spaces", "a \t\u00a0\n b", "a b"),
        ("lower", "ÄÖ🙂", "äö🙂"),
        ("upper", "éa🙂", "ÉA🙂"),
        ("strip_accents", "Ångström déjà", "Angstrom deja"),
        ("strip_html", "<p>Fish &amp; <b>chips</b><br>5 < 6</p>", "Fish & chips 5 < 6"),
        ("strip_html", "<style>p {}</style>a<script>if (a<b) {}</script>b", "ab"),
        ("strip_html", "a < b & c", "a < b & c"),
        ("strip_html", "cut <b", "cut <b"),
        ("strip_control", "a\x00b\x1b\u200b\ufeff\u00adc\td\n", "abc\td\n"),
        ("strip_control", "👩\u200d🔬", "👩\u200d🔬"),
    ],
)
def test_operations(operation, before, after):
    assert texts([before, None, ""], [operation]) == [after, None, ""]


def test_operations_follow_one_another_and_changes_are_counted():
    rows = {"x": [" A ", "a", None], "y": [" B", "b", "b"], "n": [1, 2, 3]}
    found = clean(rows, {"text": {"*": ["trim"], "x": ["trim", "lower"]}})
    assert found.values("x") == ["a", "a", None]
    assert found.values("y") == ["B", "b", "b"]
    assert found.effects == {"text": {"rows_dropped": 0, "normalised": {"x": 1, "y": 1}}}


def test_texts_are_in_one_form_before_rows_are_compared():
    found = clean({"x": ["A ", "a"]}, {"text": {"x": ["trim", "lower"]}, "drop_duplicates": True})
    assert found.rows == [{"x": "a"}]


@pytest.mark.parametrize(
    ("values", "rule", "expected"),
    [
        (pa.array(["m", "M", "f", None]), {"m": "male", "M": "male"}, ["male", "male", "f", None]),
        (pa.array(["N/A", "-", "x"]), {"N/A": None, "-": None}, [None, None, "x"]),
        (pa.array([-999, 1]), {-999: None}, [None, 1]),
        (pa.array([-999.0, 1.5]), {-999: 0}, [0.0, 1.5]),
        (pa.array([True, False]), {True: None}, [None, False]),
        (
            pa.array([datetime.date(1900, 1, 1), datetime.date(2000, 1, 1)]),
            {datetime.date(1900, 1, 1): None},
            [None, datetime.date(2000, 1, 1)],
        ),
        (pa.array(["a", "b"]), {"a": "b", "b": "a"}, ["b", "a"]),
        (pa.array(["🙂"]), {"🙂": "smile"}, ["smile"]),
    ],
)
@pytest.mark.parametrize("cut", [(1,), (9,)])
def test_values_are_put_in_place_of_others(values, rule, expected, cut):
    found = clean({"x": values}, {"replace": {"x": rule}}, cut=cut)
    assert found.values("x") == expected


def test_there_is_one_zero():
    for old in (0, -0.0):
        found = clean({"x": [0.0, -0.0, 1.0]}, {"replace": {"x": {old: None}}})
        assert found.values("x") == [None, None, 1.0]


def test_marks_of_all_texts_become_missing_and_may_then_be_filled():
    described = (
        column("a", pa.string(), "categorical", nullable=False),
        column("n", pa.int64(), "numeric", nullable=False),
    )
    schema = DatasetSchema(kind="tabular", tables=(TableSchema(name="t", columns=described),))
    settings = {"replace": {"*": {"?": None}}}
    rows = {"a": ["?", "x", "x"], "n": [1, 2, 3]}
    found = clean(rows, settings, schema=schema)
    assert [c.nullable for c in found.schema.main.columns] == [True, False]
    assert found.effects["replace"]["replaced"] == {"a": 1}
    found = clean(rows, settings | {"missing": {"a": "mode"}}, schema=schema)
    assert found.values("a") == ["x", "x", "x"]
    assert not found.schema.main.column("a").nullable


def test_rows_with_texts_of_another_length_go():
    rows = {"x": ["", "🙂", "abc", None, "abcd"]}
    found = clean(rows, {"length": {"x": {"min": 1, "max": 3}}}, schema=None)
    assert found.values("x") == ["🙂", "abc", None]
    assert found.effects["length"] == {
        "rows_dropped": 2,
        "too_short": {"x": 1},
        "too_long": {"x": 1},
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": {"n": ["trim"]}}, "'n' of 't' is of type int64, expected texts"),
        ({"text": {"x": ["trimm"]}}, "text is not valid"),
        ({"text": {"x": []}}, "at least 1 item"),
        ({"text": {"xx": ["trim"]}}, "text names 'xx', which is no column"),
        ({"replace": {"x": {True: "a"}}}, "value of type string for 'x', found True; quote it"),
        ({"replace": {"n": {"a": 1}}}, "value of type int64 for 'n', found 'a'"),
        ({"replace": {"n": {1: 1.5}}}, "value of type int64 for 'n', found 1.5"),
        ({"replace": {"x": {}}}, "at least 1 item"),
        ({"length": {"n": {"min": 1}}}, "'n' of 't' is of type int64, expected texts"),
        ({"length": {"x": {}}}, "expected a `min` above 0 or a `max`"),
        ({"length": {"x": {"min": 2, "max": 1}}}, "`max` that is no smaller"),
    ],
)
def test_what_does_not_fit_is_named(settings, message):
    with pytest.raises(ParamsError, match=message):
        clean({"x": ["a"], "n": [1]}, settings)


def test_all_texts_too_long_leave_an_empty_table():
    """The stage says so; the steps do not mind."""
    found = clean({"x": ["abc"]}, {"length": {"x": {"max": 2}}, "missing": {"x": "drop"}})
    assert found.rows == []
    found = clean({"x": ["abc"]}, {"length": {"x": {"max": 2}}, "missing": {"x": "mode"}})
    assert found.rows == []
