"""A class-conditional convolutional variational autoencoder with two layers of latent variables.

                        ┌──────────────── convolutions ◄───────── image
                        ▼                       ▼                 (in training)
    label ─► p(z | y), mixtures of Gaussians    │
              │                                 ▼
              z ─► convolutions ─► p(details | z, y) ─► details ─► convolutions ─► image

A plain VAE gives blurred means, or grain where each pixel is drawn on its own. Here the details are
drawn as small maps of features, which convolutions make strokes and textures of; pixels take the
means. The prior of each label is learned together with the rest, so that it lies where the images of
the label are encoded, and so is the scale of the errors that are left.

Source:
    Kingma and Welling 2014, Auto-encoding variational Bayes, arXiv:1312.6114. Conditions: Sohn et
    al. 2015, Learning structured output representation using deep conditional generative models.
    Layers of latent variables inferred from above: Sønderby et al. 2016, Ladder variational
    autoencoders, arXiv:1602.02282; Kingma et al. 2016, section 5.1, arXiv:1606.04934. Learned
    mixtures as priors: Tomczak and Welling 2018, arXiv:1705.07120, and Dilokthanakul et al. 2016,
    arXiv:1611.02648. Scale of the errors: Rybkin et al. 2021, arXiv:2006.13202.
Differs:
    The components of the prior are free parameters, not encodings of pseudo-inputs, and each label
    has its own.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from tasks.encoding.base import Encoder
from tasks.encoding.image import ImageEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.image.parts.codes import LabelledMixture
from tasks.generators.image.parts.compression import (
    Compression,
    Expansion,
    Shape,
    Start,
    gaussian_loss,
)
from tasks.generators.image.parts.levels import nearest_levels, scaled_levels
from tasks.generators.labels import draw_labels
from tasks.generators.layers import LOG_SQRT_2PI
from tasks.generators.precision import mixed_precision
from tasks.params import Record
from tasks.schema import DatasetSchema

DETAIL_SIDE = 8
"""Pixels of the shorter side of maps of details at most."""

LOG_SCALES = (-6.0, 2.0)
"""Of the Gaussians of latent variables."""

SMALL_SET = 5_000
"""Images below which more passes are made."""


class VaeParams(Record):
    """Settings of `vae`."""

    latent_dim: int = Field(default=16, ge=1, le=512, description="numbers that tell an image")
    detail_channels: int = Field(default=4, ge=1, le=64, description="maps of details of an image")
    channels: int | None = Field(
        default=None,
        ge=8,
        le=1_024,
        multiple_of=8,
        description="channels after the first halving of an image, doubled by the next ones; null: by size",
    )
    prior_components: int = Field(default=4, ge=1, le=256, description="Gaussians of a label")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="share of activations left out")


class Gaussians(NamedTuple):
    """Independent Gaussians."""

    means: Tensor
    log_scales: Tensor

    @classmethod
    def of(cls, both: Tensor) -> "Gaussians":
        """From (B, 2 D, ...): means, then log scales."""
        means, log_scales = both.float().chunk(2, dim=1)
        return cls(means, log_scales.clamp(*LOG_SCALES))

    def at(self, noise: Tensor) -> Tensor:
        """The values that standard normal noise stands for."""
        return self.means + self.log_scales.exp() * noise

    def divergence(self, other: "Gaussians") -> Tensor:
        """(B,) nats, from these to others of the same shape (Kullback-Leibler)."""
        ratio = self.log_scales - other.log_scales
        shift = (self.means - other.means) * (-other.log_scales).exp()
        nats = 0.5 * ((2 * ratio).exp() + shift.square() - 1) - ratio
        return nats.flatten(1).sum(dim=1)


class Vae(DataGenerator):
    """Images of one size, given their label."""

    Params: ClassVar[type[Record]] = VaeParams
    encoder_class: ClassVar[type[Encoder]] = ImageEncoder

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(ImageEncoder, encoder)
        settings = cast(VaeParams, params)
        self.n_levels = len(self.encoder.levels)
        shape, size = Shape(self.encoder, settings.channels), settings.latent_dim
        # Maps of details are of the first depth at which they are small.
        depths = range(1, shape.last + 1)
        self.depth = next((d for d in depths if min(shape.sizes[d]) <= DETAIL_SIDE), shape.last)
        self.recognition = Compression(shape, 2 * size)
        self.prior = LabelledMixture(shape.n_labels, size, settings.prior_components)
        self.start = Start(shape, size)
        self.coarse = Expansion(shape, shape.last, self.depth, settings.dropout)
        self.details = _Details(shape.features(self.depth), settings.detail_channels)
        self.fine = Expansion(shape, self.depth, 0, settings.dropout)
        self.log_error = nn.Parameter(torch.full((self.encoder.channels, 1, 1), -1.0))

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """Minus the evidence lower bound of each image, estimated from one draw of z and details."""
        del objective
        labels = batch["labels"].long()
        images = scaled_levels(batch["pixels"], self.n_levels)
        # The same draws for every evaluation, so that two validation losses can be compared.
        rng = None if self.training else torch.Generator(images.device).manual_seed(0)
        with mixed_precision(images.device):
            features, summary = self.recognition(images, labels)
            posterior = Gaussians.of(summary)
            noise = _noise(posterior, rng)
            z = posterior.at(noise)
            h = self.coarse(self.start(z, labels))
            prior_of_details = self.details.prior(h)
            found = self.details.posterior(h, features[self.depth - 1])
            details = found.at(_noise(found, rng))
            means = self.fine(self.details(h, details)).float()
        log_posterior = (-0.5 * noise.square() - posterior.log_scales - LOG_SQRT_2PI).sum(dim=1)
        divergence = log_posterior - cast(Tensor, self.prior(z, labels))
        divergence = divergence + found.divergence(prior_of_details)
        return divergence + gaussian_loss(images, means, self.log_error)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels by their frequency in training, or those that are held, then images."""
        labels = draw_labels(self.encoder.labels, n, rng, conditions)
        z = self.prior.sample(labels, rng)
        with mixed_precision(rng.device):
            h = self.coarse(self.start(z, labels))
            prior = self.details.prior(h)
            details = prior.at(_noise(prior, rng))
            images = self.fine(self.details(h, details))
        return {
            "pixels": nearest_levels(images, self.n_levels),
            "labels": labels.to(self.encoder.labels.dtype),
        }

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """Chosen by validation on 1,257 images of 8 x 8 pixels; fewer passes for larger sets."""
        del schema
        return Recipe(
            epochs=max(1, min(60, 300_000 // n_rows)),
            batch_size=64,
            learning_rate=2e-3,
            weight_decay=0.01,
            patience=20 if n_rows < SMALL_SET else 8,
            ema_decay=0.995,
        )


class _Details(nn.Module):
    """Latent maps on features (B, channels, H, W): their prior, their posterior, and what they add."""

    def __init__(self, features: tuple[int, int, int], n_maps: int) -> None:
        super().__init__()
        channels, _, _ = features
        self.of_above = nn.Conv2d(channels, 2 * n_maps, 3, padding=1)
        self.of_both = nn.Conv2d(2 * channels, 2 * n_maps, 3, padding=1)
        self.add = nn.Conv2d(n_maps, channels, 3, padding=1)

    def prior(self, above: Tensor) -> Gaussians:
        """What the features alone tell of the maps (B, n_maps, H, W)."""
        return Gaussians.of(self.of_above(above))

    def posterior(self, above: Tensor, seen: Tensor) -> Gaussians:
        """What features of the image tell too."""
        return Gaussians.of(self.of_both(torch.cat([above, seen], dim=1)))

    def forward(self, above: Tensor, details: Tensor) -> Tensor:
        """The features with their details."""
        return above + cast(Tensor, self.add(details))


def _noise(of: Gaussians, rng: torch.Generator | None) -> Tensor:
    """Standard normal numbers, one for each Gaussian."""
    return torch.randn(of.means.shape, generator=rng, device=of.means.device)
