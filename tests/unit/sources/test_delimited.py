"""Types, dialects and faults of delimited files, through the file source that reads them."""

import datetime as dt
import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.errors import SourceError
from tasks.sources.files import open_csv


def read(folder: Path, text: str | bytes, name: str = "t.csv") -> pa.Table:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    _, batches = open_csv(path)
    return pa.Table.from_batches(batches)


def column(folder: Path, *values: str) -> pa.ChunkedArray:
    """One column of these spellings, beside one that keeps empty lines apart."""
    lines = "\n".join(f'"{value}",x' for value in values)
    return read(folder, f"c,other\n{lines}\n")["c"]


@pytest.mark.parametrize(
    ("spelled", "data_type", "values"),
    [
        (("1", "-2", "0"), pa.int64(), [1, -2, 0]),
        (("1234567890123456789", "5"), pa.int64(), [1234567890123456789, 5]),
        (("007", "8"), pa.string(), ["007", "8"]),
        (("+49", "8"), pa.string(), ["+49", "8"]),
        (("12345678901234567890", "5"), pa.string(), ["12345678901234567890", "5"]),
        (("12345678901234567", "1.5"), pa.string(), ["12345678901234567", "1.5"]),
        (("1.5", "2", ".5", "1e3"), pa.float64(), [1.5, 2.0, 0.5, 1000.0]),
        (("1,5", "2"), pa.float64(), [1.5, 2.0]),
        (("1", "NA", ""), pa.int64(), [1, None, None]),
        (("a", "NA", ""), pa.string(), ["a", "NA", None]),
        (("NA", ""), pa.string(), [None, None]),
        (("true", "False", "?"), pa.bool_(), [True, False, None]),
        (("yes", "no"), pa.string(), ["yes", "no"]),
        (("2020-01-31",), pa.date32(), [dt.date(2020, 1, 31)]),
        (
            ("2020-01-31 10:00",),
            pa.timestamp("us"),
            [dt.datetime.fromisoformat("2020-01-31 10:00")],
        ),
        (("2020/1/31",), pa.date32(), [dt.date(2020, 1, 31)]),
        (("1/2/2020",), pa.date32(), [dt.date(2020, 1, 2)]),
        (("1/2/2020", "31/1/2020"), pa.date32(), [dt.date(2020, 2, 1), dt.date(2020, 1, 31)]),
        (("31.1.2020 7:30",), pa.timestamp("us"), [dt.datetime.fromisoformat("2020-01-31 07:30")]),
        (("30/02/2020",), pa.string(), ["30/02/2020"]),
        (("30.02.2020",), pa.string(), ["30.02.2020"]),
        (("2020-02-30",), pa.string(), ["2020-02-30"]),
    ],
)
def test_types_follow_from_all_spellings(tmp_path, spelled, data_type, values):
    found = column(tmp_path, *spelled)
    assert found.type == data_type
    assert found.to_pylist() == values


def test_zones_become_utc(tmp_path):
    found = column(tmp_path, "2020-01-01T10:00:00Z", "2020-01-01 10:00+02:00")
    assert found.type == pa.timestamp("us", tz="UTC")
    assert [moment.hour for moment in found.to_pylist()] == [10, 8]


def test_a_late_text_makes_the_whole_column_text(tmp_path):
    lines = "\n".join(["1,x"] * 300_000)
    found = read(tmp_path, f"c,d\n{lines}\noops,x\n")["c"]
    assert found.type == pa.string()
    assert len(found) == 300_001


def test_missing_values_make_a_column_nullable(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,x,\n2,,\n")
    schema, _ = open_csv(path)
    assert [c.nullable for c in schema.main.columns] == [False, True, True]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x\n",
        "a;b\n1;x\n",
        "a\tb\n1\tx\n",
        "a|b\n1|x\n",
        "\n\na,b\n1,x\n",
        "a,b\r\n1,x\r\n",
        " a , b \n1,x",
        "\ufeffa,b\n1,x\n",
        "a,b\r1,x\r",
        "\r\n\r\na,b\r\n\r\n1,x\r\n\r\n",
        "a,b\n1,x\n".encode("utf-16"),
    ],
)
def test_dialects(tmp_path, text):
    assert read(tmp_path, text).to_pydict() == {"a": [1], "b": ["x"]}


def test_a_column_without_a_name_is_called_by_its_place(tmp_path):
    assert read(tmp_path, ",a,\n0,1,x\n").column_names == ["column 1", "a", "column 3"]


def test_values_may_be_long(tmp_path):
    assert read(tmp_path, f"a,b\n{'y' * 300_000},1\n")["a"].to_pylist() == ["y" * 300_000]


def test_empty_lines_before_a_header_of_one_name_are_no_rows(tmp_path):
    assert read(tmp_path, "\n\na\n1\n").to_pydict() == {"a": [1]}


def test_quotes_newlines_and_gzip(tmp_path):
    text = 'a,b\n"x,""y""\nz",1\n'
    expected = {"a": ['x,"y"\nz'], "b": [1]}
    assert read(tmp_path, text).to_pydict() == expected
    assert read(tmp_path, gzip.compress(text.encode()), "t.csv.gz").to_pydict() == expected


def test_an_empty_line_of_one_column_is_a_missing_value(tmp_path):
    assert read(tmp_path, "a\n1\n\n3\n").to_pydict() == {"a": [1, None, 3]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        ("a,b\n", "found a header only"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 values, expected 2"),
        ("a,b\n1,2\n3\n", "line 3 has 1 values, expected 2"),
        ("a,b,a\n1,2,3\n", r"more than one column is named \['a'\]"),
        ('a,b\n\n"1\n\n",2\n3\n', "line 6 has 1 values, expected 2"),
        ("column 2,\n0,1\n", r"more than one column is named \['column 2'\]"),
        ("1.5,x\n2.5,y\n", "expected the names of the columns in row 1, found numbers"),
        ('a,b\n1,2\n3,"4\n5,6\n', "a quote is opened but never closed"),
        (b"a,b\n\xff,1\n", "is not text in utf-8"),
        ("a,b\n1,2\n".encode("utf-16-be"), "is it no text at all"),
        (b"a,b\n1,2\n\xff,1\n" * 9, "is not text in utf-8"),
        ("a,b\n1,\0\n", "is it no text at all"),
    ],
)
def test_faults_are_explained(tmp_path, text, message):
    with pytest.raises(SourceError, match=message):
        read(tmp_path, text)


def test_years_and_counts_may_be_names(tmp_path):
    assert read(tmp_path, "1990,1991\n5,6\n").column_names == ["1990", "1991"]
    assert read(tmp_path, "0,1\n5,6\n").column_names == ["0", "1"]


def test_a_fault_past_the_first_megabyte_is_found(tmp_path):
    lines = b"\n".join([b"1,x"] * 600_000)
    with pytest.raises(SourceError, match="line 600,002 has 3 values"):
        read(tmp_path, b"a,b\n" + lines + b"\n1,2,3\n")
    with pytest.raises(SourceError, match="is not text in utf-8"):
        read(tmp_path, b"a,b\n" + lines + b"\n1,\xff\n")
