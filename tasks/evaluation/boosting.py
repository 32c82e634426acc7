"""Boosted trees for metrics that need a strong model of a table; the same bits every time.

Source: LightGBM, Ke et al. 2017 (NeurIPS).
"""

from dataclasses import dataclass
from typing import Literal

import lightgbm as lgb
import numpy as np
from scipy.stats import rankdata

from tasks.evaluation.rows import Rows

Task = Literal["binary", "multiclass", "regression"]

_ROUNDS = 100
_LEAF_ROWS = 20
_SETTINGS = {
    "learning_rate": 0.1,
    "num_leaves": 31,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "seed": 0,
    "verbosity": -1,
}
"""LightGBM's own defaults, made deterministic: strong on most tables without tuning."""


@dataclass(frozen=True)
class Inputs:
    """Columns that a model sees.

    Shape:
        values: (N, columns) float64, NaN where missing; the last `n_categorical` hold codes.
    """

    values: np.ndarray
    n_categorical: int

    @classmethod
    def of(cls, rows: Rows) -> "Inputs":
        """Numbers, then codes."""
        codes = np.where(rows.codes < 0, np.nan, rows.codes)
        return cls(np.hstack([rows.numbers, codes]), rows.codes.shape[1])

    def take(self, index: np.ndarray) -> "Inputs":
        """The rows at these positions, or where a mask is true."""
        return Inputs(self.values[index], self.n_categorical)


def fit(
    inputs: Inputs, target: np.ndarray, task: Task, n_classes: int = 2, rounds: int = _ROUNDS
) -> lgb.Booster:
    """Train on rows whose target is a number, or a code from 0 for a class."""
    n_rows, n_columns = inputs.values.shape
    leaf_rows = max(1, min(_LEAF_ROWS, n_rows // 20))
    settings = {**_SETTINGS, "objective": task, "min_data_in_leaf": leaf_rows}
    if task == "multiclass":
        settings["num_class"] = n_classes
    categorical = list(range(n_columns - inputs.n_categorical, n_columns))
    data = lgb.Dataset(inputs.values, target, categorical_feature=categorical, params=settings)
    return lgb.train(settings, data, num_boost_round=rounds)


def predict(model: lgb.Booster, inputs: Inputs) -> np.ndarray:
    """Shape: (N,) float64, or (N, classes) probabilities where there are more than two."""
    return np.asarray(model.predict(inputs.values, num_threads=1), np.float64)


def auc(positive: np.ndarray, score: np.ndarray) -> float:
    """The area under the ROC curve, ties counted half; NaN where only one class is present.

    Shape:
        positive: (N,) bool.
        score: (N,) float, larger where more likely positive.

    Source: the Mann-Whitney statistic, Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    rank_sum = float(rankdata(score)[positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
