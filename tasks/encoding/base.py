"""The contract of encoders: rows to tensors and back.

An encoder learns what it must know from the training rows (categories, bins, sizes), turns a batch
of rows into named tensors whose first dimension is the row, and turns such tensors into rows
again. It is all that stands between a generator and the data's types.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch

from tasks.schema import DatasetSchema
from tasks.storage import StoredRows

Batches = Callable[[], Iterator[pa.RecordBatch]]
"""Starts a pass over the training rows; an encoder may make several. See `select`."""


def select(batches: Batches, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """A pass over some columns; of stored rows, nothing else is read."""
    source = batches(columns) if isinstance(batches, StoredRows) else batches()
    return (batch.select(columns) for batch in source)


def count(batches: Batches) -> int:
    """Rows of a pass; of stored rows, from the files' footers alone."""
    if isinstance(batches, StoredRows):
        return len(batches)
    return sum(batch.num_rows for batch in batches())


@dataclass(frozen=True)
class Preview:
    """A file that shows some rows.

    Attributes:
        suffix: of its name: `.png`, `.txt`.
        content: the same for the same rows.
    """

    suffix: str
    content: bytes


class Encoder(ABC):
    """Rows of a dataset's main table <-> tensors.

    Attributes:
        schema: of the dataset; `decode` gives batches of its main table.
    """

    schema: DatasetSchema

    @property
    def made_anew(self) -> frozenset[str]:
        """Columns that `decode` fills with new identifiers, which never repeat."""
        return frozenset()

    @classmethod
    @abstractmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Learn the encoding from the training rows.

        Raises:
            DataError: the rows cannot be encoded (too few, an image of another size ...).
        """

    def refit(self, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """An encoder of other rows for a model that starts from the weights of this encoder's.

        It keeps what gives tensors their meaning where that is not of the rows themselves, such as
        the tokens of a text.

        Raises:
            DataError: the rows cannot be encoded.
        """
        return type(self).fit(schema, batches, rng)

    @abstractmethod
    def encode(self, batch: pa.RecordBatch) -> dict[str, torch.Tensor]:
        """Tensors of the narrowest dtypes that hold the values; first dimension: `batch.num_rows`."""

    @abstractmethod
    def decode(
        self,
        encoded: Mapping[str, torch.Tensor],
        rng: np.random.Generator,
        first_row: int = 0,
        held: Mapping[str, Any] | None = None,
    ) -> pa.RecordBatch:
        """Rows that follow the schema, from tensors as `encode` gives them.

        Args:
            encoded: tensors as `encode` gives them.
            rng: all randomness comes from it.
            first_row: rows decoded before, where a table is decoded in pieces: new identifiers
                count on from it, so that none occurs twice.
            held: by column name, what the rows were drawn for, one value or one a row: written as
                it is, since a continuous value decodes to one nearby.
        """

    def admissible(self, batch: pa.RecordBatch) -> np.ndarray | None:
        """(B,) bool: which decoded rows may be published; None: all may.

        The others are left out and drawn anew, as rows that break a constraint are.
        """
        del batch
        return None

    def preview(self, encoded: Mapping[str, torch.Tensor]) -> Preview | None:
        """What people look at to judge a training by its samples; None: nothing to look at.

        Args:
            encoded: some rows, of all labels in turn.
        """
        del encoded
        return None

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""

    @classmethod
    @abstractmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
