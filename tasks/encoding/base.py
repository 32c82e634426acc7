"""The contract of encoders: rows to tensors and back.

An encoder learns what it must know from the training rows (categories, bins, sizes), turns a batch
of rows into named tensors whose first dimension is the row, and turns such tensors into rows
again. It is all that stands between a generator and the data's types.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch

from tasks.schema import DatasetSchema

Batches = Callable[[], Iterator[pa.RecordBatch]]
"""Starts a pass over the training rows; an encoder may make several."""


class Encoder(ABC):
    """Rows of a dataset's main table <-> tensors.

    Attributes:
        schema: of the dataset; `decode` gives batches of its main table.
    """

    schema: DatasetSchema

    @classmethod
    @abstractmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Learn the encoding from the training rows.

        Raises:
            DataError: the rows cannot be encoded (too few, an image of another size ...).
        """

    @abstractmethod
    def encode(self, batch: pa.RecordBatch) -> dict[str, torch.Tensor]:
        """Tensors of the narrowest dtypes that hold the values; first dimension: `batch.num_rows`."""

    @abstractmethod
    def decode(
        self, encoded: Mapping[str, torch.Tensor], rng: np.random.Generator, first_row: int = 0
    ) -> pa.RecordBatch:
        """Rows that follow the schema, from tensors as `encode` gives them.

        Args:
            encoded: tensors as `encode` gives them.
            rng: all randomness comes from it.
            first_row: rows decoded before, where a table is decoded in pieces: new identifiers
                count on from it, so that none occurs twice.
        """

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""

    @classmethod
    @abstractmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
