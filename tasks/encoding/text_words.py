"""Which words a synthetic text may be made of: those that several training texts have.

Pieces can spell any word, and a small model spells rare ones wrong, or one person's name right. So
texts are written along a tree of the words that are known: its branches are tokens, and where a word
ends, another one may begin, of a kind that followed such a word in the training texts.

Source: decoding along a tree of what is allowed: De Cao et al. 2021, Autoregressive entity
retrieval, section 3.2, arXiv:2010.00904.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple, Self

import numpy as np

from tasks.encoding.text_pieces import END, Pieces

KNOWN_ROWS = 2
"""Texts that must have a word, in whatever case, before it is known."""

LEAST_KNOWN = 0.8
"""Share of the training texts' words that must be known. With fewer of them, a text of known words
would be another language: where words are not told apart, such as in Chinese, or in a few pages."""


class Sign(IntEnum):
    """Of a character; and of a word, by its first character that is no space."""

    LETTER = 0
    DIGIT = 1
    SPACE = 2
    OTHER = 3
    NONE = 4
    """Before the first word of a text."""

    @classmethod
    def of(cls, character: str) -> "Sign":
        """What the character is, in the sense of the tokenizer."""
        if character.isspace():
            return cls.SPACE
        if character.isalpha():
            return cls.LETTER
        return cls.DIGIT if character.isnumeric() else cls.OTHER


class KnownWords(NamedTuple):
    """Words as the tokenizer tells them apart: with the space before them, if there is one."""

    words: list[str]
    """Sorted."""
    followers: list[list[int]]
    """By `Sign` of a word, those that the characters behind it have."""

    @classmethod
    def learn(cls, passes: Callable[[], Iterable[Sequence[str]]], pieces: Pieces) -> Self | None:
        """What the training texts have; None where known words would be too few of them.

        Args:
            passes: starts a pass over the texts, in batches.
            pieces: their tokenizer.
        """
        spelled: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        pairs: set[tuple[Sign, Sign]] = set()
        for texts in passes():
            for text in texts:
                words = pieces.words(text)
                once = set(words)
                spelled.update(once)
                counts.update({_name(word) for word in once})
                before = Sign.NONE
                for word in words:
                    pairs.add((before, Sign.of(word[0])))
                    before = Sign.of(_name(word)[0])
        known = sorted(word for word in spelled if counts[_name(word)] >= KNOWN_ROWS)
        if not known or sum(map(spelled.__getitem__, known)) < LEAST_KNOWN * spelled.total():
            return None
        followers = [sorted(int(b) for a, b in pairs if a == sign) for sign in Sign]
        return cls(known, followers)


class WordTree(NamedTuple):
    """The known words, token by token. Node 0 is the root, where all of them begin.

    Shape:
        V is the number of tokens, N of nodes, E of branches.
    """

    branches: np.ndarray
    """(E,) int64, ascending: V times the node, plus the token."""
    targets: np.ndarray
    """(E,) int64, the node that each leads to."""
    signs: np.ndarray
    """(N,) int64, the `Sign` of the word that ends here; of the root `Sign.NONE`; -1: no word ends."""
    starts: np.ndarray
    """(6, V) bool: by `signs`, the tokens behind the end of a word; the last row has none."""

    @classmethod
    def of(cls, known: KnownWords, pieces: Pieces, counts: np.ndarray) -> Self:
        """The tree of the words whose tokens all occur.

        Args:
            known: the words.
            pieces: what their tokens are.
            counts: (V,) texts that have a token.
        """
        branches: dict[int, int] = {}
        signs = [int(Sign.NONE)]
        starts = np.zeros((len(Sign) + 1, len(pieces)), dtype=bool)
        followers = np.zeros((len(Sign), len(Sign)), dtype=bool)
        for sign, following in enumerate(known.followers):
            followers[sign, following] = True
        # So that there is always a word to begin with.
        followers[Sign.NONE] = True
        for word, tokens in zip(known.words, pieces.encode(known.words), strict=True):
            if not counts[tokens].all():
                continue
            node = 0
            for token in tokens:
                node = branches.setdefault(node * len(pieces) + token, len(signs))
                if node == len(signs):
                    signs.append(-1)
            signs[node] = Sign.of(_name(word)[0])
            starts[:-1, tokens[0]] |= followers[:, Sign.of(word[0])]
        starts[:-1, END] = True
        ordered = np.array(sorted(branches), dtype=np.int64)
        targets = np.array([branches[branch] for branch in ordered.tolist()], dtype=np.int64)
        return cls(ordered, targets, np.array(signs), starts)


def _name(word: str) -> str:
    """A word whatever its case and the space before it; white space is its own."""
    return word.strip().casefold() or word
