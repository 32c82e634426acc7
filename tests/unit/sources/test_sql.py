"""A real PostgreSQL: types, keys, order, one state of the database, and its faults."""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from tasks.errors import ParamsError, SourceChanged, SourceError, SourceUnavailable
from tasks.sources.sql import SqlSource


@pytest.fixture
def engine(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """A database of the test's own, which the connection `DB` names."""
    monkeypatch.setenv("DB", database)
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def source(target: str | None = None, **settings: Any) -> SqlSource:
    settings = {"connection": "DB"} | settings
    return SqlSource(settings, kind="tabular", target=target, project=Path())


def fetch(**settings: Any) -> pa.Table:
    with source(**settings) as opened:
        table = opened.schema().main
        return pa.Table.from_batches(opened.read(table.name))


def test_types_of_a_table_and_of_a_query(engine):
    run(
        engine,
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE DOMAIN score AS integer CHECK (VALUE > 0)",
        """CREATE TABLE t (s smallint, i integer, b bigint, r real, d double precision,
        n numeric, m numeric(12, 3), x text, c varchar(5), y boolean, day date, ts timestamp,
        tz timestamptz, e mood, sc score, u uuid, j json, a integer[], t time)""",
        """INSERT INTO t VALUES (1, 2, 9007199254740993, 0.5, 0.1, 1.5, 2.125, 'x', 'c', true,
        '2020-01-31', '2020-01-31 10:00', '2020-01-31 10:00+02', 'ok', 3,
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"k": 1}', '{1,2}', '10:00')""",
        "INSERT INTO t SELECT FROM generate_series(1, 1)",
    )
    found = fetch(table="t")
    assert dict(zip(found.column_names, map(str, found.schema.types), strict=True)) == {
        "s": "int16",
        "i": "int32",
        "b": "int64",
        "r": "float",
        "d": "double",
        "n": "decimal128(38, 1)",
        "m": "decimal128(12, 3)",
        "x": "string",
        "c": "string",
        "y": "bool",
        "day": "date32[day]",
        "ts": "timestamp[us]",
        "tz": "timestamp[us, tz=UTC]",
        "e": "string",
        "sc": "int32",
        "u": "string",
        "j": "string",
        "a": "string",
        "t": "string",
    }
    first, second = found.to_pylist()
    assert first["b"] == 9_007_199_254_740_993
    assert first["m"] == Decimal("2.125")
    assert first["tz"] == dt.datetime(2020, 1, 31, 8, tzinfo=dt.UTC)
    assert (first["e"], first["j"], first["a"]) == ("ok", '{"k": 1}', "{1,2}")
    assert set(second.values()) == {None}
    as_query = fetch(query="SELECT * FROM t")
    assert as_query.drop(["sc"]).equals(found.drop(["sc"]))


def test_rows_come_by_key_or_by_all_columns_in_the_order_of_bytes(engine):
    run(
        engine,
        "CREATE TABLE keyed (k text PRIMARY KEY, v integer)",
        "INSERT INTO keyed VALUES ('b', 1), ('B', 2), ('a', 3)",
        "CREATE TABLE plain (a integer, b text)",
        "INSERT INTO plain VALUES (2, 'x'), (1, 'b'), (NULL, 'z'), (1, 'B')",
    )
    assert fetch(table="keyed")["k"].to_pylist() == ["B", "a", "b"]
    assert fetch(table="plain")["b"].to_pylist() == ["B", "b", "x", "z"]


def test_keys_of_several_tables(engine):
    run(
        engine,
        "CREATE TABLE parent (id bigint PRIMARY KEY, name text NOT NULL)",
        "CREATE TABLE child (p bigint REFERENCES parent, k integer, PRIMARY KEY (p, k))",
        "INSERT INTO parent VALUES (2, 'two'), (1, 'one')",
        "INSERT INTO child VALUES (2, 1), (1, 2), (1, 1)",
    )
    with source(tables=["child", "parent"]) as opened:
        child, parent = opened.schema().tables
        assert child.primary_key == ("p", "k")
        (link,) = child.foreign_keys
        assert (link.columns, link.references, link.referenced_columns) == (
            ("p",),
            "parent",
            ("id",),
        )
        assert [c.nullable for c in parent.columns] == [False, False]
        rows = pa.Table.from_batches(opened.read("child")).to_pylist()
        assert rows == [{"p": 1, "k": 1}, {"p": 1, "k": 2}, {"p": 2, "k": 1}]
    with source(table="child") as opened:
        assert opened.schema().main.foreign_keys == ()


def test_all_parts_see_one_state_of_the_database(engine):
    run(
        engine,
        "CREATE TABLE t (id integer PRIMARY KEY, x text NOT NULL)",
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 10000) i",
    )
    with source(table="t", memory_mib=16) as opened:
        table = opened.schema().main
        first, *others = opened.parts(table)
        assert len(others) > 2
        read = [batch["id"] for batch in opened.read_part(table, first)]
        run(engine, "DELETE FROM t WHERE id > 5000", "INSERT INTO t VALUES (0, ''), (99999, '')")
        read += [batch["id"] for part in others for batch in opened.read_part(table, part)]
    assert pa.chunked_array(read).to_pylist() == list(range(1, 10_001))


