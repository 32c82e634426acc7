"""Leave out rows with missing values."""

from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.cleaning.base import Changed, Step, Subject, retyped
from tasks.schema import TableSchema


class DropMissing(Step):
    """Runs after missing values were filled, so it is about those that were not."""

    order = 120
    Settings = Annotated[
        bool | list[str],
        Field(
            description="true: rows with a missing value in any column go; a list: in one of these"
        ),
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        columns = self.table.column_names if settings is True else self.own(dict.fromkeys(settings))
        self._columns = list(columns)

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._columns)

    @property
    def drops_rows(self) -> bool:
        """See `Step.drops_rows`."""
        return True

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        is_complete = np.ones(batch.num_rows, dtype=bool)
        for name in self._columns:
            is_complete &= batch[name].is_valid().to_numpy(zero_copy_only=False)
        return Changed(batch.filter(pa.array(is_complete)))

    def after(self) -> TableSchema:
        """See `Step.after`."""
        known = (self.table.column(name) for name in self._columns)
        return retyped(self.table, (c.model_copy(update={"nullable": False}) for c in known))
