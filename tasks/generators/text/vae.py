"""A variational autoencoder of texts: one code for a whole text, from which it is written.

    text, label ─► recurrent reader ─► q(z | x, y) ─ z ─► recurrent decoder ─► each token, given z, y and
                                                           those before it

A decoder that knows the tokens before can do without the code, and then the code says nothing
(posterior collapse). Against it, the weight of the divergence rises from zero during the first
epochs, words that the decoder is shown are left out, and a code may say so many nats for nothing.

Source:
    Bowman et al. 2016, Generating sentences from a continuous space, arXiv:1511.06349: the model,
    annealing and word dropout (section 3). Nats for nothing: Kingma et al. 2016, Improved variational
    inference with inverse autoregressive flow, section C.8, arXiv:1606.04934. Conditions: Sohn et
    al. 2015, Learning structured output representation using deep conditional generative models.
Differs:
    Gated recurrent units instead of LSTMs. Nats are free of a text's whole divergence, not of each
    number's mean over a batch, as the loss of a text must not depend on others. The weight rises
    linearly.
"""

from collections.abc import Mapping
from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from tasks.encoding.base import Encoder
from tasks.encoding.text_pieces import END
from tasks.generators.base import Recipe
from tasks.generators.text.parts.recurrent import (
    Decoder,
    Embeddings,
    Heard,
    Reader,
    RecurrentWriter,
)
from tasks.generators.text.parts.writing import TextGenerator, TextParams
from tasks.params import Record
from tasks.schema import DatasetSchema


class VaeParams(TextParams):
    """Settings of `vae`."""

    latent_dim: int = Field(default=32, ge=1, le=4_096, description="numbers that tell a text")
    embedding_dim: int = Field(default=128, ge=1, le=4_096, description="numbers of a token")
    n_units: int = Field(default=128, ge=1, le=4_096, description="of each recurrent network")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="share of activations left out")
    word_dropout: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of the tokens before that the decoder is not shown, in training",
    )
    free_nats: float = Field(
        default=4.0, ge=0, description="of a text's divergence, below which it costs nothing"
    )
    annealing_epochs: float = Field(
        default=5.0, ge=0, description="in which the weight of the divergence rises from 0 to 1"
    )


class Vae(TextGenerator):
    """Texts given their label, and a code."""

    Params: ClassVar[type[Record]] = VaeParams
    rows_seen: Tensor

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.vae = settings = cast(VaeParams, params)
        n_units, n_latent = settings.n_units, settings.latent_dim
        embeddings = Embeddings(
            len(self.encoder.pieces), len(self.encoder.labels), settings.embedding_dim
        )
        self.reader = Reader(embeddings, n_units, settings.dropout)
        self.posterior = nn.Linear(2 * n_units, 2 * n_latent)
        self.start = nn.Linear(n_latent, n_units)
        self.decoder = Decoder(embeddings, n_units, n_latent, settings.dropout, attends=False)
        # In double precision, in which every number of rows is exact; kept with the weights.
        self.register_buffer("rows_seen", torch.zeros((), dtype=torch.float64))

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """The negative evidence lower bound of each text, from one draw of its code.

        In training with free nats, and with the present weight of the divergence; divided by the
        mean number of tokens of a text.
        """
        del objective
        tokens, labels = batch["tokens"].long(), batch["labels"].long()
        *_, whole = self.reader(tokens, labels)
        means, log_scales = self.posterior(whole).chunk(2, dim=1)
        log_scales = log_scales.clamp(-5, 2)
        z = means + log_scales.exp() * torch.randn_like(means)
        divergence = gaussian_divergence(means, log_scales)
        shown = tokens
        if self.training:
            divergence = self._weight(len(tokens)) * divergence.clamp(min=self.vae.free_nats)
            is_hidden = torch.rand(tokens.shape, device=tokens.device) < self.vae.word_dropout
            shown = tokens.masked_fill(is_hidden & (tokens != END), self._embeddings.hidden_token)
        nats: Tensor = self.decoder(tokens, shown, labels, self._heard(z))
        return (nats + divergence) / self.mean_tokens

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """New texts, of codes from the standard normal distribution."""
        shape = (len(labels), self.vae.latent_dim)
        z = torch.randn(shape, generator=rng, device=rng.device)
        writer = RecurrentWriter(self.decoder, labels, self._heard(z))
        return self.write(writer, len(labels), rng)

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """As many passes as `transformer` takes; not searched for this network."""
        del schema
        return Recipe(
            epochs=max(4, min(100, 64_000 // n_rows)),
            batch_size=32 if n_rows < 10_000 else 64,
            learning_rate=2e-3,
            weight_decay=0.05,
            patience=6,
            ema_decay=0.995,
        )

    @property
    def _embeddings(self) -> Embeddings:
        return self.decoder.embeddings

    def _heard(self, z: Tensor) -> Heard:
        return Heard(torch.tanh(self.start(z)), z)

    def _weight(self, n_rows: int) -> Tensor:
        """Of the divergence, before these rows; counts them."""
        n_annealing = self.vae.annealing_epochs * self.encoder.n_rows
        weight = (self.rows_seen / max(1.0, n_annealing)).clamp(max=1.0).float()
        self.rows_seen += n_rows
        return weight


def gaussian_divergence(means: Tensor, log_scales: Tensor) -> Tensor:
    """(B,) nats from independent Gaussians (B, D) to the standard normal distribution.

    Source: Kingma and Welling 2014, appendix B, arXiv:1312.6114.
    """
    each = means.square() + (2 * log_scales).exp() - 1 - 2 * log_scales
    return 0.5 * each.sum(dim=1)
