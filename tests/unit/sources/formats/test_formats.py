"""JSON, XML, workbooks, Parquet and Arrow: how what they hold becomes columns."""

import datetime as dt
import json
import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import SourceError
from tasks.registry import load, names
from tasks.sources.formats import _records, arrow, jsonl, parquet
from tasks.sources.formats.base import Format
from tests.tables_in_files import read, read_elsewhere, source
from tests.web import Page, web_server
from tests.workbooks import write_xlsx

FORMATS = "tasks.sources.formats"


def test_every_suffix_has_one_format():
    suffixes = [s for name in names(FORMATS) for s in load(FORMATS, name, Format).suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert names(FORMATS) == ["arrow", "csv", "excel", "json", "jsonl", "parquet", "xml"]


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ('[{"a": {"b": 1, "c": [1, 2.50]}}, {"a": {"b": 2}}]', None),
        ('{"n": 2, "rows": [{"a": {"b": 1, "c": [1, 2.50]}}, {"a": {"b": 2}}]}', None),
        (
            '{"x": [1], "d": {"z": 0, "rows": [{"a": {"b": 1, "c": [1, 2.50]}}, {"a": {"b": 2}}]}}',
            "d.rows",
        ),
        ('\ufeff\n [\n{"a":{"b":1,"c":[1,2.50]}},{"a":{"b":2}}\n]\n', None),
    ],
)
def test_records_of_json(tmp_path, text, records):
    (tmp_path / "t.json").write_text(text, encoding="utf-8")
    found = read(tmp_path, path="t.json", **({"records": records} if records else {}))
    assert found.to_pydict() == {"a.b": [1, 2], "a.c": ["[1, 2.50]", None]}
    assert [field.nullable for field in found.schema] == [False, True]


