"""A model of the characters of texts: which one follows upon the last few, by how often it did.

It learns in seconds, has no randomness, and works for every language and script.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tasks.evaluation.symbols import Stream, mix

ORDER = 6
"""Characters of a span: five that are known, and the next."""

MAX_LEARNED = 1_500_000
"""Characters that a model learns from at most."""

_BASE = np.uint64(0xD1342543DE82EF95)
_END = 0
"""The symbol before and after each text."""


@dataclass(frozen=True)
class _Order:
    """What was counted of spans of one length.

    Shape:
        contexts: (C,) uint64, sorted keys of all symbols of a span but the last.
        seen: (C,) how often each was.
        followers: (C,) different symbols that followed.
        spans: (S,) uint64, sorted keys.
        counts: (S,) how often each was.
    """

    contexts: np.ndarray
    seen: np.ndarray
    followers: np.ndarray
    spans: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, contexts: np.ndarray, keys: np.ndarray) -> "_Order":
        spans, first, counts = np.unique(keys, return_index=True, return_counts=True)
        names, place = np.unique(contexts[first], return_inverse=True)
        seen = np.bincount(place, counts, len(names))
        return cls(names, seen, np.bincount(place, minlength=len(names)), spans, counts)

    def refined(self, lower: np.ndarray, contexts: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """The probability of each span's last symbol, from that by one symbol less."""
        place, is_known = _found(self.contexts, contexts)
        span, is_span = _found(self.spans, keys)
        seen = np.where(is_known, self.seen[place], 0)
        followers = np.where(is_known, self.followers[place], 1)
        counts = np.where(is_span, self.counts[span], 0)
        return np.asarray((counts + followers * lower) / (seen + followers))


class LanguageModel:
    """Counts of what followed a context, smoothed by what followed the shorter one.

    The more different symbols followed a context, the more weight has the shorter one.

    Source: Witten and Bell 1991, doi:10.1109/18.87000, method C, interpolated, as in Chen and Goodman
    1999, doi:10.1006/csla.1999.0128, section 2.6.
    """

    def __init__(self, texts: Stream, n_symbols: int) -> None:
        """Learn from the characters of texts.

        Args:
            texts: in random order, if they have more than MAX_LEARNED characters.
            n_symbols: of the alphabet; before anything is known each is as probable.
        """
        self._n_symbols = n_symbols
        n_kept = max(1, int(np.searchsorted(texts.starts, MAX_LEARNED, "right")) - 1)
        some = texts if n_kept >= len(texts) else texts.take(np.arange(n_kept))
        self._orders = [_Order.of(*keys) for keys in _keys(*_padded(some))]

    def bits(self, texts: Stream) -> np.ndarray:
        """Shape: (N,) bits of each text, with the one that ends it."""
        return np.bincount(
            np.repeat(np.arange(len(texts)), texts.lengths + 1),
            self.symbol_bits(texts),
            minlength=len(texts),
        )

    def symbol_bits(self, texts: Stream) -> np.ndarray:
        """Bits of each character, and of the end of each text.

        Shape:
            returns: (T + N,), text after text.
        """
        codes, places = _padded(texts)
        probability = np.full(len(places), 1 / self._n_symbols)
        for order, (contexts, keys) in zip(self._orders, _keys(codes, places), strict=True):
            probability = order.refined(probability, contexts, keys)
        return np.asarray(-np.log2(probability))


def n_bytes(texts: Stream) -> np.ndarray:
    """Bytes of each text in UTF-8, and one for its end.

    Bits by bytes have the same scale for scripts of one byte a character and of three.

    Shape:
        returns: (N,)
    """
    wide = 1 + sum((texts.codes >= least).astype(np.int64) for least in (0x80, 0x800, 0x10000))
    return np.bincount(texts.owner, wide, len(texts)) + 1


def _padded(texts: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Symbols with room for a whole context before each text, and where those to predict are.

    Shape:
        returns: (T + ORDER x N,) uint64; (T + N,)
    """
    lengths = texts.lengths + ORDER
    starts = np.cumsum(lengths) - lengths
    codes = np.full(int(lengths.sum()), _END, np.uint64)
    own = np.arange(len(texts.codes)) - texts.starts[:-1][texts.owner]
    codes[starts[texts.owner] + own + ORDER - 1] = texts.codes + 1
    is_context = np.zeros(len(codes), bool)
    is_context[(starts[:, None] + np.arange(ORDER - 1)).ravel()] = True
    return mix(codes), np.flatnonzero(~is_context)


def _keys(codes: np.ndarray, places: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each length of context, from none: keys of contexts, and of contexts with what follows."""
    for n_known in range(ORDER):
        contexts = np.full(len(places), n_known + 1, np.uint64)
        for offset in range(n_known, 0, -1):
            contexts = contexts * _BASE + codes[places - offset]
        yield contexts, mix(contexts * _BASE + codes[places])


def _found(known: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where keys are among the known, which are sorted, and which of them are."""
    place = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return place, known[place] == keys
