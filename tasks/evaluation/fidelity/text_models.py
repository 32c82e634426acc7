"""Would a model of real texts expect the synthetic ones?"""

import numpy as np

from tasks.evaluation.base import Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.text import of_ratio
from tasks.evaluation.language_model import LanguageModel, n_bytes
from tasks.evaluation.streams import streams
from tasks.params import Threshold


def n_symbols(comparison: Comparison) -> int:
    """Of the alphabet of all real texts, with one for a text's end and one for all others."""
    found = streams(comparison).characters
    return len(np.unique(np.concatenate([found["train"].codes, found["holdout"].codes]))) + 2


@metric(
    label="Surprise of a model of real texts (bits per byte)",
    family="fidelity",
    goal="lower",
    kinds=("text",),
    explanation=(
        "How many bits a byte of synthetic text takes under a model of real texts that no generator"
        " saw: the logarithm of the perplexity. More than real texts take: it is not their language."
    ),
    source=(
        "cross-entropy, Shannon 1951, doi:10.1002/j.1538-7305.1951.tb01366.x; Witten-Bell n-grams of"
        " characters; bits per byte, arXiv:2101.00027"
    ),
    threshold=Threshold(at_most_reference_plus=0.35),
)
def bits_per_byte(comparison: Comparison) -> Outcome:
    """Models of both halves of the holdout: who copied training texts has no advantage.

    The reference has either half under the model of the other. Text that repeats what is frequent
    takes few bits: that it has variety is for other metrics to say.
    """
    found = streams(comparison).characters
    rng = comparison.rng("bits_per_byte")
    size = n_symbols(comparison)
    order = rng.permutation(len(found["holdout"]))
    halves = [found["holdout"].take(one) for one in (order[::2], order[1::2])]
    models = [LanguageModel(half, size) for half in halves]
    synthetic = found["synthetic"]
    bits = (models[0].bits(synthetic) + models[1].bits(synthetic)) / 2
    value, interval = of_ratio(bits, n_bytes(synthetic), rng)
    unseen = np.concatenate([models[0].bits(halves[1]), models[1].bits(halves[0])])
    sizes = np.concatenate([n_bytes(halves[1]), n_bytes(halves[0])])
    reference, reference_interval = of_ratio(unseen, sizes, rng)
    return Outcome(value, reference, interval, reference_interval)
