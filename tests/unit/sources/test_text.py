"""Texts: units, labels, encodings, tables, and what is refused with its place."""

import gzip
from pathlib import Path

import pytest

from tasks.errors import ParamsError, SourceError
from tasks.sources import text
from tasks.sources.text import TextSource

SMS_SPAM = Path(__file__).parents[4] / "shared" / "data" / "sms_spam" / "SMSSpamCollection"


def put(folder: Path, name: str, content: bytes | str) -> None:
    path = folder / "texts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def source(project: Path, target: str | None = None, **settings) -> TextSource:
    given = {"path": "texts"} | settings
    return TextSource(given, kind="text", target=target, project=project)


def rows(opened: TextSource) -> list[dict]:
    with opened:
        name = opened.schema().main.name
        return [row for batch in opened.read(name) for row in batch.to_pylist()]


def texts(opened: TextSource) -> list[str]:
    return [row["text"] for row in rows(opened)]


def test_folders_are_labels_and_files_are_exact(tmp_path):
    put(tmp_path, "pos/2.txt", "gut\r\n")
    put(tmp_path, "neg/1.txt", "  schlecht")
    put(tmp_path, "pos/1.txt", "\ufeffgrün")
    put(tmp_path, "pos/3.txt", " \n")
    put(tmp_path, "pos/4.txt", "")
    put(tmp_path, "pos/5.txt.gz", gzip.compress(b"packed", mtime=0))
    opened = source(tmp_path, target="label")
    found = rows(opened)
    assert [(r["label"], r["text"]) for r in found] == [
        ("neg", "  schlecht"),
        ("pos", "grün"),
        ("pos", "gut\r\n"),
        ("pos", "packed"),
    ]
    assert opened.counts() == {"empty_texts": 2}
    assert [c.meaning for c in opened.schema().main.columns] == ["text", "categorical"]


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("file", ["a b\n c\r\n\r\nd\n\n \ne", "f"]),
        ("line", ["a b", " c", "d", "e", "f"]),
        ("paragraph", ["a b\n c", "d", "e", "f"]),
    ],
)
def test_units(tmp_path, unit, expected):
    put(tmp_path, "1.txt", "a b\n c\r\n\r\nd\n\n \ne")
    put(tmp_path, "2.txt", "f")
    assert texts(source(tmp_path, unit=unit)) == expected
    assert source(tmp_path).schema().main.column_names == ["text"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_lines_do_not_depend_on_how_a_file_is_read(tmp_path, monkeypatch, size):
    monkeypatch.setattr("tasks.sources.formats._streams.PIECE_BYTES", size)
    put(tmp_path, "1.txt", "ä\r\n\rb\rc\n\nd\r")
    assert texts(source(tmp_path, unit="line")) == ["ä", "b", "c", "d"]
    opened = source(tmp_path, unit="line")
    rows(opened)
    assert opened.counts() == {"empty_texts": 2}


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("latin-1", "grün\nblau".encode("latin-1")),
        ("utf-8", "grün\nblau".encode("utf-16")),  # by its byte order mark
        ("utf-16-le", "grün\nblau".encode("utf-16-le")),
        ("cp1252", "grün\nblau".encode("cp1252")),
        ("utf-8", "grün\nblau".encode("utf-8-sig")),
    ],
)
def test_encodings(tmp_path, encoding, content):
    put(tmp_path, "1.txt", content)
    assert texts(source(tmp_path, unit="line", encoding=encoding)) == ["grün", "blau"]


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (
            "ok\nschön\n".encode("latin-1"),
            {},
            r"1\.txt is not text in utf-8: byte 0xF6 at offset 6, in line 2",
        ),
        (b"ok\nschl\xff", {"unit": "line"}, "at offset 7, in line 2"),
        (
            b"ok\n\x81",
            {"encoding": "cp1252"},
            "not text in cp1252: byte 0x81 at offset 3, in line 2",
        ),
        ("ab".encode("utf-16-le"), {}, r"1\.txt, line 1: found a NUL character, byte 1"),
        (b"x", {"encoding": "klingon"}, "klingon, which is no known encoding"),
        (gzip.compress(b"packed", mtime=0)[:-6], {}, "is cut off"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(tmp_path, content, settings, message):
    put(tmp_path, "1.txt", content)
    with pytest.raises(SourceError, match=message):
        rows(source(tmp_path, **settings))


@pytest.mark.parametrize(
    ("unit", "content", "message"),
    [
        ("file", "a" * 101, r"1\.txt, line 1: expected texts of 100 bytes at most, but it is"),
        ("line", "a\n" + "b" * 101, "line 2: .* a line is longer"),
        ("paragraph", "a\n\n" + 4 * ("b" * 30 + "\n"), "line 6: .* a paragraph is longer"),
    ],
)
def test_huge_texts_are_refused(tmp_path, monkeypatch, unit, content, message):
    monkeypatch.setattr(text, "MAX_TEXT_BYTES", 100)
    put(tmp_path, "1.txt", content)
    with pytest.raises(SourceError, match=message):
        rows(source(tmp_path, unit=unit))


def test_parts_are_groups_of_files_that_are_read_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "PART_FILES", 2)
    for i in range(3):
        put(tmp_path, f"a/{i}.txt", str(i))
    opened = source(tmp_path, "label")
    table = opened.schema().main
    _, second = opened.parts(table)
    (batch,) = source(tmp_path, "label").read_part(table, second)
    assert batch.to_pylist() == [{"text": "2", "label": "a"}]
    assert len(source(tmp_path, "label", unit="line").parts(table)) == 3


def test_a_loose_file_has_no_label(tmp_path):
    put(tmp_path, "1.txt", "x")
    with pytest.raises(SourceError, match="is in no folder of a label"):
        source(tmp_path, "label").schema()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"that end with .txt, .* in the folder"):
        source(tmp_path, path="empty").schema()


def test_texts_in_tables_come_with_the_other_columns(tmp_path):
    put(tmp_path, "1.csv", 'id,text,kind\n1,"a, b",x\n2,a,y\n3,a,y\n')
    opened = source(tmp_path, "kind", path="texts/1.csv", column="text")
    assert rows(opened)[0] == {"id": 1, "text": "a, b", "kind": "x"}
    with source(tmp_path, "kind", path="texts/1.csv", column="text") as opened:
        assert opened.schema().main.column("text").meaning == "text"
    message = r"expected a column 'id' of texts in '1', has: id \(int64"
    wrong = source(tmp_path, "kind", path="texts/1.csv", column="id")
    with wrong, pytest.raises(SourceError, match=message):
        wrong.schema()


def test_rows_of_tables_without_a_visible_character_are_left_out_and_counted(tmp_path):
    put(tmp_path, "1.csv", 'text,kind\n"a, b",x\n,y\n" \t",y\n')
    put(tmp_path, "2.csv", 'text,kind\n"\n",x\nc,\n')
    opened = source(tmp_path, "kind", path="texts/*.csv", column="text")
    assert [(r["text"], r["kind"]) for r in rows(opened)] == [("a, b", "x"), ("c", None)]
    assert opened.counts()["empty_texts"] == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"files": {"delimiter": ";"}}, "`files` is for tables"),
        ({"column": "text", "unit": "line"}, "`unit` is for text files"),
        ({"unit": "word"}, "unit"),
    ],
)
def test_settings_that_contradict_are_refused(tmp_path, settings, message):
    with pytest.raises(ParamsError, match=message):
        source(tmp_path, **settings)
