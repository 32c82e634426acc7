"""Are groups treated in the synthetic rows as they are in the real ones?

Source: demographic parity: Dwork et al. 2012, doi:10.1145/2090236.2090255; equal opportunity:
Hardt, Price and Srebro 2016, arXiv:1610.02413; of synthetic data: Bhanot et al. 2021,
doi:10.3390/e23091165.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fairness.groups import (
    Counted,
    Happening,
    counted,
    groups_of,
    happening_of,
)
from tasks.evaluation.fairness.rates import gap, gap_error, jackknifed, rate_error, rates
from tasks.evaluation.intervals import Interval
from tasks.evaluation.utility.models import BOOSTING
from tasks.evaluation.utility.problem import problem_of
from tasks.evaluation.utility.transfer import Lesson, holdout_redraws, prediction

MAX_SHOWN = 30
"""Groups that a picture shows at most."""

MIN_SHOWN_ROWS = 10
"""Training rows of a shown group with the outcome, and without it."""

MIN_POSITIVES = 30
"""Holdout rows of a group with the outcome among which a model's hits are counted."""


@metric(
    label="Rates by group, error (points)",
    family="diversity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "How far the rate of an outcome in a group (the rarer class of a target with two, the"
        " commonest of more, a number above its median) is from the rate in the training rows,"
        " averaged over all groups of at least 30 training rows; the reference has holdout rows. A"
        " group that was never made counts as wholly wrong."
    ),
    source="demographic parity by group: Bhanot et al. 2021, doi:10.3390/e23091165",
)
def group_rate_error(comparison: Comparison) -> Outcome:
    """Small groups weigh as much as large ones."""
    return _compared(comparison, lambda found, real, _: rate_error(found, real))


@metric(
    label="Demographic parity, error (points)",
    family="diversity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "The gap between the groups of a column with the highest and the lowest rate of the"
        " outcome: how far it is from the gap in the training rows, averaged over the columns; the"
        " reference has holdout rows. Large: the data shows more inequality than there is, or less."
    ),
    source="demographic parity difference: Dwork et al. 2012, doi:10.1145/2090236.2090255",
)
def parity_error(comparison: Comparison) -> Outcome:
    """A group that was never made has no rate and is left out of the gap."""
    return _compared(comparison, gap_error)


@metric(
    label="Equal opportunity of models, gap (points)",
    family="diversity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Of the holdout rows with the outcome a model finds more in some groups than in others: the"
        " gap between the best and the worst served group of a column, averaged over the columns."
        " The model learned from synthetic rows, that of the reference from real ones. Higher than"
        " the reference: learning from the synthetic rows is less fair."
    ),
    source="Hardt, Price and Srebro 2016, arXiv:1610.02413, definition 2.2; LightGBM",
)
def opportunity_gap(comparison: Comparison) -> Outcome:
    """Both models are judged on the same redraws of the holdout.

    **Differs** from the definition, where a classifier has a threshold of its own: here it says yes
    to as many rows as have the outcome, the most probable first, so that two models with other
    ideas of how probable it is can be compared.
    """
    problem, happening = problem_of(comparison), happening_of(comparison)
    rows = comparison.holdout.take(problem.places)
    happened = happening.of(rows) == 1
    weights = np.vstack([np.ones(len(rows)), holdout_redraws(comparison)])[:, happened]
    found = {
        lesson: _yes(comparison, happening, lesson, happened) for lesson in ("synthetic", "real")
    }
    gaps: dict[str, list[np.ndarray]] = {"synthetic": [], "real": []}
    for groups in groups_of(comparison, happening):
        members = groups.members(rows)[happened].astype(np.float64)
        members = members[:, members.sum(axis=0) >= MIN_POSITIVES]
        if members.shape[1] < 2:
            continue
        total = weights @ members
        for lesson, yes in found.items():
            hits = weights @ (members * yes[happened, None])
            gaps[lesson].append(gap(rates(hits, total)))
    if not gaps["real"]:
        raise NotApplicable(
            f"needs a column with two groups of {MIN_POSITIVES} holdout rows with the outcome in"
            f" {comparison.target!r} that groups are compared by, found none"
        )
    value, reference = (100 * np.mean(gaps[lesson], axis=0) for lesson in ("synthetic", "real"))
    return Outcome(float(value[0]), float(reference[0]), _spread(value), _spread(reference))


def _spread(gaps: np.ndarray) -> Interval:
    """By the standard deviation of redraws: most of these are larger than the gap itself.

    Shape:
        gaps: (1 + draws,) of all rows, then of each redraw.
    """
    width = intervals.Z * float(np.std(gaps[1:]))
    return max(0.0, float(gaps[0]) - width), min(100.0, float(gaps[0]) + width)


def most_probable(score: np.ndarray, n: int) -> np.ndarray:
    """The `n` rows with the highest scores; the first of equal ones.

    Shape:
        score: (N,).
        returns: (N,) bool.
    """
    chosen = np.zeros(len(score), bool)
    chosen[np.argsort(-score, kind="stable")[:n]] = True
    return chosen


def _yes(
    comparison: Comparison, happening: Happening, lesson: Lesson, happened: np.ndarray
) -> np.ndarray:
    found = prediction(comparison, BOOSTING, lesson)
    if happening.code is not None:
        found = found[:, np.flatnonzero(problem_of(comparison).classes == happening.code)[0]]
    return most_probable(found, int(happened.sum()))


def _compared(
    comparison: Comparison, error: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
) -> Outcome:
    """An error (found rates, real rates, columns) of the synthetic and of the holdout rows."""
    found = counted(comparison)
    total = found.train.sum(axis=0)
    real = rates(total[:, 1], total.sum(axis=1))
    (value, interval), (reference, reference_interval) = (
        jackknifed(lambda rate: error(rate, real, found.columns), counts)
        for counts in (found.synthetic, found.holdout)
    )
    plots = _plots(comparison, found)
    return Outcome(value, reference, interval, reference_interval, plots)


def _plots(comparison: Comparison, found: Counted) -> dict[str, Any]:
    """The groups whose rates differ most, the largest group of a column first."""
    if comparison.schema.main.column(str(comparison.target)).personal:
        return {}
    train, synthetic = found.train.sum(axis=0), found.synthetic.sum(axis=0)
    real_rate = rates(train[:, 1], train.sum(axis=1))
    made_rate = rates(synthetic[:, 1], synthetic.sum(axis=1))
    difference = np.where(np.isnan(made_rate), 1.0, np.abs(made_rate - real_rate))
    # A rate that rests on one or two people would tell of them.
    difference[train.min(axis=1) < MIN_SHOWN_ROWS] = -1
    chosen = np.argsort(-difference, kind="stable")[:MAX_SHOWN]
    n_train, n_synthetic = len(comparison.train), len(comparison.equal[1])
    return {
        "fairness": [
            {
                "outcome": found.happening.label,
                "column": comparison.discrete[found.columns[one]].name,
                "group": comparison.categories[found.columns[one]][found.codes[one]],
                "share_real": round(float(train[one].sum()) / n_train, 3),
                "share_synthetic": round(float(synthetic[one].sum()) / n_synthetic, 3),
                "rate_real": round(float(real_rate[one]), 3),
                "rate_synthetic": None
                if np.isnan(made_rate[one])
                else round(float(made_rate[one]), 3),
            }
            for one in np.sort(chosen[difference[chosen] >= 0])
        ]
    }
