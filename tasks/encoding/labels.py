"""The labels of images and texts <-> indices."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from tasks.encoding.base import Encoder
from tasks.encoding.columns.base import COMMON_ROWS
from tasks.encoding.columns.categorical import as_texts, from_texts
from tasks.errors import DataError
from tasks.schema import Column, arrow_type


def labels_of(encoder: Encoder) -> "Labels | None":
    """The labels of an encoder of images or texts, joint ones of both; None: it has none."""
    labels = getattr(encoder, "labels", None) or getattr(encoder, "joint_labels", None)
    return labels if isinstance(labels, Labels) else None


class Labels:
    """Every label that a training row has, with its index.

    A label that fewer than `COMMON_ROWS` rows have is learned, but never published: such rows would
    be drawn around one or a few persons.

    Attributes:
        column: the label's; None: the rows have no labels, which counts as one label of all.
        values: (K,) the labels, sorted as texts.
        counts: (K,) int64 training rows of each.
    """

    def __init__(self, column: Column | None, values: pa.Array, counts: np.ndarray) -> None:
        self.column = column
        self.values = values
        self.counts = counts

    @classmethod
    def of(cls, column: Column | None, counted: Mapping[str, int], n_rows: int) -> Self:
        """The labels that were counted.

        Args:
            column: see the class.
            counted: rows by label as text; empty without a column.
            n_rows: all rows.

        Raises:
            DataError: no label is common enough to be published.
        """
        if column is None:
            return cls(None, pa.nulls(1), np.array([n_rows]))
        texts = sorted(counted)
        labels = cls(
            column, from_texts(texts, arrow_type(column)), np.array([counted[t] for t in texts])
        )
        if not labels.is_common.any():
            raise DataError(
                f"expected labels in {column.name!r} that at least {COMMON_ROWS} rows have, found"
                f" {len(texts):,} rarer ones: no row could be published; leave them out, in"
                " params.yaml by `target: null`, if they are no labels"
            )
        return labels

    @staticmethod
    def counted(values: pa.Array) -> Counter[str]:
        """Rows by label, as text.

        Raises:
            DataError: a row has none.
        """
        if values.null_count:
            raise DataError(f"expected a label in every row, found {values.null_count} without one")
        return Counter(as_texts(values))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_rows(self) -> int:
        """Training rows."""
        return int(self.counts.sum())

    @property
    def is_common(self) -> np.ndarray:
        """(K,) bool, whether enough rows have it; without labels all do."""
        if self.column is None:
            return np.ones(1, dtype=bool)
        return np.asarray(self.counts >= COMMON_ROWS)

    @property
    def shares(self) -> np.ndarray:
        """(K,) float64, sums to 1: how often each is drawn; 0 for a rare one."""
        kept = np.where(self.is_common, self.counts, 0)
        return np.asarray(kept / kept.sum())

    @property
    def dtype(self) -> torch.dtype:
        """The narrowest that holds every index."""
        if len(self) <= 2**8:
            return torch.uint8
        return torch.int16 if len(self) <= 2**15 else torch.int32

    def encode(self, batch: pa.RecordBatch) -> torch.Tensor:
        """(B,) indices of the labels of a batch.

        Raises:
            DataError: no training row has such a label.
        """
        if self.column is None:
            return torch.zeros(batch.num_rows, dtype=self.dtype)
        return torch.from_numpy(self._indices(batch.column(self.column.name))).to(self.dtype)

    def decode(self, indices: torch.Tensor) -> pa.Array:
        """The labels with these indices."""
        return self.values.take(pa.array(indices.cpu().numpy().astype(np.int64)))

    def index(self, value: Any) -> int:
        """The index of one label that may be published.

        Raises:
            DataError: no training row has it, or too few.
        """
        if self.column is None:
            raise DataError(f"expected rows with labels, found none, and so no label {value!r}")
        try:
            values = pa.array([value], arrow_type(self.column))
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError) as error:
            raise DataError(
                f"expected a label of type {self.column.type}, found {value!r}"
            ) from error
        found = int(self._indices(values)[0])
        if not self.is_common[found]:
            raise DataError(
                f"the label {value!r} has {self.counts[found]} training rows, and is published from"
                f" {COMMON_ROWS} on"
            )
        return found

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        return {"labels": as_texts(self.values)}, {"label_counts": self.counts}

    @classmethod
    def from_state(
        cls, column: Column | None, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The labels whose `state()` this is."""
        if column is None:
            values = pa.nulls(1)
        else:
            values = from_texts(content["labels"], arrow_type(column))
        return cls(column, values, arrays["label_counts"])

    def _indices(self, values: pa.Array) -> np.ndarray:
        found = pc.index_in(values, self.values)
        if found.null_count:
            unknown = as_texts(pc.unique(values.filter(found.is_null())))
            raise DataError(f"expected labels among {as_texts(self.values)}, found {unknown}")
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)
