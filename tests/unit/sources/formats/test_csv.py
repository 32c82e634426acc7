"""Delimited files: what one pass finds is what all rows say, whatever the blocks, the dialect, the bytes."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.errors import SourceError
from tasks.sources.formats import _blocks, _streams
from tasks.sources.formats import csv as csv_format
from tasks.sources.formats._delimited import read_texts
from tasks.sources.formats._dialect import Told, sniff
from tasks.sources.formats._inference import convert, infer
from tests.tables_in_files import read, read_elsewhere, source

SPELLINGS = [
    *("", "NA", " NA ", "-", "?", "0", "1", "-0", "007", "+1", " 5", "0x1F", "12", "-7"),
    *("1.5", ".5", "1.", "01.5", "1e3", "inf", "nan", "NAN", "1,5", "1,250", "1234567890123456"),
    *("1234567890123456789", "12345678901234567890", "true", "False", "2020-01-31", "2020-02-30"),
    *("2020-01-31 10:00", "2020-01-31 10:00:00", "2020-01-31 10", "2020-01-31T10:00:00Z"),
    *("2020-01-31 10:00:00.123456", "31/1/2020", "1/2/2020", "30.1.2020", "x", "é", '5" disk'),
    *('a "word"', "two\nlines", "two\r\nlines", "with, comma", '"', "''", "\u00a0"),
]

small_blocks = pytest.mark.usefixtures("_small_blocks")


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, from pieces of a few bytes, in parts of a few blocks."""
    monkeypatch.setattr(_blocks, "BLOCK_BYTES", 50)
    monkeypatch.setattr(_streams, "PIECE_BYTES", 23)
    monkeypatch.setattr(csv_format, "PART_BYTES", 200)


def columns_of_spellings() -> st.SearchStrategy[list[list[str]]]:
    """Columns that are mostly of one spelling, with others anywhere."""
    pools = st.lists(st.sampled_from(SPELLINGS), min_size=1, max_size=3)
    column = pools.flatmap(lambda pool: st.lists(st.sampled_from(pool), min_size=25, max_size=25))
    return st.lists(column, min_size=1, max_size=4)


@small_blocks
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    columns=columns_of_spellings(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_one_pass_gives_what_two_exact_passes_give(tmp_path, columns, quoting, line_end):
    names = [f"c{i}" for i in range(len(columns))]
    rows = list(zip(*columns, strict=True))
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=line_end)
    writer.writerows([names, *rows])
    path = tmp_path / "t.csv"
    path.write_bytes(text.getvalue().encode())

    dialect = sniff(path, Told(delimiter=","))
    texts = pa.Table.from_batches(read_texts(path, dialect))
    if len(names) > 1:
        assert [tuple(row.values()) for row in texts.to_pylist()] == rows
    exact = infer(iter(texts.to_batches()), dialect.names)
    expected = pa.Table.from_batches(
        [convert(b, exact) for b in texts.combine_chunks().to_batches()]
    )
    found = read(tmp_path, path="t.csv", delimiter=",")
    assert [(f.name, f.type, f.nullable) for f in found.schema] == [
        (name, inferred.data_type, inferred.nullable) for name, inferred in exact.items()
    ]
    assert str(found.to_pydict()) == str(expected.to_pydict())  # NaN is not equal to NaN
    assert str(read_elsewhere(tmp_path, path="t.csv", delimiter=",").to_pydict()) == str(
        expected.to_pydict()
    )
    unspooled = read(tmp_path, path="t.csv", delimiter=",", encrypt=True)
    assert str(unspooled.to_pydict()) == str(expected.to_pydict())


