"""The declared constraints of a table as expectations, without anybody writing them into a suite."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tasks.constraints.check import broken, combinations, places_among
from tasks.constraints.declared import (
    Constraint,
    FixedCombinations,
    Inequality,
    NotNull,
    Range,
    Unique,
)
from tasks.encoding.columns.base import COMMON_ROWS
from tasks.gates.run import Check, Examination, examine, finite, to_frame
from tasks.gates.suites import Expected
from tasks.schema import TableSchema

TYPE = "constraint_"
"""How the types of these checks begin; the type of the constraint follows."""

_EXAMPLES = 3
"""Rows that break a constraint, of which a refusal shows the values."""


def constraints_of(table: TableSchema) -> list[Constraint]:
    """What is declared of a table, and that its primary key is unique and never missing."""
    key = list(table.primary_key)
    if not key:
        return list(table.constraints)
    implied: list[Constraint] = [
        Unique(type="unique", columns=key),
        NotNull(type="not_null", columns=key),
    ]
    return [*(c for c in implied if c not in table.constraints), *table.constraints]


def examine_constraints(
    table: TableSchema, rows: pa.Table, trained: pa.Table | None = None
) -> Examination:
    """Hold the rows of one table against its constraints.

    Args:
        table: with its constraints.
        rows: the columns that these are about.
        trained: the same columns of the training data, where `rows` are synthetic: fixed
            combinations are those that `COMMON_ROWS` of its rows have.

    Returns:
        One check a constraint; what Great Expectations found of each part is in its Data Docs.
    """
    constraints = constraints_of(table)
    rows = finite(rows)
    masks = [_broken(c, rows, trained) for c in constraints]
    frame = to_frame(_without_zones(rows))
    expected: list[Expected] = []
    owner: list[int] = []
    for i, (constraint, mask) in enumerate(zip(constraints, masks, strict=True)):
        parts = _expectations(constraint, rows.schema)
        if not parts:
            # No expectation of the library says it: ours is told by a column of its own.
            frame[constraint.words] = ~mask
            kwargs = {"column": constraint.words, "value_set": [True]}
            parts = [("expect_column_values_to_be_in_set", kwargs)]
        expected += [Expected(kind, kwargs, None, constraint.words) for kind, kwargs in parts]
        owner += [i] * len(parts)
    personal = frozenset(
        c.name
        for c in table.columns
        if table.encrypted or c.personal or c.meaning in ("identifier", "text")
    )
    examination = examine(f"{table.name} constraints", frame, expected, personal)
    checks = []
    for i, (constraint, mask) in enumerate(zip(constraints, masks, strict=True)):
        own = [check for check, j in zip(examination.checks, owner, strict=True) if i == j]
        checks.append(_check(constraint, mask, own, rows, personal))
    return dataclasses.replace(examination, checks=tuple(checks))


def check_were_held(table: TableSchema, verdict: Sequence[Check]) -> list[Check]:
    """For the release: each declared constraint was checked at the gate of the synthetic data.

    Args:
        table: the released table.
        verdict: the checks of that gate.
    """
    held = {(check.type, check.description): check for check in verdict}
    checks = []
    for constraint in constraints_of(table):
        found = held.get((TYPE + constraint.type, constraint.words))
        checks.append(
            Check(
                type=TYPE + constraint.type,
                target=", ".join(constraint.names),
                description=constraint.words,
                passed=found is not None and found.passed,
                observed=found.observed
                if found
                else "not checked at the gate of the synthetic data",
            )
        )
    return checks


def _broken(constraint: Constraint, rows: pa.Table, trained: pa.Table | None) -> np.ndarray:
    if not isinstance(constraint, FixedCombinations):
        return broken(constraint, rows)
    # Real data makes its own combinations; it breaks the constraint if none is common.
    known = combinations(rows if trained is None else trained, constraint.columns, COMMON_ROWS)
    if trained is None:
        return np.full(rows.num_rows, known.num_rows == 0)
    return places_among(rows, known, constraint.columns) < 0


def _expectations(constraint: Constraint, schema: pa.Schema) -> list[tuple[str, dict[str, Any]]]:
    """What Great Expectations can say of a constraint: types and arguments; empty: nothing."""
    kinds = [schema.field(name).type for name in constraint.names]
    is_comparable = not any(pa.types.is_time(k) or pa.types.is_duration(k) for k in kinds)
    match constraint:
        case Inequality(columns=columns, strict=strict) if is_comparable:
            options = {"or_equal": not strict, "ignore_row_if": "either_value_is_missing"}
            return [
                (
                    "expect_column_pair_values_a_to_be_greater_than_b",
                    {"column_A": high, "column_B": low, **options},
                )
                for i, high in enumerate(columns)
                for low in columns[:i]
            ]
        case Range(column=column) if is_comparable:
            bounds = {
                name: _plain(constraint.bound(value, kinds[0]))
                for name in ("min_value", "max_value")
                if (value := getattr(constraint, name)) is not None
            }
            return [("expect_column_values_to_be_between", {"column": column, **bounds})]
        case NotNull(columns=columns):
            return [("expect_column_values_to_not_be_null", {"column": name}) for name in columns]
        case Unique(columns=[column]):
            return [("expect_column_values_to_be_unique", {"column": column})]
        case Unique(columns=columns):
            kwargs = {"column_list": columns, "ignore_row_if": "any_value_is_missing"}
            return [("expect_compound_columns_to_be_unique", kwargs)]
    return []


def _plain(bound: pa.Scalar) -> Any:
    """A bound as the library compares and stores it: dates as moments."""
    if pa.types.is_timestamp(bound.type):
        bound = bound.cast(pa.timestamp(bound.type.unit))
    moment = pa.types.is_temporal(bound.type)
    return pd.Timestamp(bound.as_py()).to_pydatetime() if moment else bound.as_py()


def _without_zones(rows: pa.Table) -> pa.Table:
    """Moments of UTC: the library compares those with a zone in a way that pandas gives up."""
    for i, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is not None:
            moments = rows.column(i).cast(pa.timestamp(field.type.unit))
            rows = rows.set_column(i, field.name, moments)
    return rows


def _check(
    constraint: Constraint,
    mask: np.ndarray,
    parts: Sequence[Check],
    rows: pa.Table,
    personal: frozenset[str],
) -> Check:
    n_broken = int(mask.sum())
    failed = [part for part in parts if not part.passed]
    if n_broken:
        observed = f"{n_broken:,} of {len(mask):,} rows do not, for example"
        places = np.flatnonzero(mask)[:_EXAMPLES]
        observed += " " + "; ".join(_row(constraint, rows, int(i), personal) for i in places)
    else:
        observed = failed[0].observed if failed else f"all {len(mask):,} rows do"
    return Check(
        type=TYPE + constraint.type,
        target=", ".join(constraint.names),
        description=constraint.words,
        passed=not n_broken and not failed,
        observed=observed,
    )


def _row(constraint: Constraint, rows: pa.Table, i: int, personal: frozenset[str]) -> str:
    """One row as an example; of columns that may tell whose row it is, no value."""
    cells = [
        f"{name} = {'(not shown)' if name in personal else rows[name][i].as_py()!s:.40}"
        for name in constraint.names
    ]
    return f"row {i + 1} ({', '.join(cells)})"
