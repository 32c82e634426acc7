"""Give columns types: as declared, or as their texts show; every failed cast is counted."""

import logging
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, field_validator

from tasks.cleaning.base import Changed, Counts, Subject, replaced, retyped
from tasks.cleaning.casts import (
    Reading,
    can_convert,
    candidates,
    convert,
    forms,
    inferable,
    is_plain,
    is_same,
    marks,
    read_form,
    spelled,
)
from tasks.cleaning.statistics.base import LearningStep, Statistic
from tasks.cleaning.steps.text import is_text
from tasks.errors import DataError, ParamsError, SchemaError
from tasks.params import Record
from tasks.schema import Column, TableSchema, arrow_type, type_name
from tasks.sources.base import column as plain_column
from tasks.sources.formats._forms import without_missing

_log = logging.getLogger(__name__)

INFER = "infer"
"""In place of a type: the one that all texts of the column are written in."""


class Cast(Record):
    """A type, and what becomes of values that cannot have it."""

    to: str = Field(description="the type: int64, double, decimal128(10, 2), date32 ...")
    on_error: Literal["missing", "fail"] = Field(
        default="missing", description="missing: the value, counted; fail: the stage"
    )

    @field_validator("to")
    @classmethod
    def _is_a_type(cls, to: str) -> str:
        if to != INFER:
            _type_of(to)
        return to


def _as_cast(given: Any) -> Any:
    """A type alone is short for a cast to it."""
    return {"to": given} if isinstance(given, str) else given


def _type_of(name: str) -> pa.DataType:
    try:
        return arrow_type(Column(name="x", type=name, meaning="text"))
    except SchemaError as error:
        raise ValueError(
            f"unknown type {name!r}; write int64, double, decimal128(10, 2), date32, timestamp[us],"
            f" time64[us], bool, string ..., or {INFER!r}"
        ) from error


class Types(LearningStep):
    """Texts are read as `tasks.sources` reads them from files, and more freely where declared.

    `infer` gives a column a type if all of its texts are written in one form; else it stays what it is.
    A declared type takes texts that are written plainly (`1250.5`, `2024-03-04`) and those in the one
    other form that most of the others are in (`$1,250.50`, `04.03.2024`), so that a day is not
    read as a month here and there.
    """

    order = 50
    groups = frozenset({"*"})
    Settings = Annotated[
        Literal["infer"] | dict[str, Annotated[Cast, BeforeValidator(_as_cast)]],
        Field(
            description="by column: a type (int64, double, decimal128(10, 2), date32, timestamp[us],"
            " bool, string ...), `infer`, or {to: type, on_error: fail}; `*: infer` or just `infer`:"
            " all texts that are not named"
        ),
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        settings = {"*": Cast(to=INFER)} if settings == INFER else settings
        super().__init__(settings, subject)
        self._casts: dict[str, Cast] = self.own(settings)
        if "*" in settings:
            self._infer_all(settings["*"])
        self._kinds = {
            name: kind for name, cast in self._casts.items() if (kind := self._kind(name, cast))
        }
        self._readings: dict[str, Reading] = {}
        texts = {
            name: self._kinds.get(name)
            for name in self._casts
            if is_text(arrow_type(self.table.column(name)))
            and not (name in self._kinds and is_text(self._kinds[name]))
        }
        self._spellings = _Spellings(texts)
        self.statistics = [self._spellings]

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._casts)

    def learn(self, partials: Iterator[Any]) -> None:
        """See `Step.learn`."""
        super().learn(partials)
        self._readings = {
            name: reading
            for name in self._casts
            if (reading := self._spellings.reading(name)) is not None
        }
        for name in self._spellings.ambiguous(self._readings):
            _log.warning(
                "clean.types: %r of %r is read with the month before the day, and no value tells"
                " otherwise; if days come first, write the dates as 2024-12-31 in the source",
                *(name, self.table.name),
            )

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        changed = {}
        counts: Counts = {"converted": {}, "failed": {}, "marks_made_missing": {}}
        for name, cast in self._casts.items():
            values = batch[name]
            n_marks = 0
            if name in self._readings:
                changed[name] = self._readings[name](values)
                n_marks = pc.sum(marks(values), min_count=0).as_py()
            elif name in self._kinds:
                changed[name] = convert(values, self._kinds[name])
            else:
                continue
            n_failed = changed[name].null_count - values.null_count - n_marks
            if n_failed and cast.on_error == "fail":
                raise DataError(
                    f"clean.types: expected all of {name!r} in {self.table.name!r} to be {cast.to},"
                    f" found {n_failed:,} or more other values; correct them, or let them be missing"
                )
            counts["converted"][name] = len(values) - changed[name].null_count
            counts["failed"][name] = n_failed
            counts["marks_made_missing"][name] = n_marks
        return Changed(replaced(batch, changed) if changed else batch, counts)

    def after(self) -> TableSchema:
        """See `Step.after`."""
        return retyped(self.table, (self._retyped(self.table.column(n)) for n in self._casts))

    def learned(self) -> dict[str, Any]:
        """The types by column; of a column that is not here, the texts are in no one form."""
        kinds = self._kinds | {name: reading.kind for name, reading in self._readings.items()}
        return {name: type_name(kind) for name, kind in sorted(kinds.items())}

    def _infer_all(self, given: Cast) -> None:
        if given.to != INFER:
            raise ParamsError(f"clean.types.*: expected {INFER!r}, found {given.to!r}")
        for column in self.table.columns:
            if is_text(arrow_type(column)):
                self._casts.setdefault(column.name, given)

    def _kind(self, name: str, cast: Cast) -> pa.DataType | None:
        """The declared type; None: it is inferred."""
        column = self.table.column(name)
        if cast.to == INFER:
            return None
        kind = _type_of(cast.to)
        if not can_convert(arrow_type(column), kind):
            raise self.misfit(column, f"one whose values can be {cast.to}")
        return kind

    def _retyped(self, column: Column) -> Column:
        reading = self._readings.get(column.name)
        kind = reading.kind if reading is not None else self._kinds.get(column.name)
        if kind is None:
            return column
        is_target = self.table.name == self.schema.main.name and column.name == self.schema.target
        keeps = column.meaning == "identifier" or (is_target and column.meaning == "categorical")
        meaning = column.meaning if keeps else plain_column(column.name, kind).meaning
        may_fail = reading is not None or self._casts[column.name].on_error == "missing"
        update = {
            "type": type_name(kind),
            "meaning": meaning,
            "nullable": column.nullable or may_fail,
        }
        return column.model_copy(update=update)


