"""TVAE: a variational autoencoder of rows with mode-specific normalisation.

    row ─► network ─► q(z | x) ─ z ─► network ─► p(x | z): a categorical distribution of each symbol
                                │                and mode, a Gaussian of each place in its mode
              p(z) = N(0, I) ───┘

Source:
    Xu et al. 2019, Modeling tabular data using conditional GAN, section 4.5, arXiv:1907.00503;
    Kingma and Welling 2014, Auto-encoding variational Bayes, arXiv:1312.6114.
Differs:
    The loss is the negative evidence lower bound itself, in which the reconstruction counts once.
    Categories are drawn from their distributions instead of taken at the most likely one. The mode
    of a value is drawn at each step anew. A column of more than 1,024 tokens is written as two
    digits. The scale of a place depends on z. Wider layers, fewer latent variables, larger steps on
    smaller batches; early stopping, and the average of the weights.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from tasks.encoding.base import Encoder
from tasks.encoding.modes import ModeSpecificEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.layers import LOG_SQRT_2PI
from tasks.generators.tabular.parts.vectors import RowVectors, refuse_conditions
from tasks.params import Record
from tasks.schema import DatasetSchema

LOG_SCALES = (math.log(0.01), 0.0)
"""Of the Gaussians of places, which lie in [-1, 1]."""

LATENT_LOG_SCALES = (-6.0, 2.0)
"""Of the Gaussians of z given a row."""

SMALL_TABLE = 2_000
"""Rows below which the network is trained on small batches."""


class TvaeParams(Record):
    """Settings of `tvae`."""

    latent_dim: int = Field(default=32, ge=1, le=4_096, description="numbers that tell a row")
    hidden_units: int = Field(default=256, ge=1, le=8_192, description="units of a layer")


class Tvae(DataGenerator):
    """Rows from a normal latent variable; no column can be held."""

    Params: ClassVar[type[Record]] = TvaeParams
    encoder_class: ClassVar[type[Encoder]] = ModeSpecificEncoder
    holds_target: ClassVar[bool] = False
    supports_dp: ClassVar[bool] = True

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        settings = cast(TvaeParams, params)
        self.vectors = RowVectors(cast(ModeSpecificEncoder, encoder))
        self.latent_dim = settings.latent_dim
        hidden = settings.hidden_units
        self.recognition = _network(self.vectors.width, hidden, 2 * self.latent_dim)
        self.decoder = _network(self.latent_dim, hidden, self.vectors.width + self.vectors.n_places)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """An estimate, from one draw of z, of the negative evidence lower bound in nats."""
        del objective
        rows = self.vectors(batch)
        means, log_stds = self.recognition(rows).chunk(2, dim=1)
        # Starts narrow: what is written into z is read from the first step on.
        log_stds = (log_stds - 1).clamp(*LATENT_LOG_SCALES)
        z = means + log_stds.exp() * torch.randn_like(means)
        divergence = 0.5 * (means.square() + (2 * log_stds).exp() - 1) - log_stds
        losses: Tensor = divergence.sum(dim=1) - self._log_likelihood(z, rows)
        return losses

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Rows from draws of z, each cell drawn from its distribution."""
        refuse_conditions("tvae", conditions)
        z = torch.randn(n, self.latent_dim, generator=rng, device=rng.device)
        logits, means, log_scales = self._read(z)
        noise = torch.randn(means.shape, generator=rng, device=rng.device)
        places = (means + log_scales.exp() * noise).clamp(-1, 1)
        return self.vectors.draw(logits, places, rng)

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """Chosen on validation rows of adult and magic; about as many steps for every size."""
        del schema
        is_small = n_rows < SMALL_TABLE
        return Recipe(
            epochs=300 if is_small else max(5, min(150, 1_500_000 // n_rows)),
            batch_size=64 if is_small else 200,
            learning_rate=2e-3,
            weight_decay=1e-5,
            patience=50 if is_small else 15,
            ema_decay=0.998,
        )

    def _log_likelihood(self, z: Tensor, rows: Tensor) -> Tensor:
        """(B,) nats of the rows given z; modes and places count where the cell is continuous."""
        logits, means, log_scales = self._read(z)
        choices, places = rows.tensor_split([self.vectors.n_choices], dim=1)
        distances = (places - means) * (-log_scales).exp()
        density = -0.5 * distances.square() - log_scales - LOG_SQRT_2PI
        of_choices: Tensor = (choices * self.vectors.log_shares(logits)).sum(dim=1)
        return of_choices + (density * self.vectors.present(choices)).sum(dim=1)

    def _read(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, n_choices), and means and log scales of places (B, R)."""
        ends = [self.vectors.n_choices, self.vectors.width]
        logits, means, log_scales = self.decoder(z).tensor_split(ends, dim=1)
        return logits, means.tanh(), (log_scales - 1).clamp(*LOG_SCALES)


def _network(in_size: int, hidden_units: int, out_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_size, hidden_units),
        nn.ReLU(),
        nn.Linear(hidden_units, hidden_units),
        nn.ReLU(),
        nn.Linear(hidden_units, out_size),
    )
