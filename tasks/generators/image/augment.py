"""Real images, changed a little: an enlarged training set, not a private one.

Whoever knows an image recognises it in what comes out, so the gates of privacy refuse it, and a
release needs thresholds that say so. It is for training sets that stay where the real images are, and
a yardstick: a generator that learns should not be worse.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from tasks.augmentation.image import ImageAugmentation, augment_images
from tasks.encoding.base import Encoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.image.parts.kept import KeptImages, nearest_levels
from tasks.generators.labelled import RowsByLabel, no_loss, numpy_rng, untrained
from tasks.generators.labels import draw_labels
from tasks.params import Record
from tasks.schema import DatasetSchema


class Augment(DataGenerator):
    """Changed real images; NOT private: it holds the real ones, and so does a saved model.

    A sample goes through all images of a label in random order, and again from the start.
    """

    Params: ClassVar[type[Record]] = ImageAugmentation
    encoder_class: ClassVar[type[Encoder]] = KeptImages
    learns_in_steps: ClassVar[bool] = False
    draws_real_rows: ClassVar[bool] = True

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(KeptImages, encoder)
        self.params = cast(ImageAugmentation, params)
        self.by_label = RowsByLabel(self.encoder.image_labels)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """0 for each image: nothing is learned."""
        del objective
        return no_loss(batch)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels, take images of them in random order, and change each."""
        encoder = self.encoder
        labels = draw_labels(encoder.labels, n, rng, conditions)
        draws, wanted = numpy_rng(rng), labels.cpu().numpy()
        sources = self.by_label.draw(wanted, draws)
        mates = self.by_label.others(wanted, draws, across=self.params.across_classes)
        made = []
        for pair in zip(encoder.pieces(sources), encoder.pieces(mates), strict=True):
            own, others = (encoder.pixels(places, rng.device) for places in pair)
            changed = augment_images(own, others, self.params, rng)
            made.append(nearest_levels(changed, encoder.levels))
        return {
            "pixels": torch.cat(made),
            "labels": labels.to(encoder.labels.dtype),
        }

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """There is nothing to train."""
        del schema
        return untrained(n_rows)
