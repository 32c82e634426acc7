"""The values before and behind each batch, from which gaps at its ends are filled."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.cleaning.statistics.base import Statistic


@dataclass(frozen=True)
class Neighbour:
    """A known value of a column.

    Attributes:
        value: it.
        row: its number, counted from the first row of the batch that it is a neighbour of.
    """

    value: pa.Scalar
    row: int


Neighbourhood = dict[str, tuple[Neighbour | None, Neighbour | None]]
"""By column, the last known value before a batch and the first one behind it."""


class Neighbours(Statistic):
    """One round. Afterwards its notes are the `Neighbourhood` of each batch."""

    def __init__(self, columns: Iterable[str]) -> None:
        """Nothing was seen yet."""
        self._columns = list(columns)
        self._ends: list[tuple[int, Neighbourhood]] = []
        self._around: list[Neighbourhood] | None = None if self._columns else []

    def __getstate__(self) -> dict[str, Any]:
        """Without what is known of all batches: each gets its own part as a note."""
        return self.__dict__ | {"_ends": [], "_around": None if self._around is None else []}

    @property
    def needs_round(self) -> bool:
        """See `Statistic.needs_round`."""
        return self._around is None

    def notes(self) -> Iterator[Neighbourhood | None]:
        """See the class."""
        return iter(self._around) if self._around else repeat(None)

    def observe(self, batch: pa.RecordBatch, note: Any) -> tuple[int, Neighbourhood]:
        """Rows of the batch, and the first and the last known value of each column."""
        del note
        ends: Neighbourhood = {}
        for name in self._columns:
            known = np.flatnonzero(batch[name].is_valid().to_numpy(zero_copy_only=False))
            first, last = (
                Neighbour(batch[name][int(i)], int(i)) if len(known) else None
                for i in (known[[0, -1]] if len(known) else (0, 0))
            )
            ends[name] = (first, last)
        return batch.num_rows, ends

    def add(self, partial: tuple[int, Neighbourhood]) -> None:
        """See `Statistic.add`."""
        self._ends.append(partial)

    def end_round(self) -> None:
        """See `Statistic.end_round`."""
        before = _carried(self._ends)
        behind = _carried(
            [
                (n, {c: (last, first) for c, (first, last) in e.items()})
                for n, e in self._ends[::-1]
            ],
            backwards=True,
        )[::-1]
        self._around = [
            {c: (prior[c], later[c]) for c in self._columns}
            for prior, later in zip(before, behind, strict=True)
        ]
        self._ends = []


def _carried(
    ends: list[tuple[int, Neighbourhood]], *, backwards: bool = False
) -> list[dict[str, Neighbour | None]]:
    """For each batch, the nearest known value of the batches that come before it in `ends`."""
    carried: list[dict[str, Neighbour | None]] = []
    current: dict[str, Neighbour | None] = {}
    n_before = 0
    for n_rows, columns in ends:
        shift = n_rows if backwards else -n_before
        current = {
            name: Neighbour(near.value, near.row + shift)
            if (near := current.get(name)) is not None
            else None
            for name in columns
        }
        carried.append(current)
        current = {
            name: last if last is not None else current[name] for name, (_, last) in columns.items()
        }
        n_before = n_rows
    return carried
