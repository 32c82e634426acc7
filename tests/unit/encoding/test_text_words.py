"""Which words are known, and the tree that spells them."""

import numpy as np
import torch

from tasks.encoding.text_pieces import END, Pieces
from tasks.encoding.text_words import KnownWords, Sign, WordTree
from tasks.generators.text.parts.spelling import Spelling

BYTES = Pieces([])
"""Token b + 1 is byte b."""


def _token(character: str) -> int:
    return ord(character) + 1


def _learn(texts: list[str]) -> KnownWords | None:
    return KnownWords.learn(lambda: iter([texts]), BYTES)


def _spelling(known: KnownWords) -> Spelling:
    return Spelling(WordTree.of(known, BYTES, np.ones(len(BYTES), dtype=np.int64)))


def _may_follow(spelling: Spelling, text: str) -> set[str]:
    """The characters that may come after this text; "" is its end."""
    nodes = torch.zeros(1, dtype=torch.int64)
    for character in text:
        nodes = spelling.after(nodes, torch.tensor([_token(character)]))
    tokens = spelling.allowed(nodes)[0].nonzero()[:, 0].tolist()
    return {"" if token == END else chr(token - 1) for token in tokens}


def test_words_of_two_texts_are_known_whatever_their_case() -> None:
    known = _learn(["Call me 2", "call ME 2", "call me 2", "call me Rumpel Rumpel"])
    assert known is not None
    assert known.words == [" ", " ME", " me", "2", "Call", "call"]


def test_no_words_are_known_where_few_come_again() -> None:
    assert _learn(["one two", "one three"]) is None  # a half
    assert _learn(["日本語の文章", "中国語の文章"]) is None
    assert _learn(["", ""]) is None


def test_what_follows_has_been_seen() -> None:
    known = _learn(["go on.", "go on.", "a1 b", "a1 b"])
    assert known is not None
    # Behind letters: a digit, a space or a sign; no letters, which would make another word.
    assert known.followers[Sign.LETTER] == [Sign.DIGIT, Sign.SPACE, Sign.OTHER]
    assert known.followers[Sign.NONE] == [Sign.LETTER]


def test_texts_are_spelled_along_the_tree() -> None:
    spelling = _spelling(KnownWords([" on", "go", "good"], [[Sign.SPACE], [], [], [], []]))
    # A text may begin with any word.
    assert _may_follow(spelling, "") == {"", " ", "g"}
    assert _may_follow(spelling, "g") == {"o"}
    assert _may_follow(spelling, "go") == {"", "o", " "}
    assert _may_follow(spelling, "goo") == {"d"}
    assert _may_follow(spelling, "good") == {"", " "}
    assert _may_follow(spelling, "good on") == {"", " "}


def test_a_word_that_no_token_row_can_hold_is_left_out() -> None:
    counts = np.ones(len(BYTES), dtype=np.int64)
    counts[_token("x")] = 0
    tree = WordTree.of(KnownWords(["go", "gx"], [[]] * 5), BYTES, counts)
    assert tree.branches.tolist() == [_token("g"), len(BYTES) + _token("o")]
    assert tree.signs.tolist() == [Sign.NONE, -1, Sign.LETTER]
