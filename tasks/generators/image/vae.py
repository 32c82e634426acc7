"""A class-conditional convolutional variational autoencoder whose samples are sharp.

    image, label ─► convolutions ─► q(z | x, y) ─ z ─► convolutions ─► p(level of each pixel | z, y)
                                                  │
    label ──────────────────────► p(z | y), a mixture of Gaussians of each label's own

Two things keep samples from being the blurred means that a plain VAE gives. Each pixel has a
distribution over the levels that occur in the data, from which it is drawn; and the prior of each
label is learned together with the rest, so that it lies where the images of the label are encoded.

Source:
    Kingma and Welling 2014, Auto-encoding variational Bayes, arXiv:1312.6114. Conditions: Sohn et
    al. 2015, Learning structured output representation using deep conditional generative models.
    Likelihood: Salimans et al. 2017, PixelCNN++, equation 2, arXiv:1701.05517. Learned mixtures as
    priors: Tomczak and Welling 2018, arXiv:1705.07120, and Dilokthanakul et al. 2016,
    arXiv:1611.02648.
Differs:
    The components of the prior are free parameters, not encodings of pseudo-inputs, and each label
    has its own. The channels of a pixel are independent given z.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.base import Encoder
from tasks.encoding.image import ImageEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.labels import draw_labels
from tasks.generators.layers import (
    LOG_SCALE_RANGE,
    LOG_SQRT_2PI,
    Mixture,
    ResidualBlock,
)
from tasks.params import Record
from tasks.schema import DatasetSchema

SMALLEST_SIDE = 4
"""Pixels of a side below which the convolutions do not halve an image any more."""

MAX_LOGIT = 40.0
"""Stands for infinity in a sigmoid."""

LABEL_DIM = 32
"""Numbers that tell the decoder a label."""

SMALL_SET = 5_000
"""Images below which the network is narrower."""


class VaeParams(Record):
    """Settings of `vae`."""

    latent_dim: int = Field(default=16, ge=1, le=4_096, description="numbers that tell an image")
    channels: int | None = Field(
        default=None,
        ge=8,
        le=1_024,
        multiple_of=8,
        description="channels of the widest layers; deeper ones have up to 4 times as many; null: by size",
    )
    components: int = Field(default=5, ge=1, le=64, description="logistics of a pixel's levels")
    prior_components: int = Field(default=8, ge=1, le=1_024, description="Gaussians of a label")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="share of activations left out")


class _Form(NamedTuple):
    """The sizes of the network."""

    image_channels: int
    n_labels: int
    sizes: list[tuple[int, int]]
    """Height and width at each depth, that of the image first."""
    channels: list[int]
    """Of the features at each depth."""

    @classmethod
    def of(cls, encoder: ImageEncoder, settings: VaeParams) -> "_Form":
        sizes = _sizes(encoder.height, encoder.width)
        width = settings.channels or (16 if encoder.n_rows < SMALL_SET else 32)
        channels = [min(width * 2**i, width * 4) for i in range(len(sizes))]
        return cls(encoder.channels, len(encoder.labels), sizes, channels)


class Vae(DataGenerator):
    """Images of one size, given their label."""

    Params: ClassVar[type[Record]] = VaeParams
    encoder_class: ClassVar[type[Encoder]] = ImageEncoder

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(ImageEncoder, encoder)
        settings = cast(VaeParams, params)
        self.n_levels = len(self.encoder.levels)
        form = _Form.of(self.encoder, settings)
        self.recognition = _Recognition(form, settings)
        self.decoder = _Decoder(form, settings)
        self.prior = _LabelPrior(form.n_labels, settings.latent_dim, settings.prior_components)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """An estimate, from one draw of z, of the negative evidence lower bound of each image."""
        del objective
        levels, labels = batch["pixels"].long(), batch["labels"].long()
        means, log_scales = self.recognition(self._scaled(levels), labels)
        noise = self._noise_like(means)
        z = means + log_scales.exp() * noise
        log_posterior: Tensor = (-0.5 * noise.square() - log_scales - LOG_SQRT_2PI).sum(dim=1)
        likelihood: Tensor = level_log_likelihood(levels, self.n_levels, self.decoder(z, labels))
        divergence = log_posterior - self.prior.log_density(z, labels)
        return divergence - likelihood.sum(dim=(1, 2, 3))

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels by their frequency in training, or the one that is held, then images."""
        labels = draw_labels(self.encoder.labels, n, rng, conditions)
        z = self.prior.sample(labels, rng)
        return {
            "pixels": sample_levels(self.n_levels, self.decoder(z, labels), rng),
            "labels": labels.to(self.encoder.labels.dtype),
        }

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """Chosen by validation loss on 1,250 images of 8 x 8 pixels; fewer passes for larger sets."""
        del schema
        return Recipe(
            epochs=max(5, min(60, 200_000 // n_rows)),
            batch_size=64,
            learning_rate=2e-3,
            weight_decay=0.01,
            patience=15 if n_rows < SMALL_SET else 5,
            ema_decay=0.995,
        )

    def _scaled(self, levels: Tensor) -> Tensor:
        """Level indices as numbers from -1 to 1."""
        return levels * (2 / max(self.n_levels - 1, 1)) - 1.0

    def _noise_like(self, means: Tensor) -> Tensor:
        if self.training:
            return torch.randn_like(means)
        # The same draw for every evaluation, so that two validation losses can be compared.
        rng = torch.Generator(means.device).manual_seed(0)
        return torch.randn(means.shape, generator=rng, device=means.device)


class _Recognition(nn.Module):
    """q(z | x, y): means and log scales of independent Gaussians."""

    def __init__(self, form: _Form, settings: VaeParams) -> None:
        super().__init__()
        sizes, channels, dropout = form.sizes, form.channels, settings.dropout
        height, width = sizes[0]
        self.label_image = nn.Sequential(
            nn.Embedding(form.n_labels, height * width), nn.Unflatten(1, (1, height, width))
        )
        layers: list[nn.Module] = [
            nn.Conv2d(form.image_channels + 1, channels[0], 3, padding=1),
            ResidualBlock(channels[0], dropout),
        ]
        for before, after in itertools.pairwise(channels):
            layers.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
            layers.append(ResidualBlock(after, dropout))
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(channels[-1] * math.prod(sizes[-1]), 2 * settings.latent_dim)

    def forward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log scales, each (B, latent_dim)."""
        both = torch.cat([x, self.label_image(labels)], dim=1)
        means, log_scales = self.head(self.layers(both)).chunk(2, dim=1)
        return means, log_scales.clamp(-6, 2)


class _Decoder(nn.Module):
    """p(x | z, y): for each pixel and channel a mixture of logistics over the levels."""

    def __init__(self, form: _Form, settings: VaeParams) -> None:
        super().__init__()
        sizes, channels, dropout = form.sizes, form.channels, settings.dropout
        components = settings.components
        self.label = nn.Embedding(form.n_labels, LABEL_DIM)
        self.first = nn.Linear(settings.latent_dim + LABEL_DIM, channels[-1] * math.prod(sizes[-1]))
        layers: list[nn.Module] = [
            nn.Unflatten(1, (channels[-1], *sizes[-1])),
            ResidualBlock(channels[-1], dropout),
        ]
        for i in reversed(range(len(sizes) - 1)):
            layers.append(nn.Upsample(size=sizes[i], mode="nearest"))
            layers.append(nn.Conv2d(channels[i + 1], channels[i], 3, padding=1))
            layers.append(ResidualBlock(channels[i], dropout))
        layers += [nn.GroupNorm(8, channels[0]), nn.SiLU()]
        self.layers = nn.Sequential(*layers)
        self.split = nn.Unflatten(1, (form.image_channels, 3, components))
        self.head = nn.Conv2d(channels[0], form.image_channels * 3 * components, 3, padding=1)
        # The logistics start side by side over the range of the levels.
        bias = torch.zeros(form.image_channels, 3, components)
        bias[:, 1] = torch.linspace(-1, 1, components) if components > 1 else 0.0
        bias[:, 2] = -1.5
        self.head.bias = nn.Parameter(bias.flatten())
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def forward(self, z: Tensor, labels: Tensor) -> Mixture:
        """Logistics (B, C, H, W, components)."""
        h = self.layers(self.first(torch.cat([z, self.label(labels)], dim=1)))
        logits, means, log_scales = self.split(self.head(h)).movedim(3, -1).unbind(2)
        return Mixture(logits.log_softmax(-1), means, log_scales.clamp(*LOG_SCALE_RANGE))


class _LabelPrior(nn.Module):
    """p(z | y): a mixture of Gaussians with diagonal covariance for each label."""

    def __init__(self, n_labels: int, latent_dim: int, components: int) -> None:
        super().__init__()
        self.logits = nn.Embedding(n_labels, components)
        self.means = nn.Embedding(n_labels, components * latent_dim)
        self.log_scales = nn.Embedding(n_labels, components * latent_dim)
        self.split = nn.Unflatten(1, (components, latent_dim))
        nn.init.zeros_(self.logits.weight)
        nn.init.normal_(self.means.weight, std=0.5)
        nn.init.zeros_(self.log_scales.weight)

    def log_density(self, z: Tensor, labels: Tensor) -> Tensor:
        """(B,) nats."""
        means, log_scales = self._gaussians(labels)
        distance = (z[:, None] - means) * (-log_scales).exp()
        each = (-0.5 * distance.square() - log_scales - LOG_SQRT_2PI).sum(dim=2)
        return torch.logsumexp(self.logits(labels).log_softmax(dim=1) + each, dim=1)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """(B, latent_dim)."""
        means, log_scales = self._gaussians(labels)
        chosen = torch.multinomial(self.logits(labels).softmax(dim=1), 1, generator=rng)[:, 0]
        rows = torch.arange(len(labels), device=labels.device)
        means, log_scales = means[rows, chosen], log_scales[rows, chosen]
        noise = torch.randn(means.shape, generator=rng, device=means.device)
        return means + log_scales.exp() * noise

    def _gaussians(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        return self.split(self.means(labels)), self.split(self.log_scales(labels)).clamp(-4, 2)


def level_log_likelihood(levels: Tensor, n_levels: int, mixture: Mixture) -> Tensor:
    """Log probability of each pixel's level under a discretised mixture of logistics.

    The levels stand evenly from -1 to 1; each has the mass from half a step below to half a step
    above it, the first and the last also all the mass beyond.

    Shape:
        levels: (...) int64 in [0, n_levels).
        mixture: (..., M) logistics.
        returns: (...) float, nats.

    Source: Salimans et al. 2017, PixelCNN++, equation 2, arXiv:1701.05517.
    """
    half = 1 / max(n_levels - 1, 1)
    centred = (levels * (2 * half) - 1.0)[..., None] - mixture.means
    inverse = (-mixture.log_scales).exp()
    below = torch.where(levels[..., None] == 0, -MAX_LOGIT, (centred - half) * inverse)
    above = torch.where(levels[..., None] == n_levels - 1, MAX_LOGIT, (centred + half) * inverse)
    # log(sigmoid(above) - sigmoid(below)), without the cancellation of the difference.
    gap = torch.log(-torch.expm1(-(above - below).clamp(min=1e-5)))
    mass = functional.logsigmoid(above) + functional.logsigmoid(-below) + gap
    return torch.logsumexp(mixture.log_weights + mass, dim=-1)


def sample_levels(n_levels: int, mixture: Mixture, rng: torch.Generator) -> Tensor:
    """A level for each pixel from its discretised mixture of logistics.

    Shape:
        mixture: (..., M) logistics.
        returns: (...) uint8 in [0, n_levels).
    """
    weights = mixture.log_weights.exp()
    chosen = torch.multinomial(weights.flatten(0, -2), 1, generator=rng)
    chosen = chosen.reshape(*weights.shape[:-1], 1)
    means = mixture.means.gather(-1, chosen)[..., 0]
    scales = mixture.log_scales.gather(-1, chosen)[..., 0].exp()
    uniform = torch.rand(means.shape, generator=rng, device=means.device)
    drawn = means + scales * torch.logit(uniform, eps=1e-6)
    return ((drawn + 1) * ((n_levels - 1) / 2)).round().clamp(0, n_levels - 1).to(torch.uint8)


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Height and width of the image at each depth, halved until the shorter side is small."""
    sizes = [(height, width)]
    while min(sizes[-1]) > SMALLEST_SIDE:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes
