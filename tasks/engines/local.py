"""This machine: parts are read ahead by threads."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.engines.base import BatchFunction, Engine, Progress, T
from tasks.schema import TableSchema
from tasks.sources.base import Part, Source
from tasks.storage import read_batches


class LocalEngine(Engine):
    """Threads of this process."""

    def load(
        self,
        source: Source,
        table: TableSchema,
        parts: list[Part],
        report: Callable[[Progress], None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """See `Engine.load`."""
        for i, part in enumerate(parts, start=1):
            yield from source.read_part(table, part)
            if report is not None:
                report(Progress(i, len(parts)))

    def map(
        self, folder: Path, table: str, function: BatchFunction[T], *notes: Iterable[Any]
    ) -> Iterator[T]:
        """See `Engine.map`."""
        return map(function, read_batches(folder, table), *notes)
