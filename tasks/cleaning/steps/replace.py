"""Put values in place of others: one spelling for many, nothing for what stands for nothing."""

from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.cleaning.base import Changed, Step, Subject, replaced, retyped
from tasks.cleaning.steps.text import is_text
from tasks.cleaning.values import scalar_of
from tasks.params import Scalar
from tasks.schema import Column, TableSchema, arrow_type


class Replace(Step):
    """Whole values are compared, as they are after `text`."""

    order = 40
    groups = frozenset({"*"})
    Settings = Annotated[
        dict[str, Annotated[dict[Scalar, Scalar], Field(min_length=1)]],
        Field(
            description="by column, or for all texts that are not named (`*`): {old: new}; null as the"
            " new value makes it missing: {m: male, 'N/A': null}, {-999: null}"
        ),
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        own: dict[str, dict[Scalar, Scalar]] = self.own(settings)
        if "*" in settings:
            for column in self.table.columns:
                if is_text(arrow_type(column)):
                    own.setdefault(column.name, settings["*"])
        self._old, self._new = {}, {}
        for name, values in own.items():
            column = self.table.column(name)
            if column.meaning == "image":
                raise self.misfit(column, "values to compare")
            self._old[name] = _comparable(self._array(column, list(values)))
            self._new[name] = self._array(column, list(values.values()))

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._old)

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        changed, counts = {}, {}
        for name, old in self._old.items():
            places = pc.index_in(_comparable(batch[name]), value_set=old, skip_nulls=True)
            if places.null_count < len(places):
                changed[name] = pc.if_else(
                    places.is_valid(), self._new[name].take(places), batch[name]
                )
                counts[name] = len(places) - places.null_count
        return Changed(replaced(batch, changed) if changed else batch, {"replaced": counts})

    def after(self) -> TableSchema:
        """Columns in which something becomes missing may have missing values."""
        return retyped(
            self.table,
            (
                self.table.column(name).model_copy(update={"nullable": True})
                for name, new in self._new.items()
                if new.null_count
            ),
        )

    def _array(self, column: Column, values: list[Scalar]) -> pa.Array:
        where = f"clean.{self.name()}"
        scalars = [None if v is None else scalar_of(column, v, where) for v in values]
        return pa.array(scalars, arrow_type(column))


def _comparable(values: pa.Array) -> pa.Array:
    """With one zero: Arrow takes -0.0 for another value than 0."""
    is_float = pa.types.is_floating(values.type)
    return pc.add(values, pa.scalar(0.0, values.type)) if is_float else values
