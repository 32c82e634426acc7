"""The contract of generators: a module whose forward pass *is* its loss, and which can sample.

To add a generator, write one file `tasks/generators/<kind>/<name>.py` with one subclass of
`DataGenerator` and its `Params`, then write `generator: <name>` in params.yaml. The training loop
does the rest: seeds, devices, schedules, clipping, weight averages, early stopping, checkpoints.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tasks.encoding.base import Encoder
from tasks.params import Record


class Recipe(Record):
    """How a generator wants to be trained where params.yaml does not say."""

    epochs: int
    batch_size: int
    learning_rate: float
    """Peak of the one-cycle schedule."""
    weight_decay: float
    patience: int
    """Epochs without a better validation loss before training stops."""
    ema_decay: float
    """Of the exponential moving average of the weights, which is what is kept."""


class DataGenerator(nn.Module, ABC):
    """A model of one table of rows, images or texts.

    Attributes:
        Params: the settings of this generator, each with its description.
        encoder_class: the encoder whose tensors `forward` takes and `sample` returns.
    """

    Params: ClassVar[type[Record]]
    encoder_class: ClassVar[type[Encoder]]

    @abstractmethod
    def __init__(self, encoder: Encoder, params: Record) -> None:
        """Build the network for what `encoder` has learned; weights come from torch's global rng."""
        super().__init__()

    @abstractmethod
    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of each row.

        Shape:
            batch: tensors as the encoder gives them, first dimension B.
            returns: (B,) float, in nats where the loss is a likelihood.
        """

    @abstractmethod
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw `n` rows.

        Args:
            n: rows to draw.
            rng: all randomness comes from it; it is on the device of the weights.
            conditions: values by column name that every drawn row must have.

        Returns:
            Tensors as the encoder gives them, on the device of the weights.

        Raises:
            TrainingError: a condition names a column or value that the model cannot fix.
        """

    @classmethod
    @abstractmethod
    def recipe(cls, n_rows: int) -> Recipe:
        """How to train on so many rows, unless params.yaml says otherwise."""
