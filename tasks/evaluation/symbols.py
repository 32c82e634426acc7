"""Texts as whole numbers: words and characters, and the spans of so many of them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts that put no space between words (Thai, Lao, Burmese, Khmer, kana, ideographs)."""

_MARKS = (
    r"!-/:-@\[-`{-~\u00a1-\u00bf\u055a-\u055f\u05be\u05c0\u05c3\u060c\u061b\u061f\u06d4\u0964\u0965"
    r"\u2000-\u206f\u2190-\u2bff\u3001-\u303f\uff01-\uff0f\uff1a-\uff20\U0001f000-\U0001faff"
)
"""Punctuation, arrows, pictographs: each is a word of its own that no span is counted by."""

_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_MARKS}{_UNSPACED}]+|[{_MARKS}]")
_MARK = re.compile(rf"[{_MARKS}]")
_SPACELESS = re.compile(rf"[{_UNSPACED}]")

_BASE = np.uint64(0x9E3779B97F4A7C15)


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text, in lower case.

    A word is a run of anything but spaces and marks; where a script has no spaces, a character.
    """
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class Stream:
    """The symbols of many texts, one text after the other.

    Shape:
        codes: (T,) int64, equal for equal symbols.
        starts: (N + 1,) where each text starts, and the end.
    """

    codes: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        """Texts."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Shape: (N,) symbols of each text."""
        return np.diff(self.starts)

    @cached_property
    def owner(self) -> np.ndarray:
        """Shape: (T,) int64, the text of each symbol."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, index: np.ndarray) -> "Stream":
        """The texts at these positions."""
        lengths = self.lengths[index]
        starts = _starts(lengths)
        places = np.arange(starts[-1]) + np.repeat(self.starts[index] - starts[:-1], lengths)
        return Stream(self.codes[places], starts)

    def only(self, kept: np.ndarray) -> "Stream":
        """The same texts without the symbols where `kept`, (T,), is false."""
        lengths = np.bincount(self.owner[kept], minlength=len(self))
        return Stream(self.codes[kept], _starts(lengths))


@dataclass(frozen=True)
class Spans:
    """All spans of n symbols that lie within a text.

    Shape:
        keys: (M,) uint64, equal for equal spans: two of a million million differ but once in 10^7.
        place: (M,) position of the first symbol in the stream.
        owner: (M,) the text.
    """

    keys: np.ndarray
    place: np.ndarray
    owner: np.ndarray


def spans(stream: Stream, n: int) -> Spans:
    """All spans of `n` symbols.

    Source: polynomial hashes, Karp and Rabin 1987, doi:10.1147/rd.312.0249, of mixed codes.
    """
    n_places = max(0, len(stream.codes) - n + 1)
    ends = stream.starts[1:][stream.owner[:n_places]]
    place = np.flatnonzero(np.arange(n_places) + n <= ends)
    mixed = mix(stream.codes.astype(np.uint64))
    keys = np.full(len(place), n, np.uint64)
    for offset in range(n):
        keys = keys * _BASE + mixed[place + offset]
    return Spans(mix(keys), place, stream.owner[place])


class Words:
    """Numbers of words, the same for all texts that are read with it."""

    def __init__(self) -> None:
        """No word is known yet."""
        self._code: dict[str, int] = {}

    def __len__(self) -> int:
        """Different words."""
        return len(self._code)

    def stream(self, texts: Iterable[str]) -> Stream:
        """The words of these texts."""
        codes: list[int] = []
        lengths: list[int] = []
        for text in texts:
            found = words(text)
            codes += [self._code.setdefault(word, len(self._code)) for word in found]
            lengths.append(len(found))
        return Stream(np.array(codes, np.int64), _starts(np.array(lengths, np.int64)))

    def are_marks(self) -> np.ndarray:
        """Shape: (words,) bool, whether it is a punctuation mark, and no word."""
        return np.array([bool(_MARK.fullmatch(word)) for word in self._code], bool)

    def are_spaceless(self) -> np.ndarray:
        """Shape: (words,) bool, whether it is a character of a script without spaces."""
        return np.array([bool(_SPACELESS.fullmatch(word)) for word in self._code], bool)


def characters(texts: Sequence[str]) -> Stream:
    """The code points of these texts."""
    lengths = np.array([len(text) for text in texts], np.int64)
    joined = "".join(texts).encode("utf-32-le")
    return Stream(np.frombuffer(joined, "<u4").astype(np.int64), _starts(lengths))


def pieces(stream: Stream, n_symbols: int) -> Iterator[tuple[int, Stream]]:
    """The texts in groups of about so many symbols, each with the number of its first text."""
    first = 0
    while first < len(stream):
        end = int(np.searchsorted(stream.starts, stream.starts[first] + n_symbols, "right")) - 1
        end = max(end, first + 1)
        yield first, stream.take(np.arange(first, end))
        first = end


def mix(bits: np.ndarray) -> np.ndarray:
    """Shape: (N,) uint64 to (N,), the finaliser of SplitMix64, doi:10.1145/2714064.2660195."""
    bits = bits + _BASE
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
