"""Whether the image, the text and the label of a row say the same.

A classifier of labels from images and one from texts are fitted to the training rows; what they say
of a row is held against its label, and against each other. Real rows that no generator saw tell how
far such classifiers can be trusted.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.intervals import of_share
from tasks.evaluation.rows import MISSING
from tasks.params import Threshold

MIN_ROWS = 20
"""Of a label in the training rows: of rarer ones nothing is learned, and they are not counted."""

_ITERATIONS = 300


@metric(
    label="Images that show their label",
    family="fidelity",
    goal="higher",
    kinds=("multimodal",),
    explanation=(
        "Share of the rows whose image a classifier of real images gives the label that the row states."
    ),
    source="classification accuracy score: Ravuri and Vinyals 2019, arXiv:1905.10887, the other way round",
    threshold=Threshold(at_least_reference_minus=0.1),
)
def image_consistency(comparison: Comparison) -> Outcome:
    """By logistic regression on the principal components of the images."""
    return _agreement(comparison, "image", None)


@metric(
    label="Texts that tell their label",
    family="fidelity",
    goal="higher",
    kinds=("multimodal",),
    explanation=(
        "Share of the rows whose text a classifier of real texts gives the label that the row states."
    ),
    source="classification accuracy score: Ravuri and Vinyals 2019, arXiv:1905.10887, the other way round",
    threshold=Threshold(at_least_reference_minus=0.1),
)
def text_consistency(comparison: Comparison) -> Outcome:
    """By logistic regression on latent components of words and characters."""
    return _agreement(comparison, "text", None)


@metric(
    label="Images and texts that agree",
    family="fidelity",
    goal="higher",
    kinds=("multimodal",),
    explanation=(
        "Share of the rows whose image and text are given the same label by classifiers of real images"
        " and of real texts."
    ),
    source="cross-modal coherence: Shi et al. 2019, arXiv:1911.03393, section 4",
    threshold=Threshold(at_least_reference_minus=0.1),
)
def pair_consistency(comparison: Comparison) -> Outcome:
    """Whatever label the row itself states."""
    return _agreement(comparison, "image", "text")


def _agreement(comparison: Comparison, view: str, other: str | None) -> Outcome:
    """How often what a view tells is what the other one tells, or the row's label.

    Raises:
        NotApplicable: there are no labels, or too few rows of two of them.
    """
    counted = _counted(comparison)
    shares, n_rows = {}, {}
    for part in ("holdout", "synthetic"):
        stated = getattr(comparison, part).codes[:, 0]
        is_counted = np.isin(stated, counted)
        told = _told(comparison, view, part)
        against = stated if other is None else _told(comparison, other, part)
        n_rows[part] = int(is_counted.sum())
        if n_rows[part] == 0:
            raise NotApplicable(f"no row of the {part} data has a label that can be learned")
        shares[part] = float((told == against)[is_counted].mean())
    return Outcome(
        shares["synthetic"],
        shares["holdout"],
        of_share(shares["synthetic"], n_rows["synthetic"]),
        of_share(shares["holdout"], n_rows["holdout"]),
    )


def _counted(comparison: Comparison) -> np.ndarray:
    """(K,) codes of the labels that classifiers can learn."""
    if comparison.target is None:
        raise NotApplicable("the rows have no labels")
    for part in ("train", "holdout", "synthetic"):
        lengths = {len(getattr(view, part)) for view in comparison.views.values()}
        if len(lengths) > 1:
            raise NotApplicable("the texts are so long that not those of all rows are compared")
    codes, counts = np.unique(comparison.train.codes[:, 0], return_counts=True)
    counted: np.ndarray = codes[(counts >= MIN_ROWS) & (codes != MISSING)]
    if len(counted) < 2:
        raise NotApplicable(
            f"needs two labels of {MIN_ROWS} training rows at least, found {len(counted)}"
        )
    return counted


def _told(comparison: Comparison, view: str, part: str) -> np.ndarray:
    """(N,) the label that a classifier of one view tells of each row of a part."""
    classify = comparison.once(f"classifier of labels by {view}", lambda: _fitted(comparison, view))
    scaler, model = classify
    numbers = getattr(comparison.views[view], part).numbers
    found: np.ndarray = model.predict(scaler.transform(numbers))
    return found


def _fitted(comparison: Comparison, view: str) -> tuple[StandardScaler, LogisticRegression]:
    train = comparison.views[view].train
    labels = train.codes[:, 0]
    known = np.isin(labels, _counted(comparison))
    scaler = StandardScaler().fit(train.numbers[known])
    model = LogisticRegression(max_iter=_ITERATIONS, C=0.1)
    with warnings.catch_warnings():
        # A few more steps would change predictions of few rows, the same ones for all parts.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(scaler.transform(train.numbers[known]), labels[known])
    return scaler, model