def test_json_of_several_chunks_is_read_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.sources.formats.json.CHUNK_BYTES", 400)
    monkeypatch.setattr("tasks.sources.formats._streams.PIECE_BYTES", 7)
    rows = [{"n": i, "t": "é" * (i % 50), "late" if i > 90 else "early": i / 2} for i in range(100)]
    (tmp_path / "t.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    found = read(tmp_path, path="t.json")
    assert found["n"].to_pylist() == list(range(100))
    assert found["t"].to_pylist() == [row["t"] for row in rows]
    assert found["late"].to_pylist() == [row.get("late") for row in rows]
    assert found.equals(read_elsewhere(tmp_path, path="t.json"))


def test_json_lines_in_ranges(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "CHUNK_BYTES", 300)
    monkeypatch.setattr(_records, "PART_BYTES", 1_000)
    (tmp_path / "t.jsonl").write_text("".join(f'{{"n": {i}, "t": "é"}}\n\n' for i in range(200)))
    with source(tmp_path, path="t.jsonl") as files:
        assert len(files.parts(files.schema().main)) > 3
    found = read_elsewhere(tmp_path, path="t.jsonl")
    assert found["n"].to_pylist() == list(range(200))


def test_several_files_decide_together(tmp_path):
    (tmp_path / "1.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "2.jsonl").write_text('{"a": 2.5, "b": "x"}\n')
    found = read(tmp_path, path="*.jsonl")
    assert found.to_pydict() == {"a": [1.0, 2.5], "b": [None, "x"]}


def test_elements_of_xml(tmp_path):
    (tmp_path / "t.xml").write_text(
        """<?xml version="1.0" encoding="latin-1"?>
        <x:people xmlns:x="urn:x">
          <x:person id="1"><name lang="fr">Jos\u00e9 &amp; Co</name><zip>007</zip><n>1</n>
            <home><city>A</city></home><tag>a</tag><tag>b</tag></x:person>
          <person id="2"><name/><zip>8</zip><n>NA</n><home/><note>two <b>words</b></note></person>
        </x:people>""",
        encoding="latin-1",
    )
    expected = {
        "id": [1, 2],
        "name": ["Jos\u00e9 & Co", None],
        "name.lang": ["fr", None],
        "zip": ["007", "8"],
        "n": [1, None],
        "home.city": ["A", None],
        "tag": ['["a", "b"]', None],
        "home": [None, None],
        "note": [None, "two"],
        "note.b": [None, "words"],
    }
    assert read(tmp_path, path="t.xml").to_pydict() == expected
    assert read_elsewhere(tmp_path, path="t.xml", record="person").to_pydict() == expected


def test_sheets_of_a_workbook(tmp_path):
    write_xlsx(
        tmp_path / "t.xlsx",
        {
            "My people": [
                [None, None],
                ["id", "zip", "born", "seen", "ok", "sum", "error", None],
                [1, "007", dt.date(2020, 1, 31), dt.datetime.fromisoformat("2020-01-31T10:30:15")],
                [None],
                [2, 8, None, None, True, "=A1+1=2.5", "#N/A"],
            ],
            "empty": [],
            "other": [["a"], [1]],
        },
    )
    with source(tmp_path, path="t.xlsx") as files:
        assert [table.name for table in files.schema().tables] == ["My_people", "other"]
    found = read(tmp_path, path="t.xlsx")
    assert found.to_pydict() == {
        "id": [1, 2],
        "zip": ["007", "8"],
        "born": [dt.date(2020, 1, 31), None],
        "seen": [dt.datetime.fromisoformat("2020-01-31T10:30:15"), None],
        "ok": [None, True],
        "sum": [None, 2.5],
        "error": [None, None],
    }
    assert found.equals(read_elsewhere(tmp_path, path="t.xlsx"))
    assert read(tmp_path, 1, path="t.xlsx").to_pydict() == {"a": [1]}
    assert read(tmp_path, path="t.xlsx", sheet="other").to_pydict() == {"a": [1]}


def test_workbooks_with_titles_and_many_files(tmp_path):
    write_xlsx(tmp_path / "1.xlsx", {"January": [["Sales"], ["n"], [1]]})
    write_xlsx(tmp_path / "2.xlsx", {"February": [["Sales"], ["n"], [2.5]]})
    assert read(tmp_path, path="*.xlsx", skip_rows=1).to_pydict() == {"n": [1.0, 2.5]}


def test_nested_and_odd_types_of_parquet(tmp_path):
    key = uuid.UUID(int=7)
    table = pa.table(
        {
            "s": pa.array([{"a": 1, "b": {"c": "x"}}, None, {"a": 2, "b": None}]),
            "l": pa.array([[1, 2], None, []]),
            "m": pa.array([[("k", 1.5)], None, []], pa.map_(pa.string(), pa.float64())),
            "t": pa.array([dt.time(1, 2, 3, 4), None, dt.time(0)]),
            "b": pa.array([b"\x00\xff", None, b""]),
            "d": pa.array([dt.timedelta(seconds=1), None, None], pa.duration("ms")),
            "u": pa.array([key.bytes, None, None], pa.uuid()),
            "w": pa.array([Decimal("1.5"), None, None], pa.decimal256(50, 1)),
            "c": pa.array(["p", "q", None]).dictionary_encode(),
            "v": pa.array(["p", "q", None], pa.large_string()),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    expected = {
        "s.a": [1, None, 2],
        "s.b.c": ["x", None, None],
        "l": ["[1, 2]", None, "[]"],
        "m": ['[["k", 1.5]]', None, "[]"],
        "t": ["01:02:03.000004", None, "00:00:00.000000"],
        "b": ["\\x00ff", None, "\\x"],
        "d": [1000, None, None],
        "u": [str(key), None, None],
        "w": ["1.5", None, None],
        "c": ["p", "q", None],
        "v": ["p", "q", None],
    }
    assert read(tmp_path, path="t.parquet").to_pydict() == expected
    with pa.ipc.new_file(str(tmp_path / "t.feather"), table.schema) as file:
        file.write_table(table)
    assert read(tmp_path, path="t.feather").to_pydict() == expected


def test_parts_of_typed_files(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "PART_BYTES", 5_000)
    monkeypatch.setattr(arrow, "_PART_BATCHES", 2)
    table = pa.table({"n": range(3_000)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=500)
    with pa.ipc.new_file(str(tmp_path / "t.arrow"), table.schema) as file:
        file.write_table(table, max_chunksize=500)
    for name in ("t.parquet", "t.arrow"):
        with source(tmp_path, path=name) as files:
            assert len(files.parts(files.schema().main)) == 3
        assert read_elsewhere(tmp_path, path=name)["n"].to_pylist() == list(range(3_000))


def test_a_folder_and_a_format_that_the_suffix_hides(tmp_path):
    folder = tmp_path / "logs"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"n": 1}\n')
    (folder / "deep" / "b.jsonl").write_text('{"n": 2}\n')
    (folder / "README.md").write_text("no data")
    assert read(tmp_path, path="logs")["n"].to_pylist() == [1, 2]
    with source(tmp_path, path="logs") as files:
        assert files.schema().main.name == "logs"
    (tmp_path / "events.log").write_text('{"n": 3}\n')
    assert read(tmp_path, path="events.log", format="jsonl")["n"].to_pylist() == [3]


def test_files_of_a_web_server(tmp_path):
    with web_server() as web:
        web.pages["/sales.csv"] = Page(b"n,t\n1,x\n2,y\n")
        web.pages["/bad.csv"] = Page(b"n,t\n1\n")
        given = f"{web.url}/sales.csv"
        assert read_elsewhere(tmp_path, path=given).to_pydict() == {"n": [1, 2], "t": ["x", "y"]}
        with source(tmp_path, path=given) as files:
            assert files.schema().main.name == "sales"
        with pytest.raises(SourceError, match=f"^{web.url}/bad.csv: line 2 has 1 values"):
            read(tmp_path, path=f"{web.url}/bad.csv")
