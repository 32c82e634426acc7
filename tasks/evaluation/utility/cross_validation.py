"""What a synthetic dataset promises of a model, before anyone has seen a real row.

Source: k-fold cross-validation, Stone 1974, doi:10.1111/j.2517-6161.1974.tb00994.x.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.intervals import Interval
from tasks.evaluation.utility.models import (
    Family,
    Predict,
    booster,
    predict_boosted,
    predictor,
)
from tasks.evaluation.utility.problem import MIN_ROWS, Labelled, Problem, problem_of
from tasks.evaluation.utility.scores import percentiles, point, redraws

N_FOLDS = 5

MAX_ROWS = 10_000
"""Rows of each set that are cross-validated at most."""

MAX_WORK = 400_000
"""The same in rows x columns, but a tenth of `MAX_ROWS` in any case."""

MIN_INPUTS = 3
"""Columns whose order by importance says anything."""

_T4 = 2.7764451051977987
"""The 97.5 % point of Student's t with as many degrees of freedom as folds, less one."""

Origin = Literal["train", "holdout", "synthetic"]


@dataclass(frozen=True)
class Validated:
    """A cross-validation inside rows of one origin.

    Shape:
        drawn: (draws,) the score of each redraw of the rows.
        gains: (folds, columns) the share of each column in what the trees of a fold gained.
    """

    score: float
    drawn: np.ndarray
    gains: np.ndarray


@metric(
    label="Cross-validated score, difference from real rows",
    family="utility",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "How far the score that 5-fold cross-validation promises inside the synthetic rows is from"
        " the one that it promises inside as many training rows; the reference has holdout rows in"
        " their place. AUC for classes, R2 for numbers. Large: who tunes a model on the synthetic"
        " rows is told a wrong story, too good or too bad."
    ),
    source="Stone 1974, doi:10.1111/j.2517-6161.1974.tb00994.x; LightGBM",
)
def utility_cross_validated(comparison: Comparison) -> Outcome:
    """The interval is of redraws of the rows, with the predictions of each as they are."""
    real, synthetic, fresh = (
        _validated(comparison, origin) for origin in ("train", "synthetic", "holdout")
    )
    value, reference = abs(synthetic.score - real.score), abs(fresh.score - real.score)
    return Outcome(
        value,
        reference,
        percentiles(value, np.abs(synthetic.drawn - real.drawn)),
        percentiles(reference, np.abs(fresh.drawn - real.drawn)),
    )


@metric(
    label="Agreement on which columns matter",
    family="utility",
    goal="higher",
    kinds=("tabular",),
    explanation=(
        "Rank correlation of the importance of columns for models of synthetic and of training"
        " rows; the reference has holdout rows in place of the synthetic ones. 1: the same order."
    ),
    source="gain of boosted trees (LightGBM); Spearman 1904, doi:10.2307/1412159",
)
def importance_agreement(comparison: Comparison) -> Outcome:
    """Importances are means over the folds of the cross-validation.

    Each fold's models lack a fifth of the rows, so they are the replicates of a delete-a-group
    jackknife for the interval (Kott 2001, Journal of Official Statistics 17(4)).
    """
    n_inputs = problem_of(comparison).n_inputs
    if n_inputs < MIN_INPUTS:
        raise NotApplicable(
            f"needs {MIN_INPUTS} columns beside the target to put in an order, found {n_inputs}"
        )
    real, synthetic, fresh = (
        _validated(comparison, origin).gains for origin in ("train", "synthetic", "holdout")
    )
    if not real.any():
        raise NotApplicable("no column tells anything of the target in the training rows")
    value, interval = _agreement(real, synthetic)
    reference, reference_interval = _agreement(real, fresh)
    return Outcome(value, reference, interval, reference_interval)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's; 0 where either does not vary.

    Shape:
        first, second: (N,) float.
    """
    ranks = rankdata(first), rankdata(second)
    if min(np.ptp(ranks[0]), np.ptp(ranks[1])) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _agreement(real: np.ndarray, other: np.ndarray) -> tuple[float, Interval]:
    value = rank_correlation(real.mean(axis=0), other.mean(axis=0))
    folds = [rank_correlation(one, two) for one, two in zip(real, other, strict=True)]
    variance = (N_FOLDS - 1) * float(np.var(folds))
    spread = _T4 * float(np.sqrt(variance))
    return value, (max(-1.0, value - spread), min(1.0, value + spread))


def _validated(comparison: Comparison, origin: Origin) -> Validated:
    return comparison.once(f"utility/validated/{origin}", lambda: _validate(comparison, origin))


def _validate(comparison: Comparison, origin: Origin) -> Validated:
    problem = problem_of(comparison)
    sets = {"train": problem.real, "holdout": problem.test, "synthetic": _of_real_classes(problem)}
    most = max(MAX_ROWS // 10, min(MAX_ROWS, MAX_WORK // problem.n_inputs))
    n_rows = min(most, *map(len, sets.values()))
    if n_rows < MIN_ROWS:
        raise NotApplicable(
            f"needs {MIN_ROWS} rows of each set with a value in the target {problem.target!r},"
            f" found {n_rows}"
        )
    rng = comparison.rng(f"utility validated {origin}")
    rows = sets[origin].take(rng.permutation(len(sets[origin]))[:n_rows])
    prediction, gains = out_of_fold(problem, rows)
    chance = 0.0 if problem.n_classes is None else 0.5
    scores = problem.score(rows.target, prediction, redraws(n_rows, rng))
    return Validated(
        score=float(np.nan_to_num(point(problem.score, rows.target, prediction), nan=chance)),
        drawn=np.nan_to_num(scores, nan=chance),
        gains=gains,
    )


def out_of_fold(problem: Problem, rows: Labelled) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of each row by the model that learned without its fold; rows are in any order.

    Shape:
        returns: (N,) or (N, classes) predictions; (folds, columns) shares of each column in the
            gain of a model, 0 where it learned nothing.
    """
    n_outputs = () if problem.n_classes is None else (problem.n_classes,)
    prediction = np.zeros((len(rows), *n_outputs))
    gains = np.zeros((N_FOLDS, problem.n_inputs))
    fold_of_row = np.arange(len(rows)) % N_FOLDS
    for fold in range(N_FOLDS):

        def learn(of: Problem, known: Labelled, fold: int = fold) -> Predict:
            model = booster(of, known)
            gain = model.feature_importance("gain")
            gains[fold] = gain / gain.sum() if gain.sum() > 0 else 0.0
            return lambda rows: predict_boosted(model, rows)

        left_out = fold_of_row == fold
        model = predictor(Family("boosted trees", learn), problem, rows.take(~left_out))
        prediction[left_out] = model(rows.take(left_out))
    return prediction, gains


def _of_real_classes(problem: Problem) -> Labelled:
    if problem.n_classes is None:
        return problem.synthetic
    return problem.synthetic.take(problem.synthetic.target < problem.n_classes)
