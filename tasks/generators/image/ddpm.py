"""Diffusion of images, given their label: a network learns to take noise away, step by step.

    training:  image + noise of a random strength ─► U-Net ─► velocity (noise less image)
    sampling:  noise ─► U-Net ─► a little less noise ─► U-Net ─► ... ─► image

Source:
    Ho et al. 2020, Denoising diffusion probabilistic models, arXiv:2006.11239. Continuous times and
    evenly spread times of a batch: Kingma et al. 2021, Variational diffusion models, appendix I.1,
    arXiv:2107.00630. Cosine schedule: Nichol and Dhariwal 2021, arXiv:2102.09672, for larger images
    with more noise: Hoogeboom et al. 2023, equation 3, arXiv:2301.11093. Velocity: Salimans and Ho
    2022, arXiv:2202.00512. Sampling: Song et al. 2021, DDIM, arXiv:2010.02502, whose second order
    is DPM-Solver++(2M), Lu et al. 2022, arXiv:2211.01095. Guidance: Ho and Salimans 2022,
    arXiv:2207.12598.
Differs:
    Not an ancestral sampler with the 1,000 steps of the first paper: DDIM's of second order is as good with 12.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from tasks.encoding.base import Encoder
from tasks.encoding.image import ImageEncoder
from tasks.generators.base import EPOCH_ROWS, DataGenerator, Recipe
from tasks.generators.image.parts.unet import Shape, UNet
from tasks.generators.labels import draw_labels
from tasks.generators.precision import mixed_precision
from tasks.params import Record
from tasks.schema import DatasetSchema

TIMES = (0.003, 0.997)
"""First and last: an image with a trace of noise, noise with a trace of an image. At 0 and at 1 one
of the two would be nothing, and its logarithm without end."""

LAST_TIME = 0.02
"""Of sampling: the noise that is left then is taken away at once."""

SAMPLED_ROWS = 128
"""Images drawn at a time: what fits the caches of a processor."""

SMALL_SET = 5_000
"""Images below which the network could learn them by heart."""

DROPOUT = 0.1
"""Of such few images."""

SMALL_IMAGE = 256
"""Pixels below which half the channels are enough."""

WIDTH = 32
"""Channels of the first grid for larger images."""

PIXEL_ERROR = 0.02
"""Standard deviation of what is left of the noise in a drawn pixel."""

SHADES = 4_096
"""Values between black and white whose levels are looked up."""

REFERENCE_ROWS, REFERENCE_SEEN = 9_000, 225_000
"""So many images are looked at so often in a training, over all epochs; see `Ddpm.recipe`."""

SMALL_BATCHES = 1_000
"""Images below which batches are smaller, so that there are steps enough."""

REFERENCE_SIDE = 32
"""Pixels of a side up to which the schedule is the cosine; larger images need more noise."""


class DdpmParams(Record):
    """Settings of `ddpm`."""

    width: int | None = Field(
        default=None,
        ge=8,
        le=256,
        multiple_of=8,
        description="channels of the first grid; deeper ones have 4 times as many; null: by size",
    )
    blocks: int = Field(
        default=2, ge=1, le=8, description="blocks of each deeper grid, down and up"
    )
    patch: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="pixels of a patch's side: small ones show more detail and take longer; null: by"
        " size, for 16 x 16 patches at most",
    )
    dropout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="share of activations left out; null: 0.1 for few images, else none",
    )
    unlabelled: float = Field(
        default=0.1, ge=0, lt=1, description="share of training images whose label is hidden"
    )
    steps: int = Field(default=12, ge=1, le=1_000, description="steps from noise to image")
    guidance: float = Field(
        default=0.3,
        ge=0,
        le=20,
        description="how much labels are overdone: clearer images, less variety; doubles the time",
    )


class Ddpm(DataGenerator):
    """Images of one size, given their label."""

    Params: ClassVar[type[Record]] = DdpmParams
    encoder_class: ClassVar[type[Encoder]] = ImageEncoder
    scale: Tensor
    likeliest: Tensor

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(ImageEncoder, encoder)
        self.settings = cast(DdpmParams, params)
        self.shape = Shape.of(self.encoder.height, self.encoder.width, self.settings.patch)
        n_pixels = self.encoder.height * self.encoder.width
        width = self.settings.width or (WIDTH if n_pixels >= SMALL_IMAGE else WIDTH // 2)
        dropout = self.settings.dropout
        if dropout is None:
            dropout = DROPOUT if self.encoder.n_rows < SMALL_SET else 0.0
        self.network = UNet(
            self.encoder.channels,
            self.shape,
            width=width,
            blocks=self.settings.blocks,
            n_labels=len(self.encoder.labels),
            dropout=dropout,
        )
        levels = torch.from_numpy(self.encoder.levels).float()
        span = (levels[-1] - levels[0]).clamp(min=1)
        self.register_buffer("scale", 2 * (levels - levels[0]) / span - 1, persistent=False)
        self.register_buffer("likeliest", self._likeliest(), persistent=False)
        longer = max(self.encoder.height, self.encoder.width)
        self.shift = 2 * math.log(max(1.0, longer / REFERENCE_SIDE))

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """Mean squared error of the velocity of each image, at a time of its own."""
        del objective
        images = self._padded(self.scale[batch["pixels"].long()])
        labels = batch["labels"].long()
        n = len(images)
        device = images.device
        # One time in each of n equal parts: losses of a batch vary less.
        places = torch.arange(n, device=device) + torch.rand(1, device=device)
        times = TIMES[0] + (TIMES[1] - TIMES[0]) * (places / n % 1)
        noise = torch.randn_like(images)
        if self.training:
            hidden = torch.rand(n, device=device) < self.settings.unlabelled
            labels = labels.masked_fill(hidden, len(self.encoder.labels))
        signal, sigma = (part[:, None, None, None] for part in self._strengths(times))
        with mixed_precision(device):
            velocity = self.network(signal * images + sigma * noise, times, labels)
        errors = (velocity - (signal * noise - sigma * images)).square()
        loss: Tensor = errors[..., : self.encoder.height, : self.encoder.width].mean(dim=(1, 2, 3))
        return loss

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels by their frequency in training, or those that are held, then images."""
        labels = draw_labels(self.encoder.labels, n, rng, conditions)
        shape = (self.encoder.channels, self.shape.height, self.shape.width)
        pixels = []
        for piece in torch.split(labels, SAMPLED_ROWS):
            noise = torch.randn((len(piece), *shape), generator=rng, device=rng.device)
            pixels.append(self._levels(self._denoised(noise, piece)))
        return {"pixels": torch.cat(pixels), "labels": labels.to(self.encoder.labels.dtype)}

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """The fewer images, the fewer steps, but the more passes: 25 over 9,000 images.

        What a step takes does not depend on the size of the images: see `Shape`.
        """
        del schema
        size = n_rows / REFERENCE_ROWS
        seen = REFERENCE_SEEN * size ** (2 / 3 if size < 1 else 1 / 4)
        epochs = max(1, round(seen / min(n_rows, EPOCH_ROWS)))
        return Recipe(
            epochs=epochs,
            batch_size=64 if n_rows >= SMALL_BATCHES else 32,
            learning_rate=2e-3,
            weight_decay=0.01,
            patience=max(10, epochs // 3),
            ema_decay=0.998,
        )

    def _padded(self, images: Tensor) -> Tensor:
        """Their last row and column repeated, until the network can halve them."""
        right = self.shape.width - self.encoder.width
        below = self.shape.height - self.encoder.height
        if right == below == 0:
            return images
        return functional.pad(images, (0, right, 0, below), mode="replicate")

    def _levels(self, images: Tensor) -> Tensor:
        """The likeliest level of each pixel, of images without their padding."""
        images = images[..., : self.encoder.height, : self.encoder.width]
        return self.likeliest[((images + 1) * ((SHADES - 1) / 2)).round().long()]

    def _likeliest(self) -> Tensor:
        """(SHADES,) uint8, the level that stands behind each of so many values from -1 to 1.

        The nearest one would be right if all were as frequent. But where most pixels are as black as
        can be, what is almost so is too: with what a drawn pixel is off by, the likelier level of
        two is the one that more pixels have.
        """
        shades = torch.linspace(-1, 1, SHADES)[:, None]
        prior = torch.from_numpy(self.encoder.level_counts).double().log()
        likelihood = (shades - self.scale).double().square() / (-2 * PIXEL_ERROR**2)
        return (prior + likelihood).argmax(dim=1).to(torch.uint8)

    def _strengths(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """Of the signal and of the noise; their squares sum to 1."""
        log_snr = -2 * torch.tan(times * (math.pi / 2)).log() - self.shift
        return torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt()

    def _denoised(self, x: Tensor, labels: Tensor) -> Tensor:
        """Images from noise, by DPM-Solver++(2M)."""
        times = torch.linspace(TIMES[1], LAST_TIME, self.settings.steps + 1, device=x.device)
        signals, sigmas = self._strengths(times)
        rates = (signals / sigmas).log()
        before: Tensor | None = None
        for i in range(len(times) - 1):
            image = self._image(x, times[i], labels)
            step = rates[i + 1] - rates[i]
            best = image
            if before is not None:
                ratio = (rates[i] - rates[i - 1]) / step
                best = image + (image - before) / (2 * ratio)
            x = sigmas[i + 1] / sigmas[i] * x - signals[i + 1] * torch.expm1(-step) * best
            before = image
        return self._image(x, times[-1], labels)

    def _image(self, x: Tensor, time: Tensor, labels: Tensor) -> Tensor:
        """What the network takes the image behind a noisy one to be."""
        signal, sigma = self._strengths(time)
        with mixed_precision(x.device):
            velocity = self.network(x, time.expand(len(x)), labels)
            if self.settings.guidance:
                unknown = torch.full_like(labels, len(self.encoder.labels))
                other = self.network(x, time.expand(len(x)), unknown)
                velocity = velocity + self.settings.guidance * (velocity - other)
        image: Tensor = signal * x - sigma * velocity
        return image.clamp(-1, 1)
