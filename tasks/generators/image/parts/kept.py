"""An encoder of images that holds all of them, for generators that change real images."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from tasks.encoding.base import Batches
from tasks.encoding.image import ImageEncoder
from tasks.errors import DataError
from tasks.schema import DatasetSchema

MAX_KEPT_BYTES = 4 * 2**30
"""Pixels that are held at most."""

TOGETHER_IMAGES = 256
TOGETHER_VALUES = 2**24
"""Images, and pixels times channels of them, that are changed at a time at most: bounds the memory."""


class KeptImages(ImageEncoder):
    """An `ImageEncoder` that holds all training images.

    Attributes:
        images: (N, C, H, W) uint8, as `encode` gives them.
        image_labels: (N,) indices of their labels.
    """

    images: np.ndarray
    image_labels: np.ndarray

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Learn levels and labels, then encode all images.

        Raises:
            DataError: the images cannot be encoded, or are too many to be held.
        """
        encoder = super().fit(schema, batches, rng)
        size = encoder.n_rows * encoder.channels * encoder.height * encoder.width
        if size > MAX_KEPT_BYTES:
            raise DataError(
                f"this generator holds all images: expected at most {MAX_KEPT_BYTES:,} bytes of"
                f" pixels, found {size:,}; take fewer images, or a generator that learns"
            )
        pieces = [encoder.encode(batch) for batch in batches() if batch.num_rows]
        encoder.images = torch.cat([piece["pixels"] for piece in pieces]).numpy()
        encoder.image_labels = torch.cat([piece["labels"] for piece in pieces]).numpy()
        return encoder

    def pixels(self, places: np.ndarray, device: torch.device) -> Tensor:
        """(B, C, H, W) float32 in [0, 1]: the images at these places (B,)."""
        values = self.levels[self.images[places]]
        return torch.from_numpy(values).to(device).float() / 255

    def pieces(self, places: np.ndarray) -> list[np.ndarray]:
        """The places (B,) in pieces of as many as are changed at a time."""
        values = self.channels * self.height * self.width
        n_together = max(1, min(TOGETHER_IMAGES, TOGETHER_VALUES // values))
        return np.split(places, range(n_together, len(places), n_together))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content, arrays = super().state()
        return content, {**arrays, "images": self.images, "image_labels": self.image_labels}

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        encoder = super().from_state(schema, content, arrays)
        encoder.images, encoder.image_labels = arrays["images"], arrays["image_labels"]
        return encoder


def nearest_levels(pixels: Tensor, levels: np.ndarray) -> Tensor:
    """Indices (...) uint8 of the levels nearest to pixels (...) in [0, 1], the lower one of two."""
    steps = torch.from_numpy(levels.astype(np.float32)).to(pixels.device) / 255
    return torch.bucketize(pixels, (steps[1:] + steps[:-1]) / 2).to(torch.uint8)
