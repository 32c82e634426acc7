"""CTGAN: a Wasserstein GAN of rows given the value of one of their columns.

    a row, a column of it ─► condition ─┬─► generator ─► a fake row ─┐
                  noise ────────────────┘                            ├─► critic ─► score
                              a real row with the same condition ────┘   (of 10 rows at once)

The column is drawn evenly, its value by the logarithm of its frequency, and the real row among
those with that value: so rare values are learned too. Rows are sampled by the true frequencies.

Source:
    Xu et al. 2019, Modeling tabular data using conditional GAN, section 4, arXiv:1907.00503. Loss:
    Gulrajani et al. 2017, Improved training of Wasserstein GANs, algorithm 1, arXiv:1704.00028.
    Packs: Lin et al. 2018, PacGAN, section 3, arXiv:1712.04086.
Differs:
    Numbers with few values, and values that numbers repeat much, are categories. A row with the
    value is drawn from the batch instead of from the table, so values that a batch lacks wait for
    another. The mode of a value is drawn at each step anew. A column of more than 1,024 tokens is
    written as two digits; rows and conditions of wide tables go through a linear map first. Modes
    and places fade with the share of a cell's being continuous. Layer normalisation in the
    generator in place of batch normalisation: a row does not depend on the others of its batch. No
    dropout in the critic. The average of the weights draws the samples. Several columns may be held
    at once, though the networks have only seen one at a time.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from tasks.encoding.base import Encoder
from tasks.encoding.modes import CountingEncoder
from tasks.errors import TrainingError
from tasks.generators.base import DataGenerator, Objective, Recipe
from tasks.generators.layers import stratified
from tasks.generators.tabular.parts.rows import held_columns
from tasks.generators.tabular.parts.vectors import RowVectors
from tasks.params import Record
from tasks.schema import DatasetSchema

WEIGHT_STEPS = 2.0**24
"""A row's weight in a draw is a whole number of these, so that sums are exact on every device."""

SMALL_TABLE = 2_000
"""Rows below which batches are small, so that an epoch has several steps."""

WIDE = 2_048
"""Numbers beyond which a row or a condition is first mapped to `NARROW` numbers: one matrix over the
ten rows of a pack, or from conditions to rows, would grow with the square of the table's width."""

NARROW = 128


class CtganParams(Record):
    """Settings of `ctgan`."""

    latent_dim: int = Field(default=128, ge=1, le=4_096, description="numbers of noise for a row")
    hidden_units: int = Field(default=256, ge=1, le=8_192, description="units of a layer")
    pac: int = Field(default=10, ge=1, le=100, description="rows that the critic judges together")
    critic_steps: int = Field(
        default=1, ge=1, le=100, description="steps of the critic for one of the generator"
    )
    critic_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="share of the critic's units left out"
    )
    penalty: float = Field(
        default=10.0, ge=0, description="weight of the critic's gradient penalty"
    )
    temperature: float = Field(
        default=0.2, gt=0, le=10, description="of the Gumbel softmax: lower is nearer to one-hot"
    )


