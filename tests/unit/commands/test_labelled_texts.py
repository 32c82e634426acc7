"""Files of labelled texts are told from tables, and written back as they were read."""

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.commands.kinds import kind_of
from tasks.commands.labelled_texts import LabelledTexts
from tasks.commands.text_form import recognised, told_to_be
from tasks.commands.three_sets import store_labelled
from tasks.errors import DataError, ParamsError, SourceError

SAID = [
    'he said "well, no" to all of them',
    "there is nothing to see; go on",
    "come to the party at ten o'clock",
    '"oh" is what she said first',
    "καλημέρα σε όλους τους φίλους 👋",
]
LABELS = ["ham", "spam"]


def _pairs(n: int = 30) -> list[tuple[str, str]]:
    return [(LABELS[i % 3 == 0], f"{SAID[i % 5]} {i} times over") for i in range(n)]


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


FORMS = {
    "unquoted tsv": "".join(f"{label}\t{text}\n" for label, text in _pairs()),
    "tsv with header": "kind\tmessage\n" + "".join(f"{a}\t{b}\n" for a, b in _pairs()),
    "csv, text first": "text,class\r\n" + "".join(f"{_quoted(b)},{a}\r\n" for a, b in _pairs()),
    "csv, no header": "".join(f"{a},{_quoted(b)}\n" for a, b in _pairs()),
    "semicolons": "v1;v2\n" + "".join(f"{a};{_quoted(b)}\n" for a, b in _pairs()),
    "numbers as labels": "".join(f"{len(a)}\t{b}\n" for a, b in _pairs()),
    "without spaces": "".join(f"{i % 2}\t今日は天気がとても良いです第{i}回目\n" for i in range(30)),
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_it_is_read_and_written_as_it_was(content: str, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    # A comma's file may quote what needs none; it is written with the quotes that are needed.
    path.write_text(content, encoding="utf-8", newline="")
    assert kind_of(path, None, "utf-8") == "text"
    texts = LabelledTexts(path, told_to_be(path, "utf-8"), tmp_path / "stored")
    assert texts.n_rows == 30
    texts.write(tmp_path / "out.txt", texts.rows(), 30)
    again = LabelledTexts(
        tmp_path / "out.txt", told_to_be(tmp_path / "out.txt", "utf-8"), tmp_path / "again"
    )
    assert [b.to_pylist() for b in again.rows()] == [b.to_pylist() for b in texts.rows()]
    if '""' not in content:
        assert (tmp_path / "out.txt").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        "age,job\n" + "".join(f"{i},clerk\n" for i in range(30)),
        "when,what\n" + "".join(f"2024-01-{i:02d} 10:00:00,x\n" for i in range(1, 29)),
        "name,city\n" + "".join(f"Ann Lee{i},Rome\n" for i in range(30)),
        "a,b,c\n" + "".join(f"{text} {i},x,{i}\n" for i, text in enumerate("abcde" * 6)),
        "question\tanswer\n"
        + "".join(f"what is {i} plus one?\tit is {i} + 1\n" for i in range(30)),
    ],
    ids=["numbers", "dates", "names", "three columns", "two texts"],
)
def test_a_table_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(content, encoding="utf-8")
    assert recognised(tmp_path / "in.csv", "utf-8") is None
    assert kind_of(tmp_path / "in.csv", None, "utf-8") == "tabular"


def test_a_tab_in_a_drawn_text_becomes_a_space_where_quotes_mean_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.tsv"
    path.write_text(FORMS["unquoted tsv"], encoding="utf-8")
    texts = LabelledTexts(path, told_to_be(path, "utf-8"), tmp_path / "stored")
    batch = next(texts.rows()).slice(0, 1)
    drawn = batch.set_column(0, "text", pa.array(["a\tb\nc"]))
    texts.write(tmp_path / "out.tsv", [drawn], 1)
    assert (tmp_path / "out.tsv").read_text() == "spam\ta b c\n"


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("ham\t \n", DataError, "row 31: expected a value in column 'text', found an empty one"),
        ("\twords again and again\n", DataError, "row 31: .* column 'label'"),
        ("no tab in here at all\n", SourceError, "line 31 has 1 values, expected 2"),
    ],
)
def test_a_bad_row_is_named(
    line: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.tsv"
    path.write_text(FORMS["unquoted tsv"] + line, encoding="utf-8")
    with pytest.raises(error, match=message):
        LabelledTexts(path, told_to_be(path, "utf-8"), tmp_path / "stored")


def test_an_empty_text_is_one_of_a_generator_and_a_fault_of_real_rows(tmp_path: Path) -> None:
    lines = FORMS["unquoted tsv"].splitlines()
    for name, kept in (("real", lines), ("holdout", lines[::-1]), ("synthetic", lines)):
        (tmp_path / name).write_text("\n".join(kept) + "\n", encoding="utf-8")
    with (tmp_path / "synthetic").open("a", encoding="utf-8") as stream:
        stream.write("ham\t\nspam\t \n")
    files = {part: tmp_path / part for part in ("real", "holdout", "synthetic")}
    stored = store_labelled("text", files, tmp_path / "1", target=None, encoding="utf-8")
    assert stored.n_rows["synthetic"] == 32
    swapped = files | {"real": files["synthetic"]}
    with pytest.raises(DataError, match="row 31: expected a value in column 'text'"):
        store_labelled("text", swapped, tmp_path / "2", target=None, encoding="utf-8")
    with (tmp_path / "synthetic").open("a", encoding="utf-8") as stream:
        stream.write("\tno label\n")
    with pytest.raises(DataError, match="row 33: expected a value in column 'label'"):
        store_labelled("text", files, tmp_path / "3", target=None, encoding="utf-8")


def test_names_of_columns_tell_where_the_texts_are_even_if_all_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("kind,message\n" + "a,\n" * 30)
    (tmp_path / "real.tsv").write_text(FORMS["tsv with header"], encoding="utf-8")
    form = told_to_be(path, "utf-8", like=told_to_be(tmp_path / "real.tsv", "utf-8"))
    assert (form.label, form.text, form.label_first) == ("kind", "message", True)
    stored = LabelledTexts(path, form, tmp_path / "stored", may_be_empty=True)
    assert stored.n_rows == 30


def test_a_header_alone_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("label,text\n")
    assert LabelledTexts(path, told_to_be(path, "utf-8"), tmp_path / "stored").n_rows == 0


def test_bytes_of_another_encoding_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.tsv"
    path.write_bytes("ham\tschönes Wetter heute überall\n".encode("latin-1") * 30)
    with pytest.raises(SourceError, match="not text in utf-8"):
        kind_of(path, None, "utf-8")
    assert kind_of(path, "text", "latin-1") == "text"


def test_the_kind_that_is_said_must_fit(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(ParamsError, match=r"--kind image: expected a folder or an .npz"):
        kind_of(path, "image", "utf-8")
    with pytest.raises(ParamsError, match=r"--kind text: .* is a folder, which holds images"):
        kind_of(tmp_path, "text", "utf-8")
    with pytest.raises(SourceError, match="expected two columns in"):
        told_to_be(path, "utf-8")


def test_only_a_label_can_be_held(tmp_path: Path) -> None:
    path = tmp_path / "in.tsv"
    path.write_text(FORMS["numbers as labels"], encoding="utf-8")
    texts = LabelledTexts(path, told_to_be(path, "utf-8"), tmp_path / "stored")
    assert texts.value("label", "4") == "4"
    with pytest.raises(ParamsError, match="expected one of the labels '3', '4'"):
        texts.value("label", "5")
