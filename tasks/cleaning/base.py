"""The contract of cleaning: one step is one thing that is done to the values or rows of a table.

To add a step, write one file `tasks/cleaning/steps/<name>.py` with one subclass of `Step`, then write
`clean: {<name>: …}` in params.yaml. Steps run in the order of their `order`, whatever the order of
the keys (`tasks/cleaning/steps/__init__.py` shows it).

A step that must know all rows before it can change one (a median, a duplicate) asks for rounds: in a
round every batch is observed, where it lies and by any engine, and the step learns from what was
seen, in the order of the rows. So memory is bounded for any number of rows, and every engine gives
the same bits.
"""

import copy
import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import pyarrow as pa

from tasks.errors import ParamsError
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.seeding import derive_seed

_T = TypeVar("_T")

Counts = dict[str, dict[str, int]]
"""How many values were changed: by what became of them, by column."""


@dataclass(frozen=True)
class Subject:
    """What a step works on: one table, as the steps before it leave the table.

    Attributes:
        schema: of the dataset.
        table: name of one of its tables.
        seed: of the dataset.
        state: folder where the project keeps its keys; None: nowhere.
    """

    schema: DatasetSchema
    table: str
    seed: int
    state: Path | None = None


@dataclass(frozen=True)
class Changed:
    """A batch after a step.

    Attributes:
        batch: with the columns of `Step.after`; rows may be left out, their order stays.
        counts: of changed values. Rows that were left out are counted by who called.
    """

    batch: pa.RecordBatch
    counts: Counts = field(default_factory=dict)


class Step(ABC):
    """One step on one table. An engine sends it to other processes by pickle.

    Attributes:
        order: when it runs; see `tasks/cleaning/steps/__init__.py`.
        Settings: what stands under its key: any type that pydantic can check, with its description.
        default: the settings where params.yaml has none; None: the step is not run then.
        groups: keys of the settings that stand for several columns.
        settings: as checked.
        schema: of the dataset before the step.
        table: the table before the step.
        seed: for what is random in the step.
        note: in `observe` and `change`: what `notes` gave for the batch.
    """

    order: ClassVar[int]
    Settings: ClassVar[Any]
    default: ClassVar[Any] = None
    groups: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: Any, subject: Subject) -> None:
        """Take up a table; rows have not been seen yet.

        Args:
            settings: of the type `Settings`.
            subject: the table.

        Raises:
            ParamsError: the settings do not fit the columns.
        """
        self.settings = settings
        self.schema = subject.schema
        self.table = subject.schema.table(subject.table)
        self.note: Any = None
        self.seed = derive_seed(subject.seed, "clean", self.name(), self.table.name)

    @classmethod
    def name(cls) -> str:
        """The key in params.yaml: the name of the file."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def named(cls, settings: Any) -> Iterable[str]:
        """The columns that settings name: the keys of a mapping, the items of a list."""
        names = settings if isinstance(settings, list | dict) else ()
        return [name for name in names if name not in cls.groups]

    @property
    def applies(self) -> bool:
        """Whether there is anything to do in this table; if not, the step is left out."""
        return True

    @property
    def drops_rows(self) -> bool:
        """Whether rows may be left out; it is refused where other tables link to the rows."""
        return False

    @property
    def needs_round(self) -> bool:
        """Whether all batches must be observed (again) before any is changed."""
        return False

    def notes(self) -> Iterator[Any]:
        """What goes with each batch, in order: `note` in `observe` and `change`; by default None.

        Asked for anew before every round and before the changes. May be endless.
        """
        return repeat(None)

    def observe(self, batch: pa.RecordBatch) -> Any:
        """What one batch tells, in a round; small, and something that pickle can send.

        Args:
            batch: as the steps before leave it, maybe without rows.
        """
        raise NotImplementedError

    def learn(self, partials: Iterator[Any]) -> None:
        """Take what the batches told in a round, in the order of the rows."""
        raise NotImplementedError

    @abstractmethod
    def change(self, batch: pa.RecordBatch) -> Changed:
        """The batch after the step.

        Args:
            batch: as the steps before leave it, maybe without rows.
        """

    def noted(self, note: Any) -> Self:
        """The step for one batch; others may be at work on other batches."""
        step = copy.copy(self)
        step.note = note
        return step

    def after(self) -> TableSchema:
        """The table after the step, asked for when nothing more is to be learned.

        Keys, links and constraints of columns that are no longer there need not be taken out.
        """
        return self.table

    def learned(self) -> dict[str, Any]:
        """What was learned, for the stage's report: JSON, no values of single rows."""
        return {}

    def own(self, settings: Mapping[str, _T]) -> dict[str, _T]:
        """Those of the settings that are about columns of this table, by column."""
        places = places_of(self.schema)
        return {
            places[name][1]: given
            for name, given in settings.items()
            if name not in self.groups and places[name][0] == self.table.name
        }

    def misfit(self, column: Column, fits: str) -> ParamsError:
        """The error for a column whose type the step cannot work on.

        Args:
            column: of this table.
            fits: what it can work on: "numbers and dates".
        """
        return ParamsError(
            f"clean.{self.name()}: column {column.name!r} of {self.table.name!r} is of type"
            f" {column.type}, expected {fits}; take it out, or give it another type under"
            " `clean.types`"
        )


def places_of(schema: DatasetSchema) -> dict[str, tuple[str, str]]:
    """Table and column by the names that settings use.

    `column` is one of the main table, `table.column` one of any table.
    """
    places = {f"{t.name}.{c}": (t.name, c) for t in schema.tables for c in t.column_names}
    return places | {c: (schema.main.name, c) for c in schema.main.column_names}


def check_names(schema: DatasetSchema, names: Iterable[str], where: str) -> None:
    """Every name is a column.

    Raises:
        ParamsError: one is not; the message has those that are spelled like it.
    """
    places = places_of(schema)
    for name in names:
        if name not in places:
            near = difflib.get_close_matches(name, places, n=3) or schema.main.column_names
            raise ParamsError(
                f"{where} names {name!r}, which is no column; choose from: {', '.join(near)}"
            )


def replaced(batch: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """The batch with these columns in place of its own of that name, new ones behind."""
    arrays = dict(zip(batch.schema.names, batch.columns, strict=True)) | dict(columns)
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def put_in(values: pa.Array, is_meant: pa.Array, new: pa.Array) -> pa.Array:
    """The values with those of `new`, in their order, where `is_meant` is true.

    Not `replace_with_mask`, which in pyarrow 25 writes truth values of slices to wrong places.
    """
    places = np.arange(len(values))
    places[is_meant.to_numpy(zero_copy_only=False)] = len(values) + np.arange(len(new))
    return pa.concat_arrays([values, new]).take(pa.array(places))


def retyped(table: TableSchema, columns: Iterable[Column]) -> TableSchema:
    """The table with these columns in place of its own of that name, new ones behind."""
    known = {column.name: column for column in table.columns}
    known |= {column.name: column for column in columns}
    return table.model_copy(update={"columns": tuple(known.values())})
