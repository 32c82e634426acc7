"""One training loop for every generator.

A generator says what its loss is (`forward` gives one loss per row); this module says how to
minimise it. Nothing here knows about tables, images, MLflow or params.yaml.

    encode the rows once -> set validation rows aside -> epochs of steps:
        AdamW on a one-cycle schedule, gradient norm clipped, weights averaged (EMA)
    -> after each epoch the loss of the averaged weights on the validation rows
    -> keep the best averaged weights; stop when they have not improved for `patience` epochs
       (without patience: train to the end and keep the last ones)

With `train.privacy` some of it is done otherwise: see `tasks.training.private`.

All randomness of step `i` is derived from (seed, i), so a training that was killed continues from
its checkpoint as if nothing had happened, and no state of a random generator is ever stored.

A generator may have several objectives (a GAN's critic and generator). Each has an optimizer over
its own weights; one step of the loop takes the steps of all of them in turn, each on other rows.
"""

import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.encoding.base import Batches, Encoder
from tasks.errors import ParamsError, TrainingError
from tasks.generators.base import DataGenerator, Recipe
from tasks.noise import new_key
from tasks.params import Record, TrainParams
from tasks.schema import DatasetSchema
from tasks.seeding import derive_seed, rng_for
from tasks.training import distributed
from tasks.training.checkpoint import Checkpoint
from tasks.training.data import Rows, budget_bytes
from tasks.training.device import choose_device, fast_products, reproducible, seed_torch
from tasks.training.distributed import Group
from tasks.training.model import Fitted
from tasks.training.order import Order
from tasks.training.private import Privacy, check_privacy
from tasks.training.progress import Progress
from tasks.training.roles import Roles
from tasks.training.schedule import learning_rate
from tasks.training.state import TrainingState
from tasks.training.step import Stepper
from tasks.training.transfer import Inherited, Origin, Parent, inherit

Report = Callable[[int, Mapping[str, float]], None]
"""Takes a step and the metrics measured there."""

LOG_STEPS = 50
"""Steps between two reports inside an epoch, and between two moments for a checkpoint."""

EVALUATION_ROWS = 1024
"""Rows of a batch of validation rows at least: no gradients, so more of them fit."""

_log = logging.getLogger(__name__)


def _silent(_step: int, _metrics: Mapping[str, float]) -> None:
    pass


def fit(
    generator_class: type[DataGenerator],
    generator_params: Record,
    schema: DatasetSchema,
    batches: Batches,
    settings: TrainParams,
    *,
    seed: int,
    checkpoint: Checkpoint | None = None,
    report: Report = _silent,
    key: bytes | None = None,
    roles: Roles | None = None,
    parent: Parent | None = None,
) -> Fitted:
    """Train a generator on the rows of a dataset's main table.

    With `train.processes` above 1, or under torchrun, several processes share each batch; see
    `tasks.training.distributed`.

    Args:
        generator_class: what to train.
        generator_params: its settings, a record of its `Params`.
        schema: of the dataset.
        batches: starts a pass over the training rows; for several processes one that can be sent
            to them, such as `StoredRows`.
        settings: section `train` of params.yaml; what is null there comes from the recipe.
        seed: of the dataset.
        checkpoint: where to continue from and to save to; None trains in one go.
        report: called with all metrics of the training, also those from before a resume.
        key: secret, for differential privacy; never the same one for other work. None: a new one,
            with which nothing can be repeated or continued.
        roles: what the rows are for; None: all are real, and some of them, drawn at random, are
            kept for validation. With privacy all rows are alike.
        parent: the model that `settings.init_from` names, see `tasks.training.parents`.

    Raises:
        ParamsError: the generator cannot be trained with the privacy that is asked for, or cannot
            start from the weights of the parent.
        DataError: the rows cannot be encoded.
        TrainingError: too few rows, a loss that is not finite, no such device, no memory, or a
            process that ended early.
    """
    check_privacy(generator_class, settings)
    if (settings.init_from is None) != (parent is None):
        raise ParamsError(
            f"train.init_from is {settings.init_from!r}, but the caller gave"
            f" {parent.place if parent else 'no model'} to start from"
        )
    key = key or new_key()
    work = _Work(
        generator_class, generator_params, schema, batches, settings, seed, key, roles, parent
    )
    if launched := distributed.launched():
        distributed.check_size(settings.processes, launched.size)
        return _join(work, launched, None, checkpoint, report)
    device = choose_device(settings.device)
    size = distributed.affordable(settings.processes, device)
    folder = checkpoint.folder if checkpoint else None
    with distributed.helpers(size, _help, work, folder) as store:
        return _join(work, Group(size=size), store, checkpoint, report)


