"""Leave out rows that repeat another row, in all columns or in those of a key."""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from tasks.cleaning.base import Changed, Step, Subject
from tasks.cleaning.digests import Words, row_digests
from tasks.cleaning.repeats import Repeats
from tasks.params import Record


class ByKey(Record):
    """Rows are told apart by some columns."""

    by: list[str] = Field(min_length=1, description="columns of one table that tell its rows apart")
    keep: Literal["first", "last"] = Field(
        default="first", description="which of the rows with equal values stays"
    )


class DropDuplicates(Step):
    """Digests of all rows are compared, see `tasks.cleaning.digests`; the rows may be many.

    With a key, a row whose key has a missing value repeats no other: it is not known to.
    """

    order = 90
    Settings = Annotated[
        bool | list[str] | ByKey,
        Field(
            description="true: rows that repeat another one in every column go; a list: the first"
            " row of each value of these columns stays; {by: [...], keep: last}: the last one"
        ),
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        self._keep: Literal["first", "last"] = "first"
        if isinstance(settings, ByKey):
            self._keep = settings.keep
        self._key = list(self.own(dict.fromkeys(self.named(settings))))
        self._repeated: npt.NDArray[np.uint8] | None = None
        self._batch_rows: list[int] = []

    def __getstate__(self) -> dict[str, Any]:
        """Without what is known of all rows: each batch gets its own part as a note."""
        return self.__dict__ | {"_repeated": None, "_batch_rows": []}

    @classmethod
    def named(cls, settings: Any) -> Iterable[str]:
        """See `Step.named`."""
        return super().named(settings.by if isinstance(settings, ByKey) else settings)

    @property
    def applies(self) -> bool:
        """Rows that others link to differ by their key: none of them repeats another."""
        is_linked = any(
            k.references == self.table.name for t in self.schema.tables for k in t.foreign_keys
        )
        differs = bool(self.table.primary_key) and is_linked
        return bool(self._key) or (self.settings is True and not differs)

    @property
    def drops_rows(self) -> bool:
        """See `Step.drops_rows`."""
        return True

    @property
    def needs_round(self) -> bool:
        """See `Step.needs_round`."""
        return self._repeated is None

    def observe(self, batch: pa.RecordBatch) -> tuple[int, npt.NDArray[np.int64], Words]:
        """Rows of the batch, the places of those that may repeat another, and their digests."""
        if not self._key:
            return batch.num_rows, np.arange(batch.num_rows), row_digests(batch)
        key = batch.select(self._key)
        is_known = np.ones(batch.num_rows, dtype=bool)
        for values in key.columns:
            is_known &= values.is_valid().to_numpy(zero_copy_only=False)
        return batch.num_rows, np.flatnonzero(is_known), row_digests(key.filter(pa.array(is_known)))

    def learn(self, partials: Iterator[tuple[int, npt.NDArray[np.int64], Words]]) -> None:
        """See `Step.learn`."""
        repeats = Repeats(self._keep)
        n_rows = 0
        for n_batch, places, digests in partials:
            repeats.add(digests, n_rows + places)
            self._batch_rows.append(n_batch)
            n_rows += n_batch
        self._repeated = repeats.find(n_rows)

    def notes(self) -> Iterator[npt.NDArray[np.bool_] | None]:
        """Whether each row of a batch stays; None: all do."""
        return repeat(None) if self._repeated is None else self._masks(self._repeated)

    def _masks(self, repeated: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.bool_] | None]:
        start = 0
        for n_rows in self._batch_rows:
            some = np.unpackbits(repeated[start // 8 : (start + n_rows + 7) // 8])
            some = some[start % 8 : start % 8 + n_rows]
            yield some == 0 if some.any() else None
            start += n_rows

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        return Changed(batch if self.note is None else batch.filter(pa.array(self.note)))
