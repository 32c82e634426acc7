"""Is a model that learned from synthetic rows as good on real ones as a model of real rows?

Source: train on synthetic, test on real: Esteban, Hyland and Rätsch 2017, arXiv:1706.02633.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tasks.evaluation import boosting, intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.boosting import Inputs
from tasks.evaluation.comparison import Comparison, Rows

MAX_ROWS = 100_000
"""Rows that a model learns from at most."""

MIN_ROWS = 20
"""Rows with a value in the target that each set must have."""

MAX_CLASSES = 50


@metric(
    label="Train on synthetic, test on real",
    family="utility",
    goal="higher",
    kinds=("tabular", "image"),
    explanation=(
        "How well a model that learned from synthetic rows predicts the target of the holdout;"
        " the reference learned from as many real rows. AUC for the classes of a table, R2 for"
        " numbers, accuracy for the labels of images."
    ),
    source="Esteban et al. 2017, arXiv:1706.02633; LightGBM, for images logistic regression",
)
def utility(comparison: Comparison) -> Outcome:
    """Both models are tested on the same holdout rows."""
    if comparison.target is None:
        raise NotApplicable("the dataset has no target that a model could predict")
    train, test, synthetic = (
        _labelled(comparison, rows)
        for rows in (comparison.train, comparison.holdout, comparison.synthetic)
    )
    task = _task(comparison, train, test)
    if len(synthetic) < MIN_ROWS:
        raise NotApplicable(
            f"needs {MIN_ROWS} synthetic rows with a value in the target {comparison.target!r},"
            f" found {len(synthetic)}"
        )
    rng = comparison.rng("utility")
    n_rows = min(len(train), len(synthetic), MAX_ROWS)
    prediction = task.predict(synthetic.sample(n_rows, rng), test.inputs)
    best = task.predict(train.sample(n_rows, rng), test.inputs)
    interval = intervals.of_score(
        lambda drawn: task.score(test.target[drawn], prediction[drawn]), len(test), rng
    )
    plots = {"utility": {"score": task.score_name, "target": comparison.target, "rows": n_rows}}
    value, reference = task.score(test.target, prediction), task.score(test.target, best)
    return Outcome(value, reference, interval, plots=plots)


@dataclass(frozen=True)
class _Labelled:
    """Rows with a target.

    Shape:
        target: (N,) a number, or a code from 0.
    """

    inputs: Inputs
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def sample(self, n: int, rng: np.random.Generator) -> "_Labelled":
        index = np.sort(rng.choice(len(self), n, replace=False))
        return _Labelled(self.inputs.take(index), self.target[index])


class _Numbers:
    """Boosted trees; R2: the share of the variance that is explained."""

    score_name = "R2"

    def predict(self, known: _Labelled, inputs: Inputs) -> np.ndarray:
        return boosting.predict(boosting.fit(known.inputs, known.target, "regression"), inputs)

    def score(self, target: np.ndarray, prediction: np.ndarray) -> float:
        variance = float(((target - target.mean()) ** 2).sum())
        return 1 - float(((target - prediction) ** 2).sum()) / variance if variance else np.nan


class _Classes:
    """Boosted trees; the AUC of each class against the rest, averaged."""

    score_name = "AUC"

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes

    def predict(self, known: _Labelled, inputs: Inputs) -> np.ndarray:
        """Shape: (N, n_classes) probabilities; 0 for a class that `known` lacks."""
        probabilities = np.zeros((len(inputs.values), self.n_classes))
        present, code = np.unique(known.target, return_inverse=True)
        if len(present) == 1:
            probabilities[:, present[0]] = 1
        elif len(present) == 2:
            second = boosting.predict(boosting.fit(known.inputs, code, "binary"), inputs)
            probabilities[:, present] = np.column_stack([1 - second, second])
        else:
            model = boosting.fit(known.inputs, code, "multiclass", len(present))
            probabilities[:, present] = boosting.predict(model, inputs)
        return probabilities

    def score(self, target: np.ndarray, prediction: np.ndarray) -> float:
        present = np.unique(target)
        if len(present) < 2:
            return float("nan")
        return float(np.mean([boosting.auc(target == c, prediction[:, c]) for c in present]))


class _Labels:
    """Logistic regression on the components of images; the share of right labels."""

    score_name = "accuracy"

    def predict(self, known: _Labelled, inputs: Inputs) -> np.ndarray:
        if len(np.unique(known.target)) == 1:
            return np.repeat(known.target[:1], len(inputs.values))
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        return np.asarray(model.fit(known.inputs.values, known.target).predict(inputs.values))

    def score(self, target: np.ndarray, prediction: np.ndarray) -> float:
        return float((target == prediction).mean())


def _labelled(comparison: Comparison, rows: Rows) -> _Labelled:
    """The rows whose target is present, apart from it."""
    names = [column.name for column in comparison.discrete]
    numbers, codes = rows.numbers, rows.codes
    if comparison.target in names:
        place = names.index(comparison.target)
        target, codes = codes[:, place], np.delete(codes, place, axis=1)
        present = target >= 0
    else:
        place = [column.name for column in comparison.numeric].index(str(comparison.target))
        target, numbers = numbers[:, place], np.delete(numbers, place, axis=1)
        present = ~np.isnan(target)
    inputs = Inputs.of(Rows(numbers, codes, rows.identities))
    return _Labelled(inputs.take(present), target[present])


def _task(
    comparison: Comparison, train: _Labelled, test: _Labelled
) -> _Numbers | _Classes | _Labels:
    smallest = min(len(train), len(test))
    if smallest < MIN_ROWS:
        raise NotApplicable(
            f"needs {MIN_ROWS} training and {MIN_ROWS} holdout rows with a value in the target"
            f" {comparison.target!r}, found {smallest}"
        )
    if train.inputs.values.shape[1] == 0:
        raise NotApplicable("there is no column beside the target to predict it from")
    if min(len(np.unique(one.target)) for one in (train, test)) < 2:
        raise NotApplicable(f"the target {comparison.target!r} has one value only in the real rows")
    if comparison.target in [column.name for column in comparison.numeric]:
        return _Numbers()
    n_classes = int(max(train.target.max(), test.target.max())) + 1
    if n_classes > MAX_CLASSES:
        raise NotApplicable(
            f"the target {comparison.target!r} has {n_classes} values; a model of classes is"
            f" tested with {MAX_CLASSES} at most"
        )
    return _Labels() if comparison.kind == "image" else _Classes(n_classes)
