"""Which columns are learned in place of which, so that no generator can break a constraint."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa

from tasks.constraints.check import broken
from tasks.constraints.declared import (
    FixedCombinations,
    Formula,
    Inequality,
    Range,
    Unique,
)
from tasks.encoding.base import Batches, select
from tasks.encoding.constraints.base import Step
from tasks.encoding.constraints.combinations import Combination
from tasks.encoding.constraints.formulas import Computed
from tasks.encoding.constraints.gaps import Gap
from tasks.errors import DataError
from tasks.schema import Column, TableSchema, arrow_schema

_STEPS: dict[str, type[Step]] = {"gap": Gap, "combination": Combination, "computed": Computed}


class Reparametrisation:
    """The rows of a table <-> rows of columns that nothing binds to each other.

    | constraint         | learned                                             |
    |--------------------|-----------------------------------------------------|
    | inequality         | the first column, and each other one as a gap above |
    | fixed combinations | one column of combinations                          |
    | formula            | nothing: its column is computed                     |
    | unique, of a text  | nothing: new identifiers                            |
    | range, not null    | the column: encoders stay within what they have seen |

    What this leaves open (a range of a computed column, unique combinations ...) is kept by
    `tasks.encoding.constraints.admission`.

    Attributes:
        table: the real columns.
        learned: the columns that encoders and generators see.
        steps: in an order in which each finds the columns that it needs.
    """

    def __init__(self, table: TableSchema, steps: list[Step]) -> None:
        self.table = table
        self.steps = steps
        self._step_of = {name: step for step in steps for name in step.made}
        self._sources: dict[str, list[str]] = {}
        self.learned = self._learned()

    @classmethod
    def fit(cls, table: TableSchema, batches: Batches) -> Self:
        """Find what is to be learned, from the training rows.

        Raises:
            DataError: training rows break a constraint.
        """
        used = {name for constraint in table.constraints for name in constraint.names}
        names = [name for name in table.column_names if name in used]
        if not names:
            return cls(table, [])
        arrow = arrow_schema(table)
        rows = pa.Table.from_batches(
            select(batches, names), pa.schema([arrow.field(name) for name in names])
        )
        for constraint in table.constraints:
            if n_broken := int(broken(constraint, rows).sum()):
                raise DataError(
                    f"{n_broken:,} of {rows.num_rows:,} training rows of {table.name!r} break the"
                    f" declared constraint {constraint.words!r}; correct them in the source or"
                    " change `constraints`"
                )
        cells = {name: _whole(rows[name]) for name in names}
        return cls(table, list(_ordered(_steps(table, cells))))

    @property
    def learned_as_is(self) -> set[str]:
        """The columns of the table that no step makes."""
        return set(self.table.column_names) - self._step_of.keys()

    def select(self, batches: Batches, names: list[str]) -> Iterator[pa.RecordBatch]:
        """A pass over some of the learned columns; see `tasks.encoding.base.select`."""
        wanted = {source for name in names for source in self._sources[name]}
        sources = [name for name in self.table.column_names if name in wanted]
        for batch in select(batches, sources):
            yield self._encode(batch, names)

    def encode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows of the table as rows of `learned`."""
        return self._encode(batch, self.learned.column_names) if self.steps else batch

    def decode(self, batch: pa.RecordBatch, rng: np.random.Generator) -> pa.RecordBatch:
        """Rows of `learned` as rows of the table."""
        if not self.steps:
            return batch
        learned = dict(zip(batch.schema.names, batch.columns, strict=True))
        rows = {name: cells for name, cells in learned.items() if name in self.learned_as_is}
        for step in self.steps:
            rows |= step.decode(learned, rows, rng)
        arrays = [rows[name] for name in self.table.column_names]
        return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(self.table))

    def state(self) -> list[dict[str, Any]]:
        """JSON that, with the table, makes this again."""
        names = {step: name for name, step in _STEPS.items()}
        return [{"step": names[type(step)], **step.state()} for step in self.steps]

    @classmethod
    def from_state(cls, table: TableSchema, content: list[dict[str, Any]]) -> Self:
        """The reparametrisation whose `state()` this is."""
        return cls(table, [_STEPS[own["step"]].from_state(table, own) for own in content])

    def why_not_learned(self, name: str) -> str:
        """Why a column of the table is not among the learned ones, for messages."""
        step = self._step_of[name]
        others = ", ".join([c for c in step.made if c != name] + step.needs)
        return (
            f"column {name!r} is bound to {others} by a constraint and is made from what is drawn"
        )

    def _encode(self, batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
        rows = dict(zip(batch.schema.names, batch.columns, strict=True))
        cells = dict(rows)
        for step in self.steps:
            if any(column.name in names for column in step.learned):
                cells |= step.encode(rows)
        schema = arrow_schema(self.learned)
        return pa.RecordBatch.from_arrays(
            [cells[name] for name in names], schema=pa.schema([schema.field(n) for n in names])
        )

    def _learned(self) -> TableSchema:
        """The learned columns, each where the first of those that it stands for was."""
        columns: list[Column] = []
        for column in self.table.columns:
            step = self._step_of.get(column.name)
            if step is None:
                columns.append(_as_identifier(column, self.table))
                self._sources[column.name] = [column.name]
            elif column.name == step.made[0]:
                columns += step.learned
                self._sources |= {c.name: [*step.made, *step.needs] for c in step.learned}
        names = {column.name for column in columns}
        keeps_key = names.issuperset(self.table.primary_key)
        return TableSchema(
            name=self.table.name,
            columns=tuple(columns),
            primary_key=self.table.primary_key if keeps_key else (),
        )


def _steps(table: TableSchema, cells: Mapping[str, pa.Array]) -> list[Step]:
    formulas = [c for c in table.constraints if isinstance(c, Formula)]
    combined = [c for c in table.constraints if isinstance(c, FixedCombinations)]
    taken = {c.column for c in formulas} | {name for c in combined for name in c.columns}
    below: dict[str, dict[str, bool]] = {}
    for c in table.constraints:
        if isinstance(c, Inequality):
            for i, high in enumerate(c.columns[1:], start=1):
                if high not in taken and table.column(high).meaning != "identifier":
                    lows = below.setdefault(high, {})
                    lows |= {low: c.strict or lows.get(low, False) for low in c.columns[:i]}
    ranges = [c for c in table.constraints if isinstance(c, Range)]
    steps: list[Step] = [Computed.fit(table, c, cells) for c in formulas]
    steps += [Combination.fit(table, c.columns, cells) for c in combined]
    for high, lows in below.items():
        own = [r for r in ranges if r.column == high]
        steps.append(Gap.fit(table, table.column(high), lows, own, cells))
    return steps


def _ordered(steps: list[Step]) -> Iterator[Step]:
    """Steps, each after those that make what it needs.

    Where steps wait for each other, a gap gives way: its column is learned as it is, and rows that
    break the inequality are left out after drawing.
    """
    waiting = list(steps)
    while waiting:
        made = {name for step in waiting for name in step.made}
        ready = [step for step in waiting if made.isdisjoint(step.needs)]
        if not ready:
            waiting.remove(next(step for step in waiting if isinstance(step, Gap)))
            continue
        yield from ready
        waiting = [step for step in waiting if step not in ready]


def _as_identifier(column: Column, table: TableSchema) -> Column:
    """A text that differs in every row cannot be learned; it is made anew."""
    is_unique = any(isinstance(c, Unique) and c.columns == [column.name] for c in table.constraints)
    if is_unique and column.meaning in ("text", "categorical"):
        return column.model_copy(update={"meaning": "identifier"})
    return column


def _whole(values: pa.ChunkedArray) -> pa.Array:
    combined = values.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
