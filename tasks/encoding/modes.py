"""Rows of a table <-> tokens and values, with a mixture of Gaussians for each continuous column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from scipy.special import digamma

from tasks.encoding.base import Batches
from tasks.encoding.columns.numeric import NumericEncoder
from tasks.encoding.tabular import TabularEncoder
from tasks.schema import DatasetSchema

MAX_MODES = 10
"""Gaussians of a column at most, as in the paper."""

MIN_WEIGHT = 0.005
"""Share of a column's values below which a Gaussian is left out."""

CONCENTRATION = 1e-3
"""Of the Dirichlet prior of the weights: so small a one empties Gaussians that are not needed."""

MIN_STD = 1e-3
"""Of a Gaussian, in standard deviations of the column."""

POINTS = 1_024
"""Evenly spaced ranks that stand for the distribution of a column at most."""

MAX_PASSES = 200
"""Over the points; few columns need more than 100."""

TOLERANCE = 1e-4
"""Largest change of a responsibility that ends the passes."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of M Gaussians of one variable.

    Attributes:
        weights: (M,) float64, sum to 1.
        means: (M,) float64, ascending.
        stds: (M,) float64.
    """

    weights: np.ndarray
    means: np.ndarray
    stds: np.ndarray


class ModeSpecificEncoder(TabularEncoder):
    """What `TabularEncoder` gives, with the values of continuous cells in place of their ranks.

    Tensors, with B rows, C columns and R columns that have a continuous part:
      - `tokens` (B, C): as from `TabularEncoder`.
      - `values` (B, R) float32: the cell's value, standardised: 0 is the mean of the column's
        continuous part, 1 is a standard deviation away. It has a meaning where the token is the
        column's `continuous_token`.

    Values go by way of ranks in both directions. So all that keeps types, precision and the privacy
    of extremes stays in `TabularEncoder`, and the mixtures are computed from its tables of
    quantiles alone, without another look at the data.

    Attributes:
        centers: (R,) float64, means of the columns' keys.
        scales: (R,) float64, standard deviations; 1 where the keys do not vary.
        mixtures: R mixtures, of standardised values.

    Source: Xu et al. 2019, Modeling tabular data using conditional GAN, section 4.2,
        arXiv:1907.00503.
    Differs:
        The mode of a value is drawn by the generator, at each step anew, instead of once and for
        all. Values that repeat much are tokens, not modes.
    """

    centers: np.ndarray
    scales: np.ndarray
    mixtures: list[Mixture]

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Fit the `TabularEncoder`, and a mixture to each of its tables of quantiles."""
        return cls.from_tabular(TabularEncoder.fit(schema, batches, rng))

    @classmethod
    def from_tabular(cls, fitted: TabularEncoder) -> Self:
        """The encoder that a fitted `TabularEncoder` determines, without a look at the data."""
        encoder = cls(fitted.schema, fitted.n_rows, fitted.columns, fitted.moments, fitted.plan)
        points = [_points(*encoder._quantiles(r)) for r in range(len(encoder.continuous))]
        encoder.centers = np.array([keys.mean() for keys in points])
        scales = np.array([keys.std() for keys in points])
        encoder.scales = np.where(scales > 0, scales, 1.0)
        encoder.mixtures = [
            fit_mixture((keys - center) / scale)
            for keys, center, scale in zip(points, encoder.centers, encoder.scales, strict=True)
        ]
        return encoder

    def encode(self, batch: pa.RecordBatch) -> dict[str, torch.Tensor]:
        """Tokens of all columns, values of the continuous ones."""
        encoded = super().encode(batch)
        ranks = (encoded["rank_low"].double() + encoded["rank_high"].double()).numpy() / 2
        values = np.empty_like(ranks)
        for r, (center, scale) in enumerate(zip(self.centers, self.scales, strict=True)):
            levels, knots = self._quantiles(r)
            values[:, r] = (np.interp(ranks[:, r], levels, knots) - center) / scale
        return {"tokens": encoded["tokens"], "values": torch.from_numpy(values).float()}

    def decode(
        self,
        encoded: Mapping[str, torch.Tensor],
        rng: np.random.Generator,
        first_row: int = 0,
        held: Mapping[str, Any] | None = None,
    ) -> pa.RecordBatch:
        """Rows of the main table; values beyond the table of quantiles become its ends."""
        values = encoded["values"].cpu().double().numpy()
        ranks = np.empty_like(values)
        for r, (center, scale) in enumerate(zip(self.centers, self.scales, strict=True)):
            levels, knots = self._quantiles(r)
            ranks[:, r] = np.interp(values[:, r] * scale + center, knots, levels)
        as_ranks = torch.from_numpy(ranks)
        cells = {"tokens": encoded["tokens"], "rank_low": as_ranks, "rank_high": as_ranks}
        return super().decode(cells, rng, first_row, held)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content, arrays = super().state()
        arrays |= {"modes.centers": self.centers, "modes.scales": self.scales}
        for r, mixture in enumerate(self.mixtures):
            arrays[f"modes.{r}"] = np.stack([mixture.weights, mixture.means, mixture.stds])
        return content, arrays

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        encoder = super().from_state(schema, content, arrays)
        encoder.centers, encoder.scales = arrays["modes.centers"], arrays["modes.scales"]
        encoder.mixtures = [Mixture(*arrays[f"modes.{r}"]) for r in range(len(encoder.continuous))]
        return encoder

    def _quantiles(self, r: int) -> tuple[np.ndarray, np.ndarray]:
        """Ranks and keys of the table of quantiles of the r-th continuous column."""
        column = self.columns[self.continuous[r]]
        assert isinstance(column, NumericEncoder)  # noqa: S101
        return column.levels, column.knots


class CountingEncoder(ModeSpecificEncoder):
    """`ModeSpecificEncoder` that also knows how often each token occurs.

    Attributes:
        counts: for each column, (n_tokens,) int64 training rows with each token.
    """

    counts: list[np.ndarray]

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Fit the `ModeSpecificEncoder`, and count in a further pass."""
        encoder = super().fit(schema, batches, rng)
        encoder.counts = [np.zeros(c.n_tokens, dtype=np.int64) for c in encoder.columns]
        for batch in batches():
            tokens = encoder.encode(batch)["tokens"].numpy()
            for i, counts in enumerate(encoder.counts):
                if len(counts):
                    counts += np.bincount(tokens[:, i], minlength=len(counts))
        return encoder

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content, arrays = super().state()
        return content, arrays | {f"counts.{i}": own for i, own in enumerate(self.counts)}

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        encoder = super().from_state(schema, content, arrays)
        encoder.counts = [arrays[f"counts.{i}"] for i in range(len(encoder.columns))]
        return encoder


