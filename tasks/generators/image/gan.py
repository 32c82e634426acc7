"""The plain generative adversarial network, of multilayer perceptrons, given labels.

See `_adversarial` for the training.

Source:
    Goodfellow et al. 2014, Generative adversarial nets, algorithm 1, section 3 and 5 (perceptrons,
    dropout in the discriminator), arXiv:1406.2661. Labels: Mirza and Osindero 2014, Conditional
    generative adversarial nets, arXiv:1411.1784.
Differs:
    A penalty on the discriminator's gradient. Leaky rectifiers in place of maxout, rectifiers with
    layer normalisation in the generator; Adam in place of momentum; the average of the generator's
    weights draws the samples.
"""

import math
from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from tasks.encoding.base import Encoder
from tasks.encoding.image import ImageEncoder
from tasks.generators.image.parts.convolutions import LABEL_DIM, LEAK, Projection
from tasks.generators.image.parts.gans import AdversarialGenerator, zero_centred_penalty
from tasks.generators.layers import Dropout
from tasks.params import Record


class GanParams(Record):
    """Settings of `gan`."""

    latent_dim: int = Field(default=64, ge=1, le=4_096, description="numbers of noise for an image")
    hidden_units: int = Field(default=512, ge=1, le=8_192, description="units of a layer")
    dropout: float = Field(
        default=0.2, ge=0, lt=1, description="share of the discriminator's units left out"
    )
    penalty: float = Field(
        default=0.5, ge=0, description="weight of the discriminator's gradient penalty"
    )


class Gan(AdversarialGenerator):
    """Images of one size, given their label."""

    Params: ClassVar[type[Record]] = GanParams

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.settings = cast(GanParams, params)
        self.latent_dim = self.settings.latent_dim
        self.generator = _Generator(self.encoder, self.settings)
        self.discriminator = _Discriminator(self.encoder, self.settings)

    def penalty(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """R1, around real images."""
        del fake
        return zero_centred_penalty(self.discriminator, real, labels, self.settings.penalty)


class _Generator(nn.Module):
    """Images (B, C, H, W) from noise (B, latent_dim) and labels (B,)."""

    def __init__(self, encoder: ImageEncoder, settings: GanParams) -> None:
        super().__init__()
        shape, hidden = (encoder.channels, encoder.height, encoder.width), settings.hidden_units
        self.label = nn.Embedding(len(encoder.labels), LABEL_DIM)
        self.layers = nn.Sequential(
            nn.Linear(settings.latent_dim + LABEL_DIM, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, math.prod(shape)),
            nn.Tanh(),
            nn.Unflatten(1, shape),
        )

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """An image for each row."""
        return cast(Tensor, self.layers(torch.cat([noise, self.label(labels)], dim=1)))


class _Discriminator(nn.Module):
    """Log-odds (B,) of being real, of images (B, C, H, W) and their labels (B,)."""

    def __init__(self, encoder: ImageEncoder, settings: GanParams) -> None:
        super().__init__()
        n_numbers, hidden = encoder.channels * encoder.height * encoder.width, settings.hidden_units
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(n_numbers, hidden),
            nn.LeakyReLU(LEAK),
            Dropout(settings.dropout),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(LEAK),
            Dropout(settings.dropout),
        )
        self.head = Projection(hidden, len(encoder.labels))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """The log-odds of each image."""
        return cast(Tensor, self.head(self.layers(images), labels))
