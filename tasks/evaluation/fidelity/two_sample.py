"""Can a strong classifier tell synthetic rows from real ones? For all kinds of data alike."""

import numpy as np

from tasks.evaluation import boosting, intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import Rows
from tasks.params import Threshold

MAX_ROWS = 25_000
"""Rows of a side at most: the standard error of an area of 0.5 is then 0.0026."""

N_FOLDS = 5

MIN_ROWS = 20
"""Rows of a side below which a fold has too few to learn from."""

MAX_GIVEAWAYS = 20


@metric(
    label="Classifier two-sample test (AUC)",
    family="fidelity",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "How well boosted trees tell synthetic rows from training rows: 0.5 is indistinguishable,"
        " 1 is always told apart, well under 0.5 means that rows were copied. Of images it informs"
        " only: their pixels show any trace of a generator."
    ),
    source="Lopez-Paz and Oquab 2017, arXiv:1610.06545; AUC of LightGBM, 5 folds, out of fold",
    threshold=Threshold(at_most_reference_plus=0.37),
    informs=("image",),
)
def c2st_auc(comparison: Comparison) -> Outcome:
    """Well under 0.5: a row that a training row repeats is learned as real and found synthetic.

    So an exact copy pulls the area down, and rows that nobody made up pull it to 0.5; what is told
    apart for a true difference pulls it up. The threshold is wide, because trees see any trace,
    such as one decimal too many, and because a table of few rows that is learned well reaches 0.8.
    Images of a generator that people take for real reach 0.99, so there what a classifier of their
    labels sees decides: the Fréchet distance, precision and recall.

    Differs: the AUC in place of the accuracy, as is usual for tables of unequal size.
    """
    holdout, synthetic = comparison.equal
    train = comparison.train.sample(MAX_ROWS, comparison.rng("c2st train"))
    smallest = min(len(train), len(holdout))
    if smallest < MIN_ROWS:
        raise NotApplicable(f"needs {MIN_ROWS} rows on each side, found {smallest}")
    value, gains, n = _tell_apart(train, synthetic, comparison.rng("c2st synthetic"))
    reference, _, n_unseen = _tell_apart(train, holdout, comparison.rng("c2st holdout"))
    return Outcome(
        value,
        reference,
        intervals.of_auc(value, n, len(train)),
        intervals.of_auc(reference, n_unseen, len(train)),
        plots={"giveaways": _giveaways(comparison, gains)},
    )


def _tell_apart(real: Rows, other: Rows, rng: np.random.Generator) -> tuple[float, np.ndarray, int]:
    """The out-of-fold AUC, the share of each column in the gain, and the number of other rows."""
    other = other.sample(MAX_ROWS, rng)
    inputs = boosting.Inputs.of(
        Rows(
            np.vstack([real.numbers, other.numbers]),
            np.vstack([real.codes, other.codes]),
            real.identities,
        )
    )
    is_other = np.repeat([False, True], [len(real), len(other)])
    fold = np.concatenate([rng.permutation(n) % N_FOLDS for n in (len(real), len(other))])
    score = np.empty(len(fold))
    gains = np.zeros(inputs.values.shape[1])
    for held_out in range(N_FOLDS):
        test = fold == held_out
        model = boosting.fit(inputs.take(~test), is_other[~test], "binary")
        score[test] = boosting.predict(model, inputs.take(test))
        gains += model.feature_importance("gain")
    return boosting.auc(is_other, score), gains / max(gains.sum(), 1e-300), len(other)


def _giveaways(comparison: Comparison, gains: np.ndarray) -> list[dict[str, object]]:
    """The columns by their share in telling the rows apart; an image, or a text, counts as one column."""
    names = [column.name for column in (*comparison.numeric, *comparison.discrete)]
    if comparison.by_vectors:
        names.insert(0, comparison.kind)
        n_components = comparison.train.numbers.shape[1]
        gains = np.array([gains[:n_components].sum(), *gains[n_components:]])
    order = np.argsort(-gains, kind="stable")[:MAX_GIVEAWAYS]
    return [{"column": names[i], "importance": round(float(gains[i]), 4)} for i in order]