def fit_mixture(values: np.ndarray) -> Mixture:
    """The variational posterior mean of a mixture of at most `MAX_MODES` Gaussians.

    Shape:
        values: (N,) float64, standardised, ascending.

    Source: Bishop 2006, Pattern recognition and machine learning, section 10.2; equations (10.46)
        to (10.49) for the responsibilities, (10.51) to (10.63) for the posterior.
    Differs: starts from groups of equally many neighbours, so that nothing is random. All sums are
        NumPy's own, whose result does not depend on a number of threads.
    """
    n, n_modes = len(values), min(MAX_MODES, len(values))
    groups = np.arange(n) * n_modes // n
    shares = np.eye(n_modes)[groups]
    x = values[:, None]
    for _ in range(MAX_PASSES):
        # The prior of a Gaussian is worth one value: mean 0, variance 1.
        counts = shares.sum(axis=0)
        means = (shares * x).sum(axis=0) / (1 + counts)
        squares = 1 + (shares * (x - means) ** 2).sum(axis=0) + means**2
        freedom = 1 + counts
        concentrations = CONCENTRATION + counts
        log_precisions = digamma(freedom / 2) + np.log(2 / squares)
        log_weights = digamma(concentrations) - digamma(concentrations.sum())
        distances = 1 / freedom + freedom / squares * (x - means) ** 2
        logits = log_weights + 0.5 * log_precisions - 0.5 * distances
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        before, shares = shares, weights / weights.sum(axis=1, keepdims=True)
        if np.abs(shares - before).max() < TOLERANCE:
            break
    kept = counts >= MIN_WEIGHT * n
    order = np.argsort(means[kept])
    kept_counts = counts[kept][order]
    stds = np.maximum(np.sqrt(squares / freedom), MIN_STD)
    return Mixture(kept_counts / kept_counts.sum(), means[kept][order], stds[kept][order])


def _points(levels: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Keys at evenly spaced ranks, ascending; few where the table of quantiles is short."""
    n = min(POINTS, 4 * len(levels))
    return np.asarray(np.interp((np.arange(n) + 0.5) / n, levels, knots))
