"""Membership inference by language models: training texts are less surprising than they should be."""

import numpy as np

from tasks.evaluation.attacks.membership import MAX_MEMBERS, MAX_OTHERS, Attacked, Scores
from tasks.evaluation.attacks.rounds import halves, rounds
from tasks.evaluation.base import Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.text_models import n_symbols
from tasks.evaluation.language_model import LanguageModel, n_bytes
from tasks.evaluation.rows import Rows
from tasks.evaluation.streams import texts_of
from tasks.evaluation.symbols import characters
from tasks.params import Threshold


@metric(
    label="Membership inference, language models (AUC)",
    family="privacy",
    goal="lower",
    kinds=("text",),
    explanation=(
        "How well an attacker tells training texts from others by how much less they surprise a"
        " model of the synthetic texts than one of real texts: 0.5 is guessing, 1 is certainty."
    ),
    source=(
        "likelihood against a reference model, Carlini et al. 2021, arXiv:2012.07805, section 5.2;"
        " Meeus et al. 2025, The Canary's Echo, arXiv:2502.14921: an n-gram model of synthetic text"
    ),
    threshold=Threshold(at_most_reference_plus=0.15),
    chance=0.5,
)
def membership_language(comparison: Comparison) -> Outcome:
    """Texts that few words tell apart from all others are found, however they were changed."""
    size = n_symbols(comparison)
    of_synthetic = _model(comparison.synthetic, size, comparison.rng("membership_language"))
    told: dict[bool, list[Scores]] = {True: [], False: []}
    for one in rounds(comparison, MAX_MEMBERS, MAX_OTHERS, "membership"):
        parts = (one.known, *halves(one.known))
        known, fresh, rest = (LanguageModel(characters(texts_of(part)), size) for part in parts)
        for is_synthetic, models in ((True, (of_synthetic, known)), (False, (fresh, rest))):
            members, others = (_surprise(*models, rows) for rows in (one.members, one.others))
            told[is_synthetic].append(Scores(members, others))
    found = Attacked(*(_joined(told[is_synthetic]) for is_synthetic in (True, False)))
    return Outcome(
        found.synthetic.auc, found.real.auc, found.synthetic.auc_interval, found.real.auc_interval
    )


def _model(rows: Rows, n_symbols: int, rng: np.random.Generator) -> LanguageModel:
    return LanguageModel(characters(texts_of(rows.take(rng.permutation(len(rows))))), n_symbols)


def _surprise(released: LanguageModel, real: LanguageModel, rows: Rows) -> np.ndarray:
    """Shape: (N,) by how many bits a byte the first model is less surprised by each text."""
    texts = characters(texts_of(rows))
    return np.asarray((real.bits(texts) - released.bits(texts)) / n_bytes(texts))


def _joined(scores: list[Scores]) -> Scores:
    return Scores(
        np.concatenate([one.members for one in scores]),
        np.concatenate([one.others for one in scores]),
    )
