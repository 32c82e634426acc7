"""Linear regressions of a sequence of variables, each on those before it, solved from moments."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

MIN_LOG_SCALE = -5.0
"""Of a residual: columns that are multiples of each other get no density without bound."""


class Regressions(NamedTuple):
    """The regression of each of R scores on scores and indicators of columns before its own."""

    score_weights: Tensor
    """(R, R) float, 0 where not before."""
    token_weights: Tensor
    """(T, R) float, 0 where not before."""
    log_scales: Tensor
    """(R,) float: what is left of each score, as a share of its own root mean square."""


class SequentialRegression(nn.Module):
    """The ridge regression of each of R scores on the scores and indicators of columns before it.

    Solved, not learned: gradient descent with noise needs very long for columns that are nearly
    multiples of each other. One factorisation solves all of them: where L is the Cholesky factor
    of the moments in the order of the columns, row f of its inverse, divided by the row's last
    entry, takes from feature f what the features before it tell of it.

    Source: Pourahmadi 1999, Joint mean-covariance models, doi:10.1093/biomet/86.3.677.

    Args:
        moments: (F, F) float64, mean products of F features: R scores, then T indicators of tokens,
            those of one column side by side.
        places: place in the order of the column of each feature.
        n_scores: R.
        ridge: added to the mean squares of the features.

    Scores are numbered by the order of their columns from here on.
    """

    moments: Tensor
    places: Tensor
    ranked: Tensor
    score_weights: Tensor
    token_weights: Tensor
    log_scales: Tensor

    def __init__(self, moments: np.ndarray, places: list[int], n_scores: int, ridge: float) -> None:
        super().__init__()
        self.ridge = ridge + 1e-9
        self.n_scores = n_scores
        ranked = sorted(range(n_scores), key=lambda feature: places[feature])
        self.columns = list(dict.fromkeys(places[n_scores:]))
        self._starts = [places[n_scores:].index(column) for column in self.columns]
        for name, tensor in {
            "moments": torch.from_numpy(moments),
            "places": torch.tensor(places, dtype=torch.long),
            "ranked": torch.tensor(ranked, dtype=torch.long),
        }.items():
            self.register_buffer(name, tensor, persistent=False)
        usual = self.solve(torch.arange(max(places, default=-1) + 1))
        for name, tensor in usual._asdict().items():
            self.register_buffer(name, tensor)

    @property
    def usual(self) -> Regressions:
        """The regressions in the usual order."""
        return Regressions(self.score_weights, self.token_weights, self.log_scales)

    def solve(self, turns: Tensor) -> Regressions:
        """The regressions where columns come in another order.

        Shape:
            turns: (J,) int64, when the turn of each column is.
        """
        n_features = len(self.places)
        # Stable, and a column's score is listed before its indicators, which it must not see.
        order = torch.argsort(turns[self.places], stable=True)
        identity = torch.eye(n_features, dtype=torch.float64, device=order.device)
        factor = torch.linalg.cholesky(self.moments[order][:, order] + self.ridge * identity)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
        rows = torch.argsort(order)[self.ranked]
        own = inverse[rows, rows]
        weights = torch.empty_like(inverse[rows])
        weights[:, order] = -inverse[rows] / own[:, None]
        weights[torch.arange(len(rows), device=rows.device), self.ranked] = 0.0
        square = self.moments.diagonal()[self.ranked].clamp(min=1e-12)
        log_scales = -own.log() - 0.5 * square.log()
        return Regressions(
            weights[:, self.ranked].float(),
            weights[:, self.n_scores :].T.float().contiguous(),
            log_scales.clamp(MIN_LOG_SCALE, 0.0).float(),
        )

    def residuals(self, regressions: Regressions, tokens: Tensor, scores: Tensor) -> Tensor:
        """Standardised residuals: (B, R) from tokens (B, J) and scores (B, R)."""
        # In double precision: what is left may be a small difference of large numbers.
        base = functional.linear(scores.double(), regressions.score_weights.double()).float()
        for column, start in zip(self.columns, self._starts, strict=True):
            base = base + functional.embedding(tokens[:, column] + start, regressions.token_weights)
        return (scores - base) * (-regressions.log_scales).exp()

    def one(
        self, regressions: Regressions, tokens: Tensor, scores: Tensor, r: int
    ) -> tuple[Tensor, Tensor]:
        """Mean (B,) and scale () of score `r`; what stands in later columns is not used."""
        base = (scores.double() @ regressions.score_weights[r].double()).float()
        for column, start in zip(self.columns, self._starts, strict=True):
            base = base + regressions.token_weights[tokens[:, column] + start, r]
        return base, regressions.log_scales[r].exp()
