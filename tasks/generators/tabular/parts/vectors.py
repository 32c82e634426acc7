"""Rows as vectors of numbers, for generators whose networks write whole rows at once.

How a row is told to a network and read from one:

tokens, values ─► [ one-hot symbols | one-hot modes | places inside of the modes ]
tokens, values ◄─ draws ◄─ logits of symbols and modes, places ◄─ a network
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tasks.encoding.modes import ModeSpecificEncoder
from tasks.errors import TrainingError
from tasks.generators.layers import choose, stratified
from tasks.generators.tabular.parts.rows import Rows

STDS = 4.0
"""Standard deviations on either side of a mode's mean that its places -1 to 1 span."""


class ModeNormalization(nn.Module):
    """Values <-> a mode each and the place inside of it.

    Args:
        encoder: of the table; it has a mixture for each of R columns, of at most M modes.

    Attributes:
        sizes: modes of each column.

    Source: Xu et al. 2019, section 4.2, arXiv:1907.00503.
    """

    log_weights: Tensor
    means: Tensor
    stds: Tensor

    def __init__(self, encoder: ModeSpecificEncoder) -> None:
        super().__init__()
        self.sizes = [len(mixture.means) for mixture in encoder.mixtures]
        shape = len(self.sizes), max(self.sizes, default=0)
        weights, means, stds = torch.zeros(shape), torch.zeros(shape), torch.ones(shape)
        for r, mixture in enumerate(encoder.mixtures):
            for tensor, values in (
                (weights, mixture.weights),
                (means, mixture.means),
                (stds, mixture.stds),
            ):
                tensor[r, : len(values)] = torch.from_numpy(values)
        for name, tensor in {"log_weights": weights.log(), "means": means, "stds": stds}.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, values: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """A mode for each value, drawn by how likely it is to come from each, and the place.

        Shape:
            values: (B, R) float.
            noise: (B, R, M) float, standard Gumbel; zeros give the most likely mode.
            returns: (B, R) int64 modes; (B, R) float places in [-1, 1].
        """
        if not self.sizes:
            return values.long(), values
        distances = (values[..., None] - self.means) / self.stds
        logits = self.log_weights - self.stds.log() - 0.5 * distances.square()
        modes = (logits + noise).argmax(dim=-1, keepdim=True)
        places = distances.gather(-1, modes) / STDS
        return modes[..., 0], places[..., 0].clamp(-1, 1)

    def restore(self, modes: Tensor, places: Tensor) -> Tensor:
        """Values (B, R) from modes (B, R) and places (B, R)."""
        column = torch.arange(len(self.sizes), device=modes.device)
        return self.means[column, modes] + STDS * self.stds[column, modes] * places

    def noise(self, n: int) -> Tensor:
        """(n, R, M) standard Gumbel noise from torch's global rng."""
        return gumbel(torch.rand(n, *self.means.shape, device=self.means.device))


