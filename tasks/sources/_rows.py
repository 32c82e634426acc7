"""Rows that a source makes one by one: into batches of bounded size, and what it left out, counted."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from tasks.sources.base import Part

BATCH_ROWS = 8_192
"""Rows of a batch at most, however small: as objects of Python they take far more than their values."""


def batches_of(
    rows: Iterable[Mapping[str, Any]], schema: pa.Schema, n_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The rows in batches of about `n_bytes`, one row at least and `BATCH_ROWS` at most.

    Args:
        rows: values by column; texts and bytes count for the size, an image is a mapping of them.
        schema: of the batches.
        n_bytes: a batch ends with the row that reaches it.
    """
    for group in groups_of(rows, n_bytes):
        yield pa.RecordBatch.from_pylist(group, schema)


def groups_of(rows: Iterable[Mapping[str, Any]], n_bytes: int) -> Iterator[list[Mapping[str, Any]]]:
    """The rows that `batches_of` puts into one batch."""
    waiting: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        waiting.append(row)
        size += _size_of(row)
        if size >= n_bytes or len(waiting) == BATCH_ROWS:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


class PartCounts:
    """What was left out, by part: a part that is read again does not count twice."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._parts: dict[str, Counter[str]] = {}

    def of(self, part: Part) -> Counter[str]:
        """The counts of a part whose reading starts now, from zero."""
        counter = self._parts[json.dumps(dict(part.place), sort_keys=True)] = Counter()
        return counter

    def total(self) -> Counter[str]:
        """The counts of all parts together."""
        return sum(list(self._parts.values()), Counter())


def _size_of(row: Mapping[str, Any]) -> int:
    size = 0
    for value in row.values():
        if isinstance(value, str | bytes):
            size += len(value)
        elif isinstance(value, Mapping):
            size += _size_of(value)
        else:
            size += 8
    return size
