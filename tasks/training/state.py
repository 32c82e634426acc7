"""What a training changes, and so what a checkpoint must hold."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tasks.generators.base import DataGenerator, Recipe
from tasks.training.model import contiguous

ADAM_BETAS = (0.9, 0.99)
"""Below the usual 0.999 for the second, because trainings here have few steps to average over."""

_COUNTERS = ("epoch", "step", "best_loss", "best_epoch", "history")


class TrainingState:
    """Weights, their average, the best average, the optimizer, and the position.

    Attributes:
        generator: the network that is trained.
        average: the same network with the exponential moving average (EMA) of the weights.
        optimizer: over the weights of `generator`.
        best: the averaged weights with the lowest validation loss so far.
        best_loss: that loss; None before the first validation.
        best_epoch: after how many epochs it was measured.
        epoch: epochs finished.
        step: steps made; more than those of the finished epochs when inside of one.
        history: all metrics so far, by step.
    """

    def __init__(self, generator: DataGenerator, recipe: Recipe) -> None:
        self.generator = contiguous(generator)
        self.average = copy.deepcopy(generator).requires_grad_(False).eval()
        self.optimizer = _optimizer(generator, recipe)
        self.best = _copy(generator.state_dict())
        self.best_loss: float | None = None
        self.best_epoch = 0
        self.epoch = 0
        self.step = 0
        self.history: list[tuple[int, dict[str, float]]] = []

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the averaged weights towards the present ones.

        The average starts as a short one and grows to `decay`, so that the random first weights
        are soon forgotten.
        """
        share = 1 - min(decay, (1 + self.step) / (10 + self.step))
        averaged: list[Tensor] = list(self.average.parameters())
        present: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(averaged, present, share)
        for kept, buffer in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(buffer)

    def keep_best(self, loss: float) -> None:
        """Note the validation loss of the finished epoch; keep the averaged weights if lowest."""
        if self.best_loss is None or loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epoch
            self.best = _copy(self.average.state_dict())

    def best_generator(self) -> DataGenerator:
        """The network with the best averaged weights, ready to sample."""
        self.average.load_state_dict(self.best)
        return self.average.eval()

    def tensors(self) -> dict[str, Tensor]:
        """All tensors, by `<part>/<name>`."""
        parts: dict[str, Mapping[str, Tensor]] = {
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
        }
        for index, moments in self.optimizer.state_dict()["state"].items():
            parts[f"optimizer.{index}"] = moments
        return {f"{part}/{name}": t for part, named in parts.items() for name, t in named.items()}

    def content(self) -> dict[str, Any]:
        """All that is not a tensor, as JSON."""
        return {name: getattr(self, name) for name in _COUNTERS}

    def restore(self, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> None:
        """Become the state that `tensors()` and `content()` described."""
        parts: dict[str, dict[str, Tensor]] = {}
        for path, tensor in tensors.items():
            part, _, name = path.partition("/")
            parts.setdefault(part, {})[name] = tensor
        self.generator.load_state_dict(parts.pop("generator"))
        self.average.load_state_dict(parts.pop("average"))
        best = parts.pop("best")
        self.best = {name: best[name].to(old.device) for name, old in self.best.items()}
        moments = {int(part.removeprefix("optimizer.")): named for part, named in parts.items()}
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        for name in _COUNTERS:
            setattr(self, name, content[name])
        self.history = [(step, metrics) for step, metrics in self.history]


def _optimizer(generator: DataGenerator, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; weights decay, but not biases and scales, which have one dimension."""
    parameters = [p for p in generator.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=ADAM_BETAS, fused=True)


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
