"""Texts as tokens: nothing is lost, nothing rare is a piece, nothing bad passes in silence."""

import json
import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks.encoding.text import MAX_TOKENS, TextEncoder
from tasks.encoding.text_pieces import BYTES_A_MERGE, END, MAX_PIECE_BYTES, Pieces
from tasks.errors import DataError, NothingToLearn
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema

RNG = np.random.default_rng(0)


def _schema(*, target: str | None = "label", others: tuple[Column, ...] = ()) -> DatasetSchema:
    columns = [Column(name="text", type="string", meaning="text")]
    if target is not None:
        columns.append(Column(name=target, type="string", meaning="categorical"))
    table = TableSchema(name="texts", columns=(*columns, *others))
    return DatasetSchema(kind="text", tables=(table,), target=target)


def _rows(texts: list[Any], labels: list[str] | None = None) -> pa.RecordBatch:
    schema = _schema(target=None if labels is None else "label")
    columns = [pa.array(texts, pa.string())]
    if labels is not None:
        columns.append(pa.array(labels))
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(schema.main))


def _fitted(*batches: pa.RecordBatch) -> TextEncoder:
    target = "label" if "label" in batches[0].schema.names else None
    return TextEncoder.fit(_schema(target=target), lambda: iter(batches), RNG)


ODD = [
    "plain words",
    "",
    " ",
    "x",
    "  two  spaces\tand a tab\nand lines\r\n",
    "äöü ß é e\u0301",
    "日本語の文章。",
    "العربية",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 family, \U0001f1e8\U0001f1ed flag",
    "nul \x00 and \ufffd",
    "1234567890 ١٢٣",
    "a" * 300,
]


def test_every_text_comes_back() -> None:
    rows = _rows(ODD, ["a", "b"] * 6)
    encoder = _fitted(rows)
    encoded = encoder.encode(rows)
    assert encoded["tokens"].shape == (12, 301)
    assert encoded["tokens"].dtype == torch.int16
    assert encoder.decode(encoded, RNG).equals(rows)


def test_a_few_pages_are_bytes_and_the_end_fills_up() -> None:
    encoder = _fitted(_rows(["ab", "a"]))
    # Token 0 is the end, byte b is token b + 1.
    assert encoder.encode(_rows(["ab", "a"]))["tokens"].tolist() == [[98, 99, END], [98, END, END]]
    assert len(encoder.pieces) == 257
    assert encoder.statistics.counts[[END, 98, 99, 100]].tolist() == [2, 2, 1, 0]
    assert encoder.statistics.n_tokens == 5


def test_pieces_are_made_of_what_five_texts_have() -> None:
    filler = "z" * BYTES_A_MERGE
    texts = [f"{filler} common {name}" for name in ["Rumpel"] * 4 + ["other"] * 6]
    contents = Pieces.learn(texts).contents
    assert any(b"common".startswith(content) for content in contents if len(content) > 1)
    assert not any(b"Ru" in content or b"um" in content for content in contents)
    assert max(map(len, contents)) <= MAX_PIECE_BYTES


def test_a_word_counts_once_a_text() -> None:
    texts = ["Rumpel " * 200, *(["nothing of this kind " * 20] * 4)]
    assert Pieces.learn(texts).merges == []


def test_digits_stay_alone() -> None:
    pieces = Pieces.learn(["call 0800 123456 now " * 20] * 20)
    assert pieces.merges
    assert not any(len(c) > 1 and any(48 <= b <= 57 for b in c) for c in pieces.contents)


def test_pieces_do_not_depend_on_how_rows_are_batched() -> None:
    texts = [f"a text of some words number {i % 7} and more of it" for i in range(400)]
    whole = _fitted(_rows(texts)).state()
    cut = _fitted(_rows(texts[:123]), _rows(texts[123:])).state()
    assert whole[0] == cut[0]
    assert whole[0]["merges"]
    assert all(np.array_equal(whole[1][name], cut[1][name]) for name in whole[1])


