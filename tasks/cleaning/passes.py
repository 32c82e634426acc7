"""Runs the steps over the stored rows: one pass for each round of a step, and one that changes.

In every pass the steps that have learned all they need work on each batch before it is observed, so
nothing between the raw and the clean data is ever stored.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.cleaning.base import Counts, Step, Subject, check_names
from tasks.cleaning.plan import Planned
from tasks.engines.base import Engine
from tasks.errors import DataError, ParamsError, SchemaError
from tasks.schema import DatasetSchema, TableSchema

logger = logging.getLogger(__name__)


class Cleaner:
    """Cleans a stored dataset.

    Attributes:
        schema: of the clean data.
    """

    def __init__(
        self,
        raw: Path,
        engine: Engine,
        planned: Sequence[Planned],
        seed: int,
        state: Path | None = None,
    ) -> None:
        """Learn from the raw data what the steps need to know.

        Args:
            raw: the stored dataset.
            engine: started.
            planned: the steps in their order.
            seed: of the dataset.
            state: folder where the project keeps its keys.

        Raises:
            ParamsError: settings do not fit the columns.
            DataError: the data cannot be cleaned as the settings say.
        """
        self._raw = raw
        self._engine = engine
        self.schema = DatasetSchema.load(raw)
        self._steps: dict[str, list[Step]] = {table.name: [] for table in self.schema.tables}
        self._names = [p.step.name() for p in planned]
        self._rows: Counter[tuple[str, str]] = Counter()
        self._values: Counter[tuple[str, str, str, str]] = Counter()
        for p in planned:
            check_names(self.schema, p.step.named(p.settings), f"clean.{p.step.name()}")
        for p in planned:
            self._prepare(p, seed, state)

    def clean(self, table: str) -> Iterator[pa.RecordBatch]:
        """The clean rows of one table."""
        steps = tuple(self._steps[table])
        for batch, effects in self._map(table, _Changes(steps), steps):
            for step, (n_dropped, counts) in zip(steps, effects, strict=True):
                self._rows[step.name(), table] += n_dropped
                for what, columns in counts.items():
                    for column, n_values in columns.items():
                        self._values[step.name(), table, what, column] += n_values
            yield batch

    def report(self) -> dict[str, dict[str, Any]]:
        """What each step did to each table, once `clean` has given all rows; JSON.

        By step and table: `rows_dropped`, the changed values by what became of them and by column,
        and what the step has `learned`.
        """
        return {
            name: {
                table: self._effect(step)
                for table, steps in self._steps.items()
                for step in steps
                if step.name() == name
            }
            for name in self._names
        }

    def _effect(self, step: Step) -> dict[str, Any]:
        table = step.table.name
        effect: dict[str, Any] = {"rows_dropped": self._rows[step.name(), table]}
        for (name, of, what, column), n_values in sorted(self._values.items()):
            if (name, of) == (step.name(), table) and n_values:
                effect.setdefault(what, {})[column] = n_values
        learned = step.learned()
        return effect | ({"learned": learned} if learned else {})

    def _prepare(self, planned: Planned, seed: int, state: Path | None) -> None:
        name = planned.step.name()
        # A column may have gone by now.
        check_names(self.schema, planned.step.named(planned.settings), f"clean.{name}")
        tables = []
        for table in self.schema.tables:
            step = planned.step(planned.settings, Subject(self.schema, table.name, seed, state))
            if not step.applies:
                tables.append(table)
                continue
            if step.drops_rows:
                _check_rows_may_go(self.schema, table, step)
            before = tuple(self._steps[table.name])
            while step.needs_round:
                observe = _Observations(before, step)
                step.learn(self._map(table.name, observe, (*before, step)))
            self._steps[table.name].append(step)
            tables.append(_without_lost(step))
        self.schema = _linked(self.schema, tables)

    def _map(self, table: str, function: Any, steps: Sequence[Step]) -> Iterator[Any]:
        notes = zip(*(step.notes() for step in steps), strict=False) if steps else repeat(())
        return self._engine.map(self._raw, table, function, notes)


Effect = tuple[int, Counts]
"""Rows that a step left out, and values that it changed."""


@dataclass(frozen=True)
class _Changes:
    """All steps on one batch."""

    steps: tuple[Step, ...]

    def __call__(
        self, batch: pa.RecordBatch, notes: Sequence[Any]
    ) -> tuple[pa.RecordBatch, list[Effect]]:
        effects = []
        for step, note in zip(self.steps, notes, strict=True):
            changed = step.noted(note).change(batch)
            effects.append((batch.num_rows - changed.batch.num_rows, changed.counts))
            batch = changed.batch
        return batch, effects


@dataclass(frozen=True)
class _Observations:
    """What a step sees of one batch after the steps before it."""

    before: tuple[Step, ...]
    step: Step

    def __call__(self, batch: pa.RecordBatch, notes: Sequence[Any]) -> Any:
        batch, _ = _Changes(self.before)(batch, notes[:-1])
        return self.step.noted(notes[-1]).observe(batch)


def _check_rows_may_go(schema: DatasetSchema, table: TableSchema, step: Step) -> None:
    linking = [
        t.name for t in schema.tables if any(k.references == table.name for k in t.foreign_keys)
    ]
    if linking:
        raise DataError(
            f"clean.{step.name()} would leave out rows of {table.name!r}, to which rows of"
            f" {', '.join(map(repr, linking))} link; leave them out where the data comes from"
        )


def _without_lost(step: Step) -> TableSchema:
    """The table after the step, without keys and constraints of columns that went."""
    table = step.after()
    names = set(table.column_names)
    lost = set(step.table.column_names) - names
    where = f"clean.{step.name()}"
    if step.schema.target in lost and table.name == step.schema.main.name:
        raise ParamsError(
            f"{where} would leave out the target {step.schema.target!r}; it must stay"
        )
    if not names:
        raise ParamsError(f"{where} would leave out every column of {table.name!r}; keep one")
    kept = table.model_copy(
        update={
            "primary_key": table.primary_key if names.issuperset(table.primary_key) else (),
            "foreign_keys": tuple(k for k in table.foreign_keys if names.issuperset(k.columns)),
            "constraints": tuple(c for c in table.constraints if names.issuperset(c.names)),
        }
    )
    try:
        return kept.constrained(kept.constraints)
    except SchemaError as error:
        raise ParamsError(f"after {where}, the constraints no longer fit: {error}") from error


def _linked(schema: DatasetSchema, tables: Sequence[TableSchema]) -> DatasetSchema:
    """The schema with these tables, without links to columns that went."""
    columns = {table.name: set(table.column_names) for table in tables}
    return schema.model_copy(
        update={
            "tables": tuple(
                table.model_copy(
                    update={
                        "foreign_keys": tuple(
                            key
                            for key in table.foreign_keys
                            if columns[key.references].issuperset(key.referenced_columns)
                        )
                    }
                )
                for table in tables
            )
        }
    )
