"""Texts as a whole: their words, characters and lengths beside the real ones."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.stats import ks_2samp

from tasks.evaluation import intervals
from tasks.evaluation.base import Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.intervals import N_GROUPS, Interval, of_jackknife
from tasks.evaluation.rows import Part
from tasks.evaluation.streams import equal_places, streams
from tasks.evaluation.symbols import Stream, spans
from tasks.params import Threshold

Unit = Literal["words", "characters"]

_SOURCE = "total variation distance, as SDMetrics 0.32 TVComplement, of n-grams"


@metric(
    label="Words, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("text",),
    explanation=(
        "Share of the synthetic words that would have to be others, so that each is as frequent as"
        " in the training texts."
    ),
    source=f"{_SOURCE}; 100 x (1 - score)",
    threshold=Threshold(at_most_reference_plus=12.0),
)
def word_error(comparison: Comparison) -> Outcome:
    """Single words and punctuation marks."""
    return _frequencies(comparison, "words", (1,))


@metric(
    label="Word pairs, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("text",),
    explanation=(
        "Share of the synthetic pairs of neighbouring words that would have to be others, so that"
        " each is as frequent as in the training texts; most pairs are rare, so that of fresh real"
        " texts it is high, too."
    ),
    source=f"{_SOURCE}; 100 x (1 - score)",
    threshold=Threshold(at_most_reference_plus=15.0),
)
def word_pair_error(comparison: Comparison) -> Outcome:
    """Word salad has the right words and the wrong pairs."""
    return _frequencies(comparison, "words", (2,))


@metric(
    label="Word triples, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("text",),
    explanation="As word pairs, of three words in a row: hardly any is as frequent in other texts.",
    source=f"{_SOURCE}; 100 x (1 - score)",
)
def word_triple_error(comparison: Comparison) -> Outcome:
    """Informs only: who copies has the smallest."""
    return _frequencies(comparison, "words", (3,))


@metric(
    label="Characters, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("text",),
    explanation=(
        "Share of the synthetic characters, pairs and triples of them, averaged over the three,"
        " that would have to be others, so that each is as frequent as in the training texts."
    ),
    source=f"{_SOURCE}; 100 x (1 - score)",
    threshold=Threshold(at_most_reference_plus=8.0),
)
def character_error(comparison: Comparison) -> Outcome:
    """For every script, and for misspelt words, which are all different."""
    return _frequencies(comparison, "characters", (1, 2, 3))


@metric(
    label="Lengths of texts, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("text",),
    explanation=(
        "Largest difference between the real and the synthetic distribution of the number of"
        " characters of a text: high where texts are cut short or do not end."
    ),
    source="Kolmogorov-Smirnov distance, as SDMetrics 0.32 KSComplement; 100 x (1 - score)",
    threshold=Threshold(at_most_reference_plus=10.0),
)
def text_length_error(comparison: Comparison) -> Outcome:
    """Characters, so that it means the same where words are not told apart."""
    lengths = {part: one.lengths for part, one in streams(comparison).characters.items()}

    def error(part: Part) -> tuple[float, Interval | None]:
        values = lengths[part]
        group = _groups(comparison, len(values))
        found = [
            100 * float(ks_2samp(lengths["train"], one, method="asymp").statistic)
            for one in (values, *(values[group != g] for g in range(N_GROUPS)))
        ]
        return found[0], of_jackknife(found[0], np.array(found[1:]), 100.0)

    return _beside(error)


@metric(
    label="Unknown words (share)",
    family="fidelity",
    goal="lower",
    kinds=("text",),
    explanation=(
        "Share of the synthetic words that no training text has: high where words are misspelt or"
        " made up. Fresh real texts have some, too."
    ),
    source="out-of-vocabulary rate, Jurafsky and Martin, Speech and Language Processing, chapter 3",
    threshold=Threshold(at_most_reference_plus=0.05),
)
def unknown_words(comparison: Comparison) -> Outcome:
    """The interval redraws texts, as words of one text go together."""
    found = streams(comparison).words
    known = np.unique(found["train"].codes)
    rng = comparison.rng("unknown_words")

    def share(part: Part) -> tuple[float, Interval | None]:
        texts = found[part]
        unknown = np.bincount(texts.owner, ~np.isin(texts.codes, known), len(texts))
        return of_ratio(unknown, texts.lengths, rng)

    return _beside(share)


def of_ratio(
    above: np.ndarray, below: np.ndarray, rng: np.random.Generator
) -> tuple[float, Interval | None]:
    """The ratio of two sums over texts, and its 95 % interval.

    Shape:
        above, below: (N,) of each text.
    """

    def ratio(rows: np.ndarray) -> float:
        total = float(below[rows].sum())
        return float(above[rows].sum()) / total if total else 0.0

    value = ratio(np.arange(len(above)))
    found = intervals.of_score(ratio, len(above), rng)
    return value, found and (min(found[0], value), max(found[1], value))


def _beside(measured: Callable[[Part], tuple[float, Interval | None]]) -> Outcome:
    """The figure of the synthetic texts, and of the holdout in their place."""
    (value, interval), (reference, reference_interval) = (
        measured("synthetic"),
        measured("holdout"),
    )
    return Outcome(value, reference, interval, reference_interval)


def _frequencies(comparison: Comparison, unit: Unit, lengths: tuple[int, ...]) -> Outcome:
    """The error, averaged over lengths of spans, of equally many holdout and synthetic texts."""
    found: dict[Part, Stream] = dict(getattr(streams(comparison), unit))
    places = equal_places(comparison)

    def error(part: Part) -> tuple[float, Interval | None]:
        texts = found[part].take(places[part])
        group = _groups(comparison, len(texts))
        errors = np.mean([_distances(found["train"], texts, n, group) for n in lengths], axis=0)
        return float(errors[0]), of_jackknife(float(errors[0]), errors[1:], 100.0)

    return _beside(error)


def _distances(train: Stream, other: Stream, n: int, group: np.ndarray) -> np.ndarray:
    """Percent by which the frequencies of spans differ: of all other texts, and without each group.

    Shape:
        group: (N,) of each of the other texts.
        returns: (1 + N_GROUPS,), 100 where no span is left.
    """
    known, some = spans(train, n), spans(other, n)
    names, place = np.unique(np.concatenate([known.keys, some.keys]), return_inverse=True)
    real, own = place[: len(known.keys)], place[len(known.keys) :]
    shares = np.bincount(real, minlength=len(names)) / max(1, len(real))
    counts = np.bincount(own, minlength=len(names))
    of_group = group[some.owner]
    without = [np.bincount(own[of_group == g], minlength=len(names)) for g in range(N_GROUPS)]
    errors = []
    for left in (counts, *(counts - one for one in without)):
        total = left.sum()
        errors.append(50 * float(np.abs(left / total - shares).sum()) if total else 100.0)
    return np.array(errors)


def _groups(comparison: Comparison, n_texts: int) -> np.ndarray:
    """Shape: (n_texts,) one of N_GROUPS, at random."""
    return comparison.rng("groups of texts").permutation(n_texts) % N_GROUPS
