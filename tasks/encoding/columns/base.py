"""The contract of column encoders: one column <-> a token and, where it is continuous, a rank."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from tasks.schema import Column

COMMON_ROWS = 5
"""Rows that a value must fill before it may be published as such: the usual rule of statistical
disclosure control, whatever the size of the table."""

RANK_MARGIN = 1e-6
"""Ranks are kept so far from 0 and 1, so that their normal scores are finite."""


@dataclass(frozen=True)
class EncodedColumn:
    """One column of a batch as numbers.

    Attributes:
        tokens: (B,) int64, the kind or the value of each cell.
        rank_low: (B,) float64 in [0, 1], or None if the column has no continuous part.
        rank_high: (B,) the same; a cell's rank is anywhere from `rank_low` to `rank_high`.
    """

    tokens: np.ndarray
    rank_low: np.ndarray | None = None
    rank_high: np.ndarray | None = None


class ColumnEncoder(ABC):
    """Cells of one column <-> tokens and ranks.

    Attributes:
        column: its entry in the schema.
        n_tokens: tokens that `encode` may give; 0: the column is made anew by `decode` alone.
        continuous_token: the token of cells whose value is told by their rank; None: there is none.
    """

    column: Column
    n_tokens: int
    continuous_token: int | None = None

    @classmethod
    @abstractmethod
    def fit(cls, column: Column, values: pa.Array) -> Self:
        """Learn the encoding from all training cells of the column."""

    @abstractmethod
    def encode(self, values: pa.Array) -> EncodedColumn:
        """Numbers for the cells."""

    @abstractmethod
    def decode(
        self, tokens: np.ndarray, ranks: np.ndarray, rng: np.random.Generator, first_row: int
    ) -> pa.Array:
        """Cells of the column's type.

        Shape:
            tokens: (B,) int64.
            ranks: (B,) float64 in [0, 1], read only where the token is `continuous_token`.
        """

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""

    @classmethod
    @abstractmethod
    def from_state(
        cls, column: Column, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
