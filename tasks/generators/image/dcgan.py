"""DCGAN: a generative adversarial network of convolutions, given labels.

See `_adversarial` for the training and `_convolutions` for the networks.

Source:
    Radford et al. 2016, Unsupervised representation learning with deep convolutional generative
    adversarial networks, section 3, arXiv:1511.06434.
Differs:
    A penalty on the discriminator's gradient in place of its batch normalisation; labels; the
    average of the generator's weights draws the samples.
"""

from typing import ClassVar, cast

from pydantic import Field
from torch import Tensor

from tasks.encoding.base import Encoder
from tasks.generators.image.parts.convolutions import (
    ConvolutionalDiscriminator,
    ConvolutionalGenerator,
)
from tasks.generators.image.parts.gans import AdversarialGenerator, zero_centred_penalty
from tasks.params import Record


class DcganParams(Record):
    """Settings of `dcgan`."""

    latent_dim: int = Field(default=64, ge=1, le=4_096, description="numbers of noise for an image")
    channels: int | None = Field(
        default=None,
        ge=8,
        le=1_024,
        description="channels after the first halving of an image, doubled by the next ones; null: by size",
    )
    penalty: float = Field(
        default=0.5, ge=0, description="weight of the discriminator's gradient penalty"
    )


class Dcgan(AdversarialGenerator):
    """Images of one size, given their label."""

    Params: ClassVar[type[Record]] = DcganParams

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.settings = cast(DcganParams, params)
        self.latent_dim = self.settings.latent_dim
        self.generator = ConvolutionalGenerator(
            self.encoder, self.latent_dim, self.settings.channels
        )
        self.discriminator = ConvolutionalDiscriminator(self.encoder, self.settings.channels)

    def penalty(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """R1, around real images."""
        del fake
        return zero_centred_penalty(self.discriminator, real, labels, self.settings.penalty)
