"""Which rows a training learns from, which it stops by, and the order in which it takes them."""

import math

import numpy as np
import torch
from torch import Tensor

from tasks.errors import TrainingError
from tasks.generators.base import EPOCH_ROWS
from tasks.seeding import rng_for
from tasks.training.roles import Roles, draw_by_weight

VALIDATION_ROWS = 100_000
"""Rows set aside at most: more would tell nothing more about when to stop."""


class Order:
    """The rows of a training.

    Attributes:
        train: (N,) indices of the rows to learn from, on the device where the rows are.
        validation: (V,) those of the rows to stop by; V may be 0.
        validation_weights: (V,) float64, how much each of them counts.
        epochs_a_pass: epochs in which all rows to learn from are taken once.
        epoch_rows: rows of an epoch, to within one.
    """

    def __init__(
        self, n_rows: int, fraction: float, roles: Roles | None, seed: int, home: torch.device
    ) -> None:
        """Set rows aside.

        Args:
            n_rows: all of them.
            fraction: of them, to stop by, where `roles` does not say which.
            roles: what they are for; None: all are alike.
            seed: of the dataset.
            home: where the rows are.

        Raises:
            TrainingError: none is left to learn from.
        """
        self._seed, self._home = seed, home
        train, validation = _parts(n_rows, fraction, roles, seed)
        self._weights: np.ndarray | None = None
        self.validation_weights = torch.ones(len(validation), dtype=torch.float64)
        if roles and roles.weights is not None:
            self._weights = roles.weights[train]
            self.validation_weights = torch.from_numpy(roles.weights[validation]).double()
        self.train, self.validation = self._at_home(train), self._at_home(validation)
        self.epochs_a_pass = math.ceil(len(train) / EPOCH_ROWS)
        self.epoch_rows = math.ceil(len(train) / self.epochs_a_pass)

    def epoch(self, epoch: int) -> Tensor:
        """The rows of an epoch: a part of a pass over all rows in random order."""
        in_pass, part = divmod(epoch, self.epochs_a_pass)
        rng, n_rows = rng_for(self._seed, "order", in_pass), len(self.train)
        if self._weights is None:
            order = rng.permutation(n_rows)
        else:
            order = rng.permutation(draw_by_weight(self._weights, n_rows, rng))
        cuts = [n_rows * p // self.epochs_a_pass for p in (part, part + 1)]
        return self.train[self._at_home(order[cuts[0] : cuts[1]])]

    def _at_home(self, index: np.ndarray) -> Tensor:
        return torch.from_numpy(index).to(self._home)


def _parts(
    n_rows: int, fraction: float, roles: Roles | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on and those to stop by."""
    if roles and roles.n_validation:
        n_train = n_rows - roles.n_validation
        train = np.arange(n_train)
        validation = np.arange(n_train, n_rows)[:VALIDATION_ROWS]
    else:
        n_validation = max(1, round(n_rows * fraction)) if fraction else 0
        n_validation = min(n_validation, VALIDATION_ROWS)
        order = rng_for(seed, "validation").permutation(n_rows)
        validation, train = order[:n_validation], order[n_validation:]
    if len(train) < 1:
        raise TrainingError(f"expected at least 2 rows to train on, found {n_rows}")
    return train, validation
