"""Is a model that learned from synthetic rows as good on real ones as a model of real rows?

Source: train on synthetic, test on real: Esteban, Hyland and Rätsch 2017, arXiv:1706.02633.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.intervals import Interval
from tasks.evaluation.utility.models import (
    BOOSTING,
    FOREST,
    LINEAR,
    NETWORK,
    WORDS,
    Family,
    predictor,
)
from tasks.evaluation.utility.problem import Labelled, Problem, problem_of
from tasks.evaluation.utility.scores import (
    LOWEST,
    MIN_LABEL_ROWS,
    lowest_recall,
    percentiles,
    point,
    redraws,
)
from tasks.params import Threshold
from tasks.schema import Kind

N_HALVES = 12

MAX_HALVED = 2_000
"""Rows that a model learned from whose halves are tried at most."""

MAX_HALVED_WORK = 150_000
"""The same in rows x columns x classes."""

Lesson = Literal["real", "synthetic", "both"]
"""What a model learned from."""

_TAUGHT: tuple[Lesson, Lesson] = ("synthetic", "real")


@dataclass(frozen=True)
class Scored:
    """How well a model predicts the holdout.

    Attributes:
        value: over all rows.
        interval: 95 %, were the holdout rows drawn again, on redraws that all models share; of
            small data also were the rows that it learned from drawn again. Two models err alike
            on the same rows, so their difference is more certain than the two intervals say: a
            gate that takes them as independent is generous.
    """

    value: float
    interval: Interval | None


@metric(
    label="Train on synthetic, test on real",
    family="utility",
    goal="higher",
    kinds=("tabular", "image", "text"),
    explanation=(
        "How well a model that learned from synthetic rows predicts the target of the holdout;"
        " the reference learned from as many real rows. AUC for the classes of a table, R2 for"
        " numbers, accuracy for the labels of images, macro F1 for those of texts."
    ),
    source=(
        "Esteban et al. 2017, arXiv:1706.02633; LightGBM, for images a convolutional network, for"
        " texts logistic regression"
    ),
    threshold=Threshold(at_least_reference_minus=0.05),
)
def utility(comparison: Comparison) -> Outcome:
    """Boosted trees; for images a convolutional network, for texts a linear model of their words."""
    return _transferred(comparison, _main_family(comparison))


@metric(
    label="Train on synthetic, test on real: worst label (recall)",
    family="utility",
    goal="higher",
    kinds=("image", "text"),
    explanation=(
        "Of the holdout rows of a label, the share that a model finds that learned from synthetic"
        " rows, of the label with the lowest share; the reference learned from as many real rows."
        " An average over labels hides one that is of no use."
    ),
    source="worst-class accuracy, as worst-group accuracy: Sagawa et al. 2020, arXiv:1911.08731",
    threshold=Threshold(at_least_reference_minus=0.25),
)
def utility_worst_label(comparison: Comparison) -> Outcome:
    """Labels of fewer than 20 training or holdout rows are left out: so few are found by luck.

    The intervals redraw the holdout.
    """
    problem = problem_of(comparison)
    if problem.n_classes is None:
        raise NotApplicable(f"the target {problem.target!r} is a number")
    n_learned = np.bincount(problem.real.target, minlength=problem.n_classes)
    kept = n_learned[problem.test.target] >= MIN_LABEL_ROWS
    target = problem.test.target[kept]
    if np.bincount(target, minlength=1).max() < MIN_LABEL_ROWS:
        raise NotApplicable(f"no label has {MIN_LABEL_ROWS} training and as many holdout rows")
    found = []
    for lesson in _TAUGHT:
        guess = prediction(comparison, _main_family(comparison), lesson)[kept]
        value = point(lowest_recall, target, guess)
        drawn = lowest_recall(target, guess, holdout_redraws(comparison)[:, kept])
        found.append((value, percentiles(value, drawn)))
    (value, interval), (reference, reference_interval) = found
    return Outcome(value, reference, interval, reference_interval)


@metric(
    label="Train on synthetic, test on real: linear model",
    family="utility",
    goal="higher",
    kinds=("tabular",),
    explanation=(
        "As the test with boosted trees, with a logistic or ridge regression, which needs only the"
        " main effects of single columns to be right."
    ),
    source="Esteban et al. 2017, arXiv:1706.02633; scikit-learn",
    threshold=Threshold(at_least_reference_minus=0.1),
)
def utility_linear(comparison: Comparison) -> Outcome:
    """Logistic regression for classes, ridge regression for numbers."""
    return _transferred(comparison, LINEAR)


@metric(
    label="Train on synthetic, test on real: random forest",
    family="utility",
    goal="higher",
    kinds=("tabular",),
    explanation=(
        "As the test with boosted trees, with a random forest, which averages many deep trees."
    ),
    source="Esteban et al. 2017, arXiv:1706.02633; Breiman 2001, doi:10.1023/A:1010933404324",
    threshold=Threshold(at_least_reference_minus=0.1),
)
def utility_trees(comparison: Comparison) -> Outcome:
    """Random forest, for classes and for numbers."""
    return _transferred(comparison, FOREST)


@metric(
    label="Train on real and synthetic, test on real",
    family="utility",
    goal="higher",
    kinds=("tabular", "image", "text"),
    explanation=(
        "How well a model that learned from real and as many synthetic rows predicts the target of"
        " the holdout; the reference learned from the real rows alone. Higher than the reference:"
        " the synthetic rows add something."
    ),
    source="Antoniou, Storkey and Edwards 2017, arXiv:1711.04340; LightGBM",
)
def utility_augmented(comparison: Comparison) -> Outcome:
    """Value and reference learn from the same real rows."""
    family = _main_family(comparison)
    both, real = scored(comparison, family, "both"), scored(comparison, family, "real")
    plots = _plots(
        comparison, family, {"augmented": both.value, "augmented_interval": both.interval}
    )
    return Outcome(both.value, real.value, both.interval, real.interval, plots)


def prediction(comparison: Comparison, family: Family, lesson: Lesson) -> np.ndarray:
    """What a model predicts of the holdout rows; each model learns once."""

    def predict() -> np.ndarray:
        problem = problem_of(comparison)
        return predictor(family, problem, _known(problem, lesson))(problem.test)

    return comparison.once(f"utility/{family.name}/{lesson}", predict)


def holdout_redraws(comparison: Comparison) -> np.ndarray:
    """How often each redraw has each holdout row; the same for all models.

    Shape:
        returns: (draws, N) int32.
    """
    n_rows = len(problem_of(comparison).test)
    return comparison.once(
        "utility/redraws", lambda: redraws(n_rows, comparison.rng("utility redraws"))
    )


def scored(comparison: Comparison, family: Family, lesson: Lesson) -> Scored:
    """How well a model predicts the holdout rows, computed once."""

    def score() -> Scored:
        problem = problem_of(comparison)
        found = prediction(comparison, family, lesson)
        value = point(problem.score, problem.test.target, found)
        if not np.isfinite(value):
            raise NotApplicable(f"the target {problem.target!r} hardly varies in the holdout")
        drawn = problem.score(problem.test.target, found, holdout_redraws(comparison))
        drawn = drawn + np.resize(_deviations(comparison, family), len(drawn))
        return Scored(value, percentiles(value, np.clip(drawn, LOWEST, 1.0)))

    return comparison.once(f"utility/{family.name}/{lesson}/score", score)


def _deviations(comparison: Comparison, family: Family) -> np.ndarray:
    """How the score of a model of few real rows varies with the rows that it learned from.

    Models of random halves of the rows vary around each other as models of all rows would, were
    these drawn again. Many rows make it vary little, and cost much. The intervals of all models use
    this: one of synthetic rows that varies more gets no allowance for it.

    Shape:
        returns: (N_HALVES,) around 0; of many rows (1,), which is 0.

    Source: half-sample replication, McCarthy 1969, doi:10.2307/1402116.
    """
    problem = problem_of(comparison)
    known = problem.real
    work = len(known) * problem.n_inputs * (problem.n_classes or 1)
    if len(known) > MAX_HALVED or work > MAX_HALVED_WORK:
        return np.zeros(1)

    def deviate() -> np.ndarray:
        rng = comparison.rng(f"utility halves {family.name}")
        scores = []
        for _ in range(N_HALVES):
            half = known.take(np.sort(rng.choice(len(known), len(known) // 2, replace=False)))
            found = predictor(family, problem, half)(problem.test)
            scores.append(point(problem.score, problem.test.target, found))
        deviations = np.array(scores) - np.mean(scores)
        return np.asarray(deviations * np.sqrt(N_HALVES / (N_HALVES - 1)))

    return comparison.once(f"utility/{family.name}/deviations", deviate)


def _known(problem: Problem, lesson: Lesson) -> Labelled:
    if lesson == "both":
        return problem.real.and_also(problem.synthetic)
    return problem.real if lesson == "real" else problem.synthetic


def _main_family(comparison: Comparison) -> Family:
    families: dict[Kind, Family] = {"tabular": BOOSTING, "image": NETWORK, "text": WORDS}
    return families[comparison.kind]


def _transferred(comparison: Comparison, family: Family) -> Outcome:
    synthetic, real = (scored(comparison, family, one) for one in ("synthetic", "real"))
    plots = _plots(comparison, family, {})
    return Outcome(synthetic.value, real.value, synthetic.interval, real.interval, plots)


def _plots(comparison: Comparison, family: Family, more: dict[str, Any]) -> dict[str, Any]:
    """All models that have been scored so far: the last metric's plot shows all of them."""
    problem = problem_of(comparison)
    models: dict[str, dict[str, Any]] = comparison.once("utility/models", dict)
    synthetic, real = (scored(comparison, family, one) for one in ("synthetic", "real"))
    nothing = {"augmented": None, "augmented_interval": None}
    models[family.name] = {
        **models.get(family.name, {"model": family.name, **nothing}),
        "real": real.value,
        "real_interval": real.interval,
        "synthetic": synthetic.value,
        "synthetic_interval": synthetic.interval,
        **more,
    }
    return {
        "utility": {
            "score": problem.score_name,
            "target": problem.target,
            "rows": len(problem.real),
            "models": list(models.values()),
        }
    }
