"""Network layers that several generators share."""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)

LOG_SCALE_RANGE = (-6.0, 3.0)
"""Of the Gaussians of a mixture: narrower ones would only be drawn around single training rows."""


class BlockMaskedLinear(nn.Module):
    """A linear map between vectors cut into blocks, in which block j sees the blocks up to j.

    The masked connections of MADE, with a block of units for each variable instead of single ones.

    Source: Germain et al. 2015, MADE, section 4, arXiv:1502.03509.

    Args:
        in_sizes: units of each input block, J of them.
        out_size: units of every output block.
        strict: block j sees the blocks before j only, not block j itself.

    Shape:
        input: (B, sum(in_sizes)) float.
        output: (B, J * out_size) float.
    """

    mask: Tensor

    def __init__(self, in_sizes: list[int], out_size: int, strict: bool) -> None:
        super().__init__()
        self.out_size = out_size
        ends = [0]
        for size in in_sizes:
            ends.append(ends[-1] + size)
        self.visible = [ends[j] if strict else ends[j + 1] for j in range(len(in_sizes))]
        mask = torch.zeros(len(in_sizes), out_size, ends[-1])
        weight = torch.zeros_like(mask)
        for j, width in enumerate(self.visible):
            mask[j, :, :width] = 1.0
            bound = 1.0 / math.sqrt(max(width, 1))
            weight[j, :, :width].uniform_(-bound, bound)
        self.weight = nn.Parameter(weight.flatten(0, 1))
        self.bias = nn.Parameter(torch.zeros(len(in_sizes) * out_size))
        self.register_buffer("mask", mask.flatten(0, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """All output blocks."""
        return functional.linear(x, self.weight * self.mask, self.bias)

    def block(self, x: Tensor, j: int) -> Tensor:
        """Output block `j` alone: (B, out_size); of `x`, only the blocks that it sees are read."""
        rows = slice(j * self.out_size, (j + 1) * self.out_size)
        width = self.visible[j]
        return functional.linear(x[:, :width], self.weight[rows, :width], self.bias[rows])


class BlockMaskedNetwork(nn.Module):
    """Features of each of J blocks from the blocks before it: residual layers, masked by blocks.

    Args:
        in_sizes: units of each input block, J of them.
        hidden_units: features of a block, and units of it in each layer.
        n_layers: residual layers after the first layer.
        dropout: share of units left out in training.

    Shape:
        input: (B, sum(in_sizes)) float.
        output: (B, J, hidden_units) float.
    """

    def __init__(
        self, in_sizes: list[int], *, hidden_units: int, n_layers: int, dropout: float
    ) -> None:
        super().__init__()
        n_blocks = len(in_sizes)
        self.shape = (n_blocks, hidden_units)
        self.first = BlockMaskedLinear(in_sizes, hidden_units, strict=True)
        self.residual = nn.ModuleList(
            BlockMaskedLinear([hidden_units] * n_blocks, hidden_units, strict=False)
            for _ in range(n_layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Features of all blocks at once."""
        h = self.dropout(functional.silu(self.first(x)))
        for layer in self.residual:
            h = h + self.dropout(functional.silu(layer(h)))
        return torch.reshape(h, (len(x), *self.shape))

    def new_states(self, n: int) -> list[Tensor]:
        """What `block` keeps of the blocks before, for `n` rows."""
        width = self.shape[0] * self.shape[1]
        return [self.first.weight.new_zeros(n, width) for _ in self.residual]

    def block(self, x: Tensor, states: list[Tensor], j: int) -> Tensor:
        """Features of block `j` alone, without dropout: (B, hidden_units).

        To be called with j = 0, 1, 2 ... for the same `states`, which it completes; of `x`, it
        reads the blocks before j.
        """
        h = functional.silu(self.first.block(x, j))
        for layer, state in zip(self.residual, states, strict=True):
            state[:, j * self.shape[1] : (j + 1) * self.shape[1]] = h
            h = h + functional.silu(cast(BlockMaskedLinear, layer).block(state, j))
        return h


class Mixture(NamedTuple):
    """Mixtures of M one-dimensional distributions; the last dimension is the component."""

    log_weights: Tensor
    """(..., M) float, log of shares that sum to 1."""
    means: Tensor
    """(..., M) float."""
    log_scales: Tensor
    """(..., M) float."""


class MixtureHead(nn.Module):
    """Mixtures of Gaussians, one for each of J blocks of features.

    Source: Bishop 1994, Mixture density networks, section 3.

    Args:
        n_blocks: J.
        in_size: features of a block.
        components: M, Gaussians of a mixture.

    Shape:
        input: (B, J, in_size) float.
        output: mixtures (B, J, M) float.
    """

    def __init__(self, n_blocks: int, in_size: int, components: int) -> None:
        super().__init__()
        std = 0.1 / math.sqrt(in_size)
        self.weight = nn.Parameter(std * torch.randn(n_blocks, in_size, 3 * components))
        # Together, the components start near a standard normal distribution.
        bias = torch.zeros(n_blocks, 3, components)
        bias[:, 1] = torch.linspace(-1, 1, components) if components > 1 else 0.0
        bias[:, 2] = -0.2
        self.bias = nn.Parameter(bias.flatten(1))

    def forward(self, h: Tensor) -> Mixture:
        """The mixtures of all blocks."""
        return _mixture(torch.einsum("bjh,jhk->bjk", h, self.weight) + self.bias)

    def block(self, h: Tensor, j: int) -> Mixture:
        """The mixture of block `j` alone: (B, M), from (B, in_size) features."""
        return _mixture(h @ self.weight[j] + self.bias[j])


def gaussian_log_density(x: Tensor, mixture: Mixture) -> Tensor:
    """Log density in nats at `x` (...) of mixtures of Gaussians (..., M)."""
    distance = (x[..., None] - mixture.means) * (-mixture.log_scales).exp()
    each = -0.5 * distance.square() - mixture.log_scales - LOG_SQRT_2PI
    return torch.logsumexp(mixture.log_weights + each, dim=-1)


def stratified(n: int, rng: torch.Generator) -> Tensor:
    """(n,) uniform numbers in (0, 1), one in each of n equal intervals, in random order.

    Drawing every column from such numbers (Latin hypercube sampling) makes the shares and the
    distributions of a sample fluctuate less around those of the model than independent numbers do.

    Source: McKay, Beckman and Conover 1979, doi:10.1080/00401706.1979.10489755.
    """
    # In double precision, so that the numbers are inside their intervals for any n.
    places = torch.randperm(n, generator=rng, device=rng.device)
    inside = torch.rand(n, generator=rng, device=rng.device, dtype=torch.float64)
    drawn: Tensor = (places + inside) / n
    return drawn.clamp(1e-12, 1 - 1e-12)


def choose(shares: Tensor, uniform: Tensor) -> Tensor:
    """(B,) int64 in [0, K): the choice that each of (B,) uniform numbers makes.

    Shape:
        shares: (B, K) float, rows that sum to 1.
    """
    bounds = shares.double().cumsum(dim=1)[:, :-1]
    return (bounds < uniform[:, None]).sum(dim=1)


def sample_gaussian(mixture: Mixture, rng: torch.Generator) -> Tensor:
    """One draw (B,) from each of B mixtures of Gaussians (B, M), stratified over the batch."""
    n = len(mixture.means)
    chosen = choose(mixture.log_weights.exp(), stratified(n, rng))[:, None]
    noise = torch.special.ndtri(stratified(n, rng)).to(mixture.means.dtype)
    means, log_scales = mixture.means.gather(1, chosen), mixture.log_scales.gather(1, chosen)
    drawn: Tensor = means[:, 0] + log_scales[:, 0].exp() * noise
    return drawn


def _mixture(raw: Tensor) -> Mixture:
    logits, means, log_scales = raw.chunk(3, dim=-1)
    return Mixture(logits.log_softmax(-1), means, log_scales.clamp(*LOG_SCALE_RANGE))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside the identity, normalised and activated before each.

    Source: He et al. 2016, Identity mappings in deep residual networks, arXiv:1603.05027.
    Differs: group normalisation (Wu and He 2018), because batch statistics would make the loss of
        one image depend on the others.

    Shape:
        input, output: (B, channels, H, W) float; `channels` a multiple of 8.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.first = _activated_convolution(channels, 0.0)
        self.second = _activated_convolution(channels, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The input and what the convolutions make of it."""
        return x + cast(Tensor, self.second(self.first(x)))


def _activated_convolution(channels: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.GroupNorm(8, channels),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Conv2d(channels, channels, 3, padding=1),
    )
