"""Networks from images to a few numbers, and back, for autoencoders."""

import itertools
import math
from typing import cast

import torch
from torch import Tensor, nn

from tasks.encoding.image import ImageEncoder
from tasks.generators.image.parts.convolutions import (
    LABEL_DIM,
    channels_by_depth,
    halved_sizes,
    padded_to_even,
)
from tasks.generators.layers import LOG_SQRT_2PI, ResidualBlock

MAX_CHANNELS = 32
"""At depth 1, by default: autoencoders of 8 x 8 digits were no better with 64, and slower."""

MIN_LOG_SCALE = -5.0
"""About the step between 256 levels: images that are all the same would make it fall for ever."""


class Shape:
    """Sizes of the features of an image at each depth.

    Args:
        encoder: of the images.
        channels: see `channels_by_depth`.

    Attributes:
        sizes: height and width at each depth, those of the image first.
        widths: channels at each depth, those of the image first.
        n_labels: of the images.
    """

    def __init__(self, encoder: ImageEncoder, channels: int | None) -> None:
        self.sizes = halved_sizes(encoder.height, encoder.width)
        by_depth = channels_by_depth(encoder, channels, at_most=MAX_CHANNELS)
        self.widths = [encoder.channels, *by_depth]
        self.n_labels = len(encoder.labels)

    @property
    def last(self) -> int:
        """The greatest depth."""
        return len(self.sizes) - 1

    def features(self, depth: int) -> tuple[int, int, int]:
        """Channels, height and width at a depth."""
        return (self.widths[depth], *self.sizes[depth])


class Compression(nn.Module):
    """Features of images at each depth from 1 on, from strided convolutions; and a summary.

    Shape:
        input: (B, C, H, W) float, and labels (B,) int64.
        output: features (B, channels, H, W) of each depth, and (B, out_size).
    """

    def __init__(self, shape: Shape, out_size: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(c, deeper, 4, stride=2, padding=1), nn.GroupNorm(8, deeper), nn.SiLU()
            )
            for c, deeper in itertools.pairwise(shape.widths)
        )
        self.label = nn.Embedding(shape.n_labels, LABEL_DIM)
        self.head = nn.Linear(math.prod(shape.features(shape.last)) + LABEL_DIM, out_size)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features by depth from 1 on, and the summary."""
        x, features = images.contiguous(memory_format=torch.channels_last), []
        for layer in self.layers:
            x = layer(padded_to_even(x))
            features.append(x)
        summary = self.head(torch.cat([x.flatten(1), self.label(labels)], dim=1))
        return features, summary.float()


class Start(nn.Module):
    """The deepest features, from a code and a label: (B, in_size), (B,) to (B, channels, H, W)."""

    def __init__(self, shape: Shape, in_size: int) -> None:
        super().__init__()
        features = shape.features(shape.last)
        self.label = nn.Embedding(shape.n_labels, LABEL_DIM)
        self.layers = nn.Sequential(
            nn.Linear(in_size + LABEL_DIM, math.prod(features)), nn.Unflatten(1, features)
        )

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """See the class."""
        x: Tensor = self.layers(torch.cat([codes, self.label(labels)], dim=1))
        return x.contiguous(memory_format=torch.channels_last)


class Expansion(nn.Module):
    """Features of a smaller depth from those of a greater one; of depth 0: images.

    Shape:
        input: (B, channels, H, W) float, of depth `start`.
        output: the same of depth `end`.
    """

    def __init__(self, shape: Shape, start: int, end: int, dropout: float) -> None:
        super().__init__()
        self.sizes = [shape.sizes[depth] for depth in reversed(range(end, start))]
        self.layers = nn.ModuleList(
            nn.Sequential(
                ResidualBlock(shape.widths[depth], dropout),
                nn.GroupNorm(8, shape.widths[depth]),
                nn.SiLU(),
                nn.ConvTranspose2d(
                    shape.widths[depth], shape.widths[depth - 1], 4, stride=2, padding=1
                ),
            )
            for depth in reversed(range(end + 1, start + 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for layer, (height, width) in zip(self.layers, self.sizes, strict=True):
            x = cast(Tensor, layer(x))[:, :, :height, :width]
        return x


def gaussian_loss(images: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """(B,) nats: minus the log density of images under Gaussians around the means.

    A learned scale weighs errors of pixels against what codes cost, which else is a setting.

    Shape:
        images, means: (B, C, H, W) float.
        log_scales: (C, 1, 1) float.

    Source: Rybkin et al. 2021, Simple and effective VAE training with calibrated decoders,
        arXiv:2006.13202.
    """
    log_scales = log_scales.clamp(min=MIN_LOG_SCALE)
    errors = (images - means) * (-log_scales).exp()
    nats = 0.5 * errors.square() + log_scales + LOG_SQRT_2PI
    return nats.sum(dim=(1, 2, 3))
