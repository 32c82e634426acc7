"""Numbers that are none: NaN and infinity become missing values.

The raw data has them as the source does. Models and metrics cannot take them, so this step is
always done.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.cleaning.base import Changed, Step, Subject, replaced, retyped
from tasks.schema import TableSchema, arrow_type


class Finite(Step):
    """Works on all columns of floating-point numbers, which may have missing values after it."""

    order = 20
    Settings = Annotated[Literal[True], Field(description="always done; it has no settings")]
    default = True

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        self._columns = [c for c in self.table.columns if pa.types.is_floating(arrow_type(c))]
        self._unsure = {c.name for c in self._columns if not c.nullable}
        self._with_missing: set[str] | None = None if self._unsure else set()

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._columns)

    @property
    def needs_round(self) -> bool:
        """Where no value may be missing, the rows tell whether one will be."""
        return self._with_missing is None

    def observe(self, batch: pa.RecordBatch) -> set[str]:
        """See `Step.observe`."""
        return {name for name in self._unsure if _n_wrong(batch[name])}

    def learn(self, partials: Iterator[set[str]]) -> None:
        """See `Step.learn`."""
        self._with_missing = set().union(*partials)

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        finite, counts = {}, {}
        for column in self._columns:
            values = batch[column.name]
            if n_wrong := _n_wrong(values):
                nothing = pa.scalar(None, values.type)
                finite[column.name] = pc.if_else(pc.is_finite(values), values, nothing)
                counts[column.name] = n_wrong
        return Changed(replaced(batch, finite) if finite else batch, {"made_missing": counts})

    def after(self) -> TableSchema:
        """See `Step.after`."""
        found = self._with_missing or set()
        return retyped(
            self.table,
            (c.model_copy(update={"nullable": True}) for c in self._columns if c.name in found),
        )


def _n_wrong(values: pa.Array) -> int:
    n_wrong: int = pc.sum(pc.invert(pc.is_finite(values)), min_count=0).as_py()
    return n_wrong
