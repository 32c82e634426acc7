"""What the rows of a training are for, where they are not all alike."""

from dataclasses import dataclass

import numpy as np

from tasks.encoding.base import Batches


@dataclass(frozen=True)
class Roles:
    """Rows in the order real, added, validation (see `tasks.splits.record`).

    Attributes:
        real: starts a pass over the real training rows, to which alone the encoder is fitted:
            rows that were added would make rare values look common.
        n_validation: the last rows, which decide when to stop; 0: the training draws its own.
        weights: (N,) float32, how much each row counts; None: all the same. A row is drawn into an
            epoch in proportion to it, and its validation loss counts so.
    """

    real: Batches
    n_validation: int = 0
    weights: np.ndarray | None = None


def draw_by_weight(weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Places of `n` rows, each as often as its weight says, to within one (systematic sampling).

    **Source**: Madow 1949, On the theory of systematic sampling, Annals of Mathematical Statistics 20.

    Shape:
        weights: (N,) not negative, one of them positive.
        returns: (n,) int64, in order.
    """
    ends = np.cumsum(weights, dtype=np.float64)
    ticks = (rng.random() + np.arange(n)) * (ends[-1] / n)
    places: np.ndarray = np.searchsorted(ends, ticks, side="right")
    np.minimum(places, len(weights) - 1, out=places)
    return places
