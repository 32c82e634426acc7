"""Is a language model that learned from synthetic texts as good on real ones?"""

from tasks.evaluation.base import Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.text import of_ratio
from tasks.evaluation.fidelity.text_models import n_symbols
from tasks.evaluation.language_model import LanguageModel, n_bytes
from tasks.evaluation.streams import streams
from tasks.params import Threshold


@metric(
    label="Real text under a model of synthetic text (bits per byte)",
    family="utility",
    goal="lower",
    kinds=("text",),
    explanation=(
        "How many bits a byte of the holdout takes under a model that learned from synthetic texts;"
        " the reference learned from as many training texts. It is high where words, phrases or"
        " kinds of texts are missing."
    ),
    source=(
        "reverse perplexity, Zhao et al. 2018, arXiv:1706.04223, section 5, with Witten-Bell n-grams"
        " of characters"
    ),
    # The right words in any order lack 0.7 bits: of their order, other metrics judge. This one refuses
    # texts in which words or kinds of texts are missing.
    threshold=Threshold(at_most_reference_plus=0.8),
)
def reverse_bits_per_byte(comparison: Comparison) -> Outcome:
    """The same holdout texts are redrawn for both intervals."""
    found = streams(comparison).characters
    n_texts = min(len(found["train"]), len(found["synthetic"]))
    size = n_symbols(comparison)
    sizes = n_bytes(found["holdout"])
    figures = []
    for part in ("synthetic", "train"):
        order = comparison.rng("reverse_bits_per_byte").permutation(len(found[part]))[:n_texts]
        bits = LanguageModel(found[part].take(order), size).bits(found["holdout"])
        figures.append(of_ratio(bits, sizes, comparison.rng("redrawn holdout")))
    (value, interval), (reference, reference_interval) = figures
    return Outcome(value, reference, interval, reference_interval)
