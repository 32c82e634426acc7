"""One training loop for every generator.

A generator says what its loss is (`forward` gives one loss per row); this module says how to
minimise it. Nothing here knows about tables, images, MLflow or params.yaml.

    encode the rows once -> set validation rows aside -> epochs of steps:
        AdamW on a one-cycle schedule, gradient norm clipped, weights averaged (EMA)
    -> after each epoch the loss of the averaged weights on the validation rows
    -> keep the best averaged weights; stop when they have not improved for `patience` epochs

All randomness of step `i` is derived from (seed, i), so a training that was killed continues from
its checkpoint as if nothing had happened, and no state of a random generator is ever stored.

A generator with more than one objective (a GAN's critic and generator) will name them in
`objectives()`, and `_Training._step` will take one optimizer step for each; nothing else changes.
"""

import logging
import math
from collections.abc import Callable, Mapping
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
from tasks.training.device import choose_device, reproducible, seed_torch
from tasks.training.model import Fitted
from tasks.training.progress import Progress
from tasks.training.state import TrainingState

Report = Callable[[int, Mapping[str, float]], None]
"""Takes a step and the metrics measured there."""

LOG_STEPS = 50
"""Steps between two reports inside an epoch, and between two moments for a checkpoint."""

MAX_GRADIENT_NORM = 1.0
"""Longer gradients are shortened to it; 1 is the common choice and rarely needs another."""

WARMUP_FRACTION = 0.3
"""Share of all steps in which the learning rate rises; the rest of them it falls."""

EVALUATION_ROWS = 1024
"""Rows of a batch of validation rows at least: no gradients, so more of them fit."""

MIXED_PRECISION_PARAMETERS = 10_000_000
"""From this size on a CUDA device multiplies in bfloat16. A cautious guess: smaller networks wait for
the start of their kernels more than for the products."""

_log = logging.getLogger(__name__)


def fit(
    generator_class: type[DataGenerator],
    generator_params: Record,
    schema: DatasetSchema,
    batches: Batches,
    settings: TrainParams,
    *,
    seed: int,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda _step, _metrics: None,
) -> Fitted:
    """Train a generator on the rows of a dataset's main table.

    Args:
        generator_class: what to train.
        generator_params: its settings, a record of its `Params`.
        schema: of the dataset.
        batches: starts a pass over the training rows.
        settings: section `train` of params.yaml; what is null there comes from the recipe.
        seed: of the dataset.
        checkpoint: where to continue from and to save to; None trains in one go.
        report: called with all metrics of the training, also those from before a resume.

    Raises:
        DataError: the rows cannot be encoded.
        TrainingError: too few rows, a loss that is not finite, no such device, no memory.
    """
    device = choose_device(settings.device)
    with reproducible(device, settings.threads):
        encoder = generator_class.encoder_class.fit(schema, batches, rng_for(seed, "encode"))
        try:
            rows = _encode(encoder, batches, device)
            # Made on the CPU, so that the first weights are the same on every device.
            seed_torch(derive_seed(seed, "weights"), device)
            generator = generator_class(encoder, generator_params).to(device)
            training = _Training(generator, rows, settings, seed, report)
            training.run(checkpoint)
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"the {device.type} device has too little memory for this training: lower"
                " train.batch_size, make the generator smaller, or set train.device to cpu"
            ) from error
        return Fitted(training.state.best_generator(), encoder, training.summary())


def learning_rate(step: int, n_steps: int, peak: float) -> float:
    """One cycle: a cosine from peak / 25 up to the peak, then a cosine down to almost nothing.

    Args:
        step: from 0.
        n_steps: of the whole training, if it is not stopped early.
        peak: reached after `WARMUP_FRACTION` of the steps.

    Source:
        Smith and Topin, Super-Convergence, 2018, arXiv:1708.07120.
    Differs:
        Cosines instead of straight lines, as in torch's OneCycleLR; the momentum stays.
    """
    n_warmup = max(1, round(WARMUP_FRACTION * n_steps))
    if step < n_warmup:
        start, end, share = peak / 25, peak, step / n_warmup
    else:
        start, end, share = peak, peak / 1e4, (step - n_warmup) / max(1, n_steps - n_warmup)
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


