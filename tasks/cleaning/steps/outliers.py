"""Values and rows that are far from all others: flagged, clipped or left out."""

from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.cleaning.base import Changed, Counts, Subject, places_of, replaced, retyped
from tasks.cleaning.statistics.base import LearningStep
from tasks.cleaning.statistics.exact import is_ordered, unit_of, value_of
from tasks.cleaning.statistics.moments import Moments
from tasks.cleaning.statistics.quantiles import Quantiles
from tasks.cleaning.statistics.sample import Sample
from tasks.errors import ParamsError
from tasks.params import Fraction as Share
from tasks.params import Record
from tasks.schema import Column, TableSchema, arrow_type
from tasks.seeding import derive_seed
from tasks.sources.base import column as plain_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.cleaning.isolation import Isolation

SAMPLE_ROWS = 50_000
"""Rows at most from which an isolation forest is grown."""

ROW_FLAG = "is_outlier"
"""The column that flags whole rows."""

_SHARES = [Fraction(0), Fraction(1, 4), Fraction(3, 4), Fraction(1)]


class Bounds(Record):
    """A column is judged by itself."""

    method: Literal["sigma", "iqr"] = Field(
        description="sigma: standard deviations from the mean; iqr: distances between the quartiles,"
        " from the quartiles"
    )
    factor: float | None = Field(
        default=None, ge=1, le=1_000, description="how many of them; null: 3 of sigma, 1.5 of iqr"
    )
    action: Literal["flag", "clip", "drop"] = Field(
        description="flag: a column <name>_outlier; clip: to the bound; drop: the row"
    )


class Forest(Record):
    """Rows are judged by all of their numbers together."""

    method: Literal["isolation_forest"] = Field(description="rows that few cuts isolate")
    share: Share = Field(default=0.01, description="of the rows that are taken for outliers")
    columns: list[str] | None = Field(
        default=None, min_length=1, description="that are looked at; null: all quantities"
    )
    action: Literal["flag", "drop"] = Field(description=f"flag: a column {ROW_FLAG}; drop: the row")


