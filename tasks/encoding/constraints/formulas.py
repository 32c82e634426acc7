"""Formulas: a column that others determine is not learned but computed."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.constraints.check import as_floats, computed, decimals_of, is_missing
from tasks.constraints.declared import Formula
from tasks.encoding.constraints.base import Cells, Step, fill, new_name
from tasks.schema import Column, TableSchema, arrow_type


class Computed(Step):
    """The column of a formula, from the published values of the columns that it reads.

    Two things remain to be learned, each only if the training data has it: the column where the
    formula has no value (a missing cell, x / 0), and whether it is missing where there is one.

    Attributes:
        missing_alone: whether the column may be missing where the formula has no value.
    """

    def __init__(
        self,
        formula: Formula,
        target: Column,
        learned: Mapping[str, Column],
        *,
        missing_alone: bool,
    ) -> None:
        self.formula = formula
        self.target = target
        self.roles = dict(learned)
        self.learned = list(learned.values())
        self.missing_alone = missing_alone
        self.made = [target.name]
        self.needs = list(formula.expression.columns)

    @classmethod
    def fit(cls, table: TableSchema, formula: Formula, rows: Cells) -> Self:
        """Find what the formula does not tell."""
        target = table.column(formula.column)
        missing = is_missing(rows[formula.column])
        alone = ~np.isfinite(computed(formula, _batch(formula, rows)))
        learned = {}
        if (alone & ~missing).any():
            name = new_name(f"{target.name} without {formula.formula}", table.column_names)
            learned["free"] = target.model_copy(update={"name": name, "nullable": True})
        if (missing & ~alone).any():
            name = new_name(f"{target.name} is missing", table.column_names)
            learned["missing"] = Column(name=name, type="bool", meaning="boolean", nullable=False)
        return cls(formula, target, learned, missing_alone=bool((missing & alone).any()))

    def encode(self, rows: Cells) -> dict[str, pa.Array]:
        """What the formula does not tell."""
        values = rows[self.target.name]
        alone = ~np.isfinite(computed(self.formula, _batch(self.formula, rows)))
        cells = {}
        if free := self.roles.get("free"):
            null = pa.scalar(None, values.type)
            cells[free.name] = pc.if_else(pa.array(alone), values, null)
        if missing := self.roles.get("missing"):
            cells[missing.name] = pa.array(is_missing(values) & ~alone)
        return cells

    def decode(self, learned: Cells, rows: Cells, rng: np.random.Generator) -> dict[str, pa.Array]:
        """The column, rounded to its decimals."""
        kind = arrow_type(self.target)
        result = computed(self.formula, _batch(self.formula, rows))
        alone = ~np.isfinite(result)
        numbers = np.where(alone, 0.0, result)
        decimals = decimals_of(self.formula, kind)
        if decimals is not None:
            numbers = np.round(numbers, decimals)
        missing = alone.copy()
        values = _of_type(numbers, kind, decimals)
        if free := self.roles.get("free"):
            others = learned[free.name]
            unknown = is_missing(others)
            places = np.arange(len(others))
            if not self.missing_alone and fill(places, alone & unknown, ~unknown, rng):
                others = others.take(pa.array(places))
                unknown = np.zeros_like(unknown)
            values = pc.if_else(pa.array(alone), others, values)
            missing = alone & unknown
        if flag := self.roles.get("missing"):
            missing |= ~alone & (as_floats(learned[flag.name].cast(pa.int8())) == 1)
        return {self.target.name: pc.if_else(pa.array(missing), pa.scalar(None, kind), values)}

    def state(self) -> dict[str, Any]:
        """JSON that, with the table, makes this step again."""
        return {
            "formula": self.formula.model_dump(mode="json"),
            "learned": {role: c.model_dump(mode="json") for role, c in self.roles.items()},
            "missing_alone": self.missing_alone,
        }

    @classmethod
    def from_state(cls, table: TableSchema, content: Mapping[str, Any]) -> Self:
        """The step whose `state()` this is."""
        formula = Formula.model_validate(content["formula"])
        learned = {role: Column.model_validate(c) for role, c in content["learned"].items()}
        return cls(
            formula,
            table.column(formula.column),
            learned,
            missing_alone=content["missing_alone"],
        )


def _batch(formula: Formula, rows: Cells) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: rows[name] for name in formula.expression.columns})


def _of_type(numbers: np.ndarray, kind: pa.DataType, decimals: int | None) -> pa.Array:
    """Numbers as values of a type; those that it has no room for take its nearest value."""
    if pa.types.is_integer(kind):
        info = np.iinfo(kind.to_pandas_dtype())
        last = float(info.max) if info.bits < 64 else np.nextafter(float(info.max), 0)
        floats = np.clip(numbers, float(info.min), last)
        return pa.array(floats.astype(kind.to_pandas_dtype()), kind)
    if pa.types.is_decimal(kind):
        limit = 10.0 ** (kind.precision - kind.scale)
        floats = np.clip(numbers, np.nextafter(-limit, 0), np.nextafter(limit, 0))
        texts = [f"{x:.{decimals or 0}f}" for x in floats]
        return pa.array(texts, pa.string()).cast(kind)
    return pa.array(numbers.astype(kind.to_pandas_dtype()), kind)