def test_names_are_quoted(engine):
    run(
        engine,
        'CREATE SCHEMA "My ""S"',
        'CREATE TABLE "My ""S"."a%b" ("select" integer, "A b" text)',
    )
    run(engine, """INSERT INTO "My ""S"."a%b" VALUES (1, '100%')""")
    assert fetch(table='My "S.a%b').to_pylist() == [{"select": 1, "A b": "100%"}]


def test_a_query_may_hold_what_looks_like_parameters(engine):
    query = "SELECT 7 % 4 AS m, ':x' AS y, '10:30'::time AS t -- the end"
    assert fetch(query=query).to_pylist() == [{"m": 3, "y": ":x", "t": "10:30:00"}]
    assert fetch(query="SELECT 'a;b' AS x;").to_pylist() == [{"x": "a;b"}]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 1; DROP TABLE t", "found several statements"),
        ("SELECT 1) AS q; DROP TABLE t; SELECT * FROM (SELECT 1", "found several statements"),
        ("DELETE FROM t RETURNING *", "refused the query: syntax error"),
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "data-modifying statement"),
        ("SELECT nextval('counter') AS n", "would change the database; a source only reads"),
        ("SELEC 1", "refused the query: syntax error"),
        ("SELECT 1 AS a, 2 AS a", r"more than one column named \['a'\]"),
        ("SELECT 1 / 0 AS a", "division by zero"),
    ],
)
def test_a_query_only_reads(engine, query, message):
    run(
        engine, "CREATE TABLE t (id integer)", "INSERT INTO t VALUES (1)", "CREATE SEQUENCE counter"
    )
    with pytest.raises(SourceError, match=message):
        fetch(query=query)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 1


def test_what_is_missing_is_named(engine):
    run(engine, "CREATE TABLE customers (id integer)", "CREATE TABLE nothing ()")
    for settings, message in [
        ({"table": "custmers"}, "no such table or view; it has: customers"),
        ({"table": "crm.customers"}, "the database has no schema 'crm'"),
        (
            {"table": "customers", "target": "churn"},
            "expected the target 'churn' among the columns",
        ),
        ({"table": "nothing"}, "'nothing' cannot be used"),
        ({"tables": ["customers", "customers"]}, "expected different tables"),
    ]:
        with pytest.raises(SourceError, match=message):
            fetch(**settings)


def test_a_forbidden_table_is_a_fault_of_the_source(engine, database, monkeypatch):
    run(
        engine, "CREATE TABLE secret (id integer)", "DROP ROLE IF EXISTS guest", "CREATE ROLE guest"
    )
    run(engine, "GRANT pg_signal_backend TO guest")
    monkeypatch.setenv("DB", f"{database}&options=-crole%3Dguest")
    for settings in ({"table": "secret"}, {"query": "SELECT * FROM secret"}):
        with pytest.raises(SourceError, match="permission denied for table secret; let its owner"):
            fetch(**settings)


