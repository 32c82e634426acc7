"""Leave out rows whose texts are too short or too long."""

from typing import Annotated, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from tasks.cleaning.base import Changed, Step, Subject
from tasks.cleaning.steps.text import is_text
from tasks.params import Record
from tasks.schema import arrow_type


class Limits(Record):
    """Lengths in characters (code points) that a text may have."""

    min: int = Field(default=0, ge=0, description="the shortest; 1: no empty text")
    max: int | None = Field(default=None, ge=0, description="the longest; null: any")

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.max is None and self.min == 0:
            raise ValueError("expected a `min` above 0 or a `max`")
        if self.max is not None and self.max < self.min:
            raise ValueError("expected a `max` that is no smaller than `min`")
        return self


class Length(Step):
    """A missing text has no length: `drop_missing` is about those."""

    order = 70
    Settings = Annotated[
        dict[str, Limits],
        Field(description="by column: {min: characters, max: characters}; other rows go"),
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        self._limits: dict[str, Limits] = self.own(settings)
        for name in self._limits:
            if not is_text(arrow_type(self.table.column(name))):
                raise self.misfit(self.table.column(name), "texts")

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._limits)

    @property
    def drops_rows(self) -> bool:
        """See `Step.drops_rows`."""
        return True

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        stays = np.ones(batch.num_rows, dtype=bool)
        counts: dict[str, dict[str, int]] = {"too_short": {}, "too_long": {}}
        for name, limits in self._limits.items():
            lengths = pc.fill_null(pc.utf8_length(batch[name]), -1).to_numpy()
            is_short = (lengths >= 0) & (lengths < limits.min)
            is_long = lengths > (limits.max if limits.max is not None else np.inf)
            counts["too_short"][name] = int(is_short.sum())
            counts["too_long"][name] = int(is_long.sum())
            stays &= ~(is_short | is_long)
        return Changed(batch if stays.all() else batch.filter(pa.array(stays)), counts)
