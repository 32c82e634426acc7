"""Differential privacy in the training loop: what is done instead where `train.privacy` is set.

    encoder: learned with noise          rows of a step: each with the same probability, secretly
    gradients: clipped row by row, noise added          validation, early stopping, losses: none

The loop asks `Privacy` for these and is otherwise the same. See `tasks.privacy.dp_sgd` for what is
guaranteed and docs/decisions/0009-noise-from-a-secret-key.md for where the noise comes from.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tasks.encoding.base import Batches, Encoder, count
from tasks.encoding.modes import ModeSpecificEncoder
from tasks.encoding.private import fit_private
from tasks.encoding.tabular import TabularEncoder
from tasks.errors import ParamsError, TrainingError
from tasks.generators.base import DataGenerator, Recipe
from tasks.noise import SecretNoise
from tasks.params import DatasetParams, PrivacyParams, TrainParams
from tasks.privacy.dp_sgd import Budget, DpSgd
from tasks.schema import DatasetSchema
from tasks.training.data import Rows
from tasks.training.distributed import Group
from tasks.training.state import TrainingState
from tasks.training.step import Stepper

EPOCHS = 20
"""Passes over the rows. More steps need more noise each; chosen on validation rows of adult."""

STEPS_A_PASS = 16
"""Large batches: the noise of a step is the same for few rows as for many."""

MIN_BATCH_ROWS = 256

LEARNING_RATE_FACTOR = 2.0
"""Of the generator's own rate: noise averages out over the steps, clipping shortens them."""

EMA_DECAY = 0.99

PRIVATE_ENCODERS: tuple[type[Encoder], ...] = (TabularEncoder, ModeSpecificEncoder)
"""Encoders that can be fitted with privacy: all others look at the rows without noise."""

EPSILON_REPORTS = 10
"""Times in a training at which epsilon is computed, which takes about a second."""


def check_privacy(
    generator_class: type[DataGenerator], settings: TrainParams, where: str = "train"
) -> None:
    """See that a generator can be trained with the privacy that is asked for.

    Args:
        generator_class: what is to be trained.
        settings: section `train` of params.yaml.
        where: its path, for messages.

    Raises:
        ParamsError: it cannot.
    """
    if settings.privacy is None:
        return
    if not generator_class.supports_dp:
        raise ParamsError(
            f"{where}.privacy: {generator_class.__name__} cannot be trained with differential"
            " privacy; choose a generator that can (autoregressive, tabdiff, tvae or vae for tables),"
            " or set privacy to null"
        )
    if generator_class.encoder_class not in PRIVATE_ENCODERS:
        raise ParamsError(
            f"{where}.privacy: {generator_class.encoder_class.__name__} cannot be fitted with"
            " differential privacy; choose a generator of tables"
        )
    if settings.processes > 1:
        raise ParamsError(
            f"{where}.privacy needs one process: set {where}.processes to 1, or privacy to null"
        )


def check_private_dataset(
    generator_class: type[DataGenerator], params: DatasetParams, where: str
) -> None:
    """The same for all settings of a dataset; `where` is the path of its entry.

    Raises:
        ParamsError: it cannot, or another stage would make one row count for more than one.
    """
    check_privacy(generator_class, params.train, f"{where}.train")
    if params.train.privacy and params.constraints:
        raise ParamsError(
            f"{where}.constraints: expected none together with train.privacy: what they bind is"
            " learned from the rows without noise; remove them, or set privacy to null"
        )
    if params.train.privacy and params.balance.method != "none":
        raise ParamsError(
            f"{where}.balance.method: expected none together with train.privacy, found"
            f" {params.balance.method!r}: it chooses rows by looking at others, so the guarantee"
            " for one row would not hold"
        )