class _Training:
    """The loop and what it needs to know; its changing part is `state`."""

    def __init__(
        self,
        generator: DataGenerator,
        rows: dict[str, Tensor],
        settings: TrainParams,
        seed: int,
        report: Report,
    ) -> None:
        self.rows = rows
        self.seed = seed
        self.report = report
        n_rows = _n_rows(rows)
        self.device = next(iter(rows.values())).device
        n_validation = max(1, round(n_rows * settings.validation_fraction))
        if n_rows - n_validation < 1:
            raise TrainingError(f"expected at least 2 rows to train on, found {n_rows}")
        order = self._to_device(rng_for(seed, "validation").permutation(n_rows))
        self.validation, self.train = order[:n_validation], order[n_validation:]
        self.recipe = _recipe(type(generator), len(self.train), settings)
        self.epoch_steps = math.ceil(len(self.train) / self.recipe.batch_size)
        self.n_steps = self.epoch_steps * self.recipe.epochs
        self.n_parameters = sum(p.numel() for p in generator.parameters())
        self.state = TrainingState(generator, self.recipe)

    def run(self, checkpoint: Checkpoint | None) -> None:
        state = self.state
        if checkpoint and (saved := checkpoint.load()):
            state.restore(*saved)
            _log.info("continuing a training that was stopped at step %d", state.step)
            for step, metrics in state.history:
                self.report(step, metrics)
        self._announce()
        with Progress(self.n_steps, state.step) as progress:
            while not self._is_over():
                # Equal to within one row: no small last batch with a noisy gradient.
                order = self._order(state.epoch).tensor_split(self.epoch_steps)
                losses: list[Tensor] = []
                for batch in order[state.step - state.epoch * self.epoch_steps :]:
                    losses.append(self._step(batch))
                    ends_epoch = state.step == (state.epoch + 1) * self.epoch_steps
                    if ends_epoch or state.step % LOG_STEPS == 0:
                        self._record(losses, ends_epoch)
                        losses = []
                        progress.show(math.ceil(state.step / self.epoch_steps), *state.history[-1])
                        if checkpoint and (checkpoint.is_due() or self._is_over()):
                            checkpoint.save(state.tensors(), state.content())
        _log.info(
            "trained for %d epochs; best validation loss %.4f after epoch %d",
            *(state.epoch, state.best_loss, state.best_epoch),
        )

    def _announce(self) -> None:
        _log.info(
            "training %s (%s parameters) on %d rows, %d more for validation, on %s;"
            " %d steps an epoch, %d epochs at most",
            *(type(self.state.generator).__name__, f"{self.n_parameters:,}"),
            *(len(self.train), len(self.validation), self.device.type),
            *(self.epoch_steps, self.recipe.epochs),
        )

    def summary(self) -> dict[str, Any]:
        state = self.state
        epochs = [(step, m) for step, m in state.history if "validation_loss" in m]
        return {
            "rows": len(self.train) + len(self.validation),
            "validation_rows": len(self.validation),
            "parameters": self.n_parameters,
            "recipe": self.recipe.model_dump(),
            "steps": state.step,
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            "best_validation_loss": state.best_loss,
            "history": [{"step": step, **metrics} for step, metrics in epochs],
        }

    def _step(self, batch: Tensor) -> Tensor:
        """One step of the optimizer on these rows; returns the loss, still on the device."""
        state = self.state
        seed_torch(derive_seed(self.seed, "train", state.step), self.device)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(state.step, self.n_steps, self.recipe.learning_rate)
        state.generator.train()
        loss = self._losses(state.generator, batch).mean()
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(state.generator.parameters(), MAX_GRADIENT_NORM)
        state.optimizer.step()
        state.update_average(self.recipe.ema_decay)
        state.step += 1
        return loss.detach()

    def _losses(self, generator: DataGenerator, index: Tensor) -> Tensor:
        rows = {name: tensor[index] for name, tensor in self.rows.items()}
        mixed = self.device.type == "cuda" and self.n_parameters >= MIXED_PRECISION_PARAMETERS
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            losses: Tensor = generator(rows)
        if losses.shape != index.shape:
            raise TrainingError(
                f"{type(generator).__name__}.forward must give one loss per row: expected the shape"
                f" {tuple(index.shape)}, found {tuple(losses.shape)}"
            )
        return losses.float()

    def _record(self, losses: list[Tensor], ends_epoch: bool) -> None:
        """Report the steps since the last time; at the end of an epoch, validate."""
        state = self.state
        values = torch.stack(losses).tolist()
        for step, value in enumerate(values, start=state.step - len(values) + 1):
            self._check(value, f"the training loss at step {step}")
        metrics = {
            "train_loss": math.fsum(values) / len(values),
            "learning_rate": state.optimizer.param_groups[0]["lr"],
        }
        if ends_epoch:
            state.epoch += 1
            metrics |= {"validation_loss": self._validate(), "epoch": state.epoch}
            state.keep_best(metrics["validation_loss"])
        state.history.append((state.step, metrics))
        self.report(state.step, metrics)

    @torch.no_grad()
    def _validate(self) -> float:
        """Mean loss of the averaged weights; the same noise each time, so that epochs compare."""
        seed_torch(derive_seed(self.seed, "validate"), self.device)
        n_rows = max(EVALUATION_ROWS, self.recipe.batch_size)
        pieces = torch.split(self.validation, n_rows)
        sums = [self._losses(self.state.average, piece).double().sum() for piece in pieces]
        loss = float(torch.stack(sums).sum()) / len(self.validation)
        self._check(loss, f"the validation loss after epoch {self.state.epoch}")
        return loss

    def _check(self, loss: float, what: str) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"{what} is {loss}, not a finite number: try a lower train.learning_rate (it is"
                f" {self.recipe.learning_rate:g}), or look for extreme values in the data"
            )

    def _is_over(self) -> bool:
        state = self.state
        return (
            state.epoch >= self.recipe.epochs
            or state.epoch - state.best_epoch >= self.recipe.patience
        )

    def _order(self, epoch: int) -> Tensor:
        order = rng_for(self.seed, "order", epoch).permutation(len(self.train))
        return self.train[self._to_device(order)]

    def _to_device(self, array: Any) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def _encode(encoder: Encoder, batches: Batches, device: torch.device) -> dict[str, Tensor]:
    """All rows as tensors on the device, where they stay for the whole training."""
    pieces = [encoder.encode(batch) for batch in batches() if batch.num_rows]
    if not pieces:
        raise TrainingError("expected rows to train on, found none")
    return {name: torch.cat([p[name] for p in pieces]).to(device) for name in pieces[0]}


def _n_rows(rows: Mapping[str, Tensor]) -> int:
    return len(next(iter(rows.values())))


def _recipe(generator_class: type[DataGenerator], n_rows: int, settings: TrainParams) -> Recipe:
    """The generator's own recipe, with what params.yaml says instead."""
    said = settings.model_dump(include=set(Recipe.model_fields), exclude_none=True)
    return generator_class.recipe(n_rows).model_copy(update=said)