@dataclass(frozen=True)
class _Work:
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


def _help(group: Group, store: Path, work: _Work, folder: Path | None) -> None:
    """What a process does that another one has started."""
    _join(work, group, store, Checkpoint(folder) if folder else None, _silent)


def _join(
    work: _Work, group: Group, store: Path | None, checkpoint: Checkpoint | None, report: Report
) -> Fitted:
    """Take part in a training as one of its processes; all of them end with the same weights."""
    settings, encoder_class = work.settings, work.generator_class.encoder_class
    device = choose_device(settings.device, group.local_rank)
    with reproducible(device, settings.threads), distributed.member(group, device, store):
        private = Privacy(settings.privacy, work.batches, work.key) if settings.privacy else None
        encoder = private.fit_encoder(work.schema, encoder_class) if private else work.fit_encoder()
        try:
            budget = budget_bytes(device, settings.memory_gib)
            scratch = checkpoint.folder if checkpoint else None
            rows = Rows.encode(encoder, work.batches, device, budget, scratch)
            # Made on the CPU, so that the first weights are the same on every device.
            seed_torch(derive_seed(work.seed, "weights"), device)
            generator = work.generator_class(encoder, work.generator_params).to(device)
            inherited = (
                inherit(generator, encoder, work.parent, settings.freeze) if work.parent else None
            )
            training = _Training(
                *(generator, encoder, rows, work),
                group=group,
                report=report,
                private=private,
                inherited=inherited,
            )
            with contextlib.nullcontext() if private else fast_products(device):
                training.run(checkpoint)
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"the {device.type} device has too little memory for this training: set"
                " train.memory_gib to what it has, lower train.batch_size, make the generator"
                " smaller, or set train.device to cpu"
            ) from error
        summary = training.summary()
        if work.parent and inherited:
            summary["parent"] = inherited.summary(work.parent)
        return Fitted(training.state.best_generator(), encoder, summary)


class _Training:
    """The loop and what it needs to know; its changing part is `state`."""

    def __init__(
        self,
        generator: DataGenerator,
        encoder: Encoder,
        rows: Rows,
        work: _Work,
        *,
        group: Group,
        report: Report,
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
        self.report = report if group.is_first else _silent
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
        self.turns = sum(objective.steps for objective in self.state.objectives.values())

    def run(self, checkpoint: Checkpoint | None) -> None:
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
        if state.best_loss is None:
            self._say("trained for %d epochs", state.epoch)
        else:
            self._say(
                "trained for %d epochs; best validation loss %.4f after epoch %d",
                *(state.epoch, state.best_loss, state.best_epoch),
            )

    def summary(self) -> dict[str, Any]:
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
        turn, means = 0, []
        for objective in state.objectives.values():
            state.select(objective.name)
            losses = []
            for _ in range(objective.steps):
                place = (state.step + turn * len(batches) // self.turns) % len(batches)
                losses.append(
                    self.stepper.minimise(
                        objective.name, batches[place], rate * objective.rate, turn
                    )
                )
                turn += 1
            means.append(torch.stack(losses).mean())
        state.update_average(self.recipe.ema_decay)
        state.step += 1
        return torch.stack(means)

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
