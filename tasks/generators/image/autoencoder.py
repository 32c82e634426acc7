"""A plain convolutional autoencoder of images, and a density of its codes from which new ones come.

    image, label ─► convolutions ─► code ─► convolutions ─► image
                                     │
                     label ─► p(code | label), mixtures of Gaussians: sampled to make new images

The autoencoder only reconstructs; nothing shapes its codes but a fixed length, and noise that keeps
images with nearby codes alike: without it the codes lie in clusters, too many for any density. The
density follows the codes while they are learned, and its gradient does not reach them.

Source:
    Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks,
    doi:10.1126/science.1127647; a density of the codes after the fact: Ghosh et al. 2020, From
    variational to deterministic autoencoders, sections 3 and 4, arXiv:1903.12436; noise: Vincent et
    al. 2008, doi:10.1145/1390156.1390294. Learned scale of the errors: Rybkin et al. 2021,
    arXiv:2006.13202.
Differs:
    The density is fitted along with the autoencoder, by gradients, instead of afterwards; the noise
    is on the code, not on the image.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

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
from tasks.generators.precision import mixed_precision
from tasks.params import Record
from tasks.schema import DatasetSchema

SMALL_SET = 5_000
"""Images below which more passes are made."""


class AutoencoderParams(Record):
    """Settings of `autoencoder`."""

    latent_dim: int = Field(default=16, ge=1, le=512, description="numbers of a code")
    channels: int | None = Field(
        default=None,
        ge=8,
        le=1_024,
        multiple_of=8,
        description="channels after the first halving of an image, doubled by the next ones; null: by size",
    )
    components: int = Field(default=4, ge=1, le=256, description="Gaussians of a label's codes")
    noise: float = Field(
        default=0.3, ge=0, le=10, description="standard deviation of the noise on a code"
    )


class Autoencoder(DataGenerator):
    """Images of one size, given their label."""

    Params: ClassVar[type[Record]] = AutoencoderParams
    encoder_class: ClassVar[type[Encoder]] = ImageEncoder

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(ImageEncoder, encoder)
        self.settings = cast(AutoencoderParams, params)
        self.n_levels = len(self.encoder.levels)
        shape, size = Shape(self.encoder, self.settings.channels), self.settings.latent_dim
        self.compress = Compression(shape, size)
        self.start = Start(shape, size)
        self.expand = Expansion(shape, shape.last, 0, dropout=0.0)
        self.log_error = nn.Parameter(torch.full((self.encoder.channels, 1, 1), -1.0))
        self.density = LabelledMixture(shape.n_labels, size, self.settings.components)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """What reconstruction loses of each image, and the negative log density of its code."""
        del objective
        labels = batch["labels"].long()
        images = scaled_levels(batch["pixels"], self.n_levels)
        with mixed_precision(images.device):
            _, summary = self.compress(images, labels)
            code = self._bounded(summary)
            code = code + self.settings.noise * self._noise_like(code)
            written = self.expand(self.start(code, labels)).float()
        loss = gaussian_loss(images, written, self.log_error)
        # Of the noisy code, because that is what the decoder knows.
        return loss - cast(Tensor, self.density(code.detach(), labels))

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels by their frequency in training, or those that are held, codes, and images."""
        labels = draw_labels(self.encoder.labels, n, rng, conditions)
        codes = self.density.sample(labels, rng)
        with mixed_precision(rng.device):
            images = self.expand(self.start(codes, labels))
        return {
            "pixels": nearest_levels(images, self.n_levels),
            "labels": labels.to(self.encoder.labels.dtype),
        }

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """Fewer passes for larger sets."""
        del schema
        return Recipe(
            epochs=max(1, min(80, 300_000 // n_rows)),
            batch_size=64,
            learning_rate=2e-3,
            weight_decay=0.01,
            patience=20 if n_rows < SMALL_SET else 8,
            ema_decay=0.995,
        )

    def _bounded(self, code: Tensor) -> Tensor:
        """Codes of a common length, so that the noise cannot be drowned."""
        return functional.layer_norm(code, code.shape[1:]) if code.shape[1] > 1 else code.tanh()

    def _noise_like(self, code: Tensor) -> Tensor:
        if self.training:
            return torch.randn_like(code)
        # The same draw for every evaluation, so that two validation losses can be compared.
        rng = torch.Generator(code.device).manual_seed(0)
        return torch.randn(code.shape, generator=rng, device=code.device)
