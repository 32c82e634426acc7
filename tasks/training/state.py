"""What a training changes, and so what a checkpoint must hold."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from tasks.generators.base import DataGenerator, Objective, Recipe
from tasks.training.model import contiguous

_COUNTERS = ("epoch", "step", "best_loss", "best_epoch", "history")


class TrainingState:
    """Weights, their average, the best average, the optimizers, and the position.

    Attributes:
        generator: the network that is trained.
        average: the same network with the exponential moving average (EMA) of the weights.
        objectives: what is minimised, by name.
        moved: the weights that each objective moves, by its name.
        optimizers: over these weights, by the name of the objective; none where nothing moves, as
            in a model in closed form.
        statistics: buffers of `generator` that training changes, such as running means.
        best: the averaged weights with the lowest validation loss so far, or the last ones where
            the recipe has no patience.
        best_loss: their loss; None before the first validation.
        best_epoch: after how many epochs it was measured.
        epoch: epochs finished.
        step: steps made; more than those of the finished epochs when inside of one.
        history: all metrics so far, by step.
    """

    def __init__(
        self, generator: DataGenerator, recipe: Recipe, still: Iterable[nn.Module] = ()
    ) -> None:
        """Begin.

        Args:
            generator: with its first weights.
            recipe: how to train.
            still: its modules that do not learn.
        """
        self.generator = contiguous(generator)
        self._still = tuple(still)
        self.average = copy.deepcopy(generator).requires_grad_(False).eval()
        self.objectives = {objective.name: objective for objective in generator.objectives()}
        self.moved = {o.name: _moved(generator, o) for o in self.objectives.values()}
        self.optimizers = {
            name: _optimizer(parameters, recipe)
            for name, parameters in self.moved.items()
            if parameters
        }
        kept = generator.state_dict()
        # What a network only looks things up in is not kept with it.
        self.statistics, self._averaged_statistics = (
            [buffer for name, buffer in network.named_buffers() if name in kept]
            for network in (self.generator, self.average)
        )
        # Listed once: to find them takes longer than to average them.
        self._present: list[Tensor] = list(self.generator.parameters())
        self._averaged: list[Tensor] = list(self.average.parameters())
        self.best = _copy(kept)
        self.best_loss: float | None = None
        self.best_epoch = 0
        self.epoch = 0
        self.step = 0
        self.history: list[tuple[int, dict[str, float]]] = []
        self.train()

    def train(self) -> None:
        """Put the generator into training mode, but for what does not learn.

        Running statistics of a frozen module would move, and dropout make its features noisy.
        """
        self.generator.train()
        for module in self._still:
            module.eval()

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the averaged weights towards the present ones.

        The average starts as a short one and grows to `decay`, so that the random first weights
        are soon forgotten.
        """
        share = 1 - min(decay, (1 + self.step) / (10 + self.step))
        if self._present:  # a model in closed form has no weights
            torch._foreach_lerp_(self._averaged, self._present, share)
        for kept, buffer in zip(self._averaged_statistics, self.statistics, strict=True):
            kept.copy_(buffer)

    def select(self, objective: str) -> None:
        """Let gradients be computed for the weights of one objective alone."""
        if len(self.moved) > 1:
            for name, parameters in self.moved.items():
                for parameter in parameters:
                    parameter.requires_grad_(name == objective)

    def keep_best(self, loss: float | None, *, always: bool) -> None:
        """Note the validation loss of the finished epoch; keep the averaged weights if lowest."""
        if always or loss is None or self.best_loss is None or loss < self.best_loss:
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
        for objective, optimizer in self.optimizers.items():
            for index, moments in optimizer.state_dict()["state"].items():
                parts[f"optimizer.{objective}.{index}"] = moments
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
        for objective, optimizer in self.optimizers.items():
            prefix = f"optimizer.{objective}."
            moments = {
                int(part.removeprefix(prefix)): named
                for part, named in parts.items()
                if part.startswith(prefix)
            }
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": moments, "param_groups": groups})
        for name in _COUNTERS:
            setattr(self, name, content[name])
        self.history = [(step, metrics) for step, metrics in self.history]


def _moved(generator: DataGenerator, objective: Objective) -> list[Parameter]:
    module = generator.get_submodule(objective.module) if objective.module else generator
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _optimizer(parameters: list[Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; weights decay, but not biases and scales, which have one dimension."""
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=True)


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
