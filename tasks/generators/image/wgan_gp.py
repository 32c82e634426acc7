"""WGAN-GP: a generator that minimises the Wasserstein distance, of convolutions, given labels.

See `_adversarial` for the training and `_convolutions` for the networks; what is called
discriminator there is the critic here.

Source:
    Gulrajani et al. 2017, Improved training of Wasserstein GANs, algorithm 1, arXiv:1704.00028.
Differs:
    Strided convolutions in place of residual blocks, which take a multiple of the time; three steps
    of the critic for one of the generator in place of five; labels; the average of the generator's
    weights draws the samples.
"""

from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor

from tasks.encoding.base import Encoder
from tasks.generators.image.parts.convolutions import (
    ConvolutionalDiscriminator,
    ConvolutionalGenerator,
)
from tasks.generators.image.parts.gans import AdversarialGenerator, square_slopes
from tasks.params import Record

TINY = 1e-12
"""Added to a square before its root, whose slope at 0 is infinite."""


class WganGpParams(Record):
    """Settings of `wgan_gp`."""

    latent_dim: int = Field(default=64, ge=1, le=4_096, description="numbers of noise for an image")
    channels: int | None = Field(
        default=None,
        ge=8,
        le=1_024,
        description="channels after the first halving of an image, doubled by the next ones; null: by size",
    )
    penalty: float = Field(
        default=10.0, ge=0, description="weight of the critic's gradient penalty"
    )
    critic_steps: int = Field(
        default=3, ge=1, le=100, description="steps of the critic for one of the generator"
    )


class WganGp(AdversarialGenerator):
    """Images of one size, given their label."""

    Params: ClassVar[type[Record]] = WganGpParams
    few_steps: ClassVar[int] = 1_000
    many_steps: ClassVar[int] = 4_000

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.settings = cast(WganGpParams, params)
        self.latent_dim = self.settings.latent_dim
        self.steps = self.settings.critic_steps
        self.generator = ConvolutionalGenerator(
            self.encoder, self.latent_dim, self.settings.channels
        )
        self.discriminator = ConvolutionalDiscriminator(self.encoder, self.settings.channels)

    def generator_loss(self, of_fake: Tensor) -> Tensor:
        """(B,) minus the scores."""
        return -of_fake

    def discriminator_loss(self, of_real: Tensor, of_fake: Tensor) -> Tensor:
        """(B,) by how much fakes score higher: their mean is minus an estimate of the distance."""
        return of_fake - of_real

    def penalty(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """(B,) how far the slope is from 1 between a real and a fake image, squared.

        Source: Gulrajani et al. 2017, equation 3, arXiv:1704.00028.
        """
        share = torch.rand(len(real), 1, 1, 1, device=real.device)
        squares = square_slopes(self.discriminator, share * real + (1 - share) * fake, labels)
        return self.settings.penalty * ((squares + TINY).sqrt() - 1).square()
