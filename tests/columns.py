"""Columns written down in a test, as a source that distances read."""

import numpy as np

from tasks.evaluation.fidelity.jackknife import InMemory
from tasks.evaluation.rows import Rows

NAN = np.nan


def columns(numbers: list[list[float]], codes: list[list[int]]) -> InMemory:
    """Columns to rows."""
    n = len((numbers or codes)[0])
    return InMemory(
        Rows(
            np.array(numbers, float).reshape(-1, n).T,
            np.array(codes, np.int32).reshape(-1, n).T,
            np.arange(n),
        )
    )


def mixed(n: int, seed: int, shift: float = 0.0) -> InMemory:
    """Three numbers and three codes that depend on each other, with missing values."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n)
    numbers = np.column_stack(
        [hidden + shift, np.round(3 * hidden + rng.normal(size=n)), rng.exponential(size=n)]
    )
    numbers[rng.random(numbers.shape) < 0.1] = np.nan
    numbers[:, 0] = np.nan_to_num(numbers[:, 0])
    codes = np.column_stack(
        [hidden > 0.3, np.digitize(hidden, [-1, 0, 2]), rng.integers(-1, 4, n)]
    ).astype(np.int32)
    return InMemory(Rows(numbers, codes, np.arange(n)))


def shape_of(source: InMemory) -> tuple[int, int]:
    """How many numbers and how many codes there are."""
    return source.rows.numbers.shape[1], source.rows.codes.shape[1]


def taken(source: InMemory, places: np.ndarray) -> InMemory:
    """Some of the rows."""
    return InMemory(source.rows.take(places))
