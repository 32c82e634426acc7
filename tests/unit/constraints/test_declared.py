"""Declarations: what they say, and which are refused."""

import datetime as dt
import json
from typing import Any

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from tasks.constraints.declared import Constraint
from tasks.errors import ParamsError, SchemaError
from tasks.params import DatasetParams
from tasks.schema import Column, DatasetSchema, TableSchema
from tests.datasets import dataset_params
from tests.orders import CONSTRAINTS, orders

TYPES = {
    "a": pa.int64(),
    "b": pa.float64(),
    "day": pa.date32(),
    "at": pa.timestamp("us"),
    "name": pa.string(),
    "picture": pa.struct([("bytes", pa.binary())]),
}
TABLE = TableSchema(
    name="t",
    columns=tuple(
        Column(name=name, type=str(kind), meaning="numeric")
        for name, kind in TYPES.items()
        if name != "picture"
    ),
)


def declared(*contents: dict[str, Any]) -> list[Constraint]:
    return TypeAdapter(list[Constraint]).validate_python(list(contents))


def test_all_of_them_survive_the_schema_file() -> None:
    table, _ = orders(10)
    schema = DatasetSchema(kind="tabular", tables=(table,))
    assert DatasetSchema.model_validate_json(schema.dumps()) == schema
    assert DatasetSchema.model_validate(json.loads(schema.dumps())) == schema
    assert [c.words for c in table.constraints] == [
        "ordered <= shipped <= delivered",
        "cost < price",
        "(city, country) is a combination that real rows have",
        "total = price * quantity, rounded to 2 decimals",
        "1 <= quantity <= 30",
        "delivered <= 2024-12-31",
        "(customer, ordered) is unique",
        "ordered, quantity are never missing",
    ]


def test_a_date_of_yaml_becomes_text() -> None:
    (day,) = declared({"type": "range", "column": "day", "min_value": dt.date(2024, 1, 31)})
    assert day.min_value == "2024-01-31"
    assert day.problem(TYPES) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"type": "inequality", "columns": ["a", "c"]},
            r"constraints\.0 \(inequality\): unknown column 'c'; choose from: a, b, day, at, name",
        ),
        ({"type": "inequality", "columns": ["a", "a"]}, "expected different columns, found 'a'"),
        ({"type": "inequality", "columns": ["a", "day"]}, "dates or times of one type, found a: "),
        ({"type": "inequality", "columns": ["day", "at"]}, "day: date32.*cast in the source"),
        ({"type": "inequality", "columns": ["name", "a"]}, "expected numbers"),
        ({"type": "range", "column": "name", "min_value": 1}, "column 'name' of type string"),
        ({"type": "range", "column": "a", "min_value": "1"}, "expected numbers as bounds of 'a'"),
        ({"type": "range", "column": "day", "min_value": 3}, "bound of type date32.* found 3"),
        ({"type": "range", "column": "day", "min_value": "soon"}, "found 'soon' for column 'day'"),
        ({"type": "range", "column": "a", "min_value": 3, "max_value": 2}, "exceeds max_value"),
        ({"type": "formula", "column": "b", "formula": "a * c"}, "unknown column 'c'"),
        ({"type": "formula", "column": "b", "formula": "b + a"}, "found 'b' twice"),
        ({"type": "formula", "column": "b", "formula": "day - a"}, "found column 'day' of type"),
    ],
)
def test_what_does_not_fit_the_columns_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        TABLE.constrained(declared(content))


def test_images_cannot_be_combined() -> None:
    (one,) = declared({"type": "unique", "columns": ["picture"]})
    assert one.problem(TYPES) == (
        "column 'picture' of type struct<bytes: binary> cannot be compared"
    )


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (
            [
                {"type": "formula", "column": "a", "formula": "b + 1"},
                {"type": "formula", "column": "b", "formula": "a - 1"},
            ],
            "the formulas of a, b need each other",
        ),
        ([{"type": "formula", "column": "a", "formula": "b"}] * 2, "'a' is computed by two"),
        (
            [
                {"type": "inequality", "columns": ["a", "b"]},
                {"type": "inequality", "columns": ["b", "a"]},
            ],
            "the inequalities of a, b go round in a circle",
        ),
        ([{"type": "fixed_combinations", "columns": ["a", "name"]}] * 2, "two fixed_combinations"),
        (
            [
                {"type": "fixed_combinations", "columns": ["a", "name"]},
                {"type": "formula", "column": "a", "formula": "b"},
            ],
            "'a' is computed by a formula and in fixed_combinations",
        ),
    ],
)
def test_contradictions_are_refused(contents: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        TABLE.constrained(declared(*contents))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"type": "order"}, r"constraints\.0.*'order'.*'inequality'"),
        ({"columns": ["a", "b"]}, r"constraints\.0"),
        ({"type": "inequality", "columns": ["a"]}, r"constraints\.0\.inequality\.columns: "),
        (
            {"type": "inequality", "colums": ["a", "b"], "columns": ["a", "b"]},
            r"inequality\.colums: unknown key; choose one of: type, columns, strict",
        ),
        ({"type": "range", "column": "a"}, "needs min_value, max_value or both"),
        ({"type": "range", "column": "a", "min_value": True}, "expected a number or a date"),
        ({"type": "formula", "column": "a", "formula": "b ** 2"}, r"expected columns, numbers"),
        ({"type": "unique", "columns": []}, r"unique\.columns"),
    ],
)
def test_params_name_what_is_wrong(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        dataset_params(constraints=[content])


def test_they_are_for_tables() -> None:
    content = [c.model_dump(mode="json") for c in CONSTRAINTS]
    assert isinstance(dataset_params(constraints=content), DatasetParams)
    with pytest.raises(ParamsError, match="are for tabular datasets; write `constraints: "):
        dataset_params(constraints=content, kind="image")
