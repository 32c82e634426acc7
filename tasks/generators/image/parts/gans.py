"""What the generative adversarial networks of images have in common.

    noise, label ─► generator ─► an image ─┐
                                           ├─► discriminator ─► score
                         a real image ─────┘        ▲
                                          label ────┘

A discriminator that is free to change fast between images makes these trainings circle or collapse.
Here the length of its gradient is held small around real images, with which they converge.

Source:
    Goodfellow et al. 2014, Generative adversarial nets, algorithm 1 and section 3 (the generator
    maximises log D in place of minimising log (1 - D)), arXiv:1406.2661. Conditions: Mirza and
    Osindero 2014, arXiv:1411.1784. Penalty: Mescheder et al. 2018, Which training methods for GANs
    do actually converge?, equation 9 (R1), arXiv:1801.04406. Noise on both sides: Sønderby et al.
    2017, arXiv:1610.04490.
Differs:
    The penalty is of a quarter of a batch: it takes as long as all else, and its mean is the same.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.base import Encoder
from tasks.encoding.image import ImageEncoder
from tasks.generators.base import DataGenerator, Objective, Recipe
from tasks.generators.image.parts.levels import nearest_levels, scaled_levels
from tasks.generators.labels import draw_labels
from tasks.generators.precision import mixed_precision
from tasks.params import Record
from tasks.schema import DatasetSchema

MAX_NOISE = 1 / 16
"""Of the range from -1 to 1, on each side: half the step between 17 levels."""

PENALTY_SHARE = 4
"""One of so many rows of a batch has the penalty, for all of them."""

BATCH_SIZE = 64

SMALL_SET = 5_000
"""Images below which fewer steps are enough."""


class AdversarialGenerator(DataGenerator):
    """A generator of images against a discriminator, both given the label.

    Args:
        encoder: an `ImageEncoder`.
        params: of the subclass.

    Attributes:
        encoder: of the images.
        n_levels: of a pixel.
        latent_dim: numbers of noise for an image.
        generator: (B, latent_dim) noise and (B,) labels to images (B, C, H, W) from -1 to 1.
        discriminator: such images and their labels to scores (B,); higher is more real.
        steps: of the discriminator for one of the generator.
        few_steps, many_steps: of the generator, in the training on a small set and on a larger one.
    """

    encoder_class: ClassVar[type[Encoder]] = ImageEncoder
    latent_dim: int
    generator: nn.Module
    discriminator: nn.Module
    steps: int = 1
    few_steps: ClassVar[int] = 2_000
    many_steps: ClassVar[int] = 8_000

    @abstractmethod
    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(ImageEncoder, encoder)
        self.n_levels = len(self.encoder.levels)

    def objectives(self) -> list[Objective]:
        """The discriminator, then the generator."""
        return [
            Objective("discriminator", "discriminator", self.steps),
            Objective("generator", "generator"),
        ]

    def forward(self, batch: Mapping[str, Tensor], objective: str = "generator") -> Tensor:
        """What the discriminator loses on a real and a fake image, or the generator on a fake one."""
        with mixed_precision(batch["labels"].device):
            return self._losses(batch["pixels"], batch["labels"].long(), objective)

    def _losses(self, levels: Tensor, labels: Tensor, objective: str) -> Tensor:
        noise = torch.randn(len(labels), self.latent_dim, device=labels.device)
        if objective == "generator":
            fake = self._blurred(self.generator(noise, labels))
            return self.generator_loss(self.discriminator(fake, labels))
        real = self._blurred(scaled_levels(levels, self.n_levels))
        with torch.no_grad():
            fake = self._blurred(self.generator(noise, labels))
        scores = self.discriminator(torch.cat([real, fake]), torch.cat([labels, labels]))
        of_real, of_fake = scores.split(len(labels))
        return self.discriminator_loss(of_real, of_fake) + self.penalty(real, fake, labels)

    @abstractmethod
    def penalty(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        """(B,) or (1,) what the discriminator loses because it is steep."""

    def generator_loss(self, of_fake: Tensor) -> Tensor:
        """(B,) nats, that a fake is not taken as real; the scores are log-odds."""
        return functional.softplus(-of_fake)

    def discriminator_loss(self, of_real: Tensor, of_fake: Tensor) -> Tensor:
        """(B,) nats, of telling real from fake; the scores are log-odds."""
        return functional.softplus(-of_real) + functional.softplus(of_fake)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels by their frequency in training, or those that are held, then images."""
        labels = draw_labels(self.encoder.labels, n, rng, conditions)
        noise = torch.randn(n, self.latent_dim, generator=rng, device=rng.device)
        with mixed_precision(rng.device):
            images = self.generator(noise, labels)
        return {
            "pixels": nearest_levels(images, self.n_levels),
            "labels": labels.to(self.encoder.labels.dtype),
        }

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """As many steps for every size: about 10 minutes of 2 threads for 28 x 28 pixels."""
        del schema
        n_steps = cls.few_steps if n_rows < SMALL_SET else cls.many_steps
        return Recipe(
            epochs=max(1, n_steps // math.ceil(n_rows / BATCH_SIZE)),
            batch_size=BATCH_SIZE,
            learning_rate=5e-4,
            weight_decay=0.0,
            patience=None,
            ema_decay=0.999,
            schedule="constant",
            betas=(0.5, 0.99),
        )

    def _blurred(self, images: Tensor) -> Tensor:
        """Images with noise that hides that real pixels stand on levels and fake ones between."""
        half = min(MAX_NOISE, 1 / max(self.n_levels - 1, 1))
        return images + half * (2 * torch.rand_like(images) - 1)


def square_slopes(discriminator: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """(B,) squared length of the gradient of the scores by the images (B, C, H, W)."""
    # Also asked for as part of a validation loss, where gradients are switched off.
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        scores = discriminator(images, labels).sum()
        (gradient,) = torch.autograd.grad(scores, images, create_graph=True)
    return gradient.flatten(1).square().sum(dim=1)


def zero_centred_penalty(
    discriminator: nn.Module, real: Tensor, labels: Tensor, weight: float
) -> Tensor:
    """(1,) the mean squared slope at some of the real images, times half the weight.

    Source: Mescheder et al. 2018, equation 9, arXiv:1801.04406.
    """
    if weight == 0:
        return real.new_zeros(1)
    n = -(-len(real) // PENALTY_SHARE)
    return square_slopes(discriminator, real[:n], labels[:n]).mean(dim=0, keepdim=True) * (
        weight / 2
    )
