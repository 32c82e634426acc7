"""Can a simple classifier tell synthetic rows from real ones: one that weighs columns and adds?"""

import numpy as np
from sklearn.linear_model import LogisticRegression

from tasks.evaluation import boosting, intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import MISSING, Rows

MAX_ROWS = 10_000
"""Rows of a side at most: the standard error of an area of 0.5 is then 0.004."""

MIN_ROWS = 20
"""Rows of a side below which a fold has too few to learn from."""

N_FOLDS = 3

MAX_INPUTS = 300
"""Columns of the model at most; rarer categories have none of their own where there are more."""

_QUARTILES = 1.3489795003921634
"""How far the quartiles of a normal distribution with variance 1 are apart."""

_REACH = 8.0
"""Deviations beyond which a number counts as so far, so that no extreme decides."""


@metric(
    label="Logistic detection (score)",
    family="fidelity",
    goal="higher",
    kinds=("tabular",),
    explanation=(
        "How poorly a logistic regression tells synthetic rows from training rows: 1 is"
        " indistinguishable, 0 is always told apart; it sees columns one by one, not what they do"
        " together."
    ),
    source="SDMetrics 0.32, LogisticDetection: 1 - (2 max(AUC, 0.5) - 1), mean of 3 folds",
)
def detection_logistic(comparison: Comparison) -> Outcome:
    """Differs: from SDMetrics in the inputs of the model.

    Numbers are scaled by quartiles up to a reach, and have an indicator of missing values where
    some are; categories have an indicator each, of `MAX_INPUTS` inputs in all. SDMetrics has no
    such bounds and takes all rows. The interval is that of the area under the curve, Hanley and
    McNeil 1982, carried over.
    """
    holdout, synthetic = comparison.equal
    rng = comparison.rng("detection_logistic")
    train, holdout, synthetic = (
        rows.sample(MAX_ROWS, rng) for rows in (comparison.train, holdout, synthetic)
    )
    smallest = min(len(train), len(holdout))
    if smallest < MIN_ROWS:
        raise NotApplicable(f"needs {MIN_ROWS} rows on each side, found {smallest}")
    (value, interval), (reference, reference_interval) = (
        _score(_areas(train, other, rng), len(other), len(train)) for other in (synthetic, holdout)
    )
    return Outcome(value, reference, interval, reference_interval)


def _score(areas: np.ndarray, n_other: int, n_real: int) -> tuple[float, intervals.Interval]:
    """The score of the areas of the folds, and its interval."""
    score = float(2 - 2 * np.maximum(areas, 0.5).mean())
    low, high = intervals.of_auc(1 - score / 2, n_other, n_real)
    return score, (2 - 2 * high, min(1.0, 2 - 2 * low))


def _areas(real: Rows, other: Rows, rng: np.random.Generator) -> np.ndarray:
    """The area under the curve of each fold, learned from the other folds.

    Shape:
        returns: (N_FOLDS,).
    """
    values = inputs(
        Rows(
            np.vstack([real.numbers, other.numbers]),
            np.vstack([real.codes, other.codes]),
            np.concatenate([real.identities, other.identities]),
        )
    )
    if values.shape[1] == 0:
        raise NotApplicable("no column has two values to tell rows apart by")
    is_other = np.repeat([False, True], [len(real), len(other)])
    fold = np.concatenate([rng.permutation(len(one)) % N_FOLDS for one in (real, other)])
    areas = []
    for held_out in range(N_FOLDS):
        test = fold == held_out
        # Newton's steps: few of them, and the same whatever the machine, to the digits written.
        model = LogisticRegression(solver="newton-cholesky", max_iter=50)
        model.fit(values[~test], is_other[~test])
        areas.append(boosting.auc(is_other[test], model.decision_function(values[test])))
    return np.array(areas)


def inputs(rows: Rows) -> np.ndarray:
    """What a model that adds can use of rows: standardised numbers and indicators.

    Shape:
        returns: (N, inputs) float64 without NaN.
    """
    absent = np.isnan(rows.numbers)
    columns = [_standardised(one) for one in rows.numbers.T]
    indicators = [absent[:, one] for one in np.flatnonzero(absent.any(axis=0))]
    n_left = max(MAX_INPUTS - len(columns) - len(indicators), rows.codes.shape[1])
    n_each = n_left // max(rows.codes.shape[1], 1)
    for codes in rows.codes.T:
        known, n_rows = np.unique(codes, return_counts=True)
        frequent = known[np.argsort(-n_rows, kind="stable")][:n_each]
        indicators += [codes == code for code in frequent if code != MISSING or len(known) > 1]
    every = [*columns, *(one.astype(np.float64) for one in indicators)]
    return np.column_stack(every) if every else np.zeros((len(rows), 0))


def _standardised(numbers: np.ndarray) -> np.ndarray:
    """Median 0 and normal quartiles within the reach; 0 where missing or all are the same."""
    present = ~np.isnan(numbers)
    if not present.any():
        return np.zeros(len(numbers))
    # Scaled first, so that the squares of very large numbers stay finite.
    scaled = np.where(present, numbers, 0.0) / (np.abs(numbers[present]).max() or 1.0)
    first, middle, third = np.quantile(scaled[present], [0.25, 0.5, 0.75])
    deviation = (third - first) / _QUARTILES or float(np.std(scaled[present])) or 1.0
    return np.where(present, np.clip((scaled - middle) / deviation, -_REACH, _REACH), 0.0)
