"""An encoder of tables that counts, on top, what a Gaussian copula needs.

column ─► counts of its tokens ─► `Margin`: tokens in an order, as intervals of (0, 1)
all margins ─► scores of the rows ─► mean products ─► correlations of the latent variables
"""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from tasks.encoding.base import Batches
from tasks.encoding.columns.categorical import CategoricalEncoder
from tasks.encoding.columns.numeric import NumericEncoder
from tasks.encoding.tabular import MAX_INDICATORS, TabularEncoder
from tasks.generators.tabular.parts.latent import (
    Margin,
    latent_correlations,
    mean_scores,
    principal_order,
)
from tasks.schema import DatasetSchema

MAX_FEATURES = 64
"""Features by which categories are ordered at most."""


class CopulaEncoder(TabularEncoder):
    """A `TabularEncoder` that has also counted what a Gaussian copula needs.

    Attributes:
        margins: of the L latent variables.
        correlations: (L, L) float64, of these variables.
    """

    margins: list[Margin]
    correlations: np.ndarray

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Fit the columns, then count tokens, order them, and correlate the latent variables."""
        encoder = super().fit(schema, batches, rng)
        encoder.margins = _margins(encoder, batches)
        encoder.correlations = _correlations(encoder, batches)
        return encoder

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content, arrays = super().state()
        of_margins = []
        for i, margin in enumerate(self.margins):
            of_margins.append(
                {
                    "column": margin.column,
                    "of_missing": margin.of_missing,
                    "continuous_token": margin.continuous_token,
                }
            )
            for name in ("tokens", "places", "shares"):
                arrays[f"margin.{i}.{name}"] = getattr(margin, name)
        arrays["correlations"] = self.correlations
        return {**content, "margins": of_margins}, arrays

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        encoder = super().from_state(schema, content, arrays)
        encoder.margins = [
            Margin(
                column=facts["column"],
                of_missing=facts["of_missing"],
                tokens=arrays[f"margin.{i}.tokens"],
                places=arrays[f"margin.{i}.places"],
                shares=arrays[f"margin.{i}.shares"],
                continuous_token=facts["continuous_token"],
            )
            for i, facts in enumerate(content["margins"])
        ]
        encoder.correlations = arrays["correlations"]
        return encoder


class TokenMargin:
    """A `Margin` for tensors."""

    def __init__(self, margin: Margin, n_tokens: int) -> None:
        self.margin = margin
        # A variable of what is missing knows every cell, one of values those that have a value.
        self._place = np.full(n_tokens, 0 if margin.of_missing else -1)
        self._place[margin.tokens] = np.arange(len(margin.tokens))
        self._starts = np.append(margin.starts, 0.0)
        self._ends = np.append(margin.ends, 1.0)

    def intervals(self, tokens: Tensor, rank: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Ends of the intervals and log densities of ranks, each (B,) float64; see `intervals`."""
        margin = self.margin
        place = self._on(self._place, tokens)[tokens]
        # The last entry, which the place -1 reads, is the whole interval.
        low, high = self._on(self._starts, tokens)[place], self._on(self._ends, tokens)[place]
        density = torch.zeros_like(low)
        if margin.continuous_token is not None and rank is not None:
            below = torch.searchsorted(self._on(margin.places, tokens), rank.contiguous())
            at = margin.continuous_share * rank + self._on(margin.before, tokens)[below]
            is_continuous = tokens == margin.continuous_token
            low = torch.where(is_continuous, at, low)
            high = torch.where(is_continuous, at, high)
            density = density + is_continuous * float(np.log(max(margin.continuous_share, 1e-12)))
        return low, high, density

    def cells(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Token (B,) int64 and rank (B,) at shares u (B,)."""
        margin = self.margin
        u = u.contiguous()
        starts, ends = self._on(margin.starts, u), self._on(margin.ends, u)
        place = torch.searchsorted(ends, u, right=True)
        if margin.continuous_token is None:
            place = place.clamp(max=len(margin.tokens) - 1)
            return self._on(margin.tokens, u)[place], torch.full_like(u, 0.5)
        inside = torch.cat([starts, starts.new_full((1,), 2.0)])[place] <= u
        tokens = self._on(np.append(margin.tokens, margin.continuous_token), u)[place]
        rank = (u - self._on(margin.before, u)[place]) / margin.continuous_share
        return torch.where(inside, tokens, margin.continuous_token), rank.clamp(0, 1)

    @staticmethod
    def _on(array: np.ndarray, like: Tensor) -> Tensor:
        return torch.from_numpy(array).to(like.device)


def token_margins(encoder: CopulaEncoder) -> list[TokenMargin]:
    """The margin of each token column, in their order."""
    return [TokenMargin(m, encoder.columns[m.column].n_tokens) for m in encoder.margins]


def intervals(
    encoder: TabularEncoder, margins: list[TokenMargin], tokens: Tensor, ranks: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Where in (0, 1) each latent variable of each row may be, and the log density of its rank.

    A variable that is known is a point, with the density of its share by its rank; one of which
    nothing is known may be anywhere.

    Shape:
        tokens: (B, C) int64. ranks: (B, R) float64.
        returns: low, high and log density, each (B, L) float64.
    """
    low = torch.zeros(len(tokens), len(margins), dtype=torch.float64, device=tokens.device)
    high, density = torch.zeros_like(low), torch.zeros_like(low)
    for i, margin in enumerate(margins):
        column = margin.margin.column
        rank = None
        if margin.margin.continuous_token is not None:
            rank = ranks[:, encoder.continuous.index(column)]
        low[:, i], high[:, i], density[:, i] = margin.intervals(tokens[:, column], rank)
    return low, high, density


def _margins(encoder: TabularEncoder, batches: Batches) -> list[Margin]:
    """The margins of all columns, from counts of their tokens."""
    counts = [torch.zeros(column.n_tokens, dtype=torch.float64) for column in encoder.columns]
    places = [torch.zeros_like(each) for each in counts]
    profiles: dict[int, Tensor] = {}
    sums = torch.zeros(2, MAX_FEATURES, dtype=torch.float64)
    nominal = _nominal(encoder)
    owners = _feature_owners(encoder)
    for tokens, ranks in _encoded(encoder, batches):
        features = _features(encoder, tokens, ranks)
        sums[0, : features.shape[1]] += features.sum(dim=0)
        sums[1, : features.shape[1]] += features.square().sum(dim=0)
        for i, column in enumerate(encoder.columns):
            if column.n_tokens == 0:
                continue
            counts[i].index_add_(0, tokens[:, i], torch.ones(len(tokens), dtype=torch.float64))
            if column.continuous_token is not None:
                rank = ranks[:, encoder.continuous.index(i)]
                places[i].index_add_(0, tokens[:, i], rank)
            if i in nominal:
                profiles.setdefault(i, torch.zeros(column.n_tokens, len(owners)).double())
                profiles[i].index_add_(0, tokens[:, i], features)
    means = sums[:, : len(owners)].numpy() / encoder.n_rows
    spreads = np.sqrt(np.maximum(means[1] - means[0] ** 2, 1e-12))
    margins: list[Margin] = []
    for i, column in enumerate(encoder.columns):
        if column.n_tokens == 0:
            continue
        own = counts[i].numpy()
        if i in nominal:
            others = np.array([owner != i for owner in owners])
            profile = profiles[i].numpy() / np.maximum(own, 1)[:, None]
            standard = (profile - means[0]) / spreads * others
            margins += [_ordered(i, principal_order(standard, own), own)]
        else:
            margins += _of_column(encoder, i, own, places[i].numpy() / np.maximum(own, 1))
    return margins


def _of_column(
    encoder: TabularEncoder, i: int, counts: np.ndarray, places: np.ndarray
) -> list[Margin]:
    """The margins of a column whose tokens have an order: of its values, and of what is missing."""
    column = encoder.columns[i]
    null = column.null_token if isinstance(column, NumericEncoder) else None
    tokens = np.array(
        [t for t in range(column.n_tokens) if t not in (null, column.continuous_token)],
        dtype=np.int64,
    )
    margins = []
    if column.continuous_token is not None:
        tokens = tokens[np.argsort(places[tokens], kind="stable")]
        n_present = counts.sum() - (0 if null is None else counts[null])
        shares = counts[tokens] / max(n_present, 1)
        margins.append(Margin(i, False, tokens, places[tokens], shares, column.continuous_token))
    elif len(tokens) > 1:
        margins.append(_ordered(i, tokens, counts))
    if null is not None and column.n_tokens > 1:
        missing = counts[null] / counts.sum()
        shares = np.array([1 - missing, missing])
        margins.append(Margin(i, True, np.array([0, null]), np.zeros(2), shares, None))
    return margins


def _ordered(i: int, tokens: np.ndarray, counts: np.ndarray) -> Margin:
    """A margin of tokens alone, in this order."""
    shares = counts[tokens] / max(counts[tokens].sum(), 1)
    return Margin(i, False, tokens, np.zeros(len(tokens)), shares, None)


def _correlations(encoder: CopulaEncoder, batches: Batches) -> np.ndarray:
    """(L, L) correlations of the latent variables, from the mean products of their scores."""
    margins = token_margins(encoder)
    products = torch.zeros(len(margins), len(margins), dtype=torch.float64)
    n_both = torch.zeros_like(products)
    for tokens, ranks in _encoded(encoder, batches):
        low, high, _ = intervals(encoder, margins, tokens, ranks)
        known = (high - low < 1.0).double()
        scores = torch.from_numpy(mean_scores(low.numpy(), high.numpy())) * known
        # By torch, whose number of threads is fixed: another number may change the last bit.
        products += scores.T @ scores
        n_both += known.T @ known
    means = (products / n_both.clamp(min=1.0)).numpy()
    if not margins:
        return means
    return latent_correlations(means, np.stack([m.margin.hermite() for m in margins]))


def _encoded(encoder: TabularEncoder, batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens (B, C) int64 and ranks (B, R) float64 of all rows."""
    for batch in batches():
        encoded = encoder.encode(batch)
        ranks = (encoded["rank_low"].double() + encoded["rank_high"].double()) / 2
        yield encoded["tokens"].long(), ranks


def _nominal(encoder: TabularEncoder) -> set[int]:
    """Indices of the columns whose tokens have no order."""
    return {
        i
        for i, column in enumerate(encoder.columns)
        if isinstance(column, CategoricalEncoder) and column.n_tokens > 2
    }


def _feature_owners(encoder: TabularEncoder) -> list[int]:
    """The column of each feature by which categories are ordered, the target's first.

    A column with an order has one, a column of few categories one for each.
    """
    nominal, target = _nominal(encoder), encoder.schema.target
    owners = []
    for i, column in enumerate(encoder.columns):
        if i not in nominal:
            owners += [i] * (column.n_tokens > 1 or column.continuous_token is not None)
        elif column.n_tokens <= MAX_INDICATORS:
            owners += [i] * column.n_tokens
    owners.sort(key=lambda i: encoder.columns[i].column.name != target)
    return owners[:MAX_FEATURES]


def _features(encoder: TabularEncoder, tokens: Tensor, ranks: Tensor) -> Tensor:
    """(B, F) features of rows, one for each of `_feature_owners`."""
    nominal = _nominal(encoder)
    features: list[Tensor] = []
    owners = _feature_owners(encoder)
    for i in dict.fromkeys(owners):
        column = encoder.columns[i]
        if column.continuous_token is not None:
            features.append(ranks[:, encoder.continuous.index(i)])
        elif i in nominal:
            features += [(tokens[:, i] == t).double() for t in range(owners.count(i))]
        else:
            features.append(tokens[:, i].double() / column.n_tokens)
    return torch.stack(features, dim=1) if features else ranks.new_empty(len(tokens), 0)
