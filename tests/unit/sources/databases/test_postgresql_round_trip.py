"""Any table that PostgreSQL can hold is read as the driver itself reads it."""

import datetime as dt
import itertools
import string
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extras import Json
from psycopg2.sql import SQL, Identifier

from tasks.sources.sql import SqlSource

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
DAYS = st.dates(dt.date(1, 1, 2), dt.date(9999, 12, 30))
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))  # noqa: DTZ001  of no zone


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    largest = 10**precision - 1
    return st.integers(-largest, largest).map(lambda n: Decimal(n).scaleb(-scale))


TYPES: dict[str, st.SearchStrategy[Any]] = {
    "smallint": integers(16),
    "integer": integers(32),
    "bigint": integers(64),
    "real": st.floats(width=32),
    "double precision": st.floats(),
    "numeric(12, 3)": decimals(12, 3),
    "numeric(38, 10)": decimals(28, 10),
    "numeric": decimals(18, 7),
    "text": TEXTS,
    "varchar(12)": TEXTS,
    "boolean": st.booleans(),
    "date": DAYS,
    "timestamp": MOMENTS,
    "timestamptz": MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC)),
    "time": st.times(),
    "interval": st.timedeltas(dt.timedelta(-(10**6)), dt.timedelta(10**6)),
    "uuid": st.uuids().map(str),
    "bytea": st.binary(max_size=12),
    "jsonb": st.dictionaries(st.text(string.ascii_letters, max_size=4), integers(32)).map(Json),
    "json": st.lists(st.text(string.printable, max_size=8)).map(Json),
    "integer[]": st.lists(st.none() | integers(32), max_size=3),
    "text[]": st.lists(st.none() | TEXTS, max_size=3),
}
"""By type: the values that a column of it may have, besides none."""

NATIVE = {
    *("smallint", "integer", "bigint", "real", "double precision", "numeric(12, 3)"),
    *("numeric(38, 10)", "numeric", "text", "varchar(12)", "boolean", "date", "timestamp"),
    "timestamptz",
}
"""Types that Arrow has; the driver's text of the others is what we read."""

_numbers = itertools.count()


@pytest.fixture
def connection(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("DB", database)
    connection = psycopg2.connect(database.replace("+psycopg2", ""))
    connection.autocommit = True
    yield connection
    connection.close()


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[Any]]]:
    types = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=8))
    row = st.tuples(*(st.none() | TYPES[kind] for kind in types)).map(list)
    return types, draw(st.lists(row, min_size=1, max_size=6))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(table=tables(), has_key=st.booleans())
def test_a_table_comes_back_as_the_driver_reads_it(connection, table, has_key):
    types, rows = table
    name = f"t{next(_numbers)}"
    with connection.cursor() as cursor:
        columns = ", ".join(f"c{i} {kind}" for i, kind in enumerate(types))
        key = "id integer PRIMARY KEY" if has_key else "id integer"
        cursor.execute(f"CREATE TABLE {name} ({key}, {columns})")
        for i, row in enumerate(rows):
            # A list is cast because one of nothing but missing values is of no type.
            # `-32768::smallint` would be the cast of 32768, which is none.
            places = ", ".join(["%s", *(f"CAST(%s AS {kind})" for kind in types)])
            cursor.execute(f"INSERT INTO {name} VALUES ({places})", (i, *row))  # noqa: S608
        chosen = [
            SQL("{}" if kind in NATIVE else "{}::text").format(Identifier(f"c{i}"))
            for i, kind in enumerate(types)
        ]
        cursor.execute(
            SQL("SELECT id, {} FROM {} ORDER BY id").format(
                SQL(", ").join(chosen), Identifier(name)
            )
        )
        expected = cursor.fetchall()
    with SqlSource(
        {"connection": "DB", "table": name}, kind="tabular", target=None, project=Path()
    ) as source:
        source.schema()
        found = pa.Table.from_batches(source.read(name)).to_pylist()
    kinds = ["integer", *types]
    assert [comparable(row.values(), kinds) for row in found] == [
        comparable(row, kinds) for row in expected
    ]


def comparable(row: Iterable[Any], kinds: list[str]) -> list[Any]:
    """Values that equal themselves, with what `==` does not see: NaN, the sign of zero."""
    found = []
    for value, kind in zip(row, kinds, strict=True):
        if value is not None and kind in ("real", "double precision"):
            # The driver makes a double of the digits of a real, which is another number.
            value = repr(np.float32(value) if kind == "real" else value)
        found.append(value)
    return found
