"""Bring measurements to one unit, from another one or from texts that say it: `5 ft 11 in`, `72 kg`."""

from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from tasks.cleaning.base import Changed, Step, Subject, replaced, retyped
from tasks.cleaning.statistics.exact import is_number
from tasks.cleaning.steps.text import is_text
from tasks.cleaning.units import conversion, spellings, unit
from tasks.params import Record
from tasks.schema import TableSchema, arrow_type

TEXT = "text"
"""In place of a unit: each value says its own."""

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?"
_UNIT = r"[^0-9\s.,+-](?:[^0-9.,+-]*[^0-9\s.,+-])?2?3?"
_MEASURED = rf"^\s*(?P<n1>[+-]?{_NUMBER})\s*(?P<u1>{_UNIT}\.?)?\s*(?:(?P<n2>{_NUMBER})\s*(?P<u2>{_UNIT}\.?)\s*)?$"


class Conversion(Record):
    """From one unit to another."""

    from_: str = Field(
        alias="from", description=f"unit of the numbers, or `{TEXT}`: each text says its own"
    )
    to: str = Field(description="unit of the clean numbers")
    assume: str | None = Field(
        default=None, description=f"with `from: {TEXT}`: unit of texts that say none; null: missing"
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        target = unit(self.to)
        if self.from_ != TEXT and self.assume is not None:
            raise ValueError(f"`assume` goes with `from: {TEXT}` only")
        source = self.assume if self.from_ == TEXT else self.from_
        if source is not None and unit(source).quantity != target.quantity:
            raise ValueError(
                f"expected units of one quantity, found {source!r} ({unit(source).quantity}) and"
                f" {self.to!r} ({target.quantity})"
            )
        return self


class Units(Step):
    """Columns become doubles. What cannot be read becomes missing, and is counted."""

    order = 60
    Settings = Annotated[
        dict[str, Conversion],
        Field(description="by column: {from: in, to: cm}, or {from: text, to: kg, assume: kg}"),
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        self._conversions: dict[str, Conversion] = self.own(settings)
        for name, given in self._conversions.items():
            self._check(name, given)

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._conversions)

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        changed = {}
        counts: dict[str, dict[str, int]] = {"converted": {}, "unreadable": {}}
        for name, given in self._conversions.items():
            values = batch[name]
            if given.from_ == TEXT:
                changed[name] = _measured(values, given)
            else:
                changed[name] = _converted(values, given)
            n_lost = changed[name].null_count - values.null_count
            counts["converted"][name] = len(values) - changed[name].null_count
            counts["unreadable"][name] = n_lost
        return Changed(replaced(batch, changed), counts)

    def after(self) -> TableSchema:
        """See `Step.after`."""
        columns = []
        for name, given in self._conversions.items():
            column = self.table.column(name)
            nullable = column.nullable or given.from_ == TEXT
            update = {"type": "double", "meaning": "numeric", "nullable": nullable}
            columns.append(column.model_copy(update=update))
        return retyped(self.table, columns)

    def _check(self, name: str, given: Conversion) -> None:
        column = self.table.column(name)
        if given.from_ == TEXT and not is_text(arrow_type(column)):
            raise self.misfit(column, f"texts for `from: {TEXT}`")
        if given.from_ != TEXT and not is_number(arrow_type(column)):
            raise self.misfit(column, f"numbers, or `from: {TEXT}`")


def _converted(values: pa.Array, given: Conversion) -> pa.Array:
    factor, summand = conversion(unit(given.from_), unit(given.to))
    numbers = pc.cast(values, pa.float64(), safe=False)
    # One multiplication and one division of small whole numbers are rounded less than a factor is.
    numbers = pc.divide(pc.multiply(numbers, float(factor.numerator)), float(factor.denominator))
    numbers = pc.add(numbers, float(summand))
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))


def _measured(texts: pa.Array, given: Conversion) -> pa.Array:
    """(N,) doubles; null where a text is missing or cannot be read."""
    target = unit(given.to)
    known = spellings(target.quantity)
    if given.assume is not None:
        known = known | {"": unit(given.assume)}
    names = pa.array(list(known))
    rules = [conversion(source, target) for source in known.values()]
    factors = np.array([float(factor) for factor, _ in rules])
    summands = np.array([float(summand) for _, summand in rules])
    found = pc.extract_regex(pc.utf8_lower(texts), _MEASURED)
    parts = {key: pc.struct_field(found, key) for key in ("n1", "u1", "n2", "u2")}
    first, first_unit = _number(parts["n1"]), _place(parts["u1"], names)
    second, second_unit = _number(parts["n2"]), _place(parts["u2"], names)
    has_second = pc.fill_null(pc.greater(pc.utf8_length(parts["u2"]), 0), fill_value=False)
    is_double = np.asarray(has_second.to_numpy(zero_copy_only=False))
    sums = first * factors[first_unit] + summands[first_unit]
    # `-5 ft 2 in` is below zero with both of its parts.
    added = np.copysign(second * factors[second_unit], first)
    sums = np.where(is_double, sums + added, sums)
    is_known = (first_unit >= 0) & ~np.isnan(first)
    is_sum = (second_unit >= 0) & ~np.isnan(second) & (target.quantity != "temperature")
    return pa.array(sums, mask=~(is_known & (~is_double | is_sum)))


def _number(texts: pa.Array) -> npt.NDArray[np.float64]:
    bare = pc.replace_substring(pc.fill_null(texts, ""), ",", "")
    is_number = pc.match_substring_regex(bare, "[0-9]")
    numbers = pc.cast(pc.if_else(is_number, bare, pa.scalar(None, pa.string())), pa.float64())
    return np.asarray(pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False))


def _place(texts: pa.Array, names: pa.Array) -> npt.NDArray[np.int64]:
    """The number of each unit, -1 where it is none."""
    bare = pc.replace_substring_regex(pc.fill_null(texts, "?"), r"[\s.]+", " ")
    places = pc.fill_null(pc.index_in(pc.utf8_trim_whitespace(bare), value_set=names), -1)
    return np.asarray(places.to_numpy(zero_copy_only=False)).astype(np.int64)