def test_settings_say_one_thing(engine):
    for settings, message in [
        ({"tabel": "x"}, "tabel: unknown key; choose one of: meanings, "),
        ({"table": "x", "query": "SELECT 1"}, "needs exactly one of table, tables, query"),
        ({"connection": "postgresql://u:p@h/d", "table": "x"}, "connection"),
    ]:
        with pytest.raises(ParamsError, match=message):
            source(**settings)


def test_connections_are_environment_variables_or_airflows(engine, database, monkeypatch):
    run(engine, "CREATE TABLE t (id integer)", "INSERT INTO t VALUES (1)")
    url = sa.make_url(database)
    monkeypatch.setenv(
        "AIRFLOW_CONN_WAREHOUSE", database.replace("postgresql+psycopg2", "postgres")
    )
    assert fetch(connection="warehouse", table="t").num_rows == 1
    extra = {"conn_type": "postgres", "login": url.username, "schema": url.database}
    monkeypatch.setenv("PGHOST", str(url.query["host"]))
    monkeypatch.setenv("AIRFLOW_CONN_AS_JSON", json.dumps(extra))
    assert fetch(connection="as_json", table="t").num_rows == 1


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, SourceError, "the environment variable DB is not set, nor is AIRFLOW_CONN_DB"),
        ("s3cret garbage", SourceError, "expected the variable DB to hold a database URL"),
        ('{"conn_type": "s3cret', SourceError, "expected the variable DB to hold"),
        ("oracle://u:s3cret@h/d", SourceError, "no driver for 'oracle'"),
        ("postgresql://u:s3cret@127.0.0.1:1/d", SourceUnavailable, "127.0.0.1:1 .*not answer"),
        ("postgresql://u:s3cret@no.such.host.invalid/d", SourceUnavailable, "does not answer"),
    ],
)
def test_a_connection_that_fails_does_not_tell_its_password(monkeypatch, value, error, message):
    monkeypatch.delenv("DB", raising=False)
    if value is not None:
        monkeypatch.setenv("DB", value)
    with pytest.raises(SourceError, match=message) as caught:
        fetch(table="t")
    assert type(caught.value) is error
    assert "s3cret" not in str(caught.value)


def test_a_wrong_password_is_not_worth_a_retry(postgres_server, engine, database, monkeypatch):
    rules = postgres_server.place / "data" / "pg_hba.conf"
    before = rules.read_text()
    run(engine, "DROP ROLE IF EXISTS locked", "CREATE ROLE locked LOGIN PASSWORD 'right'")
    try:
        rules.write_text("local all locked scram-sha-256\n" + before)
        run(engine, "SELECT pg_reload_conf()")
        wrong = sa.make_url(database).set(username="locked", password="s3cret")
        monkeypatch.setenv("DB", wrong.render_as_string(hide_password=False))
        with pytest.raises(SourceError, match="refused the login") as caught:
            fetch(table="t")
    finally:
        rules.write_text(before)
        run(engine, "SELECT pg_reload_conf()", "DROP ROLE locked")
    assert not caught.value.retryable
    assert "s3cret" not in str(caught.value)


def test_a_connection_that_breaks_is_worth_a_retry(engine):
    run(
        engine,
        "CREATE TABLE t (id integer PRIMARY KEY, x text)",
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i",
    )
    with source(table="t") as opened:
        table = opened.schema().main
        (part, *_) = opened.parts(table)
        batches = opened.read_part(table, part)
        first = next(batches)
        run(
            engine,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'COPY%'",
        )
        with pytest.raises(SourceUnavailable, match="stopped answering while table 't' was read"):
            list(batches)
        again = next(iter(opened.read_part(table, part)))  # of the same state
        assert again.equals(first)


def test_a_state_that_is_gone_is_said_to_have_changed(engine):
    run(engine, "CREATE TABLE t (id integer PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with source(table="t") as opened:
        table = opened.schema().main
        (part,) = opened.parts(table)
        run(
            engine,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        with pytest.raises(SourceChanged, match="held the state of the database is gone"):
            list(opened.read_part(table, part))
        run(engine, "INSERT INTO t VALUES (2)")
        (anew,) = opened.parts(table)
        assert next(opened.read_part(table, anew))["id"].to_pylist() == [1, 2]
