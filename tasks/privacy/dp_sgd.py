"""DP-SGD: gradients that tell little about any one row, and the count of what they tell.

Each step takes every row with the same probability (Poisson sampling), shortens the gradient of
each taken row to a fixed length, adds them up, and adds normal noise in proportion to that length.
What an optimizer makes of such gradients is as private as they are.

    rows of a step ─► losses ─► length of each row's gradient ─► clipped sum + noise ─► optimizer

Source:
    Abadi et al. 2016, Deep learning with differential privacy, algorithm 1, arXiv:1607.00133.
    Defaults and statement: Ponomareva et al. 2023, How to DP-fy ML, arXiv:2303.00654.
Differs:
    Sampling and noise come from a secret key (`tasks.noise`). Lengths of gradients without the
    gradients (`tasks.privacy.row_gradients`). The sum is divided by the expected number of rows of
    a step, as the number taken is a secret too.

What is guaranteed: for two tables of n rows that differ in one row, which one of them has and in
the other is a row that counts for nothing, and for every set of results, the probabilities of
getting a result in the set differ at most by the factor exp(epsilon), and by delta. The number of
rows is public.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from tasks.errors import TrainingError
from tasks.noise import SecretNoise
from tasks.params import PrivacyParams
from tasks.privacy.accounting import (
    ACCOUNTANT,
    History,
    epsilon_of,
    noise_multiplier_of_one,
    noise_multiplier_of_steps,
)
from tasks.privacy.row_gradients import RowGradients

ENCODER_SHARE = 0.4
"""Of epsilon, what the encoder would spend if it were alone. Chosen on validation rows of adult."""

THRESHOLD_SHARE = 0.1
"""Of delta, what the encoder's thresholds of categories spend; the accountant has the rest."""

MAX_ROWS = 2_048
"""Of a step, rows whose gradients are measured at a time: bounds the memory, not the result."""

MAX_NUMBERS = 2**26
"""Of gradients of rows that are in memory at a time, where a layer has no shorter way (256 MiB)."""

UNIT = "one row of the training table"


class Budget:
    """A target, and the part of it that encoding spends.

    Attributes:
        epsilon: of everything together.
        delta: of everything together.
        encoder_noise: noise multiplier of all that the encoder learns, taken together.
        encoder_delta: what its thresholds spend of delta.
    """

    def __init__(self, settings: PrivacyParams, n_rows: int) -> None:
        self.epsilon = settings.epsilon
        self.delta = settings.delta or default_delta(n_rows)
        self.encoder_delta = THRESHOLD_SHARE * self.delta
        self.accounted_delta = self.delta - self.encoder_delta
        share = ENCODER_SHARE * self.epsilon
        self.encoder_noise = noise_multiplier_of_one(share, self.accounted_delta)