class RowVectors(nn.Module):
    """The encoder's tensors <-> vectors of `width` numbers, K = S + R blocks and R places.

    Blocks are one-hot: one for each symbol (`Rows` tells how a token is written in symbols), one
    for each column's mode. In cells that are not continuous the mode and the place are all zeros.

    Args:
        encoder: of the table.

    Attributes:
        sizes: numbers of each block, symbols first.
        n_choices: sum of `sizes`; places come after so many numbers.
        n_symbols: numbers of the blocks of symbols.
    """

    offsets: Tensor
    present_at: Tensor
    always_present: Tensor
    place_blocks: Tensor
    continuous: Tensor
    continuous_tokens: Tensor

    def __init__(self, encoder: ModeSpecificEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.rows = Rows(encoder)
        self.modes = ModeNormalization(encoder)
        self.sizes = [*self.rows.sizes, *self.modes.sizes]
        self.n_symbols, self.n_choices = sum(self.rows.sizes), sum(self.sizes)
        self.n_places = len(self.modes.sizes)
        self.width = self.n_choices + self.n_places
        starts = [sum(self.sizes[:k]) for k in range(len(self.sizes))]
        tokens = [encoder.columns[i].continuous_token or 0 for i in encoder.continuous]
        blocks = [
            self.rows.columns.index(i) if i in self.rows.columns else None
            for i in encoder.continuous
        ]
        for name, indices in {
            "offsets": starts,
            # Where a vector says that the cell is continuous; columns of one token always are.
            "present_at": [
                0 if block is None else starts[block] + token
                for block, token in zip(blocks, tokens, strict=True)
            ],
            "always_present": [block is None for block in blocks],
            "place_blocks": [r for r, size in enumerate(self.modes.sizes) for _ in range(size)],
            "continuous": encoder.continuous,
            "continuous_tokens": tokens,
        }.items():
            self.register_buffer(name, torch.tensor(indices, dtype=torch.long), persistent=False)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Vectors (B, width) of real rows; modes are drawn by torch's global rng."""
        tokens, values = batch["tokens"].long(), batch["values"]
        modes, places = self.modes(values, self.modes.noise(len(tokens)))
        present = (tokens[:, self.continuous] == self.continuous_tokens).to(values.dtype)
        symbols = self.rows.symbols(tokens)
        vectors = values.new_zeros(len(tokens), self.width)
        vectors.scatter_(
            1,
            torch.cat([symbols, modes], dim=1) + self.offsets,
            torch.cat([torch.ones_like(symbols, dtype=values.dtype), present], dim=1),
        )
        vectors[:, self.n_choices :] = places * present
        return vectors

    def symbols(self, tokens: Tensor) -> Tensor:
        """The blocks of symbols alone: (B, n_symbols) from tokens (B, C) int64."""
        symbols = self.rows.symbols(tokens)
        vectors = torch.zeros(len(tokens), self.n_symbols, device=tokens.device)
        return vectors.scatter_(1, symbols + self.offsets[: symbols.shape[1]], 1.0)

    def relaxed(self, shares: Tensor, places: Tensor) -> Tensor:
        """Vectors (B, width) of rows that a network writes, with shares in place of ones.

        Modes and places fade with the share of the cell's being continuous.

        Shape:
            shares: (B, n_choices) float, each block sums to 1.
            places: (B, R) float in [-1, 1].
        """
        if not self.n_places:
            return shares
        present = self.present(shares)
        modes = shares[:, self.n_symbols :] * present[:, self.place_blocks]
        return torch.cat([shares[:, : self.n_symbols], modes, places * present], dim=1)

    def present(self, shares: Tensor) -> Tensor:
        """(B, R) the share of each cell's being continuous, from (B, n_choices) shares."""
        always = self.always_present.to(shares.dtype)
        return torch.maximum(shares[:, self.present_at], always)

    def log_shares(self, logits: Tensor) -> Tensor:
        """Log softmax of each block of (B, n_choices) logits."""
        blocks = [block.log_softmax(dim=1) for block in _blocks(logits, self.sizes)]
        return torch.cat([logits[:, :0], *blocks], dim=1)

    def soft_draw(self, logits: Tensor, temperature: float) -> Tensor:
        """Shares (B, n_choices), nearly one-hot, by torch's global rng: Gumbel softmax.

        Source: Jang et al. 2017, arXiv:1611.01144, equation (2).
        """
        noisy = logits + gumbel(torch.rand_like(logits))
        return self.log_shares(noisy / temperature).exp()

    def draw(self, logits: Tensor, places: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """The encoder's tensors, each symbol and mode drawn from the softmax of its block.

        Shape:
            logits: (n, n_choices) float.
            places: (n, R) float, taken as they are.
        """
        n = len(logits)
        chosen = torch.zeros(n, len(self.sizes), dtype=torch.long, device=logits.device)
        for k, block in enumerate(_blocks(logits, self.sizes)):
            chosen[:, k] = choose(block.softmax(dim=1), stratified(n, rng))
        n_symbols = len(self.rows.sizes)
        tokens = self.rows.tokens(chosen[:, :n_symbols])
        values = self.modes.restore(chosen[:, n_symbols:], places)
        return {"tokens": tokens.to(self.encoder.token_dtype), "values": values}


def _blocks(x: Tensor, sizes: list[int]) -> tuple[Tensor, ...]:
    """Columns of `x` in pieces of these sizes."""
    return torch.split_with_sizes(x, sizes, dim=1)


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel numbers from uniform ones in [0, 1)."""
    # The smallest step above 0 of a float32 in [0.5, 1): finite noise for a uniform number of 0.
    inside = uniform.clamp(2.0**-24, 1 - 2.0**-24)
    return -torch.log(-torch.log(inside))


def refuse_conditions(name: str, conditions: Mapping[str, Any] | None) -> None:
    """Raise an error if anything is to be held by a generator that can hold nothing."""
    if conditions:
        raise TrainingError(
            f"{name} cannot hold columns, asked for {list(conditions)}; `ctgan` holds columns of"
            " categories, `autoregressive` any column"
        )
