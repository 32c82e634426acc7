"""One step of an optimizer, on a batch that may be cut into parts for memory or for processes."""

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from tasks.errors import TrainingError
from tasks.generators.base import DataGenerator
from tasks.seeding import derive_seed
from tasks.training.data import DATA_SHARE, GIB, Rows, bytes_per_row
from tasks.training.device import seed_torch
from tasks.training.distributed import Group
from tasks.training.state import TrainingState

MAX_GRADIENT_NORM = 1.0
"""Longer gradients are shortened to it; 1 is the common choice and rarely needs another."""

MIXED_PRECISION_PARAMETERS = 10_000_000
"""From this size on a CUDA device multiplies in bfloat16. A cautious guess: smaller networks wait for
the start of their kernels more than for the products."""

PROBE_ROWS = 64
"""Rows of the batch from which the memory that a row takes is measured."""


class Stepper:
    """Takes steps for the objectives of a training.

    A batch in one part is one forward and one backward pass. In several parts, each has passes and
    noise of its own, gradients are added in their order, and running statistics (of batch
    normalisation) follow the first part; losses that need several rows find them within a part.

    Attributes:
        n_parts: into which a batch is cut; a multiple of the processes.
        n_parameters: of the generator.
    """

    def __init__(self, state: TrainingState, rows: Rows, seed: int, group: Group) -> None:
        self.state = state
        self.rows = rows
        self.seed = seed
        self.group = group
        self.n_parts = 1
        self.n_parameters = sum(p.numel() for p in state.generator.parameters())

    def cut(self, n_processes: int, batch_size: int, memory_gib: float | None) -> None:
        """Choose the parts: one a process, or more where a step would take too much memory.

        Args:
            n_processes: a batch is cut into a multiple of them.
            batch_size: rows of a batch.
            memory_gib: what the training may take; None: whatever it takes.

        Raises:
            TrainingError: not even one row fits.
        """
        n_parts = 1
        if memory_gib is not None:
            budget = (1 - DATA_SHARE) * memory_gib * GIB
            needed = self._bytes_per_row()
            if needed > budget:
                raise TrainingError(
                    f"a step needs {needed / GIB:.3g} GiB for each row, but train.memory_gib grants"
                    f" {budget / GIB:.3g}: expected at least"
                    f" {needed / GIB / (1 - DATA_SHARE):.3g}, found {memory_gib:.3g}"
                )
            n_parts = math.ceil(batch_size / max(1, int(budget / max(needed, 1))))
        self.n_parts = math.ceil(n_parts / n_processes) * n_processes

    def metrics(self, epochs: int) -> dict[str, float]:
        """What the steps tell after an epoch of so many."""
        del epochs
        return {}

    def content(self) -> dict[str, Any]:
        """What a checkpoint must hold of the steps, beside the training's state; JSON."""
        return {}

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go on from a checkpoint with this content."""

    def summary(self) -> dict[str, Any]:
        """What a model's summary tells of the steps; JSON."""
        return {}

    def losses(self, generator: DataGenerator, objective: str, index: Tensor) -> Tensor:
        """The loss of each of these rows."""
        rows = self.rows.take(index)
        device = self.rows.device.type
        mixed = device == "cuda" and self.n_parameters >= MIXED_PRECISION_PARAMETERS
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            losses: Tensor = generator(rows, objective)
        if losses.shape != index.shape:
            raise TrainingError(
                f"{type(generator).__name__}.forward must give one loss per row: expected the shape"
                f" {tuple(index.shape)}, found {tuple(losses.shape)}"
            )
        return losses.float()

    def minimise(self, objective: str, batch: Tensor, rate: float, turn: int) -> Tensor:
        """One step on these rows; returns their mean loss, still on the device.

        Args:
            objective: what to minimise; its weights alone move.
            batch: indices of the rows.
            rate: the learning rate.
            turn: which step of the optimizers it is within the step of the loop.
        """
        parameters = self.state.moved[objective]
        if self.n_parts > 1:
            loss = self._backward_in_parts(objective, batch, turn)
        else:
            loss = self.losses(self.state.generator, objective, batch).mean()
            if parameters:
                for parameter in parameters:
                    parameter.grad = None
                loss.backward()  # type: ignore[no-untyped-call]
        if parameters:
            optimizer = self.state.optimizers[objective]
            for group in optimizer.param_groups:
                group["lr"] = rate
            torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM, foreach=True)
            optimizer.step()
        return loss.detach()

    def _backward_in_parts(self, objective: str, batch: Tensor, turn: int) -> Tensor:
        """Set the gradients of the mean loss, part by part; returns that loss."""
        parameters = self.state.moved[objective]
        buffers = self.state.statistics
        before = [buffer.clone() for buffer in buffers]
        after = before
        n_weights = sum(parameter.numel() for parameter in parameters)
        total = torch.zeros(1 + n_weights, device=self.rows.device)
        parts = batch.tensor_split(self.n_parts)
        for first in range(0, self.n_parts, self.group.size):
            i = first + self.group.rank
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
            seed_torch(derive_seed(self.seed, "train", self.state.step, turn, i), self.rows.device)
            own = self._gradient(objective, parameters, parts[i], len(batch))
            if i == 0:
                after = [buffer.clone() for buffer in buffers]
            for gradient in self.group.gather(own):
                total += gradient
        for buffer, value in zip(buffers, after, strict=True):
            buffer.copy_(value)
        self.group.spread(buffers)
        for parameter, gradient in _unpacked(total[1:], parameters):
            parameter.grad = gradient
        return total[0]

    def _gradient(
        self, objective: str, parameters: list[Parameter], part: Tensor, n_rows: int
    ) -> Tensor:
        """(1 + P,) what these rows add to the mean loss of `n_rows` rows, and to its gradient."""
        if len(part) == 0:
            n_weights = sum(parameter.numel() for parameter in parameters)
            return torch.zeros(1 + n_weights, device=self.rows.device)
        loss = self.losses(self.state.generator, objective, part).sum() / n_rows
        if not parameters:
            return loss.detach()[None]
        gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
        return torch.cat([loss.detach()[None], *(gradient.flatten() for gradient in gradients)])

    def _bytes_per_row(self) -> float:
        """What the most demanding objective needs."""
        generator = self.state.generator
        self.state.train()
        index = torch.arange(min(PROBE_ROWS, len(self.rows)), device=self.rows.home)
        held = [*generator.parameters(), *generator.buffers(), *self.rows.tensors.values()]
        before = [buffer.clone() for buffer in self.state.statistics]
        needed = 0.0
        for objective in self.state.objectives:
            self.state.select(objective)
            losses = functools.partial(self.losses, generator, objective)
            needed = max(needed, bytes_per_row(losses, index, held))
        for buffer, value in zip(self.state.statistics, before, strict=True):
            buffer.copy_(value)
        return needed


def _unpacked(flat: Tensor, parameters: list[Parameter]) -> Iterator[tuple[Parameter, Tensor]]:
    """Each parameter with its part of a vector of all gradients."""
    ends = list(itertools.accumulate(parameter.numel() for parameter in parameters))
    for parameter, end in zip(parameters, ends, strict=True):
        yield parameter, flat[end - parameter.numel() : end].view_as(parameter)
