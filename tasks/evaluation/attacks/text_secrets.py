"""Numbers, codes and addresses that one training text alone has: do synthetic texts tell them?

Nobody has to plant a canary: what occurs once in the training texts is one.

Source: Carlini et al. 2019, The Secret Sharer, arXiv:1802.08232.
"""

from collections import Counter

from tasks.encoding.text_identifiers import identifiers
from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import Part
from tasks.evaluation.streams import equal_places, streams, texts_of
from tasks.params import Threshold

MIN_SECRETS = 20
"""Training texts with a secret below which the share that leaked says nothing."""


@metric(
    label="Leaked secrets (share)",
    family="privacy",
    goal="lower",
    kinds=("text",),
    explanation=(
        "Of the training texts with a number of five digits or more, a code, an e-mail address or a"
        " URL that no other training text has, the share of which synthetic texts tell one; the"
        " reference is the share of which as many unseen real texts do."
    ),
    source="canaries that the data itself holds, after Carlini et al. 2019, arXiv:1802.08232",
    threshold=Threshold(at_most_reference_plus=0.05),
)
def leaked_secrets(comparison: Comparison) -> Outcome:
    """A number that was sent to several people is in other texts, too: that is not a leak.

    Texts are counted, not secrets, because those of one text are told together.
    """
    own, places = _secrets(comparison), equal_places(comparison)
    figures = []
    for part in ("synthetic", "holdout"):
        texts = _identifiers(comparison, part)
        told = set().union(*(texts[place] for place in places[part]))
        share = sum(not told.isdisjoint(one) for one in own) / len(own)
        figures.append((share, intervals.of_share(share, len(own))))
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
    threshold=Threshold(at_most_reference_plus=0.01),
)
def texts_with_secrets(comparison: Comparison) -> Outcome:
    """One secret that every second text tells is one of many, and still a leak."""
    known = set().union(*_secrets(comparison))
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


def _secrets(comparison: Comparison) -> list[set[str]]:
    """Of the training texts that have any: identifiers that no other training text has.

    Raises:
        NotApplicable: hardly a text has any.
    """
    streams(comparison)
    texts = _identifiers(comparison, "train")
    counts = Counter(name for text in texts for name in text)
    own = [{name for name in text if counts[name] == 1} for text in texts]
    found = [one for one in own if one]
    if len(found) < MIN_SECRETS:
        raise NotApplicable(
            f"needs {MIN_SECRETS} training texts with a secret of their own, found {len(found)}"
        )
    return found
