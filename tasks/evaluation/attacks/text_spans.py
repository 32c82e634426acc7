"""Long spans of single training texts that synthetic texts repeat word by word."""

from dataclasses import dataclass

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.streams import equal_places, streams
from tasks.evaluation.symbols import Spans, Stream, spans
from tasks.params import Threshold

N_WORDS = 9
"""Words of a span that is long; nine in a row are hardly written twice but from the same source."""

N_CHARACTERS = 17
"""The same in scripts without spaces, whose words have two characters or so."""

_MOST_SPACELESS = 0.5


@dataclass(frozen=True)
class Rare:
    """The long spans that exactly one training text has.

    Shape:
        keys: (K,) uint64, sorted.
        place: (K,) where the first of each is among the training words.
    """

    keys: np.ndarray
    place: np.ndarray

    def found_in(self, other: Spans) -> np.ndarray:
        """Shape: (M,) the place of each of these spans in the training texts, or -1."""
        if len(self.keys) == 0:
            return np.full(len(other.keys), -1)
        at = np.searchsorted(self.keys, other.keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == other.keys, self.place[at], -1)


@metric(
    label="Texts with a long copied span (share)",
    family="privacy",
    goal="lower",
    kinds=("text",),
    explanation=(
        f"Share of the synthetic texts that hold {N_WORDS} words in a row which exactly one training"
        " text has; punctuation and case do not count. Real texts repeat one another, too: the"
        " reference is how often unseen ones do."
    ),
    source=(
        "verbatim memorisation, Carlini et al. 2021, arXiv:2012.07805; spans of n words against"
        " unseen texts, McCoy et al. 2023, arXiv:2111.09509"
    ),
    threshold=Threshold(at_most_reference_plus=0.01),
)
def copied_spans(comparison: Comparison) -> Outcome:
    """In scripts without spaces: 17 characters in a row."""
    figures = []
    for part in ("synthetic", "holdout"):
        lengths = longest(comparison)[part]
        share = float((lengths > 0).mean())
        figures.append((share, intervals.of_share(share, len(lengths))))
    (value, interval), (reference, reference_interval) = figures
    return Outcome(value, reference, interval, reference_interval)


@metric(
    label="Longest copied span (words)",
    family="privacy",
    goal="lower",
    kinds=("text",),
    explanation=(
        f"Most words in a row, {N_WORDS} or more, that a synthetic text has from exactly one"
        " training text; 0: there are none. The reference is of as many unseen real texts."
    ),
    source="Carlini et al. 2021, arXiv:2012.07805; McCoy et al. 2023, arXiv:2111.09509",
)
def longest_copied_span(comparison: Comparison) -> Outcome:
    """Informs only: one message that was sent twice makes the longest of many real texts."""
    lengths, places = longest(comparison), equal_places(comparison)
    value, reference = (
        float(lengths[part][places[part]].max()) for part in ("synthetic", "holdout")
    )
    return Outcome(value, reference)


def longest(comparison: Comparison) -> dict[str, np.ndarray]:
    """Of each synthetic and each holdout text the longest copied span, in words; 0: none.

    Raises:
        NotApplicable: no training text is long enough to have one.
    """
    return comparison.once("texts: copied spans", lambda: _longest(comparison))


def rare_spans(texts: Stream, n: int) -> Rare:
    """The spans of `n` symbols that exactly one of the texts has, once or more often."""
    every = spans(texts, n)
    keys, first, place = np.unique(every.keys, return_index=True, return_inverse=True)
    is_other = every.owner != every.owner[first][place]
    in_many = np.bincount(place, is_other, len(keys)) > 0
    return Rare(keys[~in_many], every.place[first][~in_many])


def copied(rare: Rare, texts: Stream, n: int) -> np.ndarray:
    """The longest run of each text that is all of rare spans, in the order of one training text.

    Shape:
        returns: (N,) symbols, 0 or at least `n`.
    """
    every = spans(texts, n)
    source = rare.found_in(every)
    kept = source >= 0
    place, owner, source = every.place[kept], every.owner[kept], source[kept]
    follows = (np.diff(place) == 1) & (np.diff(source) == 1) & (np.diff(owner) == 0)
    run = np.cumsum(np.concatenate([[True], ~follows])) if len(place) else np.zeros(0, int)
    longest = np.zeros(len(texts), np.int64)
    if len(run):
        sizes = np.bincount(run - 1)
        np.maximum.at(longest, owner[np.unique(run, return_index=True)[1]], sizes + n - 1)
    return longest


def _longest(comparison: Comparison) -> dict[str, np.ndarray]:
    found = streams(comparison)
    n = N_CHARACTERS if found.spaceless > _MOST_SPACELESS else N_WORDS
    plain = {part: one.only(~found.are_marks[one.codes]) for part, one in found.words.items()}
    rare = rare_spans(plain["train"], n)
    if len(rare.keys) == 0:
        raise NotApplicable(f"no training text has {n} words in a row that no other has")
    return {part: copied(rare, plain[part], n) for part in ("synthetic", "holdout")}
