"""How the values of a column decide its meaning."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from tasks.errors import ParamsError, SourceError
from tasks.schema import DatasetSchema, ForeignKey, TableSchema
from tasks.sources.base import column, table_schema, with_meanings, with_statements


def meaning(values, name="c", *, target=None, key=(), given=None) -> str:
    array = values if isinstance(values, pa.Array) else pa.array(values)
    table = TableSchema(name="t", columns=(column(name, array.type),), primary_key=key)
    schema = DatasetSchema(kind="tabular", tables=(table,), target=target)
    rows = {"t": pa.table({name: array})}
    return with_meanings(schema, rows, given or {}).main.columns[0].meaning


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False], "boolean"),
        ([dt.date(2020, 1, 1)], "datetime"),
        ([1.5, 2.5, 3.5], "numeric"),
        ([1, 2, 3, 4], "numeric"),
        ([0, 1, 1, 0], "categorical"),
        (["a", "b", "a", "b"], "categorical"),
        (["good day", "bad day", "what now"], "text"),
        (["a1", "b2", "c3"], "identifier"),
        (["a1", "b2", "b2"], "categorical"),
        (pa.array([None, None], pa.string()), "categorical"),
        (pa.array([Decimal("1.5"), Decimal(2), Decimal(3)], pa.decimal128(5, 2)), "numeric"),
    ],
)
def test_meaning_follows_from_the_values(values, expected):
    assert meaning(values) == expected


@pytest.mark.parametrize("name", ["id", "customer_id", "CustomerId"])
def test_whole_numbers_that_differ_are_an_identifier_if_the_name_says_so(name):
    assert meaning([3, 1, 2], name) == "identifier"
    assert meaning([1, 1, 2, 3], name) == "numeric"


def test_a_key_is_an_identifier_and_a_target_is_a_class():
    assert meaning([1.5, 2.5, 3.5], key=("c",)) == "identifier"
    assert meaning([1, 2, 3, 4], target="c") == "categorical"
    assert meaning(list(range(21)), target="c") == "numeric"
    assert meaning(["a1", "b2", "c3"], target="c") == "categorical"


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("schema.json", ["a"], "name: .* is one of the dataset's own files"),
        ("é" * 101, ["a"], "name: .* more than 200 bytes"),
        ("a/b", ["a"], "name: String should match"),
        ("a\udcff", ["a"], "name: .*"),
        ("t", [], "columns: "),
        ("t", ["a", "a"], r".* more than one column named \['a'\]"),
    ],
)
def test_a_table_that_cannot_be_stored_is_an_error_of_its_source(name, columns, message):
    with pytest.raises(SourceError, match=f"cannot be used: {message}"):
        table_schema(name, [column(c, pa.int64()) for c in columns])


def test_people_have_the_last_word():
    assert meaning([1, 2, 3, 4], given={"c": "categorical"}) == "categorical"
    with pytest.raises(ParamsError, match=r"unknown columns \['d'\]; choose from: \['c'\]"):
        meaning([1], given={"d": "numeric"})


def test_a_foreign_key_is_an_identifier():
    parent = TableSchema(name="p", columns=(column("id", pa.int64()),), primary_key=("id",))
    link = ForeignKey(columns=("p",), references="p", referenced_columns=("id",))
    child = TableSchema(name="c", columns=(column("p", pa.int64()),), foreign_keys=(link,))
    schema = DatasetSchema(kind="tabular", tables=(child, parent))
    rows = {"c": pa.table({"p": [1, 1, 2, 3]}), "p": pa.table({"id": [1, 2, 3]})}
    assert with_meanings(schema, rows, {}).main.columns[0].meaning == "identifier"


def test_a_table_that_cannot_be_a_folder_is_refused():
    with pytest.raises(SourceError, match="'a/b' cannot be used"):
        table_schema("a/b", [column("c", pa.int64())])
    with pytest.raises(SourceError, match="'t' cannot be used"):
        table_schema("t", [])


def test_a_meaning_that_the_source_declares_stays():
    known = column("c", pa.int64()).model_copy(update={"meaning": "categorical"})
    table = TableSchema(name="t", columns=(known,))
    rows = {"t": pa.table({"c": pa.array(range(100))})}
    schema = DatasetSchema(kind="image", tables=(table,))
    assert with_meanings(schema, rows, {}).main.columns[0].meaning == "categorical"
    assert with_meanings(schema, rows, {"c": "numeric"}).main.columns[0].meaning == "numeric"


def test_what_people_state_is_taken_where_the_source_knows_all_else():
    columns = (column("label", pa.string()), column("width", pa.int32()))
    schema = DatasetSchema(kind="image", tables=(TableSchema(name="t", columns=columns),))
    found = with_statements(schema, {"label": "identifier"}, {"label": "person_name"}).main
    assert [(c.meaning, c.personal, c.personal_kind) for c in found.columns] == [
        ("identifier", True, "person_name"),
        ("numeric", False, None),
    ]
    with pytest.raises(ParamsError, match=r"source\.meanings names unknown columns \['gone'\]"):
        with_statements(schema, {"gone": "text"}, {})
    with pytest.raises(ParamsError, match=r"source\.personal names unknown kinds \['gone'\]"):
        with_statements(schema, {}, {"label": "gone"})


def test_personal_columns_are_found_and_people_know_better():
    rows = pa.table(
        {
            "id": [1, 2, 3],
            "mail": ["ann@example.org", "bob@example.org", None],
            "band": ["Ann Lee", "Bob Ray", "Cy Young"],
            "code": ["A-1", "B-2", "C-3"],
        }
    )
    columns = [column(field.name, field.type) for field in rows.schema]
    table = table_schema("t", columns, primary_key=["id"])
    schema = DatasetSchema(kind="tabular", tables=(table,))

    def personal(**said):
        found = with_meanings(schema, {"t": rows}, {}, said).main.columns
        return {c.name: c.personal_kind or True for c in found if c.personal}

    assert personal() == {"mail": "email"}
    assert personal(mail=False, code=True, band="person_name") == {
        "code": True,
        "band": "person_name",
    }
    assert personal(mail=True) == {"mail": "email"}
    with pytest.raises(ParamsError, match=r"source\.personal names unknown columns \['gone'\]"):
        personal(gone=True)
    with pytest.raises(
        ParamsError, match=r"unknown kinds \['name'\]; choose from: true, false, addr"
    ):
        personal(band="name")
