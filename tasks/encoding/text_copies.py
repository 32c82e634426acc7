"""What of the training texts no synthetic text may repeat.

A text is refused that shares with training texts

- a span of more than 8 words that fewer than `COMMON_ROWS` training texts have. Words are taken in
  two ways, and either is enough: what stands between white space, exactly as written; and letters
  and digits alone, whatever their case and the signs between them. Of scripts without spaces, more
  than 16 characters in a row;
- all of its words, if it has at least 5 of them (10 characters of such scripts) and fewer than
  `COMMON_ROWS` training texts are just these;
- a number of 5 digits or more, a code of letters and digits, an e-mail address or a URL that fewer
  than `COMMON_ROWS` training texts have (`text_identifiers`). Such things name one person or thing,
  even alone.

A model that starts from the weights of another one may say what that one has memorised: what was
refused of its training texts, and those of its parents, stays refused, but for what `COMMON_ROWS` of
the new training texts have.

So "Ok" may be said again, and what everybody says; not what one to four persons have written.

Of each span only its shortest rare beginning is kept, as a 64-bit hash: a text has a rare span if
and only if it has one of these. A hash that meets another one's by chance, one pair in 2^64, refuses
a text for nothing.

Source: rolling hashes: Karp and Rabin 1987, Efficient randomized pattern-matching algorithms, modulo
2^64 here, of words that are 64-bit hashes themselves.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from tasks.encoding.columns.base import COMMON_ROWS
from tasks.encoding.text_identifiers import identifiers

MAX_COPIED_WORDS = 8
"""Words that a synthetic text may have in a row as only few training texts have them."""

MAX_COPIED_CHARACTERS = 16
"""The same of characters where words are not told apart; a word of Chinese has two on average."""

LEAST_WORDS, LEAST_CHARACTERS = 5, 10
"""Of a whole text from which on it may be one person's: shorter ones are said by many."""

_MULTIPLIER = 0x9E3779B97F4A7C15
_INVERSE = pow(_MULTIPLIER, -1, 2**64)