class DpSgd:
    """Private gradients for a training of a fixed number of steps.

    Attributes:
        sample_rate: probability of each row to be taken in a step.
        noise_multiplier: standard deviation of the noise, as a multiple of the clipping length.
    """

    def __init__(
        self,
        network: nn.Module,
        budget: Budget,
        noise: SecretNoise,
        *,
        max_grad_norm: float,
        n_rows: int,
        batch_size: int,
        steps: int,
    ) -> None:
        _refuse_mixed_rows(network)
        self._weights = [p for p in network.parameters() if p.requires_grad]
        self._rows = RowGradients(network)
        self._rows_together = max(1, min(MAX_ROWS, MAX_NUMBERS // self._rows.numbers_a_row()))
        self._noise = noise
        self._max_grad_norm = max_grad_norm
        self._n_rows = n_rows
        self.budget = budget
        self.sample_rate = min(1.0, batch_size / n_rows)
        self.noise_multiplier = noise_multiplier_of_steps(
            budget.epsilon,
            budget.accounted_delta,
            spent=self._history(0),
            sample_rate=self.sample_rate,
            steps=steps,
        )

    def sample(self, step: int) -> Tensor:
        """(B,) int64 indices of the rows of a step; how many is random too, perhaps none."""
        uniform = self._noise.uniform((self._n_rows,), "rows", step)
        return torch.from_numpy(np.flatnonzero(uniform < self.sample_rate))

    def check(self, losses: Callable[[slice], Tensor], n_rows: int) -> None:
        """See, before the first step, that gradients can be clipped row by row.

        Raises:
            TrainingError: they cannot.
        """
        self._rows.check(losses, n_rows)

    def set_gradients(self, step: int, index: Tensor, losses: Callable[[Tensor], Tensor]) -> Tensor:
        """Give every weight its private gradient.

        Args:
            step: whose noise is added.
            index: the rows that were sampled for it.
            losses: the network's losses of the rows with these indices.

        Returns:
            The mean loss of the rows (0 for no rows): not private, for nobody's eyes but a check
            that it is finite.
        """
        for weight in self._weights:
            weight.grad = torch.zeros_like(weight)
        total = torch.zeros((), device=self._weights[0].device)
        for part in torch.split(index, self._rows_together) if len(index) else ():
            value, norms = self._rows.norms(lambda part=part: losses(part))  # type: ignore[misc]
            factors = (self._max_grad_norm / norms.clamp(min=1e-12)).clamp(max=1.0)
            (value * factors).sum().backward()  # type: ignore[no-untyped-call]
            total = total + value.detach().sum()
        self._add_noise(step)
        return total / max(len(index), 1)

    def epsilon(self, steps: int) -> float:
        """What the encoder and so many steps have spent, at the budget's delta."""
        return epsilon_of(self._history(steps), self.budget.accounted_delta)

    def state(self, steps: int) -> dict[str, Any]:
        """The accountant's state as JSON: what was done, from which its epsilon follows."""
        return {"accountant": ACCOUNTANT, "history": [list(part) for part in self._history(steps)]}

    def summary(self, steps: int) -> dict[str, Any]:
        """What is published: the guarantee and how it was reached."""
        return {
            "epsilon": math.ceil(self.epsilon(steps) * 1e4) / 1e4,
            "delta": self.budget.delta,
            "target_epsilon": self.budget.epsilon,
            "accountant": ACCOUNTANT,
            "unit": UNIT,
            "noise_multiplier": self.noise_multiplier,
            "max_grad_norm": self._max_grad_norm,
            "sample_rate": self.sample_rate,
            "steps": steps,
            "encoder_noise_multiplier": self.budget.encoder_noise,
            "encoder_delta": self.budget.encoder_delta,
        }

    def _history(self, steps: int) -> History:
        encoding = (self.budget.encoder_noise, 1.0, 1)
        if steps == 0:
            return (encoding,)
        return (encoding, (self.noise_multiplier, self.sample_rate, steps))

    def _add_noise(self, step: int) -> None:
        sizes = [weight.numel() for weight in self._weights]
        std = self.noise_multiplier * self._max_grad_norm
        drawn = torch.from_numpy(std * self._noise.normal((sum(sizes),), "gradients", step))
        expected = self.sample_rate * self._n_rows
        for weight, noise in zip(self._weights, torch.split(drawn, sizes), strict=True):
            added = noise.to(weight.device, weight.dtype).view_as(weight)
            weight.grad = (cast(Tensor, weight.grad) + added) / expected


def default_delta(n_rows: int) -> float:
    """1 / n^1.1: well below one in n, at which publishing a row at random would be allowed."""
    return float(n_rows**-1.1)


def _refuse_mixed_rows(network: nn.Module) -> None:
    """Layers that mix the rows of a batch, such as batch normalisation, have no gradient of a row.

    Raises:
        TrainingError: there is such a layer.
    """
    from opacus.validators import ModuleValidator

    if errors := ModuleValidator.validate(network, strict=False):
        raise TrainingError(f"{type(network).__name__} cannot be trained with privacy: {errors[0]}")
