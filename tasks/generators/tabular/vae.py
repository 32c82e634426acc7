"""A variational autoencoder of the rows of a table, given their target.

    row, label ─► network ─► q(z | x, y) ─ z ─► network ─► p(x | z, y): a categorical distribution
                                           │               of each token, a Gaussian of each score
                         p(z) = N(0, I) ───┘

Source:
    Kingma and Welling 2014, Auto-encoding variational Bayes, arXiv:1312.6114; conditions: Sohn et
    al. 2015, Learning structured output representation using deep conditional generative models.
Differs:
    Numbers are modelled by their normal scores, whose Gaussians have scales that depend on z.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from tasks.encoding.base import Encoder
from tasks.encoding.tabular import TabularEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.tabular.parts.rows import (
    Held,
    LabelShares,
    ResidualNetwork,
    RowInput,
    RowOutput,
    Rows,
    as_batch,
    held_label,
    label_column,
)
from tasks.params import Record
from tasks.schema import DatasetSchema

SMALL_TABLE = 2_000
"""Rows below which the network is trained on small batches."""

LOG_SCALES = (-6.0, 2.0)
"""Of the Gaussians of z."""


class VaeParams(Record):
    """Settings of `vae`."""

    latent_dim: int = Field(default=32, ge=1, le=4_096, description="numbers that tell a row")
    hidden_units: int = Field(default=256, ge=1, le=8_192, description="units of a layer")
    layers: int = Field(default=2, ge=0, le=16, description="hidden layers after the first")
    embedding_dim: int = Field(default=8, ge=1, le=1_024, description="numbers that tell a token")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of hidden units left out")


class Vae(DataGenerator):
    """Rows given their target, if that is told by tokens; the target alone can be held."""

    Params: ClassVar[type[Record]] = VaeParams
    encoder_class: ClassVar[type[Encoder]] = TabularEncoder
    supports_dp: ClassVar[bool] = True

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(TabularEncoder, encoder)
        settings = cast(VaeParams, params)
        hidden, latent = settings.hidden_units, settings.latent_dim
        self.label = label_column(self.encoder)
        n_labels = 1 if self.label is None else self.encoder.columns[self.label].n_tokens
        self.rows = Rows(self.encoder, without=self.label)
        self.labels = LabelShares(n_labels)
        self.input = RowInput(self.rows.sizes, 2 * self.rows.n_scores, settings.embedding_dim)
        self.told = nn.Embedding(n_labels, settings.embedding_dim)
        depth = (settings.layers, settings.dropout)
        width = settings.embedding_dim
        self.recognition = ResidualNetwork(self.input.width + width, hidden, *depth)
        self.posterior = nn.Linear(hidden, 2 * latent)
        self.decoder = ResidualNetwork(latent + width, hidden, *depth)
        self.output = RowOutput(hidden, self.rows.sizes, self.rows.n_scores)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """An estimate, from one draw of z, of the negative evidence lower bound of each row."""
        del objective
        low = batch["rank_low"]
        cells = self.rows(batch, torch.rand_like(low) if self.training else 0.5)
        labels = self._labels(batch)
        told = self.told(labels)
        h = self.recognition(torch.cat([self.input(cells.symbols, cells.numbers()), told], dim=1))
        means, log_scales = self.posterior(h).chunk(2, dim=1)
        log_scales = log_scales.clamp(*LOG_SCALES)
        z = means + log_scales.exp() * self._noise_like(means)
        h = self.decoder(torch.cat([z, told], dim=1))
        likelihood = self.output.log_likelihood(h, cells) + self.labels.log_likelihood(labels)
        return gaussian_divergence(means, log_scales) - likelihood

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels by their learned frequency, or those that are held, then z, then rows."""
        device = self.posterior.weight.device
        labels = held_label(self.encoder, self.label, conditions or {}, n, device)
        if labels is None:
            labels = self.labels.sample(n, rng)
        latent = self.posterior.out_features // 2
        z = torch.randn(n, latent, generator=rng, device=device)
        h = self.decoder(torch.cat([z, self.told(labels)], dim=1))
        symbols, ranks = self.output.sample(h, rng)
        held = {} if self.label is None else {self.label: Held(labels, labels)}
        return as_batch(self.encoder, self.rows.tokens(symbols), ranks, held)

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """Chosen on validation rows of adult and magic."""
        del schema
        is_small = n_rows < SMALL_TABLE
        return Recipe(
            epochs=200 if is_small else max(5, min(100, 2_000_000 // n_rows)),
            batch_size=64 if is_small else 256,
            learning_rate=2e-3,
            weight_decay=0.01,
            patience=40 if is_small else 10,
            ema_decay=0.998,
        )

    def _labels(self, batch: Mapping[str, Tensor]) -> Tensor:
        tokens = batch["tokens"].long()
        return tokens.new_zeros(len(tokens)) if self.label is None else tokens[:, self.label]

    def _noise_like(self, means: Tensor) -> Tensor:
        if self.training:
            return torch.randn_like(means)
        # The same draw for every evaluation, so that two validation losses can be compared.
        rng = torch.Generator(means.device).manual_seed(0)
        return torch.randn(means.shape, generator=rng, device=means.device)


def gaussian_divergence(means: Tensor, log_scales: Tensor) -> Tensor:
    """(B,) Kullback-Leibler divergence in nats of N(means, scales²) (B, D) from N(0, I).

    Source: Kingma and Welling 2014, appendix B, arXiv:1312.6114.
    """
    each = 0.5 * (means.square() + (2 * log_scales).exp() - 1) - log_scales
    return each.sum(dim=1)
