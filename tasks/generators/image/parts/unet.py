"""A U-Net that a processor can train: on patches of pixels, with one norm a block.

    image ─► patches ─► blocks ─────────────────────────────────► join ─► blocks ─► patches ─► image
                          └► halve ─► blocks, attention ─► double ─┘

The network works on a grid of patches (2 x 2 pixels of an image of 28 x 28), which takes a quarter of
the time of one on pixels; the deepest grid has 8 x 8 cells at most, and sees itself by attention.

Source:
    Ronneberger et al. 2015, U-Net, arXiv:1505.04597. Ho et al. 2020, DDPM, appendix B,
    arXiv:2006.11239. Patches: Hoogeboom et al. 2023, Simple diffusion, arXiv:2301.11093.
    Scale and shift by the condition, from zero: Peebles and Xie 2023, DiT, arXiv:2212.09748.
Differs:
    A block has one norm and one activation, as the blocks of a transformer do: on a processor, they
    take as long as the convolutions.
"""

import itertools
import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.generators.layers import Dropout

DEEPEST_SIDE = 8
"""Cells of the longer side of the deepest grid at most: attention is among 64 cells."""

WIDEST_SIDE = 16
"""Cells of the longer side of the first grid at most, where nobody says how large a patch is: so a
step takes the same time for large images as for small ones."""

HEAD_CHANNELS = 32
"""Of an attention head."""

WIDENING = 4
"""Channels of the deeper grids, as a multiple of those of the first: on a processor a product of
wide matrices costs least, and everything else least on few cells."""

FREQUENCIES = 16
"""Of the sines and cosines that tell the network the noise."""


class Shape(NamedTuple):
    """Sizes of a network for images of one size.

    Attributes:
        patch: pixels of a patch's side.
        levels: grids, each half as high and wide as the one before.
        height, width: pixels of the image after padding, multiples of `patch * 2 ** (levels - 1)`.
    """

    patch: int
    levels: int
    height: int
    width: int

    @classmethod
    def of(cls, height: int, width: int, patch: int | None) -> "Shape":
        """For images of this size; without `patch`, its side is a power of two."""
        longer = max(height, width)
        patch = patch or 2 ** max(0, math.ceil(math.log2(longer / WIDEST_SIDE)))
        halvings = max(1, math.ceil(math.log2(longer / patch / DEEPEST_SIDE)))
        unit = patch * 2**halvings
        padded = (math.ceil(side / unit) * unit for side in (height, width))
        return cls(patch, 1 + halvings, *padded)


class UNet(nn.Module):
    """Predicts an image's velocity from the noisy image, the noise and the label.

    Args:
        image_channels: 1 or 3.
        shape: of the images and grids.
        width: channels of the first grid; a multiple of 8. Deeper ones have 4 times as many.
        blocks: of each deeper grid, on the way down and on the way up; the first one has one.
        n_labels: labels; one more index stands for none.
        dropout: share of activations left out in training.

    Shape:
        x: (B, C, H, W) float, H and W as in `shape`.
        times: (B,) float in [0, 1].
        labels: (B,) int64 in [0, n_labels].
        returns: (B, C, H, W) float32.
    """

    def __init__(
        self,
        image_channels: int,
        shape: Shape,
        *,
        width: int,
        blocks: int,
        n_labels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.patch = shape.patch
        widths = [width] + [WIDENING * width] * (shape.levels - 1)
        size = 4 * width
        patch_channels = image_channels * shape.patch**2
        self.time = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, size), nn.SiLU(), nn.Linear(size, size)
        )
        self.label = nn.Embedding(n_labels + 1, size)
        self.first = nn.Conv2d(patch_channels, width, 3, padding=1)

        def stacks() -> nn.ModuleList:
            return nn.ModuleList(
                nn.ModuleList(_Block(channels, size, dropout) for _ in range(blocks if i else 1))
                for i, channels in enumerate(widths)
            )

        self.down = stacks()
        self.downsample = nn.ModuleList(
            nn.Conv2d(above, below, 3, stride=2, padding=1)
            for above, below in itertools.pairwise(widths)
        )
        self.attention = _Attention(widths[-1])
        self.up = stacks()
        self.upsample = nn.ModuleList(
            nn.Conv2d(below, above, 1) for above, below in itertools.pairwise(widths)
        )
        self.join = nn.ModuleList(nn.Conv2d(2 * above, above, 1) for above in widths[:-1])
        self.last_norm = nn.GroupNorm(8, width)
        self.last = nn.Conv2d(width, patch_channels, 3, padding=1)
        with torch.no_grad():
            self.last.weight.mul_(0.1)

    def forward(self, x: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        """The velocity; see the class."""
        condition = functional.silu(self.time(_waves(times)) + self.label(labels))
        h = functional.pixel_unshuffle(x, self.patch)
        h = self.first(h.contiguous(memory_format=torch.channels_last))
        skips = []
        for i, stack in enumerate(self.down):
            for block in cast(nn.ModuleList, stack):
                h = block(h, condition)
            if i < len(self.downsample):
                skips.append(h)
                h = self.downsample[i](h)
        h = self.attention(h)
        for i in reversed(range(len(self.up))):
            for block in cast(nn.ModuleList, self.up[i]):
                h = block(h, condition)
            if i > 0:
                h = functional.interpolate(self.upsample[i - 1](h), scale_factor=2.0)
                h = self.join[i - 1](torch.cat([h, skips.pop()], dim=1))
        h = self.last(functional.silu(self.last_norm(h)))
        return functional.pixel_shuffle(h.float(), self.patch)


class _Block(nn.Module):
    """Two 3 x 3 convolutions beside the identity, scaled and shifted by the condition."""

    def __init__(self, channels: int, condition_size: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels, affine=False)
        self.modulation = nn.Linear(condition_size, 2 * channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.dropout = Dropout(dropout)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        # A block starts as almost nothing, which makes deep networks easy to train.
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """The input and what the convolutions make of it."""
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(shift, self.norm(x), scale + 1)
        h = self.dropout(functional.silu(self.first(h)))
        return x + cast(Tensor, self.second(h))


class _Attention(nn.Module):
    """Each cell of a grid looks at all others, beside the identity.

    Source: Vaswani et al. 2017, section 3.2.1, arXiv:1706.03762.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.all = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.n_heads = channels // HEAD_CHANNELS
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        split = self.all(self.norm(x)).flatten(2).unflatten(1, (3, self.n_heads, -1))
        queries, keys, values = split.unbind(1)
        # Not torch's fused attention, whose gradients differ from run to run on a GPU.
        weights = (queries.mT @ (keys / math.sqrt(HEAD_CHANNELS))).softmax(dim=-1)
        seen = values @ weights.mT
        return x + cast(Tensor, self.out(seen.flatten(1, 2).view(x.shape)))


def _waves(times: Tensor) -> Tensor:
    """(B, 2 * FREQUENCIES) sines and cosines of times in [0, 1], from a half wave to 500."""
    frequencies = torch.logspace(0, 3, FREQUENCIES, device=times.device) * math.pi
    angles = times[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
