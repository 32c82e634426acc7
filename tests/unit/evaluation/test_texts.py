"""Words, spans, language models and vectors of texts, by hand."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import DataError
from tasks.evaluation.language_model import LanguageModel, n_bytes
from tasks.evaluation.symbols import Words, characters, pieces, spans, words
from tests.comparisons import compare, schema_of

MEANINGS = {"text": "text"}


def texts(values: list[str | None], labels: list[str] | None = None) -> pa.Table:
    columns: dict[str, pa.Array] = {"text": pa.array(values, pa.string())}
    return pa.table(columns | ({"label": pa.array(labels)} if labels else {}))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Call ME, now!", ["call", "me", ",", "now", "!"]),
        ("a1b2 £5.50", ["a1b2", "£", "5", ".", "50"]),
        ("你好 world", ["你", "好", "world"]),
        ("नमस्ते दुनिया।", ["नमस्ते", "दुनिया", "।"]),
        ("hi😀😀", ["hi", "😀", "😀"]),
        (" \n\t", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_spans_lie_within_a_text() -> None:
    names = Words()
    stream = names.stream(["a b c", "b c", "", "a b"])
    assert stream.lengths.tolist() == [3, 2, 0, 2]
    pairs = spans(stream, 2)
    # a b, b c | b c | a b
    assert pairs.owner.tolist() == [0, 0, 1, 3]
    assert pairs.place.tolist() == [0, 1, 3, 5]
    assert pairs.keys[0] == pairs.keys[3]
    assert pairs.keys[1] == pairs.keys[2]
    assert len(np.unique(pairs.keys)) == 2
    assert len(spans(stream, 4).keys) == 0


def test_texts_are_taken_and_cut_in_pieces() -> None:
    stream = characters(["abc", "", "de", "f"])
    taken = stream.take(np.array([2, 0]))
    assert bytes(taken.codes.astype(np.uint8)) == b"deabc"
    assert taken.starts.tolist() == [0, 2, 5]
    kept = stream.only(stream.codes != ord("b"))
    assert kept.lengths.tolist() == [2, 0, 2, 1]
    found = [(first, len(piece)) for first, piece in pieces(stream, 3)]
    assert found == [(0, 2), (2, 2)]


def test_a_language_model_by_hand() -> None:
    """Of "ab" and "aa", ends included: a 3 times, b once, the end twice; 3 different symbols."""
    alphabet = 4
    model = LanguageModel(characters(["ab", "aa"]), alphabet)
    lowest = {"a": (3 + 3 / 4) / 9, "b": (1 + 3 / 4) / 9, "end": (2 + 3 / 4) / 9}
    # At the start only `a` was seen, twice: with all longer contexts, which say the same.
    first = lowest["a"]
    for _ in range(5):
        first = (2 + 1 * first) / 3
    bits = model.symbol_bits(characters(["a"]))
    assert bits[0] == pytest.approx(-math.log2(first))
    # After the first `a` came an `a` or a `b`; after any `a` also the end.
    after_a = (1 + 3 * lowest["end"]) / 6
    for _ in range(4):
        after_a = 2 * after_a / 4
    assert bits[1] == pytest.approx(-math.log2(after_a))
    assert model.bits(characters(["a"]))[0] == pytest.approx(bits.sum())


def test_bytes_are_those_of_utf_8() -> None:
    found = n_bytes(characters(["a", "é", "你", "😀", ""]))
    assert found.tolist() == [len(t.encode()) + 1 for t in ("a", "é", "你", "😀", "")]


def test_equal_texts_are_equal_and_close_ones_close(tmp_path: Path) -> None:
    known = [f"the {w} sat on the mat and looked at {w} again" for w in ("cat", "dog", "cow")] * 10
    other = ["my flight leaves at noon", "the cat sat on the mat and looked at cat today"] * 10
    data = compare(
        tmp_path,
        schema_of(texts(known), kind="text", meanings=MEANINGS),
        texts(known),
        texts(other),
        texts([*known[:10], None, ""]),
    )
    train, holdout, synthetic = data.train.numbers, data.holdout.numbers, data.synthetic.numbers
    assert data.train.contents is not None
    assert data.train.contents.tolist() == known
    assert data.synthetic.identities[:3].tolist() == data.train.identities[:3].tolist()
    assert data.synthetic.identities[-1] == data.synthetic.identities[-2]
    np.testing.assert_allclose(synthetic[:3], train[:3], atol=1e-12)
    assert np.linalg.norm(holdout[1] - train[0]) < np.linalg.norm(holdout[0] - train[0])
    assert (np.linalg.norm(np.vstack([train, holdout]), axis=1) <= 1 + 1e-9).all()
    np.testing.assert_array_equal(synthetic[-1], 0)


def test_a_dataset_without_texts_is_refused(tmp_path: Path) -> None:
    rows = pa.table({"label": ["a"] * 30})
    schema = schema_of(rows, target="label", kind="text")
    with pytest.raises(DataError, match=r"expected one text column in table 'rows', found \[\]"):
        compare(tmp_path, schema, rows, rows, rows)


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    rows = texts(["a"] * 30)
    schema = schema_of(rows, kind="text", meanings=MEANINGS)
    with pytest.raises(DataError, match="expected texts in table 'rows'"):
        compare(tmp_path, schema, rows, rows.slice(0, 0), rows)
