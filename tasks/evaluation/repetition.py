"""Do synthetic texts say more than the same few things?"""

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.text import of_ratio
from tasks.evaluation.intervals import N_GROUPS, Interval, of_jackknife
from tasks.evaluation.rows import Part
from tasks.evaluation.streams import equal_places, streams
from tasks.evaluation.symbols import Stream, spans
from tasks.params import Threshold

N_PHRASE = 3
"""Words of a phrase whose repetitions are counted."""

MIN_WORDS = 200
"""Words of each set below which their variety says nothing."""


@metric(
    label="Different words (share of all words)",
    family="diversity",
    goal="higher",
    kinds=("text",),
    explanation=(
        "Different words in as many synthetic as holdout words, over their number: low where the"
        " rare words of real texts are missing."
    ),
    source="type-token ratio at equal length; distinct-1 of Li et al. 2016, arXiv:1510.03055",
    threshold=Threshold(at_least_reference_minus=0.06),
)
def distinct_words(comparison: Comparison) -> Outcome:
    """Shares shrink with the number of words, so both sets have the same number."""
    return _distinct(comparison, 1)


@metric(
    label="Different phrases (share of all phrases)",
    family="diversity",
    goal="higher",
    kinds=("text",),
    explanation=(
        f"Different spans of {N_PHRASE} words in as many synthetic as holdout words, over their"
        " number: low where texts repeat one another."
    ),
    source="distinct-n of Li et al. 2016, arXiv:1510.03055",
    threshold=Threshold(at_least_reference_minus=0.15),
)
def distinct_phrases(comparison: Comparison) -> Outcome:
    """A few texts again and again have few of them, whatever noise is on each."""
    return _distinct(comparison, N_PHRASE)


@metric(
    label="Repetition within texts (share)",
    family="diversity",
    goal="lower",
    kinds=("text",),
    explanation=(
        f"Share of the spans of {N_PHRASE} words that an earlier part of the same text has: high"
        " where a text loops."
    ),
    source="seq-rep-n of Welleck et al. 2020, arXiv:1908.04319, section 6, n = 3",
    threshold=Threshold(at_most_reference_plus=0.05),
)
def self_repetition(comparison: Comparison) -> Outcome:
    """All texts together, so that long ones count by their length."""
    found = streams(comparison).words
    rng = comparison.rng("self_repetition")
    figures: list[tuple[float, Interval | None]] = []
    for part in ("synthetic", "holdout"):
        texts = found[part]
        phrases = spans(texts, N_PHRASE)
        totals = np.bincount(phrases.owner, minlength=len(texts))
        pairs = np.unique(np.stack([phrases.owner.astype(np.uint64), phrases.keys]), axis=1)
        different = np.bincount(pairs[0].astype(np.int64), minlength=len(texts))
        figures.append(of_ratio(totals - different, totals, rng))
    (value, interval), (reference, reference_interval) = figures
    return Outcome(value, reference, interval, reference_interval)


def _distinct(comparison: Comparison, n: int) -> Outcome:
    found, places = streams(comparison).words, equal_places(comparison)
    parts: tuple[Part, Part] = ("synthetic", "holdout")
    sets = [found[part].take(places[part]) for part in parts]
    n_words = min(len(one.codes) for one in sets)
    if n_words < MIN_WORDS:
        raise NotApplicable(f"needs {MIN_WORDS} words of each set, found {n_words}")
    rng = comparison.rng("groups of texts")
    figures = [_share(_first(one, n_words), n, rng) for one in sets]
    (value, interval), (reference, reference_interval) = figures
    return Outcome(value, reference, interval, reference_interval)


def _first(texts: Stream, n_words: int) -> Stream:
    """As many of the texts as have so many words, the last one cut."""
    starts = np.minimum(texts.starts, n_words)
    n_texts = int(np.searchsorted(starts, n_words)) + 1
    return Stream(texts.codes[:n_words], starts[:n_texts])


def _share(texts: Stream, n: int, rng: np.random.Generator) -> tuple[float, Interval | None]:
    """Different spans over all, and the interval of groups of texts that are left out in turn."""
    some = spans(texts, n)
    if len(some.keys) == 0:
        return 0.0, None
    place = np.unique(some.keys, return_inverse=True)[1]
    value = (place.max() + 1) / len(place)
    group = (rng.permutation(len(texts)) % N_GROUPS)[some.owner]
    counts = np.bincount(place)
    without = []
    for one in range(N_GROUPS):
        left = counts - np.bincount(place[group == one], minlength=len(counts))
        # Fewer words are more different ones: only how far groups differ is to count.
        without.append(np.count_nonzero(left) / max(1, left.sum()))
    found = of_jackknife(float(value), np.array(without), 1.0)
    return float(value), found or intervals.of_share(float(value), len(place))
