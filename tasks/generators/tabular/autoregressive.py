"""An autoregressive model of a table: each column is drawn given the columns before it.

One pass of a network whose layers are masked by blocks, one block a column, gives the
distributions of all columns:

    tokens, normal scores ─► features ─► masked layers ─► a softmax over each column's tokens
             │                                       └──► a mixture of Gaussians for each continuous
             └─► linear regression ─► mean, scale ──────► column's score, standardised

The linear regression of every score on the columns before it is solved exactly from moments that
the encoder has collected; the network learns what it leaves. So a table of few rows starts at a
Gaussian copula, and a large one is not held back by it.

Source:
    Masked autoregression: Germain et al. 2015, MADE, arXiv:1502.03509, and Uria et al. 2013, RNADE,
    arXiv:1306.0186. Uniform noise inside the interval of ranks that a rounded value stands for:
    Theis et al. 2016, section 3.1, arXiv:1511.01844.
Differs:
    A block of hidden units a column in place of masks drawn at random; densities of normal scores
    in place of standardised values; the linear regression.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.base import Encoder
from tasks.encoding.tabular import RANK_MARGIN, TabularEncoder
from tasks.errors import DataError, TrainingError
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.layers import (
    BlockMaskedNetwork,
    MixtureHead,
    choose,
    gaussian_log_density,
    sample_gaussian,
    stratified,
)
from tasks.generators.regression import SequentialRegression
from tasks.params import Record

HARMONICS = 4
"""Sines and cosines of a rank that later columns see."""

RANK_FEATURES = 3 + 2 * HARMONICS
"""Numbers that tell later columns a continuous cell."""

RIDGE = 0.1
"""Added to the sums of squares of the linear regressions; chosen by validation loss."""

SMALL_TABLE = 2_000
"""Rows below which the network is small and trained on small batches."""


class AutoregressiveParams(Record):
    """Settings of `autoregressive`."""

    hidden_units: int | None = Field(
        default=None, ge=1, le=1_024, description="units of a column in a layer; null: by size"
    )
    layers: int = Field(default=2, ge=1, le=16, description="hidden layers after the first")
    components: int | None = Field(
        default=None, ge=1, le=256, description="Gaussians a continuous column; null: by size"
    )
    dropout: float | None = Field(
        default=None, ge=0, lt=1, description="share of hidden units left out; null: by size"
    )
    embedding_dim: int = Field(default=16, ge=1, le=1_024, description="numbers that tell a token")


class _Cells(NamedTuple):
    """The cells of continuous columns; R of them in the order of the model, or one (B,)."""

    ranks: Tensor
    """(B, R) in (0, 1)."""
    scores: Tensor
    """(B, R) standard normal quantiles of the ranks; 0 where `present` is 0."""
    residuals: Tensor
    """(B, R) what the linear regression leaves of the scores, standardised."""
    present: Tensor
    """(B, R) 1 where the cell is continuous, 0 where it is told by its token."""


class Autoregressive(DataGenerator):
    """Each column given the columns before it; the target and other columns of tokens come first.

    Conditions are exact for columns at the front of the order: the target, or the target and the
    column after it, and so on.

    J columns are learned (identifiers are not), R of them have a continuous part.
    """

    Params: ClassVar[type[Record]] = AutoregressiveParams
    encoder_class: ClassVar[type[Encoder]] = TabularEncoder

    # Indices for the encoder's tensors, in the order of the model.
    column_order: Tensor
    rank_order: Tensor
    continuous_columns: Tensor
    continuous_tokens: Tensor
    token_offsets: Tensor

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(TabularEncoder, encoder)
        settings = cast(AutoregressiveParams, params)
        is_small = self.encoder.n_rows < SMALL_TABLE
        self._lay_out(settings.embedding_dim)
        hidden_units = settings.hidden_units or self._hidden_units()
        dropout = (0.3 if is_small else 0.1) if settings.dropout is None else settings.dropout
        self.embedding = nn.Embedding(sum(self.n_tokens), settings.embedding_dim)
        self.network = BlockMaskedNetwork(
            self.sizes, hidden_units=hidden_units, n_layers=settings.layers, dropout=dropout
        )
        self.token_heads = nn.ModuleDict(
            {str(j): nn.Linear(hidden_units, n) for j, n in enumerate(self.n_tokens) if n > 1}
        )
        self.regression = SequentialRegression(
            self.encoder.moments,
            self._feature_places(),
            len(self.continuous),
            RIDGE / self.encoder.n_rows,
        )
        if self.continuous:
            components = settings.components or (8 if is_small else 16)
            self.mixtures = MixtureHead(len(self.continuous), hidden_units, components)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """Negative log likelihood of each row: of tokens, and of the scores of continuous cells."""
        del objective
        tokens = batch["tokens"].long()[:, self.column_order]
        cells = self._continuous_cells(batch, tokens)
        h = self.network(self._features(tokens, cells))
        loss: Tensor = h.new_zeros(len(tokens))
        for name, head in self.token_heads.items():
            j = int(name)
            loss = loss + functional.cross_entropy(head(h[:, j]), tokens[:, j], reduction="none")
        if self.continuous:
            mixtures = self.mixtures(h[:, self.continuous_columns])
            density = gaussian_log_density(cells.residuals, mixtures) - self.regression.log_scales
            loss = loss - (density * cells.present).sum(dim=1)
        return loss

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw rows column by column; each costs the network one block."""
        held = self._held(conditions or {})
        weight = self.embedding.weight
        tokens = torch.zeros(n, len(self.sizes), dtype=torch.long, device=weight.device)
        ranks = weight.new_full((n, len(self.continuous)), 0.5)
        scores = torch.zeros_like(ranks)
        features = weight.new_zeros(n, sum(self.sizes))
        states = self.network.new_states(n)
        end = 0
        for j, size in enumerate(self.sizes):
            start, end = end, end + size
            h = self.network.block(features, states, j)
            parts = []
            if self.n_tokens[j] > 1:
                shares = self.token_heads[str(j)](h).softmax(dim=1)
                drawn = choose(shares, stratified(n, rng))
                tokens[:, j] = held[j][0] if j in held else drawn
                parts.append(self.embedding(tokens[:, j] + self.token_offsets[j]))
            if j in self.continuous:
                r = self.continuous.index(j)
                base, scale = self.regression.one(tokens, scores, r)
                drawn = torch.special.ndtr(
                    base + scale * sample_gaussian(self.mixtures.block(h, r), rng)
                )
                ranks[:, r] = held[j][1] if j in held else drawn
                present = (tokens[:, j] == self.continuous_tokens[r]).to(weight.dtype)
                rank = ranks[:, r].clamp(RANK_MARGIN, 1 - RANK_MARGIN)
                scores[:, r] = torch.special.ndtri(rank) * present
                residual = (scores[:, r] - base) / scale
                parts.append(_rank_features(_Cells(rank, scores[:, r], residual, present)))
            if parts:
                features[:, start:end] = torch.cat(parts, dim=1)
        return self._in_encoder_order(tokens, ranks)

    @classmethod
    def recipe(cls, n_rows: int) -> Recipe:
        """Chosen by validation loss on tables of 400, 17,000 and 33,000 rows."""
        is_small = n_rows < SMALL_TABLE
        return Recipe(
            # About as many steps for every size, up to where a few passes are enough.
            epochs=60 if is_small else max(4, min(60, 350_000 // n_rows)),
            batch_size=64 if is_small else 256,
            learning_rate=2e-3 if is_small else 4e-3,
            weight_decay=0.01,
            patience=20 if is_small else 3,
            ema_decay=0.99 if is_small else 0.998,
        )

    def _hidden_units(self) -> int:
        """Units by size: few for few rows; densities of continuous columns need more than tokens."""
        if self.encoder.n_rows < SMALL_TABLE:
            return 16
        return 64 if 2 * len(self.continuous) > len(self.sizes) else 32

    def _lay_out(self, embedding_dim: int) -> None:
        """Say where each column stands in the order of the model, and in its features."""
        order = _order(self.encoder)
        columns = [self.encoder.columns[i] for i in order]
        self.names = [column.column.name for column in columns]
        self.n_tokens = [column.n_tokens for column in columns]
        self.continuous = [
            j for j, column in enumerate(columns) if column.continuous_token is not None
        ]
        self.sizes = [
            embedding_dim * (n > 1) + RANK_FEATURES * (j in self.continuous)
            for j, n in enumerate(self.n_tokens)
        ]
        for name, indices in {
            "column_order": order,
            "rank_order": [self.encoder.continuous.index(order[j]) for j in self.continuous],
            "continuous_columns": self.continuous,
            "continuous_tokens": [columns[j].continuous_token for j in self.continuous],
            "token_offsets": np.cumsum([0, *self.n_tokens])[:-1].tolist(),
        }.items():
            self.register_buffer(name, torch.tensor(indices, dtype=torch.long), persistent=False)

    def _feature_places(self) -> list[int]:
        """The place in the order of the column of each feature of the encoder's moments."""
        place = {int(column): j for j, column in enumerate(self.column_order)}
        places = [place[i] for i in self.encoder.continuous]
        for i in self.encoder.indicated:
            places += [place[i]] * self.encoder.columns[i].n_tokens
        return places

    def _continuous_cells(self, batch: Mapping[str, Tensor], tokens: Tensor) -> _Cells:
        low, high = batch["rank_low"][:, self.rank_order], batch["rank_high"][:, self.rank_order]
        share = torch.rand_like(low) if self.training else 0.5
        ranks = (low + (high - low) * share).clamp(RANK_MARGIN, 1 - RANK_MARGIN)
        present = (tokens[:, self.continuous_columns] == self.continuous_tokens).to(ranks.dtype)
        scores = torch.special.ndtri(ranks) * present
        return _Cells(ranks, scores, self.regression(tokens, scores), present)

    def _features(self, tokens: Tensor, cells: _Cells) -> Tensor:
        """What each column tells the columns after it: (B, sum(sizes))."""
        embedded = self.embedding(tokens + self.token_offsets)
        of_ranks = _rank_features(cells)
        parts = []
        for j, n in enumerate(self.n_tokens):
            if n > 1:
                parts.append(embedded[:, j])
            if j in self.continuous:
                parts.append(of_ranks[:, self.continuous.index(j)])
        return torch.cat(parts, dim=1)

    def _held(self, conditions: Mapping[str, Any]) -> dict[int, tuple[int, float]]:
        """Token and rank of each column that is held, by its place in the order."""
        held = {}
        for name, value in conditions.items():
            try:
                cell = self.encoder.encode_value(name, value)
            except DataError as error:
                raise TrainingError(f"impossible condition: {error}") from error
            if name not in self.names:
                raise TrainingError(f"impossible condition: {name!r} is made anew, not learned")
            held[self.names.index(name)] = cell
        if sorted(held) != list(range(len(held))):
            raise TrainingError(
                f"expected conditions on the first of the columns {self.names}, found"
                f" {list(conditions)}: columns after one that is free cannot be held exactly"
            )
        return held

    def _in_encoder_order(self, tokens: Tensor, ranks: Tensor) -> dict[str, Tensor]:
        all_tokens = tokens.new_zeros(len(tokens), len(self.encoder.columns))
        all_tokens[:, self.column_order] = tokens
        all_ranks = torch.empty_like(ranks)
        all_ranks[:, self.rank_order] = ranks
        return {
            "tokens": all_tokens.to(self.encoder.token_dtype),
            "rank_low": all_ranks,
            "rank_high": all_ranks.clone(),
        }


def _rank_features(cells: _Cells) -> Tensor:
    """(..., RANK_FEATURES) from (...): what is told about continuous cells; 0 where `present` is 0."""
    harmonics = torch.arange(1, HARMONICS + 1, device=cells.ranks.device)
    angles = cells.ranks[..., None] * (math.pi * harmonics)
    plain = torch.stack([cells.ranks - 0.5, cells.scores, cells.residuals.clamp(-5, 5)], dim=-1)
    return torch.cat([plain, angles.sin(), angles.cos()], dim=-1) * cells.present[..., None]


def _order(encoder: TabularEncoder) -> list[int]:
    """Columns that are learned: the target, then those of tokens alone, then continuous ones."""
    learned = [i for i, column in enumerate(encoder.columns) if column.n_tokens > 0]
    target = encoder.schema.target
    return sorted(
        learned,
        key=lambda i: (
            encoder.columns[i].column.name != target,
            encoder.columns[i].continuous_token is not None,
            i,
        ),
    )