class Privacy:
    """What a training with privacy does otherwise.

    Args:
        settings: section `privacy`.
        batches: the training rows; their number is public.
        key: secret; the same one for the same work alone.
    """

    def __init__(self, settings: PrivacyParams, batches: Batches, key: bytes) -> None:
        self._settings = settings
        self._batches = batches
        self._noise = SecretNoise(key)
        self._n_rows = count(batches)
        if self._n_rows < 2:
            raise TrainingError(f"expected at least 2 rows to train on, found {self._n_rows}")
        self._budget = Budget(settings, self._n_rows)

    def fit_encoder(self, schema: DatasetSchema, encoder_class: type[Encoder]) -> TabularEncoder:
        """The encoder, learned with noise; what another kind needs beside it is computed from it."""
        encoder = fit_private(
            schema,
            self._batches,
            self._noise,
            noise_multiplier=self._budget.encoder_noise,
            delta=self._budget.encoder_delta,
        )
        if issubclass(encoder_class, ModeSpecificEncoder):
            return encoder_class.from_tabular(encoder)
        return encoder

    def recipe(self, own: Recipe, settings: TrainParams) -> Recipe:
        """How to train: as params.yaml says, else longer steps on larger batches than without."""
        batch_size = max(MIN_BATCH_ROWS, math.ceil(self._n_rows / STEPS_A_PASS))
        self._batch_size = min(settings.batch_size or batch_size, self._n_rows)
        return own.model_copy(
            update={
                "epochs": settings.epochs or EPOCHS,
                "batch_size": self._batch_size,
                "learning_rate": settings.learning_rate or LEARNING_RATE_FACTOR * own.learning_rate,
                "weight_decay": 0.0,
                "patience": None,
                "ema_decay": EMA_DECAY,
            }
        )

    def stepper(
        self, state: TrainingState, rows: Rows, seed: int, group: Group, *, steps: int
    ) -> "PrivateStepper":
        """What takes the steps of a training of so many."""
        _one_objective(state)
        mechanism = DpSgd(
            state.generator,
            self._budget,
            self._noise,
            max_grad_norm=self._settings.max_grad_norm,
            n_rows=len(rows),
            batch_size=self._batch_size,
            steps=steps,
        )
        stepper = PrivateStepper(state, rows, seed, group, mechanism)
        stepper.check()
        return stepper


class PrivateStepper(Stepper):
    """Takes steps of DP-SGD on rows that it chooses itself."""

    def __init__(
        self, state: TrainingState, rows: Rows, seed: int, group: Group, mechanism: DpSgd
    ) -> None:
        super().__init__(state, rows, seed, group)
        self.mechanism = mechanism

    def cut(self, n_processes: int, batch_size: int, memory_gib: float | None) -> None:
        """Nothing: the rows of a step are taken in parts of a fixed size anyway."""
        del n_processes, batch_size, memory_gib

    def check(self) -> None:
        """See, before the first step, that gradients can be clipped row by row.

        Raises:
            TrainingError: they cannot.
        """
        generator = self.state.generator.train()
        everything = torch.arange(len(self.rows), device=self.rows.home)
        (objective,) = self.state.objectives
        self.mechanism.check(
            lambda part: self._row_losses(generator, objective, everything[part]), len(self.rows)
        )

    def minimise(self, objective: str, batch: Tensor, rate: float, turn: int) -> Tensor:
        """One step; `batch` and `turn` are not used. The mean loss that it returns is not private."""
        del batch, turn
        step, generator = self.state.step, self.state.generator
        index = self.mechanism.sample(step).to(self.rows.home)
        loss = self.mechanism.set_gradients(
            step, index, lambda part: self._row_losses(generator, objective, part)
        )
        optimizer = self.state.optimizers[objective]
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        return loss

    def content(self) -> dict[str, Any]:
        """The accountant's state, for a checkpoint."""
        return {"privacy": self.mechanism.state(self.state.step)}

    def restore(self, content: Mapping[str, Any]) -> None:
        """See that a checkpoint was made with the noise that would be used from here on.

        Raises:
            TrainingError: it was not, so that the accountant could not tell what was spent.
        """
        expected = self.content()["privacy"]
        if content.get("privacy") != expected:
            raise TrainingError(
                f"the checkpoint's accountant has {content.get('privacy')!r}, expected"
                f" {expected!r}: another version of a library made it; remove the checkpoint"
            )

    def metrics(self, epochs: int) -> dict[str, float]:
        """What may be told after an epoch: epsilon so far, now and then."""
        state = self.state
        every = max(1, epochs // EPSILON_REPORTS)
        if state.epoch % every and state.epoch != epochs:
            return {}
        return {"epsilon": self.mechanism.epsilon(state.step)}

    def summary(self) -> dict[str, Any]:
        """The guarantee, as it is published."""
        return {"privacy": self.mechanism.summary(self.state.step)}

    def _row_losses(self, generator: DataGenerator, objective: str, index: Tensor) -> Tensor:
        """In full precision: rounded lengths would clip too little."""
        losses: Tensor = generator(self.rows.take(index), objective)
        if losses.shape != index.shape:
            raise TrainingError(
                f"{type(generator).__name__}.forward must give one loss per row: expected the shape"
                f" {tuple(index.shape)}, found {tuple(losses.shape)}"
            )
        return losses


def _one_objective(state: TrainingState) -> None:
    if len(state.objectives) > 1 or len(state.optimizers) != 1:
        raise TrainingError(
            f"{type(state.generator).__name__} cannot be trained with privacy: expected one"
            f" objective that moves weights, found {list(state.objectives)}"
        )