def test_long_texts_are_cut_at_a_whole_character_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = _rows(["日" * 400, "short"])
    with caplog.at_level(logging.WARNING):
        encoder = _fitted(rows)
    assert "1 of 2 texts are longer than 512 tokens" in caplog.text
    decoded = encoder.decode(encoder.encode(rows), RNG).column("text").to_pylist()
    # A character of three bytes.
    assert decoded == ["日" * (MAX_TOKENS // 3), "short"]


def test_state_is_json_and_arrays() -> None:
    rows = _rows([f"{text} {i}" for i in range(5) for text in ODD], ["a", "b"] * 30)
    encoder = _fitted(rows)
    content, arrays = encoder.state()
    again = TextEncoder.from_state(_schema(), json.loads(json.dumps(content)), arrays)
    assert again.decode(encoder.encode(rows), RNG).equals(rows)
    assert np.array_equal(again.admissible(rows), encoder.admissible(rows))
    assert again.width == encoder.width


@pytest.mark.parametrize(
    ("texts", "labels", "error", "message"),
    [
        (["one"], None, DataError, "two training texts at least, found 1"),
        (["", ""], None, NothingToLearn, "found 2 empty ones"),
        (["a", "b", None], None, DataError, "found none in row 2"),
        (["a"] * 5, ["x", "x", None, "x", "x"], DataError, "found 1 without one"),
        (["a"] * 4, ["x", "x", "y", "y"], DataError, "at least 5 rows have"),
    ],
)
def test_bad_rows_are_refused(
    texts: list[Any], labels: list[Any] | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        _fitted(_rows(texts, labels))


def test_other_columns_are_refused() -> None:
    schema = _schema(others=(Column(name="day", type="string", meaning="categorical"),))
    with pytest.raises(DataError, match=r"found also \['day'\]"):
        TextEncoder.fit(schema, lambda: iter([]), RNG)


def test_a_preview_shows_texts_by_label() -> None:
    rows = _rows(["a b", "c\nd", "e"] * 5, ["x", "y", "x"] * 5)
    encoder = _fitted(rows)
    preview = encoder.preview(encoder.encode(rows.slice(0, 3)))
    assert (preview.suffix, preview.content) == (
        ".txt",
        b"label: x\n  a b\n  e\nlabel: y\n  c d\n",
    )


def test_a_preview_hides_what_few_have_written() -> None:
    private = "my pin is 90125 and you know who I am"
    rows = _rows(["ok"] * 5 + [private], ["x"] * 6)
    encoder = _fitted(rows)
    preview = encoder.preview(encoder.encode(rows.slice(4)))
    assert preview.content.decode() == (
        "label: x\n  ok\n1 of 2 texts are not shown: they repeat what fewer than 5 training texts"
        " have, or have characters that none has\n"
    )


def test_a_child_refuses_what_its_parents_refused() -> None:
    private = "my brother Rumpel has the number 0845 281 0075 and lives next door"
    common = ["what my brother said", "next door"] * 5

    def child_of(parent: TextEncoder, texts: list[str]) -> TextEncoder:
        rows = _rows(texts)
        child = parent.refit(parent.schema, lambda: iter([rows]), RNG)
        content, arrays = child.state()
        return TextEncoder.from_state(child.schema, json.loads(json.dumps(content)), arrays)

    parent = _fitted(_rows([*common, private]))
    others = [*common, *sorted(set(private))]  # all characters of it
    child = child_of(parent, others)
    grandchild = child_of(child, others)
    asked = [private, "dial 0845 2810075", "next door", "what my brother said"]
    for encoder in (parent, child, grandchild):
        assert encoder.may_be_published(asked).tolist() == [False, False, True, True]
    assert _fitted(_rows(others)).may_be_published(asked).all()
    assert child_of(child, [private] * 5).may_be_published(asked[:1]).all()


def test_characters_that_no_text_has_are_refused() -> None:
    encoder = _fitted(_rows(["ab", "ba"] * 3))
    assert encoder.admissible(_rows(["aabb", "abc", "a\ufffd", ""])).tolist() == [
        True,
        False,
        False,
        True,
    ]
