"""Fill missing values, or leave out the rows that have them; a method for each column."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from tasks.cleaning.base import Changed, Subject, places_of, put_in, replaced, retyped
from tasks.cleaning.gaps import fill_backward, fill_forward, interpolate
from tasks.cleaning.statistics.base import LearningStep
from tasks.cleaning.statistics.exact import is_ordered, value_of
from tasks.cleaning.statistics.modes import MAX_VALUES, Modes
from tasks.cleaning.statistics.moments import Moments
from tasks.cleaning.statistics.neighbours import Neighbours
from tasks.cleaning.statistics.nulls import Nulls
from tasks.cleaning.statistics.quantiles import Quantiles
from tasks.cleaning.statistics.sample import Sample
from tasks.cleaning.values import scalar_of
from tasks.errors import DataError, ParamsError
from tasks.params import Record, Scalar
from tasks.schema import Column, TableSchema, arrow_type
from tasks.seeding import derive_seed

if TYPE_CHECKING:
    from tasks.cleaning.imputation import Imputer

SAMPLE_ROWS = 50_000
"""Rows at most from which a model of `regression` learns."""

_ORDERED = "numbers, dates or times"


class Constant(Record):
    """One value for all."""

    constant: Scalar = Field(description="what is put in; of the column's type")

    @model_validator(mode="after")
    def _is_there(self) -> Self:
        if self.constant is None:
            raise ValueError("expected a constant that is put in for what is missing")
        return self


Method = (
    Literal["drop", "mean", "median", "mode", "forward", "backward", "interpolate", "regression"]
    | Constant
)


class Missing(LearningStep):
    """Columns are filled from what they are before the step, so their order plays no role.

    A group (`*`: all columns; or a meaning) stands for its columns that are not named themselves; keys,
    identifiers and the target must be named.
    """

    order = 110
    groups = frozenset({"*", "numeric", "categorical", "datetime", "boolean", "text"})
    Settings = Annotated[
        dict[str, Method],
        Field(
            description="by column, by meaning (numeric, categorical ...) or for all (`*`): drop (the"
            " row), mean, median, mode, {constant: value}, forward or backward (the value of the row"
            " before or behind), interpolate (between these, by rows), regression (by a model of the"
            " other columns)"
        ),
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        self._methods = {
            c.name: m for c in self.table.columns if (m := self._method(c)) is not None
        }
        for name, method in self._methods.items():
            self._check(self.table.column(name), method)
        self._neighbours = Neighbours(self._by("forward", "backward", "interpolate"))
        self._nulls = Nulls(self._by("mean", "median", "mode", "regression"))
        self._moments = Moments(self._types("mean"), squares=False)
        self._quantiles = Quantiles(self._types("median"), [Fraction(1, 2)])
        self._modes = Modes(self._by("mode"))
        self._features = [c for c in self.table.columns if self._is_feature(c)]
        self._samples = {name: self._sample(name) for name in self._by("regression")}
        self.statistics = [
            self._neighbours,
            self._nulls,
            self._moments,
            self._quantiles,
            self._modes,
            *self._samples.values(),
        ]
        self._fills: dict[str, pa.Scalar] = {
            name: scalar_of(self.table.column(name), method.constant, "clean.missing")
            for name, method in self._methods.items()
            if isinstance(method, Constant)
        }
        self._imputers: dict[str, Imputer] = {}

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._methods)

    @property
    def drops_rows(self) -> bool:
        """See `Step.drops_rows`."""
        return bool(self._by("drop"))

    def learn(self, partials: Iterator[Any]) -> None:
        """See `Step.learn`."""
        super().learn(partials)
        if self.needs_round:
            return
        for name, n_missing in self._nulls.of.items():
            if n_missing:
                self._fit(name)
        for sample in self._samples.values():
            sample.rows = None

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        filled = {name: self._filled(name, batch) for name in self._methods}
        counts = {name: batch[name].null_count - filled[name].null_count for name in filled}
        changed = replaced(batch, {name: filled[name] for name, n in counts.items() if n})
        stays = np.ones(batch.num_rows, dtype=bool)
        for name in self._by("drop"):
            stays &= batch[name].is_valid().to_numpy(zero_copy_only=False)
        if not stays.all():
            changed = changed.filter(pa.array(stays))
        return Changed(changed, {"filled": counts})

    def after(self) -> TableSchema:
        """Columns that can have no missing value any more say so."""
        open_ended = set(self._by("forward", "backward"))
        return retyped(
            self.table,
            (
                self.table.column(name).model_copy(update={"nullable": False})
                for name in self._methods
                if name not in open_ended
            ),
        )

    def learned(self) -> dict[str, Any]:
        """What was put in for missing values, but for personal columns."""
        return {
            name: _json(self._fills[name].as_py())
            for name in sorted(self._fills)
            if not self.table.column(name).personal
        }

    def _method(self, column: Column) -> Method | None:
        """What is done with a column: its own setting, that of its meaning, or that of all."""
        settings: dict[str, Method] = self.settings
        places = places_of(self.schema)
        for name, method in settings.items():
            if places.get(name) == (self.table.name, column.name):
                return method
        is_target = self._is_main and column.name == self.schema.target
        if is_target or column.name in self._keys or column.meaning in ("identifier", "image"):
            return None
        groups = {name: m for name, m in settings.items() if name not in places}
        return groups.get(column.meaning, groups.get("*"))

    @property
    def _is_main(self) -> bool:
        return self.table.name == self.schema.main.name

    @property
    def _keys(self) -> set[str]:
        links = (c for key in self.table.foreign_keys for c in key.columns)
        return {*self.table.primary_key, *links}

    def _check(self, column: Column, method: Method) -> None:
        kind = arrow_type(column)
        if method in ("mean", "median", "interpolate") and not is_ordered(kind):
            raise self.misfit(column, f"{_ORDERED} for {method!r}")
        if method == "regression" and column.meaning in ("text", "identifier", "image"):
            raise self.misfit(column, "quantities or categories for 'regression'")
        if method == "mode" and column.meaning == "image":
            raise self.misfit(column, "values that repeat for 'mode'")

    def _by(self, *methods: str) -> list[str]:
        return [name for name, method in self._methods.items() if method in methods]

    def _types(self, method: str) -> dict[str, pa.DataType]:
        return {name: arrow_type(self.table.column(name)) for name in self._by(method)}

    def _is_feature(self, column: Column) -> bool:
        return column.meaning in ("numeric", "categorical", "boolean", "datetime")

    def _sample(self, name: str) -> Sample:
        columns = list(dict.fromkeys([name, *(c.name for c in self._features)]))
        return Sample(columns, SAMPLE_ROWS, derive_seed(self.seed, name), known=name)

    def _fit(self, name: str) -> None:
        """What the missing values of a column will be."""
        column = self.table.column(name)
        exact: Fraction | None = None
        match self._methods[name]:
            case "mean":
                moment = self._moments.of[name]
                exact = moment.mean if moment.n_values else None
            case "median":
                quantiles = self._quantiles.of[name]
                exact = quantiles[0] if quantiles else None
            case "mode" if name in self._modes.too_many:
                raise ParamsError(
                    f"clean.missing: {name!r} of {self.table.name!r} has more than {MAX_VALUES:,}"
                    " different values, so no mode that says anything; fill it in another way"
                )
            case "mode" if (mode := self._modes.of[name]) is not None:
                self._fills[name] = pa.scalar(mode, arrow_type(column))
                return
            case "regression" if rows := self._samples[name].rows:
                from tasks.cleaning.imputation import Imputer  # LightGBM takes its time to load

                others = [other for other in self._features if other.name != name]
                self._imputers[name] = Imputer(column, others, rows)
                return
        if exact is None:
            raise self._no_value(name)
        self._fills[name] = value_of(exact, arrow_type(column))

    def _no_value(self, name: str) -> DataError:
        return DataError(
            f"clean.missing: expected values of {name!r} in {self.table.name!r} from which to fill"
            " its missing ones, found none; leave it out (`drop_columns`) or give {constant: …}"
        )

    def _filled(self, name: str, batch: pa.RecordBatch) -> pa.Array:
        values = batch[name]
        if values.null_count == 0 or self._methods[name] == "drop":
            return values
        if name in self._fills:
            return pc.fill_null(values, self._fills[name])
        if name in self._imputers:
            is_missing = values.is_null()
            predicted = self._imputers[name].predict(batch.filter(is_missing))
            return put_in(values, is_missing, predicted)
        before, behind = self.note[0][name]
        if self._methods[name] == "interpolate":
            if before is None and behind is None and values.null_count == len(values):
                raise self._no_value(name)
            return interpolate(values, before, behind)
        fill, near = (
            (fill_forward, before) if self._methods[name] == "forward" else (fill_backward, behind)
        )
        return fill(values, near)


def _json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str) else str(value)
