"""Numbers, codes and addresses that one training text alone has: do synthetic texts tell them?

Nobody has to plant a canary: what occurs once in the training texts is one.

Source: Carlini et al. 2019, The Secret Sharer, arXiv:1802.08232.
"""

from collections import Counter

from tasks.encoding.text_copies import identifiers
from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import Part
from tasks.evaluation.streams import equal_places, streams, texts_of
from tasks.params import Threshold

MIN_SECRETS = 20
"""Secrets of the training texts below which the share that leaked says nothing."""


@metric(
    label="Leaked secrets (share)",
    family="privacy",
    goal="lower",
    kinds=("text",),
    explanation=(
        "Of the numbers of five digits or more, codes, e-mail addresses and URLs that exactly one"
        " training text has, the share that synthetic texts have, too; the reference is the share"
        " that as many unseen real texts have."
    ),
    source="canaries that the data itself holds, after Carlini et al. 2019, arXiv:1802.08232",
    threshold=Threshold(at_most_reference_plus=0.01),
)
def leaked_secrets(comparison: Comparison) -> Outcome:
    """A number that was sent to several people is in other texts, too: that is not a leak."""
    known, places = _secrets(comparison), equal_places(comparison)
    figures = []
    for part in ("synthetic", "holdout"):
        texts = _identifiers(comparison, part)
        told = set().union(*(texts[place] for place in places[part]))
        share = len(known & told) / len(known)
        figures.append((share, intervals.of_share(share, len(known))))
    (value, interval), (reference, reference_interval) = figures
    return Outcome(value, reference, interval, reference_interval)


@metric(
    label="Texts that tell a secret (share)",
    family="privacy",
    goal="lower",
    kinds=("text",),
    explanation=(
        "Share of the synthetic texts with a number of five digits or more, a code, an e-mail"
        " address or a URL that exactly one training text has: high where one is told again and"
        " again."
    ),
    source="canaries that the data itself holds, after Carlini et al. 2019, arXiv:1802.08232",
    threshold=Threshold(at_most_reference_plus=0.005),
)
def texts_with_secrets(comparison: Comparison) -> Outcome:
    """One secret that every second text tells is one of many, and still a leak."""
    known = _secrets(comparison)
    figures = []
    for part in ("synthetic", "holdout"):
        texts = _identifiers(comparison, part)
        share = sum(not known.isdisjoint(one) for one in texts) / len(texts)
        figures.append((share, intervals.of_share(share, len(texts))))
    (value, interval), (reference, reference_interval) = figures
    return Outcome(value, reference, interval, reference_interval)


def _identifiers(comparison: Comparison, part: Part) -> list[set[str]]:
    """The identifiers of each text."""
    return comparison.once(
        f"texts: identifiers {part}",
        lambda: [identifiers(text) for text in texts_of(getattr(comparison, part))],
    )


def _secrets(comparison: Comparison) -> set[str]:
    """Identifiers that exactly one training text has.

    Raises:
        NotApplicable: there are hardly any.
    """
    streams(comparison)
    counts = Counter(name for text in _identifiers(comparison, "train") for name in text)
    once = {name for name, n_texts in counts.items() if n_texts == 1}
    if len(once) < MIN_SECRETS:
        raise NotApplicable(f"needs {MIN_SECRETS} secrets in the training texts, found {len(once)}")
    return once
