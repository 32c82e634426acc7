"""The epochs of a training: what `tasks.training.loop` describes, step by step."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tasks.encoding.base import Batches, Encoder
from tasks.errors import TrainingError
from tasks.generators.base import DataGenerator, Recipe
from tasks.params import Record, TrainParams
from tasks.schema import DatasetSchema
from tasks.seeding import derive_seed, rng_for
from tasks.training.checkpoint import Checkpoint
from tasks.training.data import Rows
from tasks.training.device import seed_torch
from tasks.training.distributed import Group
from tasks.training.order import Order
from tasks.training.private import Privacy
from tasks.training.progress import Progress
from tasks.training.roles import Roles
from tasks.training.schedule import learning_rate
from tasks.training.state import TrainingState
from tasks.training.step import Stepper
from tasks.training.transfer import Inherited, Origin, Parent
from tasks.training.watch import Observer, Watch

Report = Callable[[int, Mapping[str, float]], None]
"""Takes a step and the metrics measured there."""

LOG_STEPS = 50
"""Steps between two reports inside an epoch, and between two moments for a checkpoint."""

EVALUATION_ROWS = 1024
"""Rows of a batch of validation rows at least: no gradients, so more of them fit."""

_log = logging.getLogger(__name__)


def silent(_step: int, _metrics: Mapping[str, float]) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Audience:
    """Whoever is told of a training: its metrics, and its samples."""

    report: Report = silent
    observer: Observer | None = None


@dataclass(frozen=True)
class Work:
    """The arguments of `fit` that every process needs."""

    generator_class: type[DataGenerator]
    generator_params: Record
    schema: DatasetSchema
    batches: Batches
    settings: TrainParams
    seed: int
    key: bytes
    roles: Roles | None
    parent: Parent | None

    def fit_encoder(self) -> Encoder:
        """The encoder of the real rows, which speaks the language of the parent's."""
        rows = self.roles.real if self.roles else self.batches
        rng = rng_for(self.seed, "encode")
        if self.parent:
            self.parent.check(self.generator_class)
            return self.parent.encoder.refit(self.schema, rows, rng)
        return self.generator_class.encoder_class.fit(self.schema, rows, rng)


