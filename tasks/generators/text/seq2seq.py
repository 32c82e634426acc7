"""A denoising encoder-decoder: reads what is left of a text and its label, and writes the text.

    text ─► tokens left out and shuffled ─► recurrent reader ─┬► attention ─► recurrent decoder ─► text
    label ───────────────────────────────────────────────────┘

How much is left out differs from text to text, up to everything: then the label alone is read. So a
sample starts from its label, and is then spoiled and written anew a few times, a step of a Markov
chain whose distribution is that of the texts.

Source:
    Encoder-decoder: Cho et al. 2014, arXiv:1406.1078, and Sutskever et al. 2014, arXiv:1409.3215.
    Denoising texts: Hill et al. 2016, Learning distributed representations of sentences, section
    2.2, arXiv:1602.03483; how tokens are shuffled: Lample et al. 2018, section 2.3, arXiv:1711.00043.
    Sampling by spoiling and writing anew: Bengio et al. 2013, Generalized denoising auto-encoders
    as generative models, arXiv:1305.6663.
Differs:
    The share of tokens that is left out is drawn anew for each text, from 0 to 1.
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

LABEL_ALONE = 0.5
"""Share of the training texts of which nothing is read but the label, as a sample's first step does."""

SHUFFLED_PLACES = 3
"""Places by which a token may move, at most."""


class Seq2SeqParams(TextParams):
    """Settings of `seq2seq`."""

    embedding_dim: int = Field(default=128, ge=1, le=4_096, description="numbers of a token")
    n_units: int = Field(default=128, ge=1, le=4_096, description="of each recurrent network")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="share of activations left out")
    rewrites: int = Field(
        default=1, ge=0, le=100, description="times that a sample is spoiled and written anew"
    )
    left_out: float = Field(
        default=0.7, ge=0, le=1, description="share of a sample's tokens that are then left out"
    )


class Seq2Seq(TextGenerator):
    """Texts given their label, and what is left of a text."""

    Params: ClassVar[type[Record]] = Seq2SeqParams

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.seq2seq = settings = cast(Seq2SeqParams, params)
        n_units = settings.n_units
        embeddings = Embeddings(
            len(self.encoder.pieces), len(self.encoder.labels), settings.embedding_dim
        )
        self.reader = Reader(embeddings, n_units, settings.dropout)
        self.features = nn.Linear(2 * n_units, n_units)
        self.start = nn.Linear(2 * n_units, n_units)
        self.decoder = Decoder(embeddings, n_units, 0, settings.dropout, attends=True)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """Nats of each text given what is left of it, divided by the mean number of tokens."""
        del objective
        tokens, labels = batch["tokens"].long(), batch["labels"].long()
        n, width = tokens.shape
        share = (torch.rand(n, device=tokens.device) / (1 - LABEL_ALONE)).clamp(max=1.0)
        spoiled = spoil(tokens, share, torch.rand(2, n, width, device=tokens.device))
        nats: Tensor = self.decoder(tokens, tokens, labels, self._heard(spoiled, labels))
        return nats / self.mean_tokens

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """New texts: from the label alone, then from what is left of them."""
        n, width = len(labels), self.encoder.width
        share = torch.ones(n, device=rng.device)
        tokens = torch.full((n, width), END, dtype=torch.int16, device=rng.device)
        for _ in range(1 + self.seq2seq.rewrites):
            noise = torch.rand(2, n, width, generator=rng, device=rng.device)
            heard = self._heard(spoil(tokens.long(), share, noise), labels)
            tokens = self.write(RecurrentWriter(self.decoder, labels, heard), n, rng)
            share = torch.full_like(share, self.seq2seq.left_out)
        return tokens

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

    def _heard(self, tokens: Tensor, labels: Tensor) -> Heard:
        features, is_there, whole = self.reader(tokens, labels)
        start = torch.tanh(self.start(whole))
        return Heard(start, start[:, :0], self.features(features), is_there)


def spoil(tokens: Tensor, share: Tensor, noise: Tensor) -> Tensor:
    """Leave tokens out, and move the others by up to `SHUFFLED_PLACES` places.

    Shape:
        tokens: (B, T) int64, `END` behind the last token of each text.
        share: (B,) float, of the tokens that are left out; 1: all of them.
        noise: (2, B, T) float, uniform in [0, 1): by which tokens are left out, and moved.
        returns: (B, T) int64.

    Source: Lample et al. 2018, section 2.3, arXiv:1711.00043.
    """
    is_kept = (noise[0] >= share[:, None]) & (tokens != END)
    steps = torch.arange(tokens.shape[1], device=tokens.device)
    places = steps + noise[1] * (1 + SHUFFLED_PLACES)
    order = places.masked_fill(~is_kept, torch.inf).argsort(dim=1, stable=True)
    return tokens.masked_fill(~is_kept, END).gather(1, order)