class Outliers(LearningStep):
    """Bounds follow from exact statistics of all rows, before any value was changed.

    Where half of the values are equal, their quartiles are, and say nothing about the others: such a
    column has no outliers by iqr. Nor has a constant one by sigma.

    Source: Tukey 1977, Exploratory Data Analysis (iqr); Liu, Ting, Zhou 2008, Isolation Forest
        (doi:10.1109/ICDM.2008.17).
    """

    order = 100
    groups = frozenset({"*"})
    Settings = Annotated[
        dict[str, Annotated[Bounds | Forest, Field(discriminator="method")]],
        Field(
            description="by column, or for all quantities that are not named (`*`); the isolation"
            " forest is about whole rows, so it stands under `*`"
        ),
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        self._rules = {c.name: r for c in self.table.columns if (r := self._rule(c)) is not None}
        for name in self._rules:
            if not is_ordered(arrow_type(self.table.column(name))):
                raise self.misfit(self.table.column(name), "numbers, dates or times")
        self._moments = Moments(self._types("sigma"), squares=True)
        self._quantiles = Quantiles(self._types("iqr"), _SHARES)
        self.statistics = [self._moments, self._quantiles]
        self._forest = self._forest_settings()
        self._sample: Sample | None = None
        if self._forest is not None:
            columns = [c.name for c in self._judged(self._forest)]
            self._sample = Sample(columns, SAMPLE_ROWS, derive_seed(self.seed, "forest"))
            self.statistics.append(self._sample)
        self._isolation: Isolation | None = None
        self._bounds: dict[str, tuple[pa.Scalar | None, pa.Scalar | None]] = {}
        self._check_flags()

    @classmethod
    def named(cls, settings: Any) -> list[str]:
        """See `Step.named`."""
        columns = (r.columns or [] for r in settings.values() if isinstance(r, Forest))
        return [*super().named(settings), *(name for names in columns for name in names)]

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._rules) or self._forest is not None

    @property
    def drops_rows(self) -> bool:
        """See `Step.drops_rows`."""
        rules = [*self._rules.values(), self._forest]
        return any(rule is not None and rule.action == "drop" for rule in rules)

    def learn(self, partials: "Iterator[Any]") -> None:
        """See `Step.learn`."""
        super().learn(partials)
        if self.needs_round:
            return
        for name, moment in self._moments.of.items():
            if moment.n_values and moment.low is not None and moment.high is not None:
                width = Fraction(moment.deviation) * Fraction(self._factor(name))
                ends = moment.low, moment.high
                self._bound(name, moment.mean - width, moment.mean + width, ends)
        for name, quantiles in self._quantiles.of.items():
            if quantiles:
                low, first, third, high = quantiles
                width = (third - first) * Fraction(self._factor(name))
                self._bound(name, first - width, third + width, (low, high))
        if self._sample is not None and self._forest is not None:
            from tasks.cleaning.isolation import Isolation  # scikit-learn takes its time to load

            if self._sample.rows:
                seed = derive_seed(self.seed, "trees")
                self._isolation = Isolation(self._sample.rows, self._forest.share, seed)
            self._sample.rows = None

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        changed: dict[str, pa.Array] = {}
        counts: Counts = {"flagged": {}, "clipped": {}, "dropped_for": {}}
        stays = np.ones(batch.num_rows, dtype=bool)
        for name, rule in self._rules.items():
            low, high = self._bounds.get(name, (None, None))
            is_low = _is(pc.less, batch[name], low)
            is_high = _is(pc.greater, batch[name], high)
            is_outlier = is_low | is_high
            if rule.action == "flag":
                changed[_flag(name)] = pa.array(is_outlier)
                counts["flagged"][name] = int(is_outlier.sum())
            elif rule.action == "drop":
                stays &= ~is_outlier
                counts["dropped_for"][name] = int(is_outlier.sum())
            elif is_outlier.any():
                changed[name] = _clipped(batch[name], (is_low, low), (is_high, high))
                counts["clipped"][name] = int(is_outlier.sum())
        if self._forest is not None:
            stays &= self._judge(batch, self._forest, changed, counts)
        after = replaced(batch, changed) if changed else batch
        return Changed(after if stays.all() else after.filter(pa.array(stays)), counts)

    def after(self) -> TableSchema:
        """See `Step.after`."""
        return retyped(
            self.table, (plain_column(n, pa.bool_(), nullable=False) for n in self._flags())
        )

    def learned(self) -> dict[str, Any]:
        """The bounds; null where no value is beyond it."""
        return {
            name: {"low": _json(low), "high": _json(high)}
            for name, (low, high) in sorted(self._bounds.items())
            if not self.table.column(name).personal
        }

    def _rule(self, column: Column) -> Bounds | None:
        own: dict[str, Bounds | Forest] = self.own(self.settings)
        for name, rule in own.items():
            if name == column.name:
                if isinstance(rule, Forest):
                    raise ParamsError(
                        f"clean.outliers: expected isolation_forest under '*', found it under"
                        f" {name!r}; name columns under `columns`"
                    )
                return rule
        shared = self.settings.get("*")
        return shared if isinstance(shared, Bounds) and self._is_quantity(column) else None

    def _is_quantity(self, column: Column) -> bool:
        is_target = self.table.name == self.schema.main.name and column.name == self.schema.target
        return column.meaning == "numeric" and not is_target

    def _forest_settings(self) -> Forest | None:
        forest = self.settings.get("*")
        return forest if isinstance(forest, Forest) and self._judged(forest) else None

    def _judged(self, forest: Forest) -> list[Column]:
        if forest.columns is None:
            return [column for column in self.table.columns if self._is_quantity(column)]
        places = places_of(self.schema)
        names = [places[n][1] for n in forest.columns if places[n][0] == self.table.name]
        columns = [self.table.column(name) for name in names]
        for column in columns:
            if not is_ordered(arrow_type(column)):
                raise self.misfit(column, "numbers, dates or times")
        return columns

    def _types(self, method: str) -> dict[str, pa.DataType]:
        return {
            name: arrow_type(self.table.column(name))
            for name, rule in self._rules.items()
            if rule.method == method
        }

    def _factor(self, name: str) -> float:
        rule = self._rules[name]
        return rule.factor or {"sigma": 3.0, "iqr": 1.5}[rule.method]

    def _flags(self) -> list[str]:
        flags = [_flag(name) for name, rule in self._rules.items() if rule.action == "flag"]
        is_flagged = self._forest is not None and self._forest.action == "flag"
        return [*flags, ROW_FLAG] if is_flagged else flags

    def _check_flags(self) -> None:
        if taken := sorted(set(self._flags()) & set(self.table.column_names)):
            raise ParamsError(
                f"clean.outliers would flag in the columns {taken}, which {self.table.name!r} has;"
                " leave these out (`drop_columns`), or clip or drop"
            )

    def _bound(
        self, name: str, low: Fraction, high: Fraction, ends: tuple[Fraction, Fraction]
    ) -> None:
        """The outermost values of the column's type that are no outliers."""
        if low == high:
            return
        kind = arrow_type(self.table.column(name))
        if not pa.types.is_floating(kind):
            unit = unit_of(kind)
            low, high = ceil(low / unit) * unit, floor(high / unit) * unit
        # What no value reaches may not fit into the type, and such an end is nobody's business.
        self._bounds[name] = (
            value_of(low, kind) if low > ends[0] else None,
            value_of(high, kind) if high < ends[1] else None,
        )

    def _judge(
        self,
        batch: pa.RecordBatch,
        forest: Forest,
        changed: dict[str, pa.Array],
        counts: Counts,
    ) -> npt.NDArray[np.bool_]:
        """Whether each row stays."""
        is_outlier = np.zeros(batch.num_rows, dtype=bool)
        if self._isolation is not None:
            is_outlier = self._isolation.is_outlier(batch)
        if forest.action == "flag":
            changed[ROW_FLAG] = pa.array(is_outlier)
            counts["flagged"][ROW_FLAG] = int(is_outlier.sum())
            return np.ones(batch.num_rows, dtype=bool)
        return ~is_outlier


def _flag(name: str) -> str:
    return f"{name}_outlier"


def _is(compare: Any, values: pa.Array, bound: pa.Scalar | None) -> npt.NDArray[np.bool_]:
    """A missing value is no outlier."""
    if bound is None:
        return np.zeros(len(values), dtype=bool)
    result = pc.fill_null(compare(values, bound), fill_value=False)
    return np.asarray(result.to_numpy(zero_copy_only=False))


def _clipped(values: pa.Array, *ends: tuple[npt.NDArray[np.bool_], pa.Scalar | None]) -> pa.Array:
    for is_outside, bound in ends:
        if bound is not None:
            values = pc.if_else(pa.array(is_outside), bound, values)
    return values


def _json(value: pa.Scalar | None) -> Any:
    found = None if value is None else value.as_py()
    return found if isinstance(found, int | float | None) else str(found)
