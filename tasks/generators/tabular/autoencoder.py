"""A plain autoencoder of the rows of a table, and a density of its codes from which new rows come.

    row, label ─► network ─► code ─► network ─► a distribution of each token and each score
                              │
              label ─► p(code | y), a mixture of Gaussians: sampled to make new rows

The autoencoder only reconstructs; nothing shapes its codes but a fixed length, and noise that keeps
rows with nearby codes alike: without it the codes lie in clusters, too many for any density. The density follows the codes while they are learned, and its gradient
does not reach them. It is a mixture of Gaussians and no kernel density, because a kernel at each
training row would draw rows that are copies with noise.

Source:
    Rumelhart, Hinton and Williams 1986, Learning internal representations by error propagation;
    a density of the codes after the fact: Ghosh et al. 2020, From variational to deterministic
    autoencoders, sections 3 and 4, arXiv:1903.12436; noise: Vincent et al. 2008,
    doi:10.1145/1390156.1390294.
Differs:
    The density is fitted along with the autoencoder, by gradients, instead of afterwards.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.base import Encoder
from tasks.encoding.tabular import TabularEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.layers import LOG_SQRT_2PI, choose, stratified
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

LOG_SCALES = (-5.0, 1.0)
"""Of the Gaussians of a code."""


class AutoencoderParams(Record):
    """Settings of `autoencoder`."""

    latent_dim: int = Field(default=16, ge=1, le=4_096, description="numbers of a code")
    hidden_units: int = Field(default=256, ge=1, le=8_192, description="units of a layer")
    layers: int = Field(default=2, ge=0, le=16, description="hidden layers after the first")
    embedding_dim: int = Field(default=8, ge=1, le=1_024, description="numbers that tell a token")
    components: int = Field(default=256, ge=1, le=8_192, description="Gaussians of the codes")
    noise: float = Field(
        default=0.5, ge=0, le=10, description="standard deviation of the noise on a code"
    )


class Autoencoder(DataGenerator):
    """Rows given their target, if that is told by tokens; the target alone can be held."""

    Params: ClassVar[type[Record]] = AutoencoderParams
    encoder_class: ClassVar[type[Encoder]] = TabularEncoder

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(TabularEncoder, encoder)
        self.settings = cast(AutoencoderParams, params)
        hidden, latent = self.settings.hidden_units, self.settings.latent_dim
        self.label = label_column(self.encoder)
        n_labels = 1 if self.label is None else self.encoder.columns[self.label].n_tokens
        self.rows = Rows(self.encoder, without=self.label)
        self.labels = LabelShares(n_labels)
        width = self.settings.embedding_dim
        self.input = RowInput(self.rows.sizes, 2 * self.rows.n_scores, width)
        self.told = nn.Embedding(n_labels, width)
        self.compress = ResidualNetwork(self.input.width + width, hidden, self.settings.layers, 0.0)
        self.code = nn.Linear(hidden, latent)
        self.expand = ResidualNetwork(latent + width, hidden, self.settings.layers, 0.0)
        self.output = RowOutput(hidden, self.rows.sizes, self.rows.n_scores)
        self.density = CodeDensity(n_labels, latent, self.settings.components)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """What reconstruction loses of each row, and the negative log density of its code."""
        del objective
        low = batch["rank_low"]
        cells = self.rows(batch, torch.rand_like(low) if self.training else 0.5)
        labels = self._labels(batch)
        told = self.told(labels)
        numbers = self.input(cells.symbols, cells.numbers())
        code = self._bounded(self.code(self.compress(torch.cat([numbers, told], dim=1))))
        noisy = code + self.settings.noise * self._noise_like(code)
        h = self.expand(torch.cat([noisy, told], dim=1))
        likelihood = self.output.log_likelihood(h, cells) + self.labels.log_likelihood(labels)
        # Of the noisy code, because that is what the decoder knows.
        return -likelihood - self.density.log_density(noisy.detach(), labels)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels by their learned frequency, or those that are held, then codes, then rows."""
        device = self.code.weight.device
        labels = held_label(self.encoder, self.label, conditions or {}, n, device)
        if labels is None:
            labels = self.labels.sample(n, rng)
        code = self.density.sample(labels, rng)
        h = self.expand(torch.cat([code, self.told(labels)], dim=1))
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

    def _bounded(self, code: Tensor) -> Tensor:
        """Codes of a common length, so that the noise cannot be drowned."""
        return functional.layer_norm(code, code.shape[1:]) if code.shape[1] > 1 else code.tanh()

    def _labels(self, batch: Mapping[str, Tensor]) -> Tensor:
        tokens = batch["tokens"].long()
        return tokens.new_zeros(len(tokens)) if self.label is None else tokens[:, self.label]

    def _noise_like(self, code: Tensor) -> Tensor:
        if self.training:
            return torch.randn_like(code)
        # The same draw for every evaluation, so that two validation losses can be compared.
        rng = torch.Generator(code.device).manual_seed(0)
        return torch.randn(code.shape, generator=rng, device=code.device)


class CodeDensity(nn.Module):
    """A mixture of K Gaussians with diagonal covariance, whose shares depend on the label."""

    def __init__(self, n_labels: int, latent_dim: int, components: int) -> None:
        super().__init__()
        self.logits = nn.Embedding(n_labels, components)
        self.means = nn.Embedding(components, latent_dim)
        self.log_scales = nn.Embedding(components, latent_dim)
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.log_scales.weight)

    def log_density(self, code: Tensor, labels: Tensor) -> Tensor:
        """(B,) nats from codes (B, D)."""
        every = torch.arange(self.means.num_embeddings, device=code.device)
        means, log_scales = self.means(every), self._log_scales(every)
        # The squares of (x - m) / s, multiplied out, so that no (B, K, D) is made.
        weights = (-2 * log_scales).exp()
        squares = code.square() @ weights.T - 2 * code @ (means * weights).T
        constant = -0.5 * (means.square() * weights).sum(dim=1) - log_scales.sum(dim=1)
        each = constant - 0.5 * squares - code.shape[1] * LOG_SQRT_2PI
        return torch.logsumexp(self.logits(labels).log_softmax(dim=1) + each, dim=1)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """(B, D)."""
        chosen = choose(self.logits(labels).softmax(dim=1), stratified(len(labels), rng))
        noise = torch.randn(
            (len(labels), self.means.embedding_dim), generator=rng, device=labels.device
        )
        return cast(Tensor, self.means(chosen) + self._log_scales(chosen).exp() * noise)

    def _log_scales(self, chosen: Tensor) -> Tensor:
        return cast(Tensor, self.log_scales(chosen).clamp(*LOG_SCALES))
