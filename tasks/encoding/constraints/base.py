"""The contract of a step: columns that a constraint binds <-> columns that are free of it."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa

from tasks.schema import Column, TableSchema

Cells = Mapping[str, pa.Array]
"""Columns of some rows by name."""


class Step(ABC):
    """Takes the place of some columns while a generator learns, and makes them again afterwards.

    Whatever is drawn for the learned columns, the columns that `decode` makes satisfy the constraint.

    Attributes:
        made: columns of the table that `decode` makes.
        needs: other columns of the table that `encode` and `decode` read.
        learned: the columns that are learned in place of `made`.
    """

    made: list[str]
    needs: list[str]
    learned: list[Column]

    @abstractmethod
    def encode(self, rows: Cells) -> dict[str, pa.Array]:
        """The learned columns, from the columns that this step makes and needs."""

    @abstractmethod
    def decode(self, learned: Cells, rows: Cells, rng: np.random.Generator) -> dict[str, pa.Array]:
        """The columns that this step makes, from the learned ones and those that it needs."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """JSON that, with the table, makes this step again."""

    @classmethod
    @abstractmethod
    def from_state(cls, table: TableSchema, content: Mapping[str, Any]) -> Self:
        """The step whose `state()` this is."""


def new_name(name: str, taken: Collection[str]) -> str:
    """`name`, longer where a column is called so already."""
    while name in taken:
        name += "'"
    return name


def fill(
    values: np.ndarray, where: np.ndarray, known: np.ndarray, rng: np.random.Generator
) -> bool:
    """Write values of other rows, drawn from those that are `known`, `where` there is none.

    Shape:
        values: (B,), changed in place.
        where, known: (B,) bool.

    Returns:
        Whether there was a value to draw from.
    """
    if not where.any():
        return True
    if not known.any():
        return False
    values[where] = rng.choice(values[known], size=int(where.sum()))
    return True
