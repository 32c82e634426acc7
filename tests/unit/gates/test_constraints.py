"""Declared constraints at the gates: what passes, what is refused, and what a refusal tells."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from tasks.constraints.declared import Constraint
from tasks.gates.constraints import check_were_held, constraints_of, examine_constraints
from tasks.gates.run import Check
from tasks.schema import Column, TableSchema
from tests.orders import orders

TABLE, BATCH = orders(300)
ROWS = pa.Table.from_batches([BATCH])
KEYS = ["order is unique", "order is never missing"]


def _with(name: str, *values: Any, rows: pa.Table = ROWS) -> pa.Table:
    """The rows with other values at the top of one column."""
    place = rows.column_names.index(name)
    cells = [*values, *rows[name].to_pylist()[len(values) :]]
    return rows.set_column(place, name, pa.array(cells, rows[name].type))


def _failed(rows: pa.Table, trained: pa.Table | None = None, table: TableSchema = TABLE) -> Any:
    checks = examine_constraints(table, rows, trained).checks
    return {c.description: c.observed for c in checks if not c.passed}


def test_real_data_that_keeps_them_passes() -> None:
    examination = examine_constraints(TABLE, ROWS)
    assert examination.table == "orders constraints"
    assert [c.description for c in examination.checks] == KEYS + [
        c.words for c in TABLE.constraints
    ]
    assert {(c.passed, c.observed) for c in examination.checks} == {(True, "all 300 rows do")}
    assert examination.checks[2].type == "constraint_inequality"
    assert examination.checks[2].target == "ordered, shipped, delivered"


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("delivered", [dt.date(2019, 1, 1)] * 4, "ordered <= shipped <= delivered"),
        ("cost", [1e6], "cost < price"),
        ("total", [-3.0], "total = price * quantity, rounded to 2 decimals"),
        ("delivered", [dt.date(2025, 1, 1)], "delivered <= 2024-12-31"),
        ("order", [7], "order is unique"),
    ],
)
def test_rows_that_break_one_are_counted_and_shown(name: str, values: Any, expected: str) -> None:
    failed = _failed(_with(name, *values))
    assert list(failed) == [expected]
    assert failed[expected].startswith(f"{len(values)} of 300 rows do not, for example row ")
    assert failed[expected].count("row ") == min(len(values), 3)


def test_numbers_that_are_none_are_missing_values_that_break_nothing() -> None:
    """Raw data has them as its source does; cleaning makes them missing."""
    rows = _with("cost", float("nan"), float("inf"))
    assert _failed(_with("total", float("inf"), rows=rows)) == {}


def test_missing_and_repeated_values() -> None:
    rows = _with("customer", 1, 1, rows=_with("ordered", *[dt.date(2020, 1, 1)] * 2))
    failed = _failed(_with("quantity", None, rows=rows))
    assert "1 of 300" in failed["(customer, ordered) is unique"]
    assert "1 of 300" in failed["ordered, quantity are never missing"]
    assert "1 <= quantity <= 30" not in failed


def test_synthetic_combinations_must_be_among_the_training_data() -> None:
    (words,) = (c.words for c in TABLE.constraints if c.type == "fixed_combinations")
    strange = _with("city", "Paris", rows=_with("country", "IT"))
    assert _failed(strange) == {}
    assert _failed(strange, ROWS)[words].startswith("1 of 300 rows do not, for example row 1 (city")
    assert _failed(ROWS, ROWS) == {}
    # Real data in which no combination is common has nothing to learn.
    assert words in _failed(ROWS.slice(0, 3))


def test_no_personal_value_is_shown() -> None:
    columns = tuple(c.model_copy(update={"personal": c.name == "cost"}) for c in TABLE.columns)
    table = TABLE.model_copy(update={"columns": columns})
    observed = _failed(_with("cost", 987654.0), table=table)["cost < price"]
    assert "cost = (not shown), price = " in observed
    assert "987654" not in observed
    # Nor is an identifier, which tells whose row it is.
    assert _failed(_with("order", 7))["order is unique"].endswith("row 7 (order = (not shown))")


def test_a_table_without_constraints_has_its_key() -> None:
    table = TABLE.model_copy(update={"constraints": ()})
    assert [c.words for c in constraints_of(table)] == KEYS
    assert constraints_of(table.model_copy(update={"primary_key": ()})) == []


def test_a_release_needs_every_constraint_to_be_held() -> None:
    held = list(examine_constraints(TABLE, ROWS).checks)
    assert {c.passed for c in check_were_held(TABLE, held)} == {True}
    assert len(check_were_held(TABLE, held)) == 10
    forgotten, *_ = check_were_held(TABLE, held[1:])
    assert (forgotten.passed, forgotten.observed) == (
        False,
        "not checked at the gate of the synthetic data",
    )
    refused = held[0].model_copy(update={"passed": False})
    assert isinstance(refused, Check)
    assert not check_were_held(TABLE, [refused, *held[1:]])[0].passed


@pytest.mark.parametrize(
    ("kind", "low", "high", "bound"),
    [
        (
            pa.timestamp("us", tz="Europe/Berlin"),
            dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
            dt.datetime(2024, 6, 1, tzinfo=dt.UTC),
            "2024-06-01T00:00:00Z",
        ),
        (pa.date32(), dt.date(2024, 1, 1), dt.date(2024, 6, 1), "2024-06-01"),
        (pa.time64("us"), dt.time(1), dt.time(3), "03:00:00"),
        (pa.duration("s"), dt.timedelta(1), dt.timedelta(2), None),
        (pa.decimal128(10, 2), Decimal("1.00"), Decimal("1.50"), 1.5),
        (pa.uint64(), 1, 2, 2),
        (pa.float32(), 1.0, 1.5, 1.5),
    ],
)
def test_every_type_can_be_held_against_bounds_and_others(
    kind: pa.DataType, low: Any, high: Any, bound: Any
) -> None:
    contents: list[dict[str, Any]] = [{"type": "inequality", "columns": ["b", "a"]}]
    if bound is not None:
        contents.append({"type": "range", "column": "a", "min_value": bound})
    columns = tuple(Column(name=n, type=str(kind), meaning="numeric") for n in "ab")
    table = TableSchema(name="t", columns=columns).constrained(
        TypeAdapter(list[Constraint]).validate_python(contents)
    )
    lows, highs = pa.array([low, low], kind), pa.array([high, None], kind)
    assert _failed(pa.table({"a": highs, "b": lows}), table=table) == {}
    failed = _failed(pa.table({"a": lows, "b": highs}), table=table)
    assert [text[:15] for text in failed.values()] == ["1 of 2 rows do ", "2 of 2 rows do "][
        : len(contents)
    ]