@small_blocks
@pytest.mark.parametrize(
    ("values", "data_type"),
    [
        (["1"] * 50 + ["x"], pa.string()),
        (["1"] * 50 + ["1.5"], pa.float64()),
        (["1"] * 50 + ["007"], pa.string()),
        (["1"] * 50 + ["12345678901234567890"], pa.string()),
        (["1234567890123456"] * 50 + ["1.5"], pa.string()),
        ([""] * 50 + ["2020-01-31"], pa.date32()),
        (["NA"] * 50, pa.string()),
        (["2020-01-31"] * 50 + ["2020-01-31 10:00"], pa.timestamp("us")),
        (["1/2/2020"] * 50 + ["31/1/2020"], pa.date32()),
        (["true"] * 50 + ["1"], pa.string()),
        ([""] * 50 + ["0"] + [""] * 50 + ["true"], pa.string()),
    ],
)
def test_the_last_row_may_decide(tmp_path, values, data_type):
    lines = "\n".join(f"{value},x" for value in values)
    (tmp_path / "t.csv").write_text(f"a,b\n{lines}\n")
    found = read(tmp_path, path="t.csv")
    assert found.schema.field("a").type == data_type
    if data_type == pa.string():
        assert found["a"].to_pylist() == [None if v in ("", "NA") else v for v in values]
    assert found.equals(read_elsewhere(tmp_path, path="t.csv"))


@small_blocks
@pytest.mark.parametrize(
    "text",
    [
        'a,b\n5" disk,x\n"q",y\n' + "1,2\n" * 40,
        "a,b\n" + "1,2\n" * 40 + 'the "best",x\n' + '"two\nlines",y\n' * 5,
        'a,b\n"1""2",x\n' + '"\n\n""\n",y\n' * 20,
        "a,b\n" + f'"{"long " * 100}\n{"longer " * 100}",1\n' * 3,
        "a,b\r" + '"x\ry",1\r' * 30,
        "a,b\n" + "x\u00e9\u4e2d,1\n" * 30,
    ],
)
def test_blocks_end_where_rows_end(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row][1:]
    texts = pa.Table.from_batches(read_texts(path, sniff(path, Told())))
    assert [list(row.values()) for row in texts.to_pylist()] == rows


def test_parts_are_ranges_that_another_process_can_read(tmp_path, monkeypatch):
    monkeypatch.setattr(_blocks, "BLOCK_BYTES", 1_000)
    monkeypatch.setattr(_streams, "PIECE_BYTES", 100)
    monkeypatch.setattr(csv_format, "PART_BYTES", 4_000)
    (tmp_path / "t.csv").write_text("\ufeffn,t\n" + "".join(f"{i},'{i}\n" for i in range(2_000)))
    with source(tmp_path, path="t.csv") as files:
        bounds = [part.place["in_file"] for part in files.parts(files.schema().main)]
        assert len(bounds) == 5
        assert bounds[0]["start"] == len("n,t\n")
        assert [b["end"] for b in bounds[:-1]] == [b["start"] for b in bounds[1:]]
    found = read_elsewhere(tmp_path, path="t.csv")
    assert found["n"].to_pylist() == list(range(2_000))


def test_a_file_that_changes_is_not_read_on(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with source(tmp_path, path="t.csv", encrypt=True) as files:
        table = files.schema().main
        (part,) = files.parts(table)
        path.write_text("a,b\n1,x\n3,4\n")
        with pytest.raises(SourceError, match="has changed while it was read"):
            list(files.read_part(table, part))


COMPRESSED = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: pa.compress(data, "zstd", asbytes=True),
    "lz4": lambda data: pa.compress(data, "lz4", asbytes=True),
}


