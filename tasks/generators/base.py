"""The contract of generators: a module whose forward pass *is* its loss, and which can sample.

To add a generator, write one file `tasks/generators/<kind>/<name>.py` with one subclass of
`DataGenerator` and its `Params`, then write `generator: <name>` in params.yaml. The training loop
does the rest: seeds, devices, schedules, clipping, weight averages, early stopping, checkpoints.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tasks.encoding.base import Encoder
from tasks.params import Record
from tasks.schema import DatasetSchema

EPOCH_ROWS = 1_000_000
"""Rows of an epoch at most; the next one goes on with the rows that follow. So a training on very
many rows is validated, and may stop, before it has seen all of them."""


class Recipe(Record):
    """How a generator wants to be trained where params.yaml does not say."""

    epochs: int
    batch_size: int
    learning_rate: float
    """Peak of the schedule."""
    weight_decay: float
    patience: int | None
    """Epochs without a better validation loss before training stops and goes back to the best; None:
    train to the end and keep the last weights, as for a GAN, whose losses do not tell its best epoch."""
    ema_decay: float
    """Of the exponential moving average of the weights, which is what is kept."""
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    """Of the learning rate."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Of AdamW. The second is below the usual 0.999, because trainings here have few steps to average
    over."""


@dataclass(frozen=True)
class Objective:
    """A loss and the weights that it moves: a GAN has two, taken in turn.

    Attributes:
        name: what `forward` is told.
        module: name of the sub-module whose weights it moves; None: all weights.
        steps: steps of its optimizer for each step of the loop, each on a batch of its own.
        rate: its learning rate, as a multiple of the recipe's.
    """

    name: str
    module: str | None = None
    steps: int = 1
    rate: float = 1.0


class DataGenerator(nn.Module, ABC):
    """A model of one table of rows, images or texts.

    Attributes:
        Params: the settings of this generator, each with its description.
        encoder_class: the encoder whose tensors `forward` takes and `sample` returns.
        supports_dp: whether it can be trained with differential privacy: one objective, no loss of
            a row that depends on other rows, and a `TabularEncoder`, which can be fitted privately.
        holds_target: whether rows can be drawn for given values of the target.
        learns_in_steps: whether it learns from the rows that the loop gives it; else its encoder has
            learned all, and rows that are added or weighed change nothing.
        draws_real_rows: whether what it draws are real rows, changed a little. Such samples are as
            private as the rows themselves: no log of the training shows them.
    """

    Params: ClassVar[type[Record]]
    encoder_class: ClassVar[type[Encoder]]
    supports_dp: ClassVar[bool] = False
    holds_target: ClassVar[bool] = True
    learns_in_steps: ClassVar[bool] = True
    draws_real_rows: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, encoder: Encoder, params: Record) -> None:
        """Build the network for what `encoder` has learned; weights come from torch's global rng."""
        super().__init__()

    def objectives(self) -> list[Objective]:
        """What to minimise, in the order in which the loop takes a step for each."""
        return [Objective("loss")]

    def label_axes(self, n_labels: int) -> dict[str, int]:
        """Names of weights with a slice for each label -> the dimension along which the slices are.

        Slices behind those of the labels stand for none of them. A training that starts from another
        model (`tasks.training.transfer`) takes over the slices of labels that both know. By default
        these are all embeddings of so many labels, or of one more.
        """
        return {
            f"{name}.weight": 0
            for name, module in self.named_modules()
            if isinstance(module, nn.Embedding) and module.num_embeddings - n_labels in (0, 1)
        }

    @abstractmethod
    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """The loss of each row, finite also for a single row, in training and in evaluation.

        A loss that needs several rows at once (of a pack, of batch statistics) is repeated for
        each of them. While a step is taken for an objective, only the weights of its module need
        gradients; a validation loss is asked for without any.

        Args:
            batch: rows as the encoder gives them.
            objective: the name of one of `objectives()`.

        Shape:
            batch: tensors with first dimension B.
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
            conditions: by column name, what the drawn rows must have there: one value for all of
                them, or an Arrow array or a list of `n` values, one a row.

        Returns:
            Tensors as the encoder gives them, on the device of the weights.

        Raises:
            TrainingError: a condition names a column or value that the model cannot fix.
        """

    @classmethod
    @abstractmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """How to train on so many rows of such data, unless params.yaml says otherwise."""