_WORD = re.compile(r"\w+")
_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""A character of Thai, Lao, Burmese, Khmer, Japanese or Chinese."""


class _View(NamedTuple):
    """A way to see a text as a row of units."""

    units: Callable[[str], list[str]]
    most: int
    """Units in a row that may be copied."""
    least: int | None
    """Units of a whole text from which on it may not be repeated; None: another view tells."""


_VIEWS = {
    "whitespace": _View(lambda text: text.split(), MAX_COPIED_WORDS, None),
    "words": _View(lambda text: _WORD.findall(text.casefold()), MAX_COPIED_WORDS, LEAST_WORDS),
    "characters": _View(_SPACELESS.findall, MAX_COPIED_CHARACTERS, LEAST_CHARACTERS),
}


class RareSpans:
    """Hashes of what few training texts have.

    Attributes:
        keys: (M,) uint64, sorted.
        lengths: by view, the lengths of its spans, ascending.
    """

    def __init__(self, keys: np.ndarray, lengths: dict[str, list[int]]) -> None:
        self.keys = keys
        self.lengths = lengths

    @classmethod
    def learn(
        cls, passes: Callable[[], Iterable[Sequence[str]]], inherited: Self | None = None
    ) -> Self:
        """What few of the training texts have.

        Args:
            passes: starts a pass over them, in batches; there is one for each view.
            inherited: of the texts of a model whose weights are the first ones of another.
        """
        names = _identifier_counts(passes())
        keys = [_hashes(name for name, n_texts in names.items() if n_texts < COMMON_ROWS)]
        common = [_hashes(name for name, n_texts in names.items() if n_texts >= COMMON_ROWS)]
        lengths = {}
        for name, view in _VIEWS.items():
            spans = _Spans.joined([_Spans.of(texts, name) for texts in passes()], name)
            found, lengths[name] = spans.rare(view.most + 1)
            keys += [found, spans.wholes_of(few=True)]
            if inherited:
                common += [*inherited._common_in(spans), spans.wholes_of(few=False)]
                lengths[name] = sorted({*lengths[name], *inherited.lengths[name]})
        if inherited:
            keys.append(np.setdiff1d(inherited.keys, np.concatenate(common)))
        return cls(np.unique(np.concatenate(keys)), lengths)

    def repeated_by(self, texts: Sequence[str]) -> np.ndarray:
        """(B,) bool: which texts repeat something of it."""
        wrong = np.zeros(len(texts), dtype=bool)
        if len(self.keys) == 0:
            return wrong
        for name, lengths in self.lengths.items():
            spans = _Spans.of(texts, name)
            for length in lengths:
                places = spans.places(length)
                if len(places) == 0:
                    break
                wrong[spans.owners[places[self._has(spans.keys(places, length))]]] = True
            owners, keys = spans.wholes()
            wrong[owners[self._has(keys)]] = True
        for i in np.flatnonzero(~wrong).tolist():
            wrong[i] = self._has(_hashes(identifiers(texts[i]))).any()
        return wrong

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        return {"span_lengths": self.lengths}, {"rare_spans": self.keys}

    @classmethod
    def from_state(cls, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """The spans whose `state()` this is."""
        return cls(arrays["rare_spans"], content["span_lengths"])

    def _common_in(self, spans: "_Spans") -> Iterator[np.ndarray]:
        """Keys of its spans that enough of these texts have."""
        for length in self.lengths[spans.name]:
            places = spans.places(length)
            keys = spans.keys(places, length)
            is_own = self._has(keys)
            keys, owners = keys[is_own], spans.owners[places[is_own]]
            if len(keys):
                yield np.unique(keys[~_in_few(keys, owners)])

    def _has(self, keys: np.ndarray) -> np.ndarray:
        if len(self.keys) == 0:
            return np.zeros(len(keys), dtype=bool)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.asarray(self.keys[places] == keys)


class _Spans:
    """Texts in one view: a row of hashed units, with the text of each.

    Attributes:
        owners: (N,) int32 the number of the text of each unit.
        ends: (N,) int64 where the units of its text end.
    """

    def __init__(self, units: np.ndarray, sizes: np.ndarray, name: str) -> None:
        self.name = name
        self.sizes = sizes
        self.owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        self.ends = np.repeat(np.cumsum(sizes), sizes)
        self._units = units
        powers = _powers(_MULTIPLIER, len(units))
        self._sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(units * powers)])
        self._back = _powers(_INVERSE, len(units))

    @classmethod
    def of(cls, texts: Sequence[str], name: str) -> Self:
        """These texts in the view of this name."""
        known: dict[str, int] = {}
        units: list[int] = []
        sizes = np.zeros(len(texts), dtype=np.int64)
        for i, text in enumerate(texts):
            found = _VIEWS[name].units(text)
            sizes[i] = len(found)
            for unit in found:
                if unit not in known:
                    known[unit] = _hash(unit)
                units.append(known[unit])
        return cls(np.array(units, dtype=np.uint64), sizes, name)

    @classmethod
    def joined(cls, pieces: Sequence[Self], name: str) -> Self:
        """The texts of all pieces."""
        if not pieces:
            return cls.of([], name)
        units = np.concatenate([piece._units for piece in pieces])
        return cls(units, np.concatenate([piece.sizes for piece in pieces]), name)

    def places(self, length: int) -> np.ndarray:
        """Where spans of this length begin."""
        return np.flatnonzero(np.arange(len(self.owners)) + length <= self.ends)

    def keys(self, places: np.ndarray, length: int) -> np.ndarray:
        """(P,) uint64 hashes of the spans of this length at these places."""
        sums = (self._sums[places + length] - self._sums[places]) * self._back[places]
        return np.asarray(sums ^ np.uint64(_hash(f"{self.name} {length}")))

    def wholes(self) -> tuple[np.ndarray, np.ndarray]:
        """The texts that may not be repeated as a whole, though no span is long enough."""
        view = _VIEWS[self.name]
        if view.least is None:
            return np.zeros(0, np.int64), np.zeros(0, np.uint64)
        owners = np.flatnonzero((self.sizes >= view.least) & (self.sizes <= view.most))
        starts = np.cumsum(self.sizes)[owners] - self.sizes[owners]
        keys = np.zeros(len(owners), dtype=np.uint64)
        for size in np.unique(self.sizes[owners]):
            rows = self.sizes[owners] == size
            keys[rows] = self.keys(starts[rows], int(size)) ^ np.uint64(_hash("whole"))
        return owners, keys

    def wholes_of(self, *, few: bool) -> np.ndarray:
        """Keys of whole texts that few texts are, or that enough are."""
        keys, counts = np.unique(self.wholes()[1], return_counts=True)
        return np.asarray(keys[(counts < COMMON_ROWS) == few])

    def rare(self, least: int) -> tuple[np.ndarray, list[int]]:
        """Keys of the shortest rare spans of at least so many units, and their lengths."""
        found, lengths, length = [np.zeros(0, np.uint64)], [], least
        places = self.places(length)
        while len(places):
            keys = self.keys(places, length)
            is_rare = _in_few(keys, self.owners[places])
            if is_rare.any():
                found.append(np.unique(keys[is_rare]))
                lengths.append(length)
            # What begins with a rare span is rare: only common ones are looked at further.
            length += 1
            places = places[~is_rare]
            places = places[places + length <= self.ends[places]]
        return np.concatenate(found), lengths


def _identifier_counts(batches: Iterable[Sequence[str]]) -> Counter[str]:
    """By identifier, how many texts have it."""
    return Counter(name for texts in batches for text in texts for name in identifiers(text))


def _hashes(names: Iterable[str]) -> np.ndarray:
    return np.array([_hash(name) for name in names], dtype=np.uint64)


def _in_few(keys: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """(P,) bool: which keys fewer than `COMMON_ROWS` texts have; `owners` ascends."""
    order = np.argsort(keys, kind="stable")
    keys, owners = keys[order], owners[order]
    is_new = np.concatenate([[True], keys[1:] != keys[:-1]])
    is_another_text = is_new | np.concatenate([[True], owners[1:] != owners[:-1]])
    starts = np.flatnonzero(is_new)
    n_texts = np.add.reduceat(is_another_text.astype(np.int64), starts)
    few = np.empty(len(keys), dtype=bool)
    few[order] = np.repeat(n_texts < COMMON_ROWS, np.diff([*starts, len(keys)]))
    return few


def _powers(base: int, n: int) -> np.ndarray:
    """(n,) uint64: 1, base, base^2 ... modulo 2^64."""
    factors = np.full(n, base, dtype=np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
