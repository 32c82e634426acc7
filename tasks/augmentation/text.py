"""Texts that say nearly the same in another way: typos, words that swap, go, or are put in their place.

No dictionary and no language is assumed: words are what stands between spaces, or single characters
of scripts without spaces (Chinese, Japanese). Whatever is put in place of a word comes from texts of
the same label.
"""

import re
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from tasks.params import Record

MAX_TEXTS = 10_000
"""Texts of a label from which replacements are learned at most, evenly spaced: more would take
memory and would not make them better."""

MAX_TEXT_WORDS = 10_000
"""Words of a text from which replacements are learned at most."""

_DRAWS = 4
"""Words that are drawn after a context, at most, to find another one than that which is replaced."""

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


class TextAugmentation(Record):
    """How far texts may be changed; 0 or false turns a change off."""

    typos: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="share of the words in which a letter is doubled, missing, or swapped with the next",
    )
    swaps: float = Field(
        default=0.03, ge=0, le=1, description="share of the words that change places with the next"
    )
    deletions: float = Field(
        default=0.05, ge=0, le=1, description="share of the words that are left out; one stays"
    )
    replacements: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of the words in whose place others come that follow the same words in other"
        " texts of the label",
    )
    mixing: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the texts whose end is that of another text of the label",
    )
    across_classes: bool = Field(
        default=False,
        description="replacements and ends come from texts of any label; the label stays",
    )


class BackOff:
    """Draws a word that follows others, as a back-off model of n-grams does.

    A word is drawn among those that followed the two words before it; where that gives no other one
    than the word to be replaced, among those that followed the word before; then among all.

    **Source**: Xie et al. 2017, Data noising as smoothing in neural network language models,
        arXiv:1703.02573 (n-gram noising); back-off: Katz 1987, doi:10.1109/TASSP.1987.1165125.
    **Differs**: a context counts as soon as it was seen, without discounts: what is wanted is another
        word that fits, not a probability.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Learn from texts; nothing where there are none."""
        self._followers: dict[tuple[str, ...], list[str]] = {}
        step = max(1, len(texts) / MAX_TEXTS)
        for i in range(min(len(texts), MAX_TEXTS)):
            words = [""] * 2
            for found in _WORD.finditer(texts[int(i * step)]):
                words.append(found.group())
                if len(words) > MAX_TEXT_WORDS:
                    break
            for place in range(2, len(words)):
                for order in (0, 1, 2):
                    context = tuple(words[place - order : place])
                    self._followers.setdefault(context, []).append(words[place])

    def draw(self, before: Sequence[str], instead_of: str, rng: np.random.Generator) -> str:
        """Another word than `instead_of` after the words `before`; the same if none was seen."""
        last = tuple(["", "", *before][-2:])
        for context in (last, last[1:], ()):
            followers = self._followers.get(context, ())
            for _ in range(_DRAWS if len(followers) > 1 else 0):
                word = followers[int(rng.integers(len(followers)))]
                if word != instead_of:
                    return word
        return instead_of


def augment_text(
    text: str, mate: str, settings: TextAugmentation, model: BackOff, rng: np.random.Generator
) -> str:
    """The text changed as the settings allow; a text without words stays as it is.

    **Source**: swaps and deletions: Wei and Zou 2019, EDA, arXiv:1901.11196; the ends of other texts:
        Luque 2019, Atalaya at TASS 2019 (instance crossover), arXiv:1909.11241; typos: Belinkov and
        Bisk 2018, arXiv:1711.02173.
    **Differs**: of EDA no synonyms are taken, which need a dictionary, and no insertions; words swap
        with their neighbours, not across the text.

    Args:
        text: what to change.
        mate: text whose end may become its end.
        settings: see `TextAugmentation`.
        model: of texts of the same label.
        rng: all randomness comes from it.
    """
    words, spaces = _parted(text)
    if not words:
        return text
    if rng.random() < settings.mixing:
        words, spaces = _joined(words, spaces, mate, rng)
    _replace(words, settings.replacements, model, rng)
    for i in np.flatnonzero(rng.random(len(words) - 1) < settings.swaps):
        words[i], words[i + 1] = words[i + 1], words[i]
    for i in np.flatnonzero(rng.random(len(words)) < settings.typos):
        words[i] = _mistyped(words[i], rng)
    goes = rng.random(len(words)) < settings.deletions
    if goes.all():
        goes[int(rng.integers(len(words)))] = False
    kept = [
        word + space for word, space, gone in zip(words, spaces[1:], goes, strict=True) if not gone
    ]
    kept[-1] = kept[-1].rstrip() + spaces[-1]
    return spaces[0] + "".join(kept)


def _parted(text: str) -> tuple[list[str], list[str]]:
    """The words of a text, and what stands before, between and behind them."""
    words: list[str] = []
    spaces: list[str] = []
    end = 0
    for found in _WORD.finditer(text):
        words.append(found.group())
        spaces.append(text[end : found.start()])
        end = found.end()
    return words, [*spaces, text[end:]]


def _joined(
    words: list[str], spaces: list[str], mate: str, rng: np.random.Generator
) -> tuple[list[str], list[str]]:
    """The first part of a text, half of it or more, and the end of another one from the same share on."""
    others, gaps = _parted(mate)
    if not others:
        return words, spaces
    share = rng.uniform(0.5, 1.0)
    first, second = (max(1, round(share * len(some))) for some in (words, others))
    # A text of one word has no space to put before the other's words.
    between = spaces[first] if first < len(words) else gaps[second]
    between = between or (" " if second < len(others) else "")
    return (
        [*words[:first], *others[second:]],
        [*spaces[:first], between if second < len(others) else spaces[-1], *gaps[second + 1 :]],
    )


def _replace(words: list[str], share: float, model: BackOff, rng: np.random.Generator) -> None:
    for i in np.flatnonzero(rng.random(len(words)) < share):
        words[i] = model.draw(words[max(0, int(i) - 2) : int(i)], words[i], rng)


def _mistyped(word: str, rng: np.random.Generator) -> str:
    """The word with one slip of the pen; only letters, so that numbers, emoji and marks stay whole."""
    places = [i for i in range(len(word) - 1) if word[i].isalpha() and word[i + 1].isalpha()]
    if not places:
        return word
    i = places[int(rng.integers(len(places)))]
    slip = rng.integers(3)
    if slip == 0:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return word[: i + 1] + word[i:] if slip == 1 else word[:i] + word[i + 1 :]
