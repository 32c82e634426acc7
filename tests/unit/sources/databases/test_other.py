"""The reader of what has no reader of its own, on a database that every Python has."""

import contextlib
import datetime as dt
import json
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from tasks.errors import ParamsError, SourceError
from tasks.sources.base import Part
from tasks.sources.databases.base import Access
from tasks.sources.databases.other import OtherDatabase
from tasks.sources.sql import SqlSource


@pytest.fixture
def access(tmp_path: Path) -> Access:
    """A database with two tables, one of them of a difficult name."""
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(
            """CREATE TABLE parent (id INTEGER PRIMARY KEY, name VARCHAR(9) NOT NULL);
            CREATE TABLE "100%s" (p INTEGER REFERENCES parent, day DATE, at DATETIME,
            price DECIMAL(10, 2), any_ NUMERIC, b BLOB, x REAL, ok BOOLEAN);
            INSERT INTO parent VALUES (2, 'two'), (1, 'one');
            INSERT INTO "100%s" VALUES (1, '2020-01-31', '2020-01-31 10:00:00.5', '12.50', 7,
            x'00ff', 0.1, 1), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);"""
        )
    url = sa.make_url(f"sqlite:///{tmp_path / 'shop.db'}")
    return Access(connection="DB", url=url, workers=2, batch_bytes=2**20)


@pytest.fixture
def database(access: Access) -> Iterator[OtherDatabase]:
    with OtherDatabase(access) as database:
        yield database


def test_tables_with_their_types_and_keys(database):
    child, parent = database.tables(["100%s", "parent"])
    assert [c.type for c in child.columns] == [
        "int64",
        "date32[day]",
        "timestamp[us]",
        "decimal128(10, 2)",
        "string",
        "string",
        "double",
        "bool",
    ]
    assert (parent.primary_key, [c.nullable for c in parent.columns][1]) == (("id",), False)
    assert child.foreign_keys[0].references == "parent"
    (part,) = database.parts(child, None)
    part = Part(json.loads(json.dumps(dict(part.place))))
    missing, row = pa.Table.from_batches(database.read(child, part)).to_pylist()
    assert set(missing.values()) == {None}
    assert row == {
        "p": 1,
        "day": dt.date(2020, 1, 31),
        "at": dt.datetime.fromisoformat("2020-01-31T10:00:00.5"),
        "price": Decimal("12.50"),
        "any_": "7",
        "b": r"\x00ff",
        "x": 0.1,
        "ok": True,
    }


def test_another_process_reads_a_part_by_its_place_alone(database, access):
    (parent,) = database.tables(["parent"])
    (part,) = database.parts(parent, None)
    with OtherDatabase(access) as other:
        assert pa.Table.from_batches(other.read(parent, part))["id"].to_pylist() == [1, 2]


def test_a_query_has_the_types_of_its_values(database):
    table = database.query(
        "SELECT id % 2 AS odd, name, '50%:x' AS share, id / 2.0 AS h FROM parent;"
    )
    assert [(c.name, c.type) for c in table.columns] == [
        ("odd", "int64"),
        ("name", "string"),
        ("share", "string"),
        ("h", "double"),
    ]
    (part,) = database.parts(table, None)
    assert pa.Table.from_batches(database.read(table, part)).to_pylist() == [
        {"odd": 0, "name": "two", "share": "50%:x", "h": 1.0},
        {"odd": 1, "name": "one", "share": "50%:x", "h": 0.5},
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 1; DROP TABLE parent", "found several statements"),
        ("DELETE FROM parent RETURNING id", 'refused the query: .*"DELETE": syntax error'),
        ("SELECT nix FROM parent", "refused the query: no such column: nix"),
    ],
)
def test_a_query_only_reads(database, query, message):
    with pytest.raises(SourceError, match=message):
        database.query(query)


def test_what_is_missing_or_impossible_is_named(database, access, monkeypatch):
    with pytest.raises(SourceError, match="no such table or view; it has: parent"):
        database.tables(["parents"])
    with pytest.raises(SourceError, match="the database has no schema 'crm'"):
        database.tables(["crm.parent"])
    with pytest.raises(SourceError, match="expected different tables"):
        database.tables(["parent", "parent"])
    (parent,) = database.tables(["parent"])
    monkeypatch.setenv("DB", "oracle+nothing://u:s3cret@h/d")
    settings = {"connection": "DB", "table": "t"}
    opened = SqlSource(settings, kind="tabular", target=None, project=Path())
    with opened, pytest.raises(SourceError, match="no driver for 'oracle") as caught:
        opened.schema()
    assert "s3cret" not in str(caught.value)
    with_watermark = OtherDatabase(Access("DB", access.url, 1, 2**20, watermark="id"))
    with pytest.raises(ParamsError, match=r"source\.watermark is not for sqlite"):
        with_watermark.parts(parent, None)


def test_a_value_of_another_type_is_an_error_with_its_column(access):
    engine = sa.create_engine(access.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE \"100%s\" SET price = 'cheap'")
    with OtherDatabase(access) as database:
        (table,) = database.tables(["100%s"])
        with pytest.raises(SourceError, match=r"column 'price' is not of type decimal128\(10, 2\)"):
            list(database.read(table, *database.parts(table, None)))
