"""What a training must know of its rows, in a file beside them.

    data/adult/balanced/
        adult/part-00000.parquet …  real rows, then rows that were added, then validation rows
        balance.json                how many of each, and the classes

The added rows are copies of real ones or lie between them. So what is learned of the columns
(categories, quantiles, which values are too rare to be published) is learned of the real rows
alone, and the validation rows are neither copied nor used to make others.
"""

import json
from pathlib import Path
from typing import Self

from pydantic import Field

from tasks.params import Record
from tasks.storage import is_stored, read_json, write_json

RECORD_FILE = "balance.json"


class ClassRecord(Record):
    """One class of the target."""

    value: str | None = Field(description="of the target, as text; null: missing")
    rows: int = Field(description="real training rows of this class")
    wanted: int = Field(description="rows that it should have beside the others")

    @property
    def weight(self) -> float:
        """By how much each of its rows counts, before all weights are scaled to a mean of 1."""
        return self.wanted / self.rows


class BalanceRecord(Record):
    """What the rows of a balanced dataset are."""

    method: str = Field(description="balance.method")
    target: str | None = Field(description="column of the classes; null: none were looked at")
    real_rows: int = Field(description="rows at the start that are real")
    added_rows: int = Field(default=0, description="rows after them that were added")
    validation_rows: int = Field(
        default=0, description="rows at the end to stop by; 0: the training takes its own"
    )
    classes: tuple[ClassRecord, ...] = Field(default=(), description="by first appearance")

    def save(self, folder: Path, *, encrypt: bool = False) -> None:
        """Write it beside the rows, encrypted if they are."""
        write_json(folder / RECORD_FILE, self.model_dump(mode="json"), encrypt=encrypt)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """What stands beside the rows; None: all are real, and none is set aside."""
        path = folder / RECORD_FILE
        # As JSON and not as Python's values, which would not be taken for tuples.
        return cls.model_validate_json(json.dumps(read_json(path))) if is_stored(path) else None
