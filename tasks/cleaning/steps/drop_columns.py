"""Leave columns out, with the keys, links and constraints that they are part of."""

from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field

from tasks.cleaning.base import Changed, Step, Subject
from tasks.schema import TableSchema


class DropColumns(Step):
    """Runs first, so rows that differ in nothing else become duplicates."""

    order = 10
    Settings = Annotated[
        list[str], Field(description="columns to leave out (keys, what is not needed)")
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        self._names = set(self.own(dict.fromkeys(settings)))

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._names)

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        return Changed(batch.select([n for n in batch.schema.names if n not in self._names]))

    def after(self) -> TableSchema:
        """See `Step.after`."""
        columns = tuple(c for c in self.table.columns if c.name not in self._names)
        return self.table.model_copy(update={"columns": columns})

    def learned(self) -> dict[str, Any]:
        """The columns that went."""
        return {"columns": sorted(self._names)}
