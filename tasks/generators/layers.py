"""Network layers that several generators share."""

import itertools
import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)

LOG_SCALE_RANGE = (-6.0, 3.0)
"""Of the Gaussians of a mixture: narrower ones would only be drawn around single training rows."""


class Dropout(nn.Module):
    """Zero units at random in training, and scale the others up, so that sums keep their mean.

    Source: Srivastava et al. 2014, Dropout, JMLR 15:1929.
    Differs: on a CPU, 16 random bits decide about a unit, in place of torch's 53: drawing them is
        what dropout costs there. So `share` is kept to 1 in 65,536.

    Args:
        share: of the units that are zeroed.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        if not self.training or self.share == 0.0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.share)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = bits.view(torch.int16)[: x.numel()].view(x.shape)
        is_kept = bits >= round(self.share * 2**16) - 2**15
        return x * is_kept.to(x.dtype).div_(1 - self.share)


class BlockMaskedLinear(nn.Module):
    """A linear map between vectors cut into blocks, in which an output block sees some input blocks.

    Usually block j sees the blocks up to j: the masked connections of MADE, with a block of units
    for each variable instead of single ones.

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
    blocks: Tensor

    def __init__(self, in_sizes: list[int], out_size: int, strict: bool) -> None:
        super().__init__()
        self.out_size = out_size
        self.ends = [0, *itertools.accumulate(in_sizes)]
        places = torch.arange(len(in_sizes))
        blocks = places.repeat_interleave(torch.tensor(in_sizes))
        self.register_buffer("blocks", blocks, persistent=False)
        before = places[:, None] > places if strict else places[:, None] >= places
        mask = self.mask_for(before)
        bound = mask.sum(dim=1, keepdim=True).clamp(min=1).rsqrt()
        self.weight = nn.Parameter(torch.empty_like(mask).uniform_(-1, 1) * bound * mask)
        self.bias = nn.Parameter(torch.zeros(len(mask)))
        self.register_buffer("mask", mask, persistent=False)

    def mask_for(self, seen: Tensor) -> Tensor:
        """(J * out_size, sum(in_sizes)) float from (J, J) bool: whether block j sees block i."""
        return seen.float()[:, self.blocks].repeat_interleave(self.out_size, dim=0)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """All output blocks; `mask`, as `mask_for` gives it, stands in for the usual one."""
        return functional.linear(x, self.weight * (self.mask if mask is None else mask), self.bias)

    def block(self, x: Tensor, j: int, n_blocks: int) -> Tensor:
        """Output block `j` alone: (B, out_size).

        Of `x`, the first `n_blocks` blocks are read, and those must be 0 that `j` does not see.
        """
        rows = slice(j * self.out_size, (j + 1) * self.out_size)
        width = self.ends[n_blocks]
        return functional.linear(x[:, :width], self.weight[rows, :width], self.bias[rows])

    def row_gradient_square_norms(
        self, x: Tensor, gradient: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """(B,) squared lengths of each row's gradient of all weights, for differential privacy.

        That of block j is an outer product of the gradient of its output with what it sees.

        Args:
            x: what went in.
            gradient: (B, J * out_size) of what came out.
            mask: that went in beside `x`.
        """
        of_outputs = gradient.square().reshape(len(x), -1, self.out_size).sum(dim=2)
        seen = (self.mask if mask is None else mask)[:: self.out_size]
        norms: Tensor = (of_outputs * (x.square() @ seen.T + 1)).sum(dim=1)
        return norms


class BlockMaskedNetwork(nn.Module):
    """Features of each of J blocks from the blocks before it: layers masked by blocks.

    Args:
        in_sizes: units of each input block, J of them.
        hidden_units: units of a block in each hidden layer.
        out_units: features of a block.
        n_layers: layers after the first one; each adds to what it gets, but the last one where
            `out_units` are not as many as `hidden_units`.
        dropout: share of units left out in training.

    Shape:
        input: (B, sum(in_sizes)) float.
        output: (B, J, out_units) float.
    """

    def __init__(
        self,
        in_sizes: list[int],
        *,
        hidden_units: int,
        out_units: int,
        n_layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_blocks = len(in_sizes)
        self.hidden_units = hidden_units
        self.first = BlockMaskedLinear(in_sizes, hidden_units, strict=True)
        sizes = [hidden_units] * (n_layers - 1) + [out_units]
        self.others = nn.ModuleList(
            BlockMaskedLinear([hidden_units] * self.n_blocks, size, strict=False) for size in sizes
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, turns: Tensor | None = None) -> Tensor:
        """Features of all blocks at once.

        Shape:
            turns: (J,) int64, when the turn of each block is, where that is not their usual order.
        """
        masks: list[Tensor | None] = [None] * (1 + len(self.others))
        if turns is not None:
            masks = [self.first.mask_for(turns[:, None] > turns)]
            up_to = turns[:, None] >= turns
            for size, layers in itertools.groupby(self.others, key=lambda layer: layer.out_size):
                del size
                same = list(layers)
                masks += [cast(BlockMaskedLinear, same[0]).mask_for(up_to)] * len(same)
        h = self.dropout(functional.silu(self.first(x, masks[0])))
        for layer, mask in zip(self.others, masks[1:], strict=True):
            h = _added(h, self.dropout(functional.silu(layer(h, mask))))
        return torch.unflatten(h, 1, (self.n_blocks, -1))

    def new_states(self, n: int) -> list[Tensor]:
        """What `block` keeps of the blocks whose turn was before, for `n` rows."""
        width = self.n_blocks * self.hidden_units
        return [self.first.weight.new_zeros(n, width) for _ in self.others]

    def block(self, x: Tensor, states: list[Tensor], j: int, n_blocks: int) -> Tensor:
        """Features of block `j` alone, without dropout: (B, out_units).

        To be called once for each block, in any order, for the same `states`, which it completes.

        Args:
            x: (B, sum(in_sizes)), 0 for block `j` and those whose turn is later.
            states: as `new_states` gave them.
            j: which block.
            n_blocks: so many of the first blocks include `j` and all whose turn was before.
        """
        h = functional.silu(self.first.block(x, j, n_blocks))
        units = slice(j * self.hidden_units, (j + 1) * self.hidden_units)
        for layer, state in zip(self.others, states, strict=True):
            state[:, units] = h
            block = cast(BlockMaskedLinear, layer).block(state, j, n_blocks)
            h = _added(h, functional.silu(block))
        return h


def _added(h: Tensor, change: Tensor) -> Tensor:
    return h + change if h.shape == change.shape else change


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
    bounds = running_sums(shares.double())[:, :-1]
    return (bounds < uniform[:, None]).sum(dim=1)


def running_sums(x: Tensor) -> Tensor:
    """(B, K) sums of each row up to each place, also on a GPU.

    There, torch's own are of another order every time, and so refused where bytes must repeat.
    """
    if x.device.type == "cpu":
        return x.cumsum(dim=1)
    width = x.shape[1]
    return x @ torch.ones(width, width, dtype=x.dtype, device=x.device).triu()


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