class Trainer:
    """The loop and what it needs to know.

    Attributes:
        state: its changing part.
    """

    def __init__(
        self,
        generator: DataGenerator,
        encoder: Encoder,
        rows: Rows,
        work: Work,
        *,
        group: Group,
        audience: Audience,
        private: Privacy | None,
        inherited: Inherited | None,
    ) -> None:
        settings = work.settings
        self.origin = Origin(work.generator_class, encoder)
        self.rows = rows
        self.seed = work.seed
        self.encrypt = work.schema.encrypted
        self.private = private is not None
        self.group = group
        self.report = audience.report if group.is_first else silent
        # Validation looks at rows, which would cost privacy.
        fraction = 0.0 if private else settings.validation_fraction
        self.order = Order(len(rows), fraction, work.roles, work.seed, rows.home)
        self.recipe = _recipe(type(generator), len(self.order.train), work.schema, settings)
        if private:
            self.recipe = private.recipe(self.recipe, settings)
        self.epoch_steps = math.ceil(self.order.epoch_rows / self.recipe.batch_size)
        self.n_steps = self.epoch_steps * self.recipe.epochs
        still = inherited.still if inherited else ()
        self.state = TrainingState(generator, self.recipe, still)
        self.stepper = (
            private.stepper(self.state, rows, self.seed, group, steps=self.n_steps)
            if private
            else Stepper(self.state, rows, self.seed, group)
        )
        self.stepper.cut(settings.processes, self.recipe.batch_size, settings.memory_gib)
        self.watch = None
        if group.is_first and work.schema.kind != "tabular":
            self.watch = Watch(
                *(encoder, rows, self.order),
                seed=work.seed,
                epochs=self.recipe.epochs,
                observer=audience.observer,
            )
        self.turns = sum(objective.steps for objective in self.state.objectives.values())

    def run(self, checkpoint: Checkpoint | None) -> None:
        """Train to the end, from a checkpoint if there is one."""
        state = self.state
        # The first process may have waited for others that do the same work.
        self.group.wait()
        if checkpoint and (saved := checkpoint.load()):
            state.restore(*saved)
            self.stepper.restore(saved[1])
            self._say("continuing a training that was stopped at step %d", state.step)
            for step, metrics in state.history:
                self.report(step, metrics)
        # No process may write the next checkpoint before all have read this one.
        steps = self.group.gather(torch.tensor([state.step], device=self.rows.device))
        if len({int(step) for step in steps}) > 1:
            raise TrainingError(
                "expected all processes to continue from the same checkpoint, found the steps"
                f" {[int(step) for step in steps]}: let all of them see the same state folder"
            )
        self._announce()
        with Progress(self.n_steps, state.step, shown=self.group.is_first) as progress:
            while not self._is_over():
                # Equal to within one row: no small last batch with a noisy gradient.
                batches = self.order.epoch(state.epoch).tensor_split(self.epoch_steps)
                losses: list[Tensor] = []
                for _ in batches[state.step - state.epoch * self.epoch_steps :]:
                    losses.append(self._step(batches))
                    ends_epoch = state.step == (state.epoch + 1) * self.epoch_steps
                    if ends_epoch or state.step % LOG_STEPS == 0:
                        self._record(losses, ends_epoch)
                        losses = []
                        progress.show(math.ceil(state.step / self.epoch_steps), *state.history[-1])
                        if checkpoint and self.group.is_first:
                            self._save(checkpoint)
        if self.watch:
            self.report(state.step, self.watch.finish(state.best_generator(), state.step))
        if state.best_loss is None:
            self._say("trained for %d epochs", state.epoch)
        else:
            self._say(
                "trained for %d epochs; best validation loss %.4f after epoch %d",
                *(state.epoch, state.best_loss, state.best_epoch),
            )

    def summary(self) -> dict[str, Any]:
        """What the model's summary tells of the training."""
        state = self.state
        epochs = [(step, m) for step, m in state.history if "validation_loss" in m]
        return {
            "rows": len(self.order.train) + len(self.order.validation),
            "validation_rows": len(self.order.validation),
            "parameters": self.stepper.n_parameters,
            "recipe": self.recipe.model_dump(mode="json"),
            "parts": self.stepper.n_parts,
            "steps": state.step,
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            "best_validation_loss": state.best_loss,
            "history": [{"step": step, **metrics} for step, metrics in epochs],
            **self.stepper.summary(),
            **(self.watch.findings if self.watch else {}),
        }

    def _announce(self) -> None:
        self._say(
            "training %s (%s parameters) on %d rows, %d more for validation, on %s;"
            " %d steps an epoch, %d epochs at most",
            *(type(self.state.generator).__name__, f"{self.stepper.n_parameters:,}"),
            *(len(self.order.train), len(self.order.validation), self.rows.device.type),
            *(self.epoch_steps, self.recipe.epochs),
        )
        if self.rows.is_mapped:
            self._say("the rows are in files: they would take too much of the memory")
        if self.stepper.n_parts > 1:
            parts, size = self.stepper.n_parts, self.group.size
            self._say("each batch is cut into %d parts for %d process(es)", parts, size)

    def _say(self, message: str, *values: object) -> None:
        if self.group.is_first:
            _log.info(message, *values)

    def _save(self, checkpoint: Checkpoint) -> None:
        if checkpoint.is_due() or self._is_over():
            checkpoint.save(
                {**self.state.tensors(), **self.origin.tensors()},
                {**self.state.content(), **self.stepper.content(), **self.origin.content()},
                encrypt=self.encrypt,
            )

    def _step(self, batches: Sequence[Tensor]) -> Tensor:
        """One step of the loop; returns the mean loss of each objective, still on the device.

        Args:
            batches: of the epoch. Each step of an optimizer goes once through all of them, those
                that are taken together at different places.
        """
        state = self.state
        seed_torch(derive_seed(self.seed, "train", state.step), self.rows.device)
        rate = learning_rate(self.recipe, state.step, self.n_steps)
        if not state.generator.training:
            state.train()
        own = self._batches(batches, state.step)
        if self.stepper.n_parts == 1 and not self.private:
            ends_epoch = (state.step + 1) % len(batches) == 0
            self.rows.prepare(
                [*own, *([] if ends_epoch else self._batches(batches, state.step + 1))]
            )
        turn, means = 0, []
        for objective in state.objectives.values():
            state.select(objective.name)
            losses = []
            for _ in range(objective.steps):
                losses.append(
                    self.stepper.minimise(objective.name, own[turn], rate * objective.rate, turn)
                )
                turn += 1
            means.append(torch.stack(losses).mean())
        state.update_average(self.recipe.ema_decay)
        state.step += 1
        return torch.stack(means)

    def _batches(self, batches: Sequence[Tensor], step: int) -> list[Tensor]:
        """The batch of each step of an optimizer within a step of the loop."""
        return [
            batches[(step + turn * len(batches) // self.turns) % len(batches)]
            for turn in range(self.turns)
        ]

    def _record(self, losses: list[Tensor], ends_epoch: bool) -> None:
        """Report the steps since the last time; at the end of an epoch, validate."""
        state = self.state
        values = torch.stack(losses).tolist()
        for step, row in enumerate(values, start=state.step - len(values) + 1):
            self._check(math.fsum(row), f"the training loss at step {step}")
        means = [math.fsum(column) / len(values) for column in zip(*values, strict=True)]
        # Losses are computed from rows: with privacy, nobody is told.
        metrics = {} if self.private else self._named("train_loss", "{}_loss", means)
        metrics["learning_rate"] = learning_rate(self.recipe, state.step - 1, self.n_steps)
        if ends_epoch:
            state.epoch += 1
            if len(self.order.validation):
                metrics |= self._named("validation_loss", "validation_{}_loss", self._validate())
            metrics["epoch"] = state.epoch
            metrics |= self.stepper.metrics(self.recipe.epochs)
            state.keep_best(metrics.get("validation_loss"), always=self.recipe.patience is None)
        self.rows.release()
        state.history.append((state.step, metrics))
        if ends_epoch and self.watch and not self._is_over():
            # Not kept: whether there is a look depends on the time.
            metrics = metrics | self.watch.after_epoch(state.average, state.epoch, state.step)
        self.report(state.step, metrics)

    def _named(self, total: str, each: str, losses: list[float]) -> dict[str, float]:
        """The sum of the objectives' losses, and each of them where there are several."""
        named = {total: math.fsum(losses)}
        if len(losses) > 1:
            names = map(each.format, self.state.objectives)
            named |= dict(zip(names, losses, strict=True))
        return named

    @torch.no_grad()
    def _validate(self) -> list[float]:
        """Mean loss of the averaged weights by objective; always with the same noise."""
        n_rows = max(EVALUATION_ROWS, self.recipe.batch_size // self.stepper.n_parts)
        pieces = torch.split(self.order.validation, n_rows)
        weights = torch.split(self.order.validation_weights.to(self.rows.device), n_rows)
        sums = torch.zeros(len(self.state.objectives), len(pieces), dtype=torch.float64)
        for o, objective in enumerate(self.state.objectives):
            for i in range(self.group.rank, len(pieces), self.group.size):
                seed_torch(derive_seed(self.seed, "validate", i), self.rows.device)
                losses = self.stepper.losses(self.state.average, objective, pieces[i])
                sums[o, i] = (losses.double() * weights[i]).sum()
            self.rows.release()
        own = sums.to(self.rows.device)
        # Zeros for the pieces of others: the sum is the same however many there are.
        total = torch.stack(list(self.group.gather(own))).sum(dim=(0, 2))
        total /= float(self.order.validation_weights.sum())
        for loss in total.tolist():
            self._check(loss, f"the validation loss after epoch {self.state.epoch}")
        return [float(loss) for loss in total]

    def _check(self, loss: float, what: str) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"{what} is {loss}, not a finite number: try a lower train.learning_rate (it is"
                f" {self.recipe.learning_rate:g}), or look for extreme values in the data"
            )

    def _is_over(self) -> bool:
        state = self.state
        if state.epoch >= self.recipe.epochs:
            return True
        patience = self.recipe.patience
        return patience is not None and state.epoch - state.best_epoch >= patience


def _recipe(
    generator_class: type[DataGenerator], n_rows: int, schema: DatasetSchema, settings: TrainParams
) -> Recipe:
    """The generator's own recipe, with what params.yaml says instead."""
    said = settings.model_dump(include=set(Recipe.model_fields), exclude_none=True)
    return generator_class.recipe(n_rows, schema).model_copy(update=said)