def zipped(*contents: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for i, content in enumerate(contents):
            archive.writestr(f"../t{i}.csv", content)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", [*COMPRESSED, "zip"])
def test_compressed_files(tmp_path, suffix):
    text = "a,b\n" + "".join(f"{i},x{i}\n" for i in range(1_000))
    pack = COMPRESSED.get(suffix, zipped)
    (tmp_path / f"t.csv.{suffix}").write_bytes(pack(text.encode()))
    (tmp_path / "misnamed.csv").write_bytes(pack(text.encode()))
    for name in (f"t.csv.{suffix}", "misnamed.csv"):
        found = read(tmp_path, path=name)
        assert found["a"].to_pylist() == list(range(1_000))
        assert found.equals(read_elsewhere(tmp_path, path=name))


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "José"),
        ("cp1252", "€ “q”"),
        ("shift_jis", "ソ東京|表"),
        ("utf-16", "日本"),
        ("utf-16-le", "日本"),
        ("utf-16-be", "Müller"),
        ("utf-32", "𝄞"),
        ("utf-8-sig", "Ünï"),
        ("gb18030", "中文"),
    ],
)
def test_encodings(tmp_path, encoding, text):
    (tmp_path / "t.csv").write_bytes(f"name,n\n{text},1\n{text},2\n".encode(encoding))
    found = read(tmp_path, path="t.csv", encoding=encoding)
    assert found.to_pydict() == {"name": [text, text], "n": [1, 2]}
    assert found.equals(read_elsewhere(tmp_path, path="t.csv", encoding=encoding))


@pytest.mark.parametrize(
    ("text", "told", "expected"),
    [
        ("a^b\n1^x\n", {"delimiter": "^"}, {"a": [1], "b": ["x"]}),
        ("a,b\n'x,y',1\n", {"quote": "'"}, {"a": ["x,y"], "b": [1]}),
        ('a,b\n5",1\n"6,2\n', {"quote": ""}, {"a": ['5"', '"6'], "b": [1, 2]}),
        ('a,b\n"x\\"y",1\n', {"escape": "\\"}, {"a": ['x"y'], "b": [1]}),
        ("# a, b\na,b\n#no\n1,x\n", {"comment": "#"}, {"a": [1], "b": ["x"]}),
        ('a,b\n"1\n#2",x\n', {"comment": "#"}, {"a": ["1\n#2"], "b": ["x"]}),
        ("Report\n\na,b\n1,x\n", {"skip_rows": 2}, {"a": [1], "b": ["x"]}),
        ("1;2,5\n2;3\n", {"column_names": ["n", "x"]}, {"n": [1, 2], "x": [2.5, 3.0]}),
        ('n,x\n"1,250",7\n0,7\n', {"thousands": ","}, {"n": [1250, 0], "x": [7, 7]}),
        ("n\n1.250,5\n3,25\n", {"thousands": ".", "delimiter": ";"}, {"n": [1250.5, 3.25]}),
        (
            "n;m\n1 250;007\n1\u202f000 000;8\n",
            {"thousands": " "},
            {"n": [1250, 1_000_000], "m": ["007", "8"]},
        ),
        ("n;m\n1.250;1\n12500;2\n", {"thousands": "."}, {"n": [1250, 12500], "m": [1, 2]}),
        ('n,m\n"1,25",1\n', {"thousands": ","}, {"n": ["1,25"], "m": [1]}),
        ("a\n\n1\n", {}, {"a": [None, 1]}),
        ("a,b\n\n1,x\n\n", {}, {"a": [1], "b": ["x"]}),
    ],
)
def test_dialects_that_are_told(tmp_path, text, told, expected):
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert read(tmp_path, path="t.csv", **told).to_pydict() == expected
    assert read_elsewhere(tmp_path, path="t.csv", **told).to_pydict() == expected


def test_wide_and_long(tmp_path):
    names = [f"column{i}" for i in range(3_000)]
    values = ",".join(str(i) for i in range(3_000))
    (tmp_path / "wide.csv").write_text(f"{','.join(names)}\n{values}\n{values}\n")
    found = read(tmp_path, path="wide.csv")
    assert found.num_columns == 3_000
    assert found["column2999"].to_pylist() == [2999, 2999]
    (tmp_path / "long.csv").write_text(f"a,b\n1,{'y' * 10_000_000}\n")
    assert len(read(tmp_path, path="long.csv")["b"][0].as_py()) == 10_000_000


def test_a_tsv_keeps_its_commas(tmp_path):
    (tmp_path / "t.tsv").write_text("a,b\tc\n1,2\t3\n")
    assert read(tmp_path, path="t.tsv").to_pydict() == {"a,b": [1.2], "c": [3]}
