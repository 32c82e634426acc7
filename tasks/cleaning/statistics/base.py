"""The contract of statistics, and the step that learns by them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pyarrow as pa

from tasks.cleaning.base import Step, Subject


class Statistic(ABC):
    """Something about the columns of a table, learned in one or more rounds over all batches."""

    @property
    @abstractmethod
    def needs_round(self) -> bool:
        """Whether the batches must be observed (again)."""

    def notes(self) -> Iterator[Any]:
        """What goes with each batch, in order; see `Step.notes`."""
        return repeat(None)

    @abstractmethod
    def observe(self, batch: pa.RecordBatch, note: Any) -> Any:
        """What one batch tells."""

    @abstractmethod
    def add(self, partial: Any) -> None:
        """Take what a batch told; they come in the order of the rows."""

    @abstractmethod
    def end_round(self) -> None:
        """All batches were seen."""


class LearningStep(Step):
    """A step that learns by statistics, all of them in the same rounds.

    Attributes:
        statistics: in the order of the items of `note`, to be given by `__init__`.
    """

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        self.statistics: list[Statistic] = []

    @property
    def needs_round(self) -> bool:
        """See `Step.needs_round`."""
        return any(statistic.needs_round for statistic in self.statistics)

    def notes(self) -> Iterator[Any]:
        """A tuple of the notes of the statistics."""
        if not self.statistics:
            return repeat(())
        return zip(*(statistic.notes() for statistic in self.statistics), strict=False)

    def observe(self, batch: pa.RecordBatch) -> list[Any]:
        """See `Step.observe`."""
        return [
            statistic.observe(batch, note) if statistic.needs_round else None
            for statistic, note in zip(self.statistics, self.note, strict=True)
        ]

    def learn(self, partials: Iterator[list[Any]]) -> None:
        """See `Step.learn`."""
        waiting = [(i, s) for i, s in enumerate(self.statistics) if s.needs_round]
        for partial in partials:
            for i, statistic in waiting:
                statistic.add(partial[i])
        for _, statistic in waiting:
            statistic.end_round()
