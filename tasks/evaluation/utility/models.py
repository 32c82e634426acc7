"""Families of models that are blind to each other's weaknesses; the same bits every time.

Each learns from labelled rows and predicts others: the probability of each class, or a number.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from tasks.evaluation import boosting
from tasks.evaluation.boosting import Inputs
from tasks.evaluation.symbols import words
from tasks.evaluation.utility.design import Design
from tasks.evaluation.utility.problem import MIN_ROWS, Labelled, Problem

Predict = Callable[[Labelled], np.ndarray]
"""Rows -> (N,) numbers, or the probability of the second of two classes; or (N, classes)."""

Learn = Callable[[Problem, Labelled], Predict]
"""The second has a class from 0 without gaps, or a number, as its target."""

_MIN_ROUNDS, _MAX_ROUNDS = 10, 100
_BOOSTING_WORK = 30_000
"""Rounds x columns x trees of a round; more is learned in fewer rounds, but 10 at least."""

_LINEAR_WORK = 10_000_000
"""Rows x columns x classes that a linear model learns from at most."""

_FOREST_WORK = 100_000
"""Rows x the square root of columns, which is what a split looks at, at most."""

_MAX_TEXTS = 20_000
"""Texts that a model of words learns from at most."""

_WEAKLY = 30.0
"""Inverse strength of the penalty: frequencies of words are small numbers, and rare classes count."""

_N_TREES = 50
_LEAF_ROWS = 5


@dataclass(frozen=True)
class Family:
    """A way to learn.

    Attributes:
        name: what people read.
        learn: from rows of at least two classes.
    """

    name: str
    learn: Learn


def predictor(family: Family, problem: Problem, known: Labelled) -> Predict:
    """A model that learned from these rows; from none or one class, it guesses.

    Shape:
        returns: a function to (N,) float64, or (N, classes) probabilities, 0 for a class that
            `known` lacks.
    """
    n_classes = problem.n_classes
    if n_classes is None:
        return family.learn(problem, known) if len(known) else lambda rows: np.zeros(len(rows))
    if len(known) == 0:
        return _guess(n_classes)
    present, code = np.unique(known.target, return_inverse=True)
    coded = known.coded(known.codes, code)
    found = family.learn(problem, coded) if len(present) > 1 else _certain

    def predict(rows: Labelled) -> np.ndarray:
        part = found(rows)
        probabilities = np.zeros((len(rows), n_classes + 1))
        probabilities[:, present] = np.column_stack([1 - part, part]) if part.ndim == 1 else part
        return probabilities[:, :-1]

    return predict


def _guess(n_classes: int) -> Predict:
    return lambda rows: np.full((len(rows), n_classes), 1 / n_classes)


def _certain(rows: Labelled) -> np.ndarray:
    """Shape: (N, 1), the only class there is."""
    return np.ones((len(rows), 1))


def _inputs(rows: Labelled) -> Inputs:
    """Numbers, then codes, as boosted trees take them."""
    codes = np.where(rows.codes < 0, np.nan, rows.codes)
    return Inputs(np.hstack([rows.numbers, codes]), rows.codes.shape[1])


def booster(problem: Problem, known: Labelled) -> lgb.Booster:
    """Boosted trees of rows with a class from 0 without gaps, or a number, as their target."""
    n_classes = 1 if problem.n_classes is None else int(known.target.max()) + 1
    tasks: dict[int, boosting.Task] = {1: "regression", 2: "binary"}
    task = tasks.get(n_classes, "multiclass")
    n_trees = n_classes if n_classes > 2 else 1
    rounds = max(_MIN_ROUNDS, min(_MAX_ROUNDS, _BOOSTING_WORK // (problem.n_inputs * n_trees)))
    return boosting.fit(_inputs(known), known.target, task, n_classes, rounds)


def predict_boosted(model: lgb.Booster, rows: Labelled) -> np.ndarray:
    """Shape: (N,), or (N, classes) where there are more than two."""
    return boosting.predict(model, _inputs(rows))


def _boosting(problem: Problem, known: Labelled) -> Predict:
    model = booster(problem, known)
    return lambda rows: predict_boosted(model, rows)


def _linear(problem: Problem, known: Labelled) -> Predict:
    """Logistic or ridge regression on standardised numbers and frequent categories."""
    design = Design.of(problem.real)
    n_classes = 1 if problem.n_classes is None else int(known.target.max()) + 1
    n_columns = design.one_hot(known.take(np.zeros(1, int))).shape[1]
    known = _spread(known, _LINEAR_WORK // (n_columns * n_classes))
    matrix = design.one_hot(known)
    if problem.n_classes is None:
        ridge = Ridge().fit(matrix, known.target)
        return lambda rows: np.asarray(ridge.predict(design.one_hot(rows)), np.float64)
    # Newton's steps are the quickest for two classes, but need the square of columns x classes.
    solver = "newton-cholesky" if n_classes == 2 else "lbfgs"
    logistic = _converged_or_not(LogisticRegression(solver=solver, max_iter=100), matrix, known)
    return lambda rows: np.asarray(logistic.predict_proba(design.one_hot(rows)), np.float64)


def _forest(problem: Problem, known: Labelled) -> Predict:
    """Random forest, Breiman 2001, doi:10.1023/A:1010933404324."""
    design = Design.of(problem.real)
    known = _spread(known, int(_FOREST_WORK / np.sqrt(problem.n_inputs)))
    settings = {
        "n_estimators": _N_TREES,
        "min_samples_leaf": max(1, min(_LEAF_ROWS, len(known) // 100)),
        "max_features": "sqrt",
        "random_state": 0,
        "n_jobs": 1,
    }
    if problem.n_classes is None:
        regressor = RandomForestRegressor(**settings).fit(design.ordinal(known), known.target)
        return lambda rows: np.asarray(regressor.predict(design.ordinal(rows)), np.float64)
    classifier = RandomForestClassifier(**settings).fit(design.ordinal(known), known.target)
    return lambda rows: np.asarray(classifier.predict_proba(design.ordinal(rows)), np.float64)


def _network(_: Problem, known: Labelled) -> Predict:
    """A small convolutional network, for images; the same start for all rows that it learns from."""
    # What compares tables need not wait for torch.
    from tasks.evaluation.features.network import learn

    n_classes = int(known.target.max()) + 1
    model = learn(_pixels(known), known.target, n_classes, np.random.default_rng(0))
    return lambda rows: model.probabilities(_pixels(rows))


def _pixels(rows: Labelled) -> np.ndarray:
    """Shape: (N, H, W, C) uint8."""
    if rows.contents is None:
        raise ValueError("expected images, found rows without pixels")
    return rows.contents


def _words(_: Problem, known: Labelled) -> Predict:
    """Logistic regression on the words of texts and pairs of them, by their frequency.

    Source: a strong baseline of text classification, Wang and Manning 2012 (ACL, P12-2018).
    """
    vectorizer = TfidfVectorizer(
        tokenizer=words, token_pattern=None, lowercase=False, ngram_range=(1, 2), sublinear_tf=True
    )
    known = _spread(known, _MAX_TEXTS)
    try:
        matrix = vectorizer.fit_transform(known.contents)
    except ValueError:  # Not one word in all texts.
        return _guess(int(known.target.max()) + 1)
    model = _converged_or_not(LogisticRegression(C=_WEAKLY, max_iter=200), matrix, known)
    return lambda rows: np.asarray(
        model.predict_proba(vectorizer.transform(rows.contents)), np.float64
    )


def _converged_or_not(model: Any, matrix: np.ndarray, known: Labelled) -> Any:
    """Fit; a model that is stopped a little early is as good for a comparison of two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        return model.fit(matrix, known.target)


def _spread(known: Labelled, n: int) -> Labelled:
    """Rows spread evenly over those that are there, `n` at most: enough to learn from."""
    n = max(n, MIN_ROWS)
    return known if n >= len(known) else known.take(np.arange(n) * len(known) // n)


BOOSTING = Family("boosted trees", _boosting)
LINEAR = Family("linear model", _linear)
FOREST = Family("random forest", _forest)
NETWORK = Family("convolutional network", _network)
WORDS = Family("logistic regression of words", _words)
