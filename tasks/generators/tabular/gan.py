"""The plain generative adversarial network, of multilayer perceptrons.

    noise ─► generator ─► a row ─┐
                                 ├─► discriminator ─► log-odds of being real
                    a real row ──┘

Source:
    Goodfellow et al. 2014, Generative adversarial nets, algorithm 1 and section 3 (the generator
    maximises log D in place of minimising log (1 - D)), arXiv:1406.2661.
Differs:
    Cells of a table in place of pixels: a softmax for each category, drawn when sampling, and
    numbers with mode-specific normalisation as in `ctgan`. Leaky rectifiers in place of maxout;
    Adam in place of momentum; the average of the generator's weights draws the samples.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.base import Encoder
from tasks.encoding.modes import ModeSpecificEncoder
from tasks.generators.base import DataGenerator, Objective, Recipe
from tasks.generators.tabular.parts.vectors import RowVectors, refuse_conditions
from tasks.params import Record
from tasks.schema import DatasetSchema

SMALL_TABLE = 2_000
"""Rows below which batches are small, so that an epoch has several steps."""


class GanParams(Record):
    """Settings of `gan`."""

    latent_dim: int = Field(default=128, ge=1, le=4_096, description="numbers of noise for a row")
    hidden_units: int = Field(default=256, ge=1, le=8_192, description="units of a layer")
    dropout: float = Field(
        default=0.3, ge=0, lt=1, description="share of the discriminator's units left out"
    )
    discriminator_steps: int = Field(
        default=1, ge=1, le=100, description="steps of the discriminator for one of the generator"
    )


class Gan(DataGenerator):
    """A generator against a discriminator; no column can be held."""

    Params: ClassVar[type[Record]] = GanParams
    encoder_class: ClassVar[type[Encoder]] = ModeSpecificEncoder
    holds_target: ClassVar[bool] = False

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        settings = cast(GanParams, params)
        self.settings = settings
        self.vectors = RowVectors(cast(ModeSpecificEncoder, encoder))
        hidden = settings.hidden_units
        self.generator = nn.Sequential(
            nn.Linear(settings.latent_dim, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, self.vectors.width),
        )
        self.discriminator = nn.Sequential(
            nn.Linear(self.vectors.width, hidden),
            nn.LeakyReLU(0.2),
            nn.Dropout(settings.dropout),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Dropout(settings.dropout),
            nn.Linear(hidden, 1),
        )

    def objectives(self) -> list[Objective]:
        """The discriminator, then the generator."""
        return [
            Objective("discriminator", "discriminator", self.settings.discriminator_steps),
            Objective("generator", "generator"),
        ]

    def forward(self, batch: Mapping[str, Tensor], objective: str = "generator") -> Tensor:
        """Cross-entropy in nats: of telling real from fake, or of a fake's being taken as real."""
        n = len(batch["tokens"])
        noise = torch.randn(n, self.settings.latent_dim, device=batch["tokens"].device)
        logits, places = self._write(noise)
        fake = self.vectors.relaxed(self.vectors.log_shares(logits).exp(), places)
        if objective == "generator":
            return functional.softplus(-self.discriminator(fake)[:, 0])
        log_odds = self.discriminator(torch.cat([self.vectors(batch), fake.detach()]))[:, 0]
        real, made = log_odds.split(n)
        return functional.softplus(-real) + functional.softplus(made)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Rows from noise, each category drawn from its softmax."""
        refuse_conditions("gan", conditions)
        noise = torch.randn(n, self.settings.latent_dim, generator=rng, device=rng.device)
        return self.vectors.draw(*self._write(noise), rng)

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """About as many steps for every size."""
        del schema
        return Recipe(
            epochs=max(1, min(300, 2_000_000 // n_rows)),
            batch_size=100 if n_rows < SMALL_TABLE else 250,
            learning_rate=2e-4,
            weight_decay=1e-6,
            patience=None,
            ema_decay=0.999,
            schedule="constant",
            betas=(0.5, 0.9),
        )

    def _write(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, n_choices) and places (B, R) of rows made of noise (B, latent_dim)."""
        raw = self.generator(noise)
        logits, places = raw.tensor_split([self.vectors.n_choices], dim=1)
        return logits, places.tanh()
