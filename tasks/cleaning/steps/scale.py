"""Put numbers on a common scale; the report has what is needed to undo it."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.cleaning.base import Changed, Subject, replaced, retyped
from tasks.cleaning.statistics.base import LearningStep
from tasks.cleaning.statistics.exact import is_number
from tasks.cleaning.statistics.moments import Moments
from tasks.cleaning.statistics.quantiles import Quantiles
from tasks.errors import DataError
from tasks.schema import TableSchema, arrow_type

Method = Literal["standard", "minmax", "robust", "log", "log1p"]

_LOGARITHMS = {"log": (np.log, 0), "log1p": (np.log1p, -1)}
"""How each is computed, and what all values must be larger than."""


class Scale(LearningStep):
    """Columns become doubles. A column whose spread is zero is only moved to zero.

    The encoders of generators scale by themselves; this is for people who want the released data so.
    """

    order = 130
    Settings = Annotated[
        dict[str, Method],
        Field(
            description="by column: standard (mean 0, standard deviation 1), minmax (0 to 1), robust"
            " (median 0, quartiles 1 apart), log (natural), log1p (of 1 + x)"
        ),
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        self._methods: dict[str, Method] = self.own(settings)
        self._columns = [self.table.column(name) for name in self._methods]
        for column in self._columns:
            if not is_number(arrow_type(column)):
                raise self.misfit(column, "numbers")
        types = {column.name: arrow_type(column) for column in self._columns}
        robust = {name: kind for name, kind in types.items() if self._methods[name] == "robust"}
        others = {name: kind for name, kind in types.items() if name not in robust}
        self._moments = Moments(others, squares="standard" in self._methods.values())
        self._quantiles = Quantiles(robust, [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)])
        self.statistics = [self._moments, self._quantiles]
        self._fitted: dict[str, tuple[float, float]] = {}

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._methods)

    def learn(self, partials: Iterator[Any]) -> None:
        """See `Step.learn`."""
        super().learn(partials)
        if self.needs_round:
            return
        for name, moment in self._moments.of.items():
            if moment.low is None or moment.high is None:
                continue
            match self._methods[name]:
                case "standard":
                    self._fit(name, moment.mean, Fraction(moment.deviation))
                case "minmax":
                    self._fit(name, moment.low, moment.high - moment.low)
                case _:
                    self._check_logarithm(name, moment.low)
        for name, quantiles in self._quantiles.of.items():
            if quantiles:
                self._fit(name, quantiles[1], quantiles[2] - quantiles[0])

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        scaled = {name: self._scaled(name, batch[name]) for name in self._methods}
        counts = {name: len(v) - v.null_count for name, v in scaled.items()}
        return Changed(replaced(batch, scaled), {"scaled": counts})

    def after(self) -> TableSchema:
        """See `Step.after`."""
        update = {"type": "double", "meaning": "numeric"}
        return retyped(self.table, (c.model_copy(update=update) for c in self._columns))

    def learned(self) -> dict[str, Any]:
        """By column: a value is `scaled * spread + center`, or the inverse of the logarithm."""
        fitted = {
            name: {"center": center, "spread": spread}
            for name, (center, spread) in self._fitted.items()
        }
        return {
            name: {"method": method, **fitted.get(name, {})}
            for name, method in self._methods.items()
        }

    def _fit(self, name: str, center: Fraction, spread: Fraction) -> None:
        try:
            self._fitted[name] = (float(center), float(spread) or 1.0)
        except OverflowError as error:
            raise self._too_far(name) from error

    def _too_far(self, name: str) -> DataError:
        return DataError(
            f"clean.scale: the numbers in {name!r} of {self.table.name!r} are further apart than"
            " doubles reach; clip them (`outliers`)"
        )

    def _check_logarithm(self, name: str, lowest: Fraction) -> None:
        _, bound = _LOGARITHMS[self._methods[name]]
        if lowest <= bound:
            raise DataError(
                f"clean.scale: expected numbers above {bound} in {name!r} of {self.table.name!r} for"
                f" {self._methods[name]!r}, found {float(lowest)!r}; take another method, or clip"
                " (`outliers`) or leave out such rows"
            )

    def _scaled(self, name: str, values: pa.Array) -> pa.Array:
        is_missing = values.is_null().to_numpy(zero_copy_only=False)
        numbers = pc.fill_null(pc.cast(values, pa.float64(), safe=False), 1.0).to_numpy()
        if name in self._fitted:
            center, spread = self._fitted[name]
            with np.errstate(over="ignore"):
                numbers = (numbers - center) / spread
            if not np.isfinite(numbers[~is_missing]).all():
                raise self._too_far(name)
        elif self._methods[name] in _LOGARITHMS:
            numbers = _LOGARITHMS[self._methods[name]][0](numbers)
        return pa.array(numbers, mask=is_missing)
