"""Linear regressions of a sequence of variables, each on those before it, solved from moments."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

MIN_LOG_SCALE = -5.0
"""Of a residual: columns that are multiples of each other get no density without bound."""


class SequentialRegression(nn.Module):
    """The ridge regression of each of R scores on the scores and indicators of columns before it.

    Solved, not learned: gradient descent with noise needs very long for columns that are nearly
    multiples of each other.

    Args:
        moments: (F, F) float64, mean products of F features: R scores, then indicators of tokens,
            those of one column side by side.
        places: place in the order of the column of each feature.
        n_scores: R.
        ridge: added to the mean squares of the features.

    Scores are numbered by the order of their columns from here on.
    """

    score_weights: Tensor
    token_weights: Tensor
    log_scales: Tensor

    def __init__(self, moments: np.ndarray, places: list[int], n_scores: int, ridge: float) -> None:
        super().__init__()
        ranked = sorted(range(n_scores), key=lambda feature: places[feature])
        weights, log_scales = solve_in_sequence(moments, np.array(places), ranked, ridge)
        self.columns = list(dict.fromkeys(places[n_scores:]))
        self._starts = [places[n_scores:].index(column) for column in self.columns]
        for name, values in {
            "score_weights": weights[:, ranked],
            "token_weights": weights[:, n_scores:].T,
            "log_scales": log_scales,
        }.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))

    def forward(self, tokens: Tensor, scores: Tensor) -> Tensor:
        """Standardised residuals: (B, R) from tokens (B, J) and scores (B, R)."""
        base = functional.linear(scores, self.score_weights)
        for column, start in zip(self.columns, self._starts, strict=True):
            base = base + functional.embedding(tokens[:, column] + start, self.token_weights)
        return (scores - base) * (-self.log_scales).exp()

    def one(self, tokens: Tensor, scores: Tensor, r: int) -> tuple[Tensor, Tensor]:
        """Mean (B,) and scale () of score `r`; what stands in later columns is not used."""
        base = scores @ self.score_weights[r]
        for column, start in zip(self.columns, self._starts, strict=True):
            base = base + self.token_weights[tokens[:, column] + start, r]
        return base, self.log_scales[r].exp()


def solve_in_sequence(
    moments: np.ndarray, places: np.ndarray, ranked: list[int], ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regressions of the features `ranked`, each on all features of earlier places.

    Shape:
        moments: (F, F) float64, mean products of the features.
        places: (F,) int.
        ranked: R indices of features.
        returns: (R, F) float64 weights, 0 where not earlier; (R,) float64 log residual scales, as
            shares of the feature's own root mean square.
    """
    weights = np.zeros((len(ranked), len(places)))
    log_scales = np.zeros(len(ranked))
    for r, feature in enumerate(ranked):
        before = np.flatnonzero(places < places[feature])
        square = moments[np.ix_(before, before)] + (ridge + 1e-9) * np.eye(len(before))
        product = moments[before, feature]
        # By torch, whose number of threads is fixed: another number may change the last bit.
        solved = torch.linalg.solve(torch.from_numpy(square), torch.from_numpy(product)).numpy()
        weights[r, before] = solved
        own = max(moments[feature, feature], 1e-12)
        left = own - 2 * solved @ product + solved @ moments[np.ix_(before, before)] @ solved
        log_scales[r] = max(0.5 * math.log(max(left / own, 1e-12)), MIN_LOG_SCALE)
    return weights, log_scales