class _Spellings(Statistic):
    """How many texts of each column are written in each form; one round."""

    def __init__(self, kinds: dict[str, pa.DataType | None]) -> None:
        """Args: the declared types by column; None: to be inferred."""
        self._kinds = kinds
        self._is_done = not kinds
        self._counts = {name: np.zeros(len(forms()), dtype=np.int64) for name in kinds}
        self._n_values = dict.fromkeys(kinds, 0)

    @property
    def needs_round(self) -> bool:
        """See `Statistic.needs_round`."""
        return not self._is_done

    def observe(self, batch: pa.RecordBatch, note: Any) -> dict[str, tuple[int, Any]]:
        """See `Statistic.observe`."""
        del note
        found = {}
        for name, kind in self._kinds.items():
            texts = without_missing(batch[name]).drop_null()
            counts = _fitting(texts) if kind is None else _written(spelled(texts, kind), kind)
            found[name] = (len(texts), counts)
        return found

    def add(self, partial: dict[str, tuple[int, Any]]) -> None:
        """See `Statistic.add`."""
        for name, (n_values, counts) in partial.items():
            self._n_values[name] += n_values
            self._counts[name] += counts

    def end_round(self) -> None:
        """See `Statistic.end_round`."""
        self._is_done = True

    def reading(self, name: str) -> Reading | None:
        """How the column is read; None: it has no texts, or they stay texts."""
        if name not in self._kinds:
            return None
        kind, counts = self._kinds[name], self._counts[name]
        if kind is None:
            fits = [i for i in inferable() if 0 < self._n_values[name] == counts[i]]
            return Reading(forms()[fits[0]].data_type, (fits[0],)) if fits else None
        plain = tuple(i for i in candidates(kind) if is_plain(i))
        others = [i for i in candidates(kind) if not is_plain(i) and counts[i]]
        best = max(others, key=lambda i: (counts[i], -i), default=None)
        return Reading(kind, plain if best is None else (*plain, best))

    def ambiguous(self, readings: Mapping[str, Reading]) -> list[str]:
        """Columns whose texts all fit another order of day and month as well."""
        found = []
        for name, reading in readings.items():
            counts, read = self._counts[name], reading.numbers[-1]
            others = [i for i in range(read + 1, len(forms())) if is_same(i, read)]
            if any(0 < counts[read] == counts[i] for i in others):
                found.append(name)
        return found


def _fitting(texts: pa.Array) -> npt.NDArray[np.int64]:
    """All of the texts for each form that all are written in, none for the others."""
    counts = np.zeros(len(forms()), dtype=np.int64)
    for i in inferable():
        if forms()[i].fits(texts):
            counts[i] = len(texts)
    return counts


def _written(texts: pa.Array, kind: pa.DataType) -> npt.NDArray[np.int64]:
    """How many of the texts that are not written plainly are written in each other form."""
    counts = np.zeros(len(forms()), dtype=np.int64)
    possible = sorted(candidates(kind), key=lambda i: not is_plain(i))
    for i in possible:
        found = read_form(forms()[i], texts)
        if is_plain(i):
            texts = texts.filter(found.is_null())
        counts[i] = len(found) - found.null_count
        if len(texts) == 0:
            break
    return counts
