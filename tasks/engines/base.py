"""The contract of engines: where the parts of a source and the batches of a table are worked on.

An engine is one file `tasks/engines/<name>.py` with one subclass of `Engine`; `engine: <name>` in
params.yaml takes it. All engines give the same rows in the same order, so none leaves a trace in
the data.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import pyarrow as pa

from tasks.schema import TableSchema
from tasks.sources.base import Part, Source

T = TypeVar("T")

BatchFunction = Callable[..., T]
"""What is done with one batch of a stored table: a function or an object that pickle can send to
another process. What it returns must be sendable too."""


@dataclass(frozen=True)
class Progress:
    """How far a load is, for whoever shows it.

    Attributes:
        parts: read so far.
        of: parts in all.
    """

    parts: int
    of: int


class Engine(ABC):
    """Works on many parts or batches at once, and gives the results in order.

    Use it in a `with` block.
    """

    def __init__(self) -> None:
        """Nothing is started yet."""
        self.started = contextlib.ExitStack()

    @abstractmethod
    def load(
        self,
        source: Source,
        table: TableSchema,
        parts: list[Part],
        report: Callable[[Progress], None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """The rows of the parts, in the order of the parts.

        Within the source's `memory_mib`; a part that breaks off is read again, with waits that
        grow, and rows that were given already are not given twice.

        Args:
            source: open.
            table: of its schema.
            parts: of that table.
            report: is told of each part that is done.

        Raises:
            SourceUnavailable: the source did not answer after all tries.
            SourceChanged: what `parts` stand for is gone; ask for the parts again.
            SourceError: see `Source.read_part`.
        """

    @abstractmethod
    def map(
        self, folder: Path, table: str, function: BatchFunction[T], *notes: Iterable[Any]
    ) -> Iterator[T]:
        """`function` of every batch of a stored table (`tasks.storage`), in the order of the rows.

        The batches are those of `tasks.storage.read_batches`, on every engine, so a statistic that
        is summed up batch by batch comes out the same to the last bit.

        Args:
            folder: of the dataset.
            table: of that dataset.
            function: takes a batch, and one item of each of `notes`.
            notes: what goes with each batch, as of the built-in `map`: the first item with the
                first batch. They are read as the work goes on, and may be endless.
        """

    def __enter__(self) -> Self:
        """Start what the engine needs; it is put on `self.started`."""
        return self

    def __exit__(self, *raised: Any) -> None:
        """Stop it."""
        self.started.close()
