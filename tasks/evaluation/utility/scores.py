"""How good predictions are, for one or for many weightings of the rows that were predicted.

The weights of a bootstrap are how often each row was drawn; so one formula gives the score and all
its redraws, and two models that are scored with the same weights are compared in pairs.
"""

from collections.abc import Callable

import numpy as np

from tasks.evaluation.intervals import Interval

Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Target, prediction and weights (B, N) of rows -> (B,) scores, NaN where there is none."""

N_DRAWS = 200

LOWEST = -1.0
"""R2 at most this is worse than any use can be; how much worse says nothing."""

MIN_LABEL_ROWS = 20
"""Rows of a class below which its recall alone says nothing."""

_CHUNK = 2_000_000
"""Weights that are handled at a time."""


def r2(target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The share of the target's variance that is explained, `LOWEST` at least.

    Shape:
        target: (N,) float.
        prediction: (N,) float.
        weights: (B, N).
        returns: (B,).
    """
    total = weights.sum(axis=1)
    mean = weights @ target / total
    variance = weights @ target**2 / total - mean**2
    error = weights @ (target - prediction) ** 2 / total
    # A redraw of one value has a variance of rounding errors only.
    known = variance > 1e-12 * (weights @ target**2 / total + 1e-300)
    share = 1 - np.divide(error, variance, out=np.full(len(weights), np.nan), where=known)
    return np.asarray(np.maximum(share, LOWEST))


def accuracy(target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The share of rows whose most probable class is theirs.

    Shape:
        target: (N,) a class.
        prediction: (N, classes) probabilities.
        weights: (B, N).
        returns: (B,).
    """
    right = target == prediction.argmax(axis=1)
    return np.asarray(weights @ right / weights.sum(axis=1))


def macro_f1(target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The F1 score of the most probable class, averaged over the classes drawn.

    Shape:
        target: (N,) a class.
        prediction: (N, classes) probabilities.
        weights: (B, N).
        returns: (B,).

    Source: macro-averaged F1, Opitz and Burst 2019, arXiv:1911.03347, equation 1: the mean of the
    classes' scores, so that a rare class counts as much as a frequent one.
    """
    chosen = prediction.argmax(axis=1)
    scores = []
    for one in np.unique(target):
        is_class, is_chosen = target == one, chosen == one
        right = weights @ (is_class & is_chosen)
        either = weights @ is_class + weights @ is_chosen
        score = np.full(len(weights), np.nan)
        drawn = weights @ is_class > 0
        np.divide(2 * right, either, out=score, where=drawn)
        scores.append(score)
    known = np.isfinite(scores)
    return np.asarray(np.where(known, scores, 0.0).sum(axis=0) / known.sum(axis=0))


def lowest_recall(target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The share of its rows whose most probable class is theirs, of the class with the lowest.

    Classes of fewer than `MIN_LABEL_ROWS` rows do not count.

    Shape:
        target: (N,) a class.
        prediction: (N, classes) probabilities.
        weights: (B, N).
        returns: (B,).
    """
    chosen = prediction.argmax(axis=1)
    recalls = [np.full(len(weights), np.nan)]
    for one in np.flatnonzero(np.bincount(target) >= MIN_LABEL_ROWS):
        n_drawn = weights @ (target == one)
        recall = np.full(len(weights), np.nan)
        np.divide(weights @ ((target == one) & (chosen == one)), n_drawn, recall, where=n_drawn > 0)
        recalls.append(recall)
    return np.asarray(np.fmin.reduce(recalls))


def class_auc(target: np.ndarray, prediction: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The area under the ROC curve of each class against the rest, averaged over the classes drawn.

    Shape:
        target: (N,) a class.
        prediction: (N, classes) probabilities.
        weights: (B, N).
        returns: (B,).

    Source: one class against the rest, Fawcett 2006, doi:10.1016/j.patrec.2005.10.010, section 9.2.

    **Differs**: classes weigh alike, not by their frequency, so that a rare one that was never made
    is noticed.
    """
    of_class = [
        weighted_auc(target == one, prediction[:, one], weights) for one in np.unique(target)
    ]
    drawn = np.isfinite(of_class)
    sums = np.where(drawn, of_class, 0.0).sum(axis=0)
    n_drawn = drawn.sum(axis=0)
    found = np.full(len(weights), np.nan)
    np.divide(sums, n_drawn, out=found, where=n_drawn > 0)
    return found


def weighted_auc(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The area under the ROC curve, ties counted half; NaN where only one class is drawn.

    Shape:
        positive: (N,) bool.
        score: (N,) float, larger where more likely positive.
        weights: (B, N).
        returns: (B,).

    Source: the Mann-Whitney statistic, Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    order = np.argsort(score, kind="stable")
    ordered, positive = score[order], positive[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    found = np.full(len(weights), np.nan)
    step = max(1, _CHUNK // len(order))
    for first in range(0, len(weights), step):
        drawn = weights[first : first + step][:, order].astype(np.float64)
        positives = np.add.reduceat(drawn * positive, starts, axis=1)
        negatives = np.add.reduceat(drawn * ~positive, starts, axis=1)
        below = np.cumsum(negatives, axis=1)
        won = (positives * (below - negatives / 2)).sum(axis=1)
        pairs = positives.sum(axis=1) * below[:, -1]
        np.divide(won, pairs, out=found[first : first + step], where=pairs > 0)
    return found


def redraws(n: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `n` rows is drawn by each redraw of as many with replacement.

    Shape:
        returns: (N_DRAWS, n) int32.

    Source: Efron 1979, doi:10.1214/aos/1176344552.
    """
    drawn = (np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(N_DRAWS))
    return np.stack([one.astype(np.int32) for one in drawn])


def point(score: Score, target: np.ndarray, prediction: np.ndarray) -> float:
    """The score of all rows, each counted once."""
    return float(score(target, prediction, np.ones((1, len(target))))[0])


def percentiles(value: float, drawn: np.ndarray) -> Interval | None:
    """The middle 95 % of redrawn scores; None where too few redraws have one.

    It always holds the value itself, which a score that cannot be negative may leave.
    """
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < N_DRAWS // 2:
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    return min(float(low), value), max(float(high), value)
