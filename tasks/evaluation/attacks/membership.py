"""Membership inference: can an attacker tell training rows from rows that were never seen?

The attacker has all synthetic rows in memory and half of the holdout; the persons are at most
MAX_MEMBERS members and MAX_OTHERS non-members. The reference is the same attack on the same persons
with fresh real rows in place of the synthetic ones, which know nothing of anybody: expected at
chance.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tasks.evaluation import boosting, intervals
from tasks.evaluation.attacks.rounds import Round, halves, joined, rounds, space
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.boosting import Inputs
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.intervals import Interval
from tasks.evaluation.rows import Rows
from tasks.params import Threshold
from tasks.privacy.attacks import membership
from tasks.privacy.distances import nearest

MAX_MEMBERS = 10_000
"""Members that are attacked at most."""

MAX_OTHERS = 16_000
"""Non-members at most: they are more, because so few of them place the threshold."""

MAX_LEARNED = 10_000
"""Rows of a side that the classifier learns from at most."""

MIN_OTHERS = 1_000
"""Non-members below which one in a hundred of them is too few to place a threshold by."""

FALSE_POSITIVES = 0.01

_N_CLOSEST = 3
"""Rows that make up a density: more of them see less of what was remembered."""

_N_POINTS = 50

Attack = Literal["density ratio", "classifier", "closest distance"]


@dataclass(frozen=True)
class Scores:
    """What an attack gave to members and to others."""

    members: np.ndarray
    others: np.ndarray

    @property
    def auc(self) -> float:
        """How often a member has the higher score."""
        is_member = np.repeat([True, False], [len(self.members), len(self.others)])
        return boosting.auc(is_member, np.concatenate([self.members, self.others]))

    @property
    def auc_interval(self) -> Interval:
        """Its 95 % interval."""
        return intervals.of_auc(self.auc, len(self.members), len(self.others))

    def found(self, false_positives: float) -> float:
        """The true positive rate."""
        return membership.true_positive_rate(self.members, self.others, false_positives)

    def found_interval(self) -> Interval:
        """95 % of the true positive rate at FALSE_POSITIVES: of its members and its threshold.

        The threshold that takes so many non-members of the sample may take more or fewer of all.
        Source: intervals of two independent shares joined as squares, MOVER, Newcombe 1998,
        doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.
        """
        value = self.found(FALSE_POSITIVES)
        own = intervals.of_share(value, len(self.members))
        fewest, most = intervals.of_share(FALSE_POSITIVES, len(self.others))
        return (
            value - float(np.hypot(value - own[0], value - self.found(fewest))),
            value + float(np.hypot(own[1] - value, self.found(most) - value)),
        )


@dataclass(frozen=True)
class Attacked:
    """The scores of one attack with synthetic rows, and with fresh real ones in their place."""

    synthetic: Scores
    real: Scores


_AUC_THRESHOLD = Threshold(at_most_reference_plus=0.15)
"""By the closest distance copiers reach 0.8 to 1, by the others 0.55 to 0.8; generators that learned
from some hundred rows, of which they must remember more, 0.6."""


@metric(
    label="Membership inference, density ratio (AUC)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "How well an attacker tells training rows from others by how much denser the synthetic"
        " rows lie around them than real rows do: 0.5 is guessing, 1 is certainty."
    ),
    source="DOMIAS, van Breugel et al. 2023, arXiv:2302.12580",
    threshold=_AUC_THRESHOLD,
    chance=0.5,
)
def membership_density(comparison: Comparison) -> Outcome:
    """The attacker has real rows of the same population beside the synthetic ones."""
    return _area(comparison, "density ratio")


@metric(
    label="Membership inference, classifier (AUC)",
    family="privacy",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "How well an attacker tells training rows from others by boosted trees that learned to"
        " tell synthetic rows from real ones: 0.5 is guessing, 1 is certainty."
    ),
    source=(
        "the discriminator's score as evidence of membership, LOGAN, Hayes et al. 2019,"
        " doi:10.2478/popets-2019-0008; LightGBM, at most 10,000 rows a side"
    ),
    threshold=_AUC_THRESHOLD,
    chance=0.5,
)
def membership_classifier(comparison: Comparison) -> Outcome:
    """Differs: trees in place of a network, against real rows that were not trained on."""
    return _area(comparison, "classifier")


@metric(
    label="Membership inference, closest distance (AUC)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "How well an attacker tells training rows from others by how much closer a synthetic row"
        " is than any real row: 0.5 is guessing, 1 is certainty."
    ),
    source="GAN-Leaks, Chen et al. 2020, arXiv:1909.03935, calibrated by real rows",
    threshold=_AUC_THRESHOLD,
    chance=0.5,
)
def membership_distance(comparison: Comparison) -> Outcome:
    """The sharpest of the attacks wherever single rows were remembered."""
    return _area(comparison, "closest distance")


@metric(
    label="Members found at 1 % false alarms (share)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Share of the training rows that the attack by closest distance finds when it takes 1 % of"
        " the others for members: 0.01 is guessing; it shows the few rows that leak most."
    ),
    source="Carlini et al. 2022, arXiv:2112.03570, with the attack of GAN-Leaks",
    threshold=Threshold(at_most_reference_plus=0.0075),
    chance=0.01,
)
def membership_tpr(comparison: Comparison) -> Outcome:
    """An average hides that 2 of 100 rows were copied; the best scores do not."""
    attacked = _attacked(comparison, "closest distance")
    if (found := len(attacked.synthetic.others)) < MIN_OTHERS:
        raise NotApplicable(f"needs {MIN_OTHERS} holdout rows, found {found}")
    return Outcome(
        attacked.synthetic.found(FALSE_POSITIVES),
        attacked.real.found(FALSE_POSITIVES),
        attacked.synthetic.found_interval(),
        attacked.real.found_interval(),
    )


def _area(comparison: Comparison, attack: Attack) -> Outcome:
    attacked = _attacked(comparison, attack)
    synthetic, real = attacked.synthetic, attacked.real
    return Outcome(
        synthetic.auc,
        real.auc,
        synthetic.auc_interval,
        real.auc_interval,
        {"membership": _curves(comparison)},
    )


def _curves(comparison: Comparison) -> list[dict[str, Any]]:
    """The ROC curve of every attack, at false positive rates that suit logarithmic axes."""
    attacks: list[Attack] = ["density ratio", "classifier", "closest distance"]
    if comparison.by_vectors:
        attacks.remove("classifier")
    plots = []
    for attack in attacks:
        scores = _attacked(comparison, attack).synthetic
        rates = np.geomspace(min(FALSE_POSITIVES, 1 / len(scores.others)), 1, _N_POINTS)
        plots.append(
            {
                "attack": attack,
                "auc": round(scores.auc, 4),
                "fpr": [float(f"{rate:.4g}") for rate in rates],
                "tpr": [float(f"{scores.found(rate):.4g}") for rate in rates],
            }
        )
    return plots


def _attacked(comparison: Comparison, attack: Attack) -> Attacked:
    if attack == "classifier":
        return comparison.once("attacks: classifier", lambda: _by_classifier(comparison))
    by_name = comparison.once("attacks: distances", lambda: _by_distance(comparison))
    return by_name[attack]


def _by_distance(comparison: Comparison) -> dict[Attack, Attacked]:
    """Both attacks that need nothing but the distances to close rows."""
    place = space(comparison)
    synthetic = place(comparison.synthetic)
    scored: dict[tuple[Attack, bool], list[Scores]] = {}
    found = rounds(comparison, MAX_MEMBERS, MAX_OTHERS, "membership")
    # One search for all persons: preparing very many synthetic rows for it takes a while.
    close = nearest(place(joined([one.persons for one in found])), synthetic, _N_CLOSEST)
    parts = np.split(close, np.cumsum([len(one.persons) for one in found])[:-1])
    for one, from_synthetic in zip(found, parts, strict=True):
        persons = place(one.persons)
        fresh, rest = (place(half) for half in halves(one.known))
        from_fresh, from_rest = (nearest(persons, rows, _N_CLOSEST) for rows in (fresh, rest))
        from_known = np.sort(np.hstack([from_fresh, from_rest]), axis=1)[:, :_N_CLOSEST]
        pairs = {
            True: (from_synthetic, from_known, len(synthetic), len(one.known)),
            False: (from_fresh, from_rest, len(fresh), len(rest)),
        }
        for is_synthetic, (near, reference, n_near, n_reference) in pairs.items():
            scores: dict[Attack, np.ndarray] = {
                "density ratio": membership.density_ratio(near, reference, n_near, n_reference),
                "closest distance": membership.calibrated_distance(near[:, 0], reference[:, 0]),
            }
            for attack, score in scores.items():
                told = Scores(score[: len(one.members)], score[len(one.members) :])
                scored.setdefault((attack, is_synthetic), []).append(told)
    attacks: tuple[Attack, ...] = ("density ratio", "closest distance")
    return {a: Attacked(_joined(scored[a, True]), _joined(scored[a, False])) for a in attacks}


def _by_classifier(comparison: Comparison) -> Attacked:
    rng = comparison.rng("membership classifier")
    found: dict[bool, list[Scores]] = {True: [], False: []}
    for one in rounds(comparison, MAX_MEMBERS, MAX_OTHERS, "membership"):
        fresh, rest = halves(one.known)
        synthetic = comparison.synthetic.sample(MAX_LEARNED, rng)
        found[True].append(_told_apart(one, synthetic, one.known.sample(MAX_LEARNED, rng)))
        found[False].append(
            _told_apart(one, fresh.sample(MAX_LEARNED, rng), rest.sample(MAX_LEARNED, rng))
        )
    return Attacked(_joined(found[True]), _joined(found[False]))


def _told_apart(one: Round, released: Rows, real: Rows) -> Scores:
    both = Inputs(
        np.vstack([Inputs.of(released).values, Inputs.of(real).values]), released.codes.shape[1]
    )
    is_released = np.repeat([1, 0], [len(released), len(real)])
    model = boosting.fit(both, is_released, "binary")
    members, others = (
        boosting.predict(model, Inputs.of(rows)) for rows in (one.members, one.others)
    )
    return Scores(members, others)


def _joined(scores: list[Scores]) -> Scores:
    return Scores(
        np.concatenate([one.members for one in scores]),
        np.concatenate([one.others for one in scores]),
    )
