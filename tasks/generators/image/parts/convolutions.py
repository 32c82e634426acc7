"""Convolutional networks between numbers and images of any size, given labels.

Source:
    Radford et al. 2016, Unsupervised representation learning with deep convolutional generative
    adversarial networks, section 3, arXiv:1511.06434. Labels: class-conditional batch
    normalisation, Dumoulin et al. 2017, arXiv:1610.07629; projection discriminator, Miyato and
    Koyama 2018, equation 4, arXiv:1802.05637.
Differs:
    No normalisation in the discriminator: batch statistics would make a penalty on the gradient of
    one image depend on the others (Gulrajani et al. 2017, section 4).
"""

import itertools
import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.image import ImageEncoder

SMALLEST_SIDE = 4
"""Pixels of the shorter side from which on an image is not halved any more."""

MIN_HALVINGS = 2
"""Of smaller images too, down to 2 pixels, so that they have layers for parts and for the whole."""

MAX_CHANNELS = 256
"""Of the deepest features."""

LABEL_DIM = 32
"""Numbers that tell a network a label."""

LEAK = 0.2
"""Slope of a leaky rectifier below 0, as in the paper."""


def halved_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Height and width at each depth, that of the image first; odd ones are halved upwards."""
    sizes = [(height, width)]
    while min(sizes[-1]) > (SMALLEST_SIDE if len(sizes) > MIN_HALVINGS else 2):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


def channels_by_depth(
    encoder: ImageEncoder, channels: int | None, *, at_most: int = 64
) -> list[int]:
    """Channels of the features at each depth from 1 on: each has twice as many as the one before.

    Args:
        encoder: of the images.
        channels: at depth 1; None: fewer for larger images, so that a layer takes about as long.
        at_most: that many for small ones.
    """
    if channels is None:
        side = max(encoder.height, encoder.width)
        channels = min(at_most, max(16, 1_024 // side // 8 * 8))
    n_halvings = len(halved_sizes(encoder.height, encoder.width)) - 1
    return [min(channels * 2**i, max(channels, MAX_CHANNELS)) for i in range(n_halvings)]


def padded_to_even(x: Tensor) -> Tensor:
    """(B, C, H, W) with a last row or column of zeros where there are odd numbers of them.

    So that a convolution with stride 2 sees the last ones, and gives sizes halved upwards.
    """
    return functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))


class ConditionalNorm(nn.Module):
    """Batch normalisation with a scale and a shift for each label.

    Shape:
        input: (B, channels, H, W) float, and labels (B,) int64.
        output: (B, channels, H, W) float.
    """

    def __init__(self, channels: int, n_labels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.changes = nn.Embedding(n_labels, 2 * channels)
        nn.init.zeros_(self.changes.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """The same shape as `x`."""
        changes: Tensor = self.changes(labels)
        scales, shifts = changes[:, :, None, None].chunk(2, dim=1)
        return cast(Tensor, self.norm(x)) * (1 + scales) + shifts


class ConvolutionalGenerator(nn.Module):
    """Images from noise: a linear map, then transposed convolutions that double the size.

    Args:
        encoder: of the images.
        latent_dim: numbers of noise.
        channels: see `channels_by_depth`.

    Shape:
        input: (B, latent_dim) float, and labels (B,) int64.
        output: (B, C, H, W) float in (-1, 1).
    """

    def __init__(self, encoder: ImageEncoder, latent_dim: int, channels: int | None) -> None:
        super().__init__()
        self.sizes = halved_sizes(encoder.height, encoder.width)
        widths = channels_by_depth(encoder, channels)
        self.label = nn.Embedding(len(encoder.labels), LABEL_DIM)
        self.first = nn.Sequential(
            nn.Linear(latent_dim + LABEL_DIM, widths[-1] * math.prod(self.sizes[-1])),
            nn.Unflatten(1, (widths[-1], *self.sizes[-1])),
        )
        self.norms = nn.ModuleList(ConditionalNorm(c, len(encoder.labels)) for c in widths)
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(deeper, c, 4, stride=2, padding=1)
            for c, deeper in itertools.pairwise([encoder.channels, *widths])
        )

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """An image for each row."""
        x: Tensor = self.first(torch.cat([noise, self.label(labels)], dim=1))
        x = x.contiguous(memory_format=torch.channels_last)
        for depth in reversed(range(len(self.layers))):
            height, width = self.sizes[depth]
            h = functional.relu(self.norms[depth](x, labels))
            x = self.layers[depth](h)[:, :, :height, :width]
        return x.float().tanh()


class ConvolutionalDiscriminator(nn.Module):
    """How real images look for their labels: convolutions that halve the size, then a projection.

    Args:
        encoder: of the images.
        channels: see `channels_by_depth`.

    Shape:
        input: (B, C, H, W) float, and labels (B,) int64.
        output: (B,) float.
    """

    def __init__(self, encoder: ImageEncoder, channels: int | None) -> None:
        super().__init__()
        widths = channels_by_depth(encoder, channels)
        self.layers = nn.ModuleList(
            nn.Conv2d(c, deeper, 4, stride=2, padding=1)
            for c, deeper in itertools.pairwise([encoder.channels, *widths])
        )
        last = halved_sizes(encoder.height, encoder.width)[-1]
        self.head = Projection(widths[-1] * math.prod(last), len(encoder.labels))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """The score of each image; higher is more real."""
        x = images.contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            x = functional.leaky_relu(layer(padded_to_even(x)), LEAK)
        return cast(Tensor, self.head(x.flatten(1), labels))


class Projection(nn.Module):
    """A score from features: one that all labels share, and one of the label's own.

    Shape:
        input: (B, in_size) float, and labels (B,) int64.
        output: (B,) float.

    Source: Miyato and Koyama 2018, cGANs with projection discriminator, equation 4,
        arXiv:1802.05637.
    """

    def __init__(self, in_size: int, n_labels: int) -> None:
        super().__init__()
        self.shared = nn.Parameter(torch.randn(in_size) * in_size**-0.5)
        self.own = nn.Embedding(n_labels, in_size)
        nn.init.normal_(self.own.weight, std=in_size**-0.5)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The score of each row."""
        # Not a product of matrices, which would be rounded to bfloat16.
        weights: Tensor = self.shared + self.own(labels)
        return (features.float() * weights).sum(dim=1)
