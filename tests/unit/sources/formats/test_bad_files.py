"""Files that are wrong: each fault is told with its place and what to do, and nothing is written."""

import bz2
import gzip
import io
import lzma
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import ParamsError, SourceError
from tasks.params import parse
from tasks.stages.ingest import ingest
from tests.tables_in_files import read
from tests.workbooks import write_xlsx

LINES = b"a,b\n" + b"".join(b"%d,x\n" % i for i in range(5_000))
JSONL = b'{"a": 1}\n' * 7_311


def parquet(**options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(10_000))}), sink, compression="none", **options)
    return sink.getvalue()


def nameless() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1], "": [2]}), sink)
    return sink.getvalue()


def arrow(writer=pa.ipc.new_file) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"a": list(range(1_000))})
    with writer(sink, table.schema) as file:
        file.write_table(table)
    return sink.getvalue()


def zipped(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def damaged(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF] * 40) + data[place + 40 :]


XML_BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;">]>
<lolz><row>&lol2;</row></lolz>"""

XML_OUTSIDE = b"""<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r><row>&x;</row></r>"""

CASES = [
    # delimited text
    ("t.csv", b"", {}, "expected rows in .*t.csv, found an empty file"),
    ("t.csv", b"\n\n", {}, "found an empty file"),
    ("t.csv", b"a,b\n1,2\n3\n", {}, "line 3 has 1 values, expected 2"),
    ("t.csv", LINES + b"1,2,3\n", {}, "line 5,002 has 3 values, expected 2"),
    ("t.csv", b"a,a\n1,2\n", {}, r"more than one column is named \['a'\]; rename"),
    ("t.csv", b'a,b\n1,2\n3,"x\n4,5\n', {}, "in line 3 a quote is opened but never closed"),
    ("t.csv", LINES + b'1,"x\n' + LINES, {}, "in line 5,002 a quote is opened but never closed"),
    ("t.csv", b"a,b\n1,caf\xe9\n2,na\xefve\n", {}, "byte 0xE9 at offset 9, in line 2; .*cp1252"),
    (
        "t.csv",
        LINES + b"1,\xff\n",
        {},
        r"byte 0xFF at offset [\d,]+, in line 5,002; .*save it as UTF-8",
    ),
    (
        "t.csv",
        "a,b\n1,ä\n".encode() * 3 + "1,ä\n".encode("latin-1"),
        {},
        "byte 0xE4 at offset 29, in line 7",
    ),
    ("t.csv", "a,日\n".encode("shift_jis") * 9, {}, "it looks like .*cp932"),
    (
        "t.csv",
        "a,b\n1,2\n".encode("utf-16-le"),
        {},
        r"NUL byte at offset 1; set `encoding` \(utf-16-le",
    ),
    ("t.csv", b"\x00\x01\x02\x03", {}, "is it no text at all"),
    ("t.csv", b"a,b\n" + b"1,x\n" * 2_000_000 + b"1,\0\n", {}, "a NUL byte in line 2,000,002"),
    ("t.csv", b"a,b\n1,2\n", {"encoding": "klingon"}, "klingon, which is no known encoding"),
    ("t.csv", b"a,b\nx\xd8\x00", {"encoding": "utf-16-le"}, "is not text in utf-16-le"),
    ("t.csv", b"a,b\n1,\x81\n", {"encoding": "cp1252"}, "byte 0x81 at offset 6, in line 2"),
    (
        "t.csv",
        b"1,2\n",
        {"column_names": ["a", "a"]},
        r"column_names: .*names \['a'\] more than once",
    ),
    ("t.csv", b"1,2\n", {"column_names": ["a", ""]}, "column_names"),
    ("t.csv", b"1.5,2\n3,4\n", {}, "expected the names of the columns in row 1, found numbers"),
    (
        "t.csv",
        b"a,b\n1,2\n",
        {"column_names": ["x"]},
        "2 columns in its first row, but column_names has 1",
    ),
    ("t.csv", b"a,b\n", {"skip_rows": 9}, "expected more than 9 lines"),
    ("t.csv", b"PAR1xxxx", {"format": "parquet"}, "cannot read .*t.csv as Parquet"),
    (
        "t.csv",
        LINES + b'1,"x\n' + b"1,x\n" * 2**25,
        {},
        "in line 5,002 a value or row of more than 64 MiB",
    ),
    # compressed
    ("t.csv.gz", gzip.compress(LINES)[:-300], {}, "is cut off: its compressed data ends too early"),
    ("t.csv.gz", damaged(gzip.compress(LINES), 3_000), {}, "t.csv.gz is damaged"),
    ("t.csv.gz", gzip.compress(LINES) + b"trailing garbage", {}, "t.csv.gz is damaged"),
    ("t.csv.bz2", bz2.compress(LINES)[:-100], {}, "is cut off"),
    ("t.csv.xz", lzma.compress(LINES)[:-100], {}, "is cut off"),
    ("t.csv.zst", pa.compress(LINES, "zstd", asbytes=True)[:-100], {}, "is cut off"),
    ("t.csv.lz4", pa.compress(LINES, "lz4", asbytes=True)[:-100], {}, "is cut off"),
    ("t.csv.zip", zipped(a=LINES, b=LINES), {}, "expected one file in .*t.csv.zip, found 2"),
    ("t.csv.zip", zipped(a=LINES)[:-30], {}, "is damaged"),
    (
        "t.csv.gz",
        gzip.compress(b"a\n" + b"0\n" * 2**20),
        {"inflated_gib": 0.001},
        "looks like a bomb",
    ),
    ("t.csv.zip", zipped(a=b"a\n" + b"0\n" * 2**20), {"inflated_gib": 0.001}, "looks like a bomb"),
    # JSON Lines
    (
        "t.jsonl",
        JSONL + b'{"a": 1, "b": x}\n' + JSONL,
        {},
        "line 7,312, column 15: Expecting value",
    ),
    ("t.jsonl", b'{"a": 1}\n[1]\n', {}, r"line 2: expected one JSON object a line, found '\[1\]"),
    ("t.jsonl", b'{"a": 1, "a": 2}\n', {}, "line 1: the name 'a' stands twice"),
    ("t.jsonl", b'{"a": {"b": 1}, "a.b": 2}\n', {}, "line 1: two values are named 'a.b'"),
    ("t.jsonl", b'{"a": 1}\n{"": 1}\n', {}, "line 2: expected a name for each value, found ''"),
    (
        "t.jsonl",
        b'{"a": "x"}\n{"a": "\\ud83d\\ude00"}\n{"a": "y\\uD83D"}\n',
        {},
        r"line 3: \\ud83d is half of a character",
    ),
    ("t.jsonl", b'{"\\udc00": 1}\n', {}, r"line 1: \\udc00 is half of a character"),
    ("t.jsonl", b'{"a": [["\\udc00"]]}\n', {}, r"line 1: \\udc00 is half of a character"),
    ("t.jsonl", b'{"a": "\xff"}\n', {}, "byte 0xFF at offset 7, in line 1"),
    ("t.jsonl", b'{"a": ' + b"[" * 100_000 + b"\n", {}, "line 1: nested too deep"),
    ("t.jsonl", b"", {}, "expected records with values"),
    ("t.jsonl", b"{}\n{}\n", {}, "expected records with values"),
    ("t.jsonl", gzip.compress(JSONL)[:-9], {}, "is cut off"),
    # JSON
    ("t.json", b"", {}, "expected JSON in .*t.json, found an empty file"),
    (
        "t.json",
        b'[{"a": 1},\n {"a": 2},\n {"a" 3}]',
        {},
        "line 3, column 7: Expecting ':' delimiter",
    ),
    ("t.json", b'[{"a": 1}, {"a": 2}', {}, "column 20: the document ends too early"),
    ("t.json", b'[{"a": 1}, {"a": "x', {}, "the document ends too early"),
    ("t.json", b'[{"a": 1}] x', {}, "column 12: expected the end of the document"),
    ("t.json", b"[1, 2]", {}, "expected an object as each record"),
    ("t.json", b'"a"', {}, "expected an array of objects"),
    ("t.json", b"[" * 100_000, {}, "nested too deep"),
    (
        "t.json",
        b'{"x": [{"a": 1}], "y": [{"a": 1}]}',
        {},
        "both 'x' and 'y' hold arrays; say by `records`",
    ),
    (
        "t.json",
        b'{"x": {"y": 1}}',
        {"records": "x.y"},
        "expected an array at 'y', as `records` says",
    ),
    ("t.json", b'{"x": [{"a": 1}]}', {"records": "z"}, "expected 'z' in this object, found 'x'"),
    ("t.json", b'{"a": 1}\n{"a": 2}', {}, "format: jsonl"),
    ("t.json", b'[{"a": "\xe9"}]', {}, "byte 0xE9 at offset 8"),
    ("t.json", b'[{"":1}]', {}, "line 1, column 8: expected a name for each value"),
    ("t.json", b'[{"a":"\\ud800"}]', {}, r"line 1, column 16: \\ud800 is half of a character"),
    # XML
    ("t.xml", XML_BOMB, {}, r"line 2, column 16: a document type \(<!DOCTYPE"),
    ("t.xml", XML_OUTSIDE, {}, "a document type"),
    ("t.xml", b"<r><a>1</a>\n<a>2</b></r>", {}, "line 2, column 7: mismatched tag"),
    ("t.xml", b"<r><a>1</a>", {}, "line 1, column 12: no element found"),
    ("t.xml", b"", {}, "no element found"),
    ("t.xml", b"<r/>", {}, "expected elements 'in the root'"),
    ("t.xml", b"<r><a/><b/></r>", {}, "the root holds 'a' and 'b'; say by `record`"),
    ("t.xml", b"<r><i><a/><a/></i></r>", {}, "record: a"),
    ("t.xml", b"<r><a x='1'/></r>", {"record": "b"}, "expected elements 'b'"),
    ("t.xml", b"<a>" * 500, {}, "more than 100 elements are nested"),
    ("t.xml", b"<r><a id='1'><id>2</id></a></r>", {}, "line 1: two values are named 'id'"),
    # Parquet, Arrow
    ("t.parquet", b"", {}, "t.parquet as Parquet: .*it is empty: write it anew"),
    ("t.parquet", b"no parquet at all", {}, "t.parquet as Parquet"),
    ("t.parquet", parquet()[:-100], {}, "t.parquet as Parquet"),
    (
        "t.parquet",
        damaged(parquet(use_dictionary=False), 4),
        {},
        r"t.parquet \(row groups 0 to 0\)",
    ),
    ("t.arrow", b"", {}, "t.arrow as Arrow: it is empty"),
    ("t.arrow", b"no arrow at all, really", {}, "t.arrow as Arrow"),
    ("t.arrow", arrow()[:-50], {}, "t.arrow as Arrow"),
    ("t.arrow", arrow(pa.ipc.new_stream)[:3_000], {}, "t.arrow, batch 0"),
    ("t.parquet", nameless(), {}, "t.parquet: a column has no name"),
    # workbooks
    ("t.xlsx", b"", {}, "t.xlsx as a workbook"),
    ("t.xls", b"no workbook", {}, "t.xls as a workbook"),
    ("t.xlsx", zipped(a=b"x"), {}, "t.xlsx as a workbook"),
    ("t.xlsx", zipped(a=b"0" * 2**22), {"inflated_gib": 0.001}, "looks like a bomb"),
    # settings that are for other files
    ("t.csv", LINES, {"sheet": "x"}, "sheet: not a setting of csv files"),
    ("t.jsonl", JSONL, {"delimiter": ";"}, "delimiter: not a setting of jsonl files"),
    ("t.csv", LINES, {"delimiter": "ab"}, "delimiter: string should match pattern"),
    ("t.csv", LINES, {"format": "yaml"}, "has no 'yaml'; choose one of: arrow, csv, excel, json"),
]


@pytest.mark.parametrize(
    ("name", "content", "settings", "message"),
    [pytest.param(*case, id=f"{i}-{case[0]}") for i, case in enumerate(CASES)],
)
def test_faults_are_told_with_their_place(tmp_path, name, content, settings, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((SourceError, ParamsError), match=re.compile(message, re.DOTALL)):
        read(tmp_path, path=name, **settings)


SHEETS = [
    ({"S": []}, {}, "found empty sheets"),
    ({"S": [["a", "b"]]}, {}, r"expected rows below the names of the columns in .*t\.xlsx, found"),
    ({"S": [["a"], [1]], "T": [["b"]]}, {}, r"t\.xlsx, sheet 'T', found none; name the sheet"),
    ({"S": [["a"], [1]]}, {"sheet": "T"}, "expected the sheet 'T' .* found: 'S'"),
    ({"S": [["a", "a"], [1, 2]]}, {}, r"sheet 'S', row 1: more than one column is named \['a'\]"),
    ({"S": [["Report"], ["a", "b"], [1, 2]]}, {}, "row 2: a value stands right of the last column"),
    ({"S": [[1.5, 2], [3, 4]]}, {}, "row 1: expected the names of the columns"),
    (
        {"S": [["a"], [1]], "T": [["a"], [1]]},
        {"table": "x"},
        "holds 2 tables: S, T; name one by `sheet`",
    ),
]


@pytest.mark.parametrize(("sheets", "settings", "message"), SHEETS)
def test_faults_of_workbooks(tmp_path, sheets, settings, message):
    write_xlsx(tmp_path / "t.xlsx", sheets)
    with pytest.raises((SourceError, ParamsError), match=message):
        read(tmp_path, path="t.xlsx", **settings)


def test_files_of_other_columns(tmp_path):
    for name, table in {
        "1": {"a": [1], "b": [2]},
        "2": {"a": [1]},
        "3": {"a": [1], "b": ["x"]},
    }.items():
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    with pytest.raises(
        SourceError, match=r"2.parquet too: a \(int64\), b .* \(missing: b \(int64\)\)"
    ):
        read(tmp_path, path="[12].parquet")
    with pytest.raises(SourceError, match=r"missing: b \(int64\); unknown: b \(string\)"):
        read(tmp_path, path="[13].parquet")


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(SourceError, match="leads out of"):
        read(tmp_path, path="data/*.csv")


def test_an_encrypted_parquet_file_is_named(tmp_path):
    data = bytearray(parquet())
    data[-4:] = b"PARE"
    (tmp_path / "t.parquet").write_bytes(bytes(data))
    with pytest.raises(SourceError, match=r"t\.parquet as Parquet"):
        read(tmp_path, path="t.parquet")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", LINES + b"1,2,3\n"),
        ("t.csv.gz", gzip.compress(LINES)[:-300]),
        ("t.jsonl", JSONL + b"{"),
        ("t.parquet", damaged(parquet(use_dictionary=False), 4)),
    ],
)
def test_nothing_half_written_stays(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    entry = {
        "kind": "tabular",
        "schedule": None,
        "seed": 0,
        "target": None,
        "source": {"type": "files", "path": name},
        "constraints": [],
        "clean": {},
        "split": {},
        "balance": {},
        "generator": "tvae",
        "generator_params": {},
        "train": {},
        "sample": {},
        "evaluate": {},
        "thresholds": {},
        "publish": {"title": "t", "description": "d", "license": "MIT"},
    }
    params = parse({"datasets": {"d": entry}}, "params").datasets["d"]
    before = sorted(Path(tmp_path).iterdir())
    with pytest.raises(SourceError, match=name):
        ingest(tmp_path / "raw", params, project=tmp_path)
    assert [p for p in sorted(tmp_path.iterdir()) if p.name != ".proofmint"] == before
