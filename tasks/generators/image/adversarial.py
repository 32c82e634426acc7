"""Real images that a classifier takes for others: a set to test how robust classifiers are.

A small convolutional network learns to tell the labels; a sample is real images, moved within
`epsilon` of each pixel to where the network errs most. To people they show what they did, so they keep
their labels. They are real images but for that: nothing of this is private, and the gates of privacy
refuse it unless thresholds say so.

Source:
    `fgsm`: Goodfellow et al. 2015, Explaining and harnessing adversarial examples, arXiv:1412.6572.
    `pgd`: Madry et al. 2018, Towards deep learning models resistant to adversarial attacks,
    arXiv:1706.06083.
Differs:
    Pixels end at levels that real images have, still within epsilon: images of few levels can be
    moved by whole steps between these alone.
"""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.base import Encoder
from tasks.errors import TrainingError
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.image.parts.kept import KeptImages, nearest_levels
from tasks.generators.labelled import RowsByLabel, numpy_rng
from tasks.generators.labels import draw_labels
from tasks.params import Record
from tasks.schema import DatasetSchema

SMALLEST_SIDE = 4
"""Pixels of the longer side below which the network halves no more."""

TRAINING_STEPS = 1_500
"""Steps in which the classifier learns at most; 10,000 digits are learned in fewer."""

STEP_SHARE = 2.5
"""Of epsilon that all steps of PGD go together, so that they can cross the ball and come back."""

_log = logging.getLogger(__name__)


class AdversarialParams(Record):
    """Settings of `adversarial`."""

    attack: Literal["fgsm", "pgd"] = Field(
        default="pgd", description="fgsm: one step, weak and quick; pgd: many small ones, strong"
    )
    epsilon: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="change of a pixel at most, 1 is black to white; usual: 0.3 for black digits on"
        " white, 0.03 for photographs",
    )
    steps: int = Field(default=10, ge=1, le=1_000, description="of pgd")
    channels: int = Field(
        default=16,
        ge=4,
        le=512,
        multiple_of=4,
        description="of the classifier's first layer; doubled once",
    )


class Adversarial(DataGenerator):
    """A classifier, and images within epsilon of real ones that it errs on; NOT private.

    A sample goes through all images of a label in random order, and again from the start.
    """

    Params: ClassVar[type[Record]] = AdversarialParams
    encoder_class: ClassVar[type[Encoder]] = KeptImages
    draws_real_rows: ClassVar[bool] = True

    levels: Tensor

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(KeptImages, encoder)
        self.params = cast(AdversarialParams, params)
        if len(self.encoder.labels) < 2:
            raise TrainingError(
                "adversarial images are those that a classifier takes for another label: expected"
                f" two labels at least, found {len(self.encoder.labels)}; set `target`, or take"
                " generator augment"
            )
        self.by_label = RowsByLabel(self.encoder.image_labels)
        levels = torch.from_numpy(self.encoder.levels.astype(np.float32) / 255)
        self.register_buffer("levels", levels, persistent=False)
        size = self.encoder.height, self.encoder.width
        self.classifier = _classifier(
            self.encoder.channels, size, self.params.channels, len(self.encoder.labels)
        )

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """The classifier's cross-entropy of each image, in nats."""
        del objective
        pixels = self.levels[batch["pixels"].long()]
        losses: Tensor = functional.cross_entropy(
            self.classifier(pixels * 2 - 1), batch["labels"].long(), reduction="none"
        )
        return losses

    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels, take images of them in random order, and attack each."""
        # The attack needs gradients, which whoever samples may have turned off.
        with torch.inference_mode(False), torch.enable_grad():
            labels = draw_labels(self.encoder.labels, n, rng, conditions).clone()
            sources = self.by_label.draw(labels.cpu().numpy(), numpy_rng(rng))
            made, n_right = [], np.zeros(2, dtype=np.int64)
            for places in self.encoder.pieces(sources):
                pixels = self.encoder.pixels(places, rng.device)
                of = torch.from_numpy(self.encoder.image_labels[places]).to(rng.device).long()
                made.append(self._attacked(pixels, of, rng))
                n_right += [self._n_right(x, of) for x in (pixels, self.levels[made[-1].long()])]
        _log.info(
            "of %d real images the classifier tells %.1f %% right, and %.1f %% once attacked",
            *(n, *(100 * n_right / n)),
        )
        return {"pixels": torch.cat(made), "labels": labels.to(self.encoder.labels.dtype)}

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """AdamW, until the validation loss rises."""
        del schema
        batch_size = min(128, max(8, n_rows // 20))
        return Recipe(
            epochs=max(1, min(50, TRAINING_STEPS * batch_size // n_rows)),
            batch_size=batch_size,
            learning_rate=2e-3,
            weight_decay=0.01,
            patience=3,
            ema_decay=0.99,
        )

    def _attacked(self, pixels: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """(B, C, H, W) uint8 levels within epsilon of pixels (B, C, H, W) of these labels (B,)."""
        epsilon, moved = self.params.epsilon, pixels
        if self.params.attack == "fgsm":
            n_steps, step = 1, epsilon
        else:
            n_steps = self.params.steps
            step = min(epsilon, STEP_SHARE * epsilon / n_steps)
            noise = torch.rand(pixels.shape, generator=rng, device=rng.device)
            moved = (pixels + epsilon * (2 * noise - 1)).clamp(0, 1)
        for _ in range(n_steps):
            place = moved.detach().requires_grad_()
            loss = functional.cross_entropy(self.classifier(place * 2 - 1), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, place)
            moved = place.detach() + step * gradient.sign()
            moved = (pixels + (moved - pixels).clamp(-epsilon, epsilon)).clamp(0, 1)
        return self._within(moved, pixels)

    def _within(self, moved: Tensor, pixels: Tensor) -> Tensor:
        """Indices of the levels nearest to `moved` that are within epsilon of the levels `pixels`."""
        index = nearest_levels(moved, self.encoder.levels).long()
        change = self.levels[index] - pixels
        # The next level on the way back is on this side of `moved`, so within epsilon. What a float
        # rounds is less than a thousandth of the smallest step between levels.
        is_beyond = change.abs() > self.params.epsilon + 1e-6
        return (index - is_beyond * change.sign().long()).to(torch.uint8)

    @torch.no_grad()
    def _n_right(self, pixels: Tensor, labels: Tensor) -> int:
        """How many of the images (B, C, H, W) the classifier tells right."""
        return int((self.classifier(pixels * 2 - 1).argmax(dim=1) == labels).sum())


def _classifier(channels: int, size: tuple[int, int], width: int, n_labels: int) -> nn.Sequential:
    """Logits (B, K) of images (B, C, H, W) in [-1, 1]: convolutions that halve, then a layer."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.SiLU()]
    height, breadth = size
    wide = width
    while max(height, breadth) > SMALLEST_SIDE:
        narrow, wide = wide, 2 * width
        layers += [
            nn.Conv2d(narrow, wide, 3, stride=2, padding=1),
            nn.GroupNorm(4, wide),
            nn.SiLU(),
        ]
        height, breadth = (height + 1) // 2, (breadth + 1) // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(wide * height * breadth, n_labels))
