"""Which real rows a sample is made of, for generators that change rows in place of learning them."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from tasks.generators.base import Recipe


class RowsByLabel:
    """The places of rows by the index of their label.

    Args:
        labels: of the rows.

    Shape:
        labels: (N,) integers from 0.
    """

    def __init__(self, labels: np.ndarray) -> None:
        self._n_rows = len(labels)
        self._order = np.argsort(labels, kind="stable")
        self._sizes = np.bincount(labels.astype(np.int64))
        self._starts = np.cumsum(self._sizes) - self._sizes

    def draw(self, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n,) a row of each of these labels (n,); none twice before all of its label were drawn."""
        places = np.empty(len(wanted), dtype=np.int64)
        for label in np.unique(wanted):
            asked = np.flatnonzero(wanted == label)
            size = self._sizes[label]
            turns = [rng.permutation(size) for _ in range(-(-len(asked) // size))]
            ranks = np.concatenate(turns)[: len(asked)]
            places[asked] = self._order[self._starts[label] + ranks]
        return places

    def others(
        self, labels: np.ndarray, rng: np.random.Generator, *, across: bool = False
    ) -> np.ndarray:
        """(n,) any row of each of these labels (n,); `across`: of any label."""
        if across:
            return rng.integers(self._n_rows, size=len(labels))
        ranks = (rng.random(len(labels)) * self._sizes[labels]).astype(np.int64)
        return np.asarray(self._order[self._starts[labels] + ranks])


def numpy_rng(rng: torch.Generator) -> np.random.Generator:
    """Randomness for NumPy that follows from torch's."""
    seed = torch.randint(2**62, (1,), generator=rng, device=rng.device)
    return np.random.default_rng(int(seed))


def no_loss(batch: Mapping[str, Tensor]) -> Tensor:
    """(B,) zeros: what has nothing to learn has nothing to lose."""
    some = next(iter(batch.values()))
    return torch.zeros(len(some), device=some.device)


def untrained(n_rows: int) -> Recipe:
    """One pass over so many rows, which changes nothing."""
    return Recipe(
        epochs=1,
        batch_size=max(64, min(4_096, n_rows)),
        learning_rate=1e-3,
        weight_decay=0.0,
        patience=1,
        ema_decay=0.0,
    )
