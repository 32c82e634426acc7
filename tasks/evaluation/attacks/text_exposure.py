"""How much a model of the synthetic texts knows of numbers that one text alone has.

Source: Carlini et al. 2019, The Secret Sharer, arXiv:1802.08232.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.text_models import n_symbols
from tasks.evaluation.intervals import Interval, Z
from tasks.evaluation.language_model import ORDER, LanguageModel
from tasks.evaluation.streams import streams, texts_of
from tasks.evaluation.symbols import characters
from tasks.params import Threshold

MIN_SECRETS = 20
"""Numbers of the training texts, and of the holdout, that are needed."""

MAX_SECRETS = 400
"""Numbers of each set that are ranked at most."""

N_ALTERNATIVES = 63
"""Random numbers of the same length among which each is ranked."""

_NUMBER = re.compile(r"[0-9]{5,}")

Secret = tuple[str, str]
"""What stands before a number in its text, and the number."""


@metric(
    label="Exposure of numbers (bits)",
    family="privacy",
    goal="lower",
    kinds=("text",),
    explanation=(
        "How many bits of the numbers that exactly one training text has a model of the synthetic"
        f" texts knows, by their rank among {N_ALTERNATIVES} random ones, less the same of numbers"
        " that no generator saw: 0 is guessing, 6 at most."
    ),
    source="exposure, Carlini et al. 2019, arXiv:1802.08232, section 4.2, by sampling, section 4.3",
    threshold=Threshold(at_most_reference_plus=0.5),
    chance=0.0,
)
def secret_exposure(comparison: Comparison) -> Outcome:
    """The reference has models of either half of the holdout, and unseen numbers of the other.

    Differs: the attacker models what was released and has not the generator itself; the numbers
    are those of the data, not planted ones.
    """
    found = streams(comparison).characters
    rng = comparison.rng("secret_exposure")
    train, holdout = (texts_of(rows) for rows in (comparison.train, comparison.holdout))
    order = rng.permutation(len(holdout))
    halves = (np.sort(order[::2]), np.sort(order[1::2]))
    members = _secrets(train, holdout)
    others = _secrets(holdout, train)
    smallest = min(len(members), len(others))
    if smallest < MIN_SECRETS:
        raise NotApplicable(
            f"needs {MIN_SECRETS} numbers that one training text alone has, and as many of the"
            f" holdout, found {smallest}"
        )
    known = _some(list(members.values()), rng)
    size = n_symbols(comparison)
    synthetic = found["synthetic"].take(rng.permutation(len(found["synthetic"])))
    model = LanguageModel(synthetic, size)
    unseen = _some(list(others.values()), rng)
    value, interval = _difference(exposure(model, known, rng), exposure(model, unseen, rng))
    scores: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for own, other in (halves, halves[::-1]):
        fresh = LanguageModel(found["holdout"].take(own), size)
        rest = [secret for place, secret in others.items() if place[0] in set(other.tolist())]
        scores[0].append(exposure(fresh, known, rng))
        scores[1].append(exposure(fresh, _some(rest, rng), rng))
    reference, reference_interval = _difference(*(np.concatenate(one) for one in scores))
    return Outcome(value, reference, interval, reference_interval)


def exposure(
    model: LanguageModel, secrets: Sequence[Secret], rng: np.random.Generator
) -> np.ndarray:
    """Bits by which the rank of each secret is better than the worst possible one.

    Shape:
        returns: (N,) from 0 to log2(N_ALTERNATIVES + 1).
    """
    texts, inside = [], []
    for before, number in secrets:
        drawn = rng.integers(0, 10, (N_ALTERNATIVES, len(number)))
        for one in (number, *("".join(map(str, digits)) for digits in drawn.tolist())):
            texts.append(before + one)
            inside += [False] * len(before) + [True] * len(one) + [False]
    stream = characters(texts)
    owner = np.repeat(np.arange(len(texts)), stream.lengths + 1)
    bits = np.bincount(owner, model.symbol_bits(stream) * np.array(inside, bool), len(texts))
    # The last digits of a sum depend on its order: equal numbers of equal bits are ties.
    bits = bits.round(9).reshape(len(secrets), N_ALTERNATIVES + 1)
    true, others = bits[:, :1], bits[:, 1:]
    rank = 1 + (others < true).sum(axis=1) + 0.5 * (others == true).sum(axis=1)
    return np.asarray(np.log2((N_ALTERNATIVES + 1) / rank))


def _secrets(texts: Sequence[str], other: Sequence[str]) -> dict[tuple[int, int], Secret]:
    """Numbers that exactly one of the texts has, and none of the others, by text and place."""
    found = [list(_NUMBER.finditer(text)) for text in texts]
    counts = Counter(name for one in found for name in {match[0] for match in one})
    counts.update(name for text in other for name in _NUMBER.findall(text))
    return {
        (row, match.start()): (texts[row][: match.start()][-(ORDER - 1) :], match[0])
        for row, one in enumerate(found)
        for match in one
        if counts[match[0]] == 1
    }


def _some(secrets: list[Secret], rng: np.random.Generator) -> list[Secret]:
    return [secrets[i] for i in np.sort(rng.permutation(len(secrets))[:MAX_SECRETS])]


def _difference(members: np.ndarray, others: np.ndarray) -> tuple[float, Interval]:
    """Of two means, and its 95 % interval, Welch 1947, doi:10.1093/biomet/34.1-2.28."""
    value = float(members.mean() - others.mean())
    spread = Z * float(np.sqrt(members.var() / len(members) + others.var() / len(others)))
    return value, (value - spread, value + spread)