class Ctgan(DataGenerator):
    """Rows given the value of a column; columns of categories can be held."""

    Params: ClassVar[type[Record]] = CtganParams
    encoder_class: ClassVar[type[Encoder]] = CountingEncoder

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(CountingEncoder, encoder)
        self.settings = cast(CtganParams, params)
        self.vectors = RowVectors(self.encoder)
        self.conditions = TrainingBySampling(self.encoder, self.vectors)
        self.generator = _Generator(
            self.settings.latent_dim,
            self.vectors.n_symbols,
            self.settings.hidden_units,
            self.vectors.width,
        )
        self.critic = _Critic(
            self.vectors.width + self.vectors.n_symbols,
            self.settings.hidden_units,
            self.settings.pac,
            self.settings.critic_dropout,
        )

    def objectives(self) -> list[Objective]:
        """The critic, then the generator."""
        return [
            Objective("critic", "critic", self.settings.critic_steps),
            Objective("generator", "generator"),
        ]

    def forward(self, batch: Mapping[str, Tensor], objective: str = "generator") -> Tensor:
        """The critic's or the generator's loss of each row's pack.

        Critic: the score of fake minus real rows, and the gradient penalty. Generator: minus the
        score of fake rows, and the cross-entropy of the value that each was to have.
        """
        n, pac = len(batch["tokens"]), self.settings.pac
        index, columns = self.conditions.draw_rows(batch["tokens"].long(), -(-n // pac) * pac)
        real = self.vectors({name: tensor[index] for name, tensor in batch.items()})
        condition = self.conditions.vectors(real[:, : self.vectors.n_symbols], columns)
        noise = torch.randn(len(real), self.settings.latent_dim, device=real.device)
        logits, places = self._write(noise, condition)
        shares = self.vectors.soft_draw(logits, self.settings.temperature)
        fake = torch.cat([self.vectors.relaxed(shares, places), condition], dim=1)
        if objective == "generator":
            log_shares = self.vectors.log_shares(logits)[:, : condition.shape[1]]
            missed: Tensor = -(condition * log_shares).sum(dim=1)
            losses: Tensor = missed - self.critic(fake).repeat_interleave(pac)
            return losses[:n]
        real, fake = torch.cat([real, condition], dim=1), fake.detach()
        penalty = gradient_penalty(self.critic, real, fake, pac)
        losses = self.critic(fake) - self.critic(real) + self.settings.penalty * penalty
        return losses.repeat_interleave(pac)[:n]

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Rows given what is held, or the value of a column drawn by its frequency."""
        held = held_columns(self.encoder, conditions or {}, n, rng.device)
        tokens = torch.zeros(n, len(self.encoder.columns), dtype=torch.long, device=rng.device)
        is_held = torch.zeros_like(tokens, dtype=torch.bool)
        for column, cells in held.items():
            self._check(column, cells.tokens)
            tokens[:, column], is_held[:, column] = cells.tokens, True
        if not held:
            self.conditions.draw(tokens, is_held, rng)
        condition = self.conditions.vectors(self.vectors.symbols(tokens), is_held)
        noise = torch.randn(n, self.settings.latent_dim, generator=rng, device=rng.device)
        drawn = self.vectors.draw(*self._write(noise, condition), rng)
        drawn["tokens"] = torch.where(is_held, tokens, drawn["tokens"].long())
        drawn["tokens"] = drawn["tokens"].to(self.encoder.token_dtype)
        return drawn

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """The paper's, with as many steps on every large table as its 300 epochs on 7,000 rows."""
        del schema
        return Recipe(
            epochs=max(1, min(300, 2_000_000 // n_rows)),
            batch_size=100 if n_rows < SMALL_TABLE else 500,
            learning_rate=2e-4,
            weight_decay=1e-6,
            patience=None,
            ema_decay=0.999,
            schedule="constant",
            betas=(0.5, 0.9),
        )

    def _write(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, n_choices) and places (B, R) of rows made of noise, given conditions."""
        raw = self.generator(noise, condition)
        logits, places = raw.tensor_split([self.vectors.n_choices], dim=1)
        return logits, places.tanh()

    def _check(self, column: int, tokens: Tensor) -> None:
        encoder = self.encoder.columns[column]
        if encoder.n_tokens == 1 and encoder.continuous_token is None:
            return  # There is no other value.
        is_continuous = encoder.continuous_token is not None and bool(
            tokens.eq(encoder.continuous_token).any()
        )
        if column not in self.conditions.columns or is_continuous:
            names = [self.encoder.columns[i].column.name for i in self.conditions.columns]
            raise TrainingError(
                f"ctgan cannot hold this value of {encoder.column.name!r} exactly: it holds values"
                f" that repeat much, of the columns {names}; `autoregressive` holds any value"
            )


class TrainingBySampling(nn.Module):
    """Draws a column, a value of it and a row with that value; tells them to the networks.

    D columns have two tokens or more.

    Args:
        encoder: of the table.
        vectors: of its rows.

    Attributes:
        columns: indices of the D columns.

    Source: Xu et al. 2019, section 4.3, arXiv:1907.00503.
    """

    index: Tensor
    offsets: Tensor
    log_counts: Tensor
    bounds: Tensor
    columns_of: Tensor

    def __init__(self, encoder: CountingEncoder, vectors: RowVectors) -> None:
        super().__init__()
        self.columns = [i for i, counts in enumerate(encoder.counts) if len(counts) > 1]
        self.sizes = [len(encoder.counts[i]) for i in self.columns]
        counts = [torch.from_numpy(encoder.counts[i]) for i in self.columns]
        columns_of = [
            column
            for column, size in zip(vectors.rows.columns, vectors.rows.sizes, strict=True)
            for _ in range(size)
        ]
        empty = torch.empty(0, dtype=torch.float64)
        for name, tensor in {
            "index": torch.tensor(self.columns, dtype=torch.long),
            "offsets": torch.tensor([sum(self.sizes[:d]) for d in range(len(self.sizes))]).long(),
            "log_counts": torch.cat([empty, *counts]).log1p(),
            "bounds": torch.cat([empty, *((own / own.sum()).cumsum(0) for own in counts)]),
            "columns_of": torch.tensor(columns_of, dtype=torch.long),
        }.items():
            self.register_buffer(name, tensor, persistent=False)

    def draw_rows(self, tokens: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Rows of a batch and which column each was drawn for, by torch's global rng.

        Shape:
            tokens: (B, C) int64.
            returns: (n,) int64 in [0, B); (n, C) bool, one true a row; none without such columns.
        """
        is_held = torch.zeros(n, tokens.shape[1], dtype=torch.bool, device=tokens.device)
        if not self.columns:
            return torch.arange(n, device=tokens.device) % len(tokens), is_held
        flat = tokens[:, self.index] + self.offsets
        in_batch = torch.bincount(flat.flatten(), minlength=len(self.log_counts))
        weights = (self.log_counts / in_batch.clamp(min=1))[flat]
        steps = (weights * WEIGHT_STEPS).long().clamp(min=1)
        ends = steps.T.cumsum(dim=1)
        chosen = torch.randint(len(self.columns), (n,), device=tokens.device)
        of_chosen = ends[chosen]
        uniform = torch.rand(n, dtype=torch.float64, device=tokens.device)
        at = (uniform * of_chosen[:, -1]).long()
        rows = torch.searchsorted(of_chosen, at[:, None], right=True)[:, 0]
        is_held[torch.arange(n, device=tokens.device), self.index[chosen]] = True
        return rows, is_held

    def draw(self, tokens: Tensor, is_held: Tensor, rng: torch.Generator) -> None:
        """Fill in one column of each row, drawn evenly, with a token drawn by its frequency.

        Shape:
            tokens: (n, C) int64.
            is_held: (n, C) bool.
        """
        if not self.columns:
            return
        n = len(tokens)
        chosen = (stratified(n, rng) * len(self.columns)).long()
        for d, column in enumerate(self.columns):
            rows = (chosen == d).nonzero()[:, 0]
            bounds = self.bounds[self.offsets[d] : self.offsets[d] + self.sizes[d]]
            drawn = torch.searchsorted(bounds[:-1].contiguous(), stratified(len(rows), rng))
            tokens[rows, column], is_held[rows, column] = drawn, True

    def vectors(self, symbols: Tensor, is_held: Tensor) -> Tensor:
        """Conditions (n, n_symbols): the one-hot symbols of the columns that are held, else 0."""
        return symbols * is_held[:, self.columns_of]


class _Generator(nn.Module):
    """Noise and conditions to rows: two layers, each beside all that it was given, and a last one."""

    def __init__(
        self, latent_dim: int, condition_size: int, hidden_units: int, out_size: int
    ) -> None:
        super().__init__()
        self.narrow, size = _narrowed(condition_size)
        in_size = latent_dim + size
        self.hidden = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden_units), nn.LayerNorm(hidden_units), nn.ReLU())
            for width in (in_size, in_size + hidden_units)
        )
        self.output = nn.Linear(in_size + 2 * hidden_units, out_size)

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        x = torch.cat([noise, self.narrow(condition)], dim=1)
        for layer in self.hidden:
            x = torch.cat([layer(x), x], dim=1)
        return cast(Tensor, self.output(x))


class _Critic(nn.Module):
    """Scores of packs of rows: (B / pac,) from (B, in_size)."""

    def __init__(self, in_size: int, hidden_units: int, pac: int, dropout: float) -> None:
        super().__init__()
        self.narrow, size = _narrowed(in_size)
        self.pack_size = size * pac
        self.network = nn.Sequential(
            nn.Linear(self.pack_size, hidden_units),
            nn.LeakyReLU(0.2),
            nn.Dropout(dropout),
            nn.Linear(hidden_units, hidden_units),
            nn.LeakyReLU(0.2),
            nn.Dropout(dropout),
            # No bias: it would move the scores of real and of fake rows alike.
            nn.Linear(hidden_units, 1, bias=False),
        )

    def forward(self, rows: Tensor) -> Tensor:
        return cast(Tensor, self.network(self.narrow(rows).reshape(-1, self.pack_size))[:, 0])


def _narrowed(size: int) -> tuple[nn.Module, int]:
    """A linear map of vectors of `size` numbers where that is too many, and the size after it."""
    return (nn.Linear(size, NARROW), NARROW) if size > WIDE else (nn.Identity(), size)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, pac: int) -> Tensor:
    """How far the length of the critic's gradient is from 1 between real and fake packs, squared.

    Shape:
        real, fake: (B, W) float, B a multiple of `pac`.
        returns: (B / pac,) float.

    Source: Gulrajani et al. 2017, equation (3), arXiv:1704.00028.
    """
    # Also asked for as part of a validation loss, where gradients are switched off.
    with torch.enable_grad():
        share = torch.rand(len(real) // pac, 1, device=real.device).repeat_interleave(pac, dim=0)
        between = (share * real + (1 - share) * fake).detach().requires_grad_()
        scores = critic(between).sum()
        (gradient,) = torch.autograd.grad(scores, between, create_graph=True)
    lengths = gradient.reshape(len(real) // pac, -1).norm(dim=1)
    penalty: Tensor = (lengths - 1).square()
    return penalty
