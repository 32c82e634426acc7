"""A real MariaDB: exact values, keys, order, one state of the database, and its faults."""

import datetime as dt
import json
import logging
import struct
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.errors import ParamsError, SourceChanged, SourceError, SourceUnavailable
from tasks.sources.sql import SqlSource
from tests.mariadb import MariadbServer

Run = Callable[..., None]


LONG_TABLE = (
    "CREATE TABLE t (id INT PRIMARY KEY, x TEXT)",
    "INSERT INTO t SELECT seq, REPEAT('x', 1000) FROM seq_1_to_20000",
)
"""More than the system keeps for a connection, so the server has not sent all when we have some."""


@pytest.fixture
def run(
    mariadb_server: MariadbServer, mariadb_database: str, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs statements in a database of the test's own, which the connection `DB` names."""
    monkeypatch.setenv("DB", mariadb_server.url(mariadb_database))
    return lambda *statements: mariadb_server.run(mariadb_database, *statements)


def source(target: str | None = None, **settings: Any) -> SqlSource:
    settings = {"connection": "DB"} | settings
    return SqlSource(settings, kind="tabular", target=target, project=Path())


def fetch(**settings: Any) -> pa.Table:
    with source(**settings) as opened:
        table = opened.schema().main
        batches = list(opened.read(table.name))
        return pa.Table.from_batches(batches) if batches else pa.table({})


def types(table: pa.Table) -> dict[str, str]:
    return dict(zip(table.column_names, map(str, table.schema.types), strict=True))


def test_numbers_are_exact(run):
    run(
        """CREATE TABLE t (tiny TINYINT, flag BOOL, small SMALLINT UNSIGNED, medium MEDIUMINT,
        filled INT UNSIGNED ZEROFILL, big BIGINT, huge BIGINT UNSIGNED, money DECIMAL(38,10),
        wide DECIMAL(65,30), whole DECIMAL(5,0), f FLOAT, cut FLOAT(7,3), d DOUBLE,
        one BIT(1), bits BIT(64), y YEAR, twice BIGINT AS (big * 2) VIRTUAL)""",
        """INSERT INTO t (tiny, flag, small, medium, filled, big, huge, money, wide, whole, f, cut,
        d, one, bits, y) VALUES (-128, TRUE, 65535, -8388608, 42, -4611686018427387904,
        18446744073709551615, -1234567890123456789012345678.0123456789,
        12345678901234567890123456789012345.123456789012345678901234567890, -99999, 16777216.5,
        1.125, 0.1, b'1', 18446744073709551615, 2155)""",
        "INSERT INTO t (tiny) VALUES (NULL)",
    )
    found = fetch(table="t")
    assert types(found) == {
        "tiny": "int8",
        "flag": "int8",
        "small": "uint16",
        "medium": "int32",
        "filled": "uint32",
        "big": "int64",
        "huge": "uint64",
        "money": "decimal128(38, 10)",
        "wide": "string",
        "whole": "decimal128(5, 0)",
        "f": "float",
        "cut": "float",
        "d": "double",
        "one": "bool",
        "bits": "uint64",
        "y": "int16",
        "twice": "int64",
    }
    missing, first = found.to_pylist()
    assert set(missing.values()) == {None}
    assert first == {
        "tiny": -128,
        "flag": 1,
        "small": 65_535,
        "medium": -8_388_608,
        "filled": 42,
        "big": -(2**62),
        "huge": 2**64 - 1,
        "money": Decimal("-1234567890123456789012345678.0123456789"),
        "wide": "12345678901234567890123456789012345.123456789012345678901234567890",
        "whole": Decimal(-99_999),
        "f": 16_777_216.0,
        "cut": 1.125,
        "d": 0.1,
        "one": True,
        "bits": 2**64 - 1,
        "y": 2155,
        "twice": -(2**63),
    }
    assert fetch(query="SELECT * FROM t").equals(found)


def test_texts_bytes_and_times_are_exact(run):
    run(
        """CREATE TABLE t (latin CHAR(5) CHARACTER SET latin1, wide VARCHAR(9) CHARACTER SET utf16,
        emoji TEXT CHARACTER SET utf8mb4, empty VARCHAR(3), three BINARY(3), bytes VARBINARY(9),
        blob_ BLOB, j JSON, e ENUM('a','b,c'), s SET('x','y'), u UUID, six INET6, g POINT,
        day DATE, at DATETIME(6), moment TIMESTAMP(6) NULL, took TIME(3))""",
        """INSERT INTO t VALUES ('é ', 'ß√', '🦊\n\\0\\'', '', 'a', x'00ff', '', '{"k": [1, "ü"]}',
        'b,c', 'x,y', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2001:db8::ff', POINT(1, -2.5),
        '9999-12-31', '1000-01-01 00:00:00.000001', '2020-01-31 10:00:00.5', '-838:59:59.125')""",
    )
    found = fetch(table="t")
    assert types(found) == dict.fromkeys(found.column_names, "string") | {
        "day": "date32[day]",
        "at": "timestamp[us]",
        "moment": "timestamp[us, tz=UTC]",
    }
    (row,) = found.to_pylist()
    point = struct.pack("<IBI2d", 0, 1, 1, 1.0, -2.5).hex()
    assert row == {
        "latin": "é",
        "wide": "ß√",
        "emoji": "🦊\n\0'",
        "empty": "",
        "three": r"\x610000",
        "bytes": r"\x00ff",
        "blob_": r"\x",
        "j": '{"k": [1, "ü"]}',
        "e": "b,c",
        "s": "x,y",
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "six": "2001:db8::ff",
        "g": rf"\x{point}",
        "day": dt.date(9999, 12, 31),
        "at": dt.datetime.fromisoformat("1000-01-01T00:00:00.000001"),
        "moment": dt.datetime(2020, 1, 31, 10, 0, 0, 500_000, tzinfo=dt.UTC),
        "took": "-838:59:59.125",
    }


def test_dates_that_no_calendar_has_are_missing_and_counted(run, caplog):
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, day DATE NOT NULL, at DATETIME)",
        "SET @@GLOBAL.sql_mode = @@GLOBAL.sql_mode",
        """INSERT INTO t VALUES (1, '0000-00-00', '2020-01-31 10:00'), (2, '2020-00-31', NULL),
        (3, '2020-01-31', '0000-00-00')""",
    )
    with source(table="t") as opened, caplog.at_level(logging.WARNING):
        table = opened.schema().main
        assert [c.nullable for c in table.columns] == [False, True, True]
        rows = pa.Table.from_batches(opened.read("t")).to_pylist()
        assert opened.counts() == {
            "made_missing.t.day": 2,
            "made_missing.t.at": 1,
        }
    assert [row["day"] for row in rows] == [None, None, dt.date(2020, 1, 31)]
    assert [row["at"] for row in rows] == [
        dt.datetime.fromisoformat("2020-01-31T10:00"),
        None,
        None,
    ]
    assert "2 dates of 'day' that no calendar has" in caplog.text


def test_rows_come_by_key_or_by_all_columns_in_the_order_of_bytes(run):
    run(
        "CREATE TABLE keyed (k VARCHAR(5) COLLATE utf8mb4_bin, n INT, PRIMARY KEY (n, k))",
        "INSERT INTO keyed VALUES ('b', 1), ('B', 1), ('a', 0)",
        "CREATE TABLE plain (a INT, b TEXT)",
        "INSERT INTO plain VALUES (2, 'x'), (1, 'b'), (NULL, 'z'), (1, 'B')",
        "INSERT INTO plain VALUES (3, CONCAT(REPEAT('l', 2000), 'b'))",
        "INSERT INTO plain VALUES (3, CONCAT(REPEAT('l', 2000), 'a'))",
    )
    assert fetch(table="keyed")["k"].to_pylist() == ["a", "B", "b"]
    once = fetch(table="plain")["b"].to_pylist()
    assert once[:4] == ["z", "B", "b", "x"]
    run(
        "CREATE TABLE other LIKE plain",
        "INSERT INTO other SELECT * FROM plain ORDER BY a DESC, b",
    )
    assert fetch(table="other")["b"].to_pylist() == once


def test_keys_of_several_tables_and_views(run):
    run(
        "CREATE TABLE parent (id BIGINT PRIMARY KEY, name TEXT NOT NULL)",
        """CREATE TABLE child (p BIGINT, k INT, PRIMARY KEY (p, k),
        FOREIGN KEY (p) REFERENCES parent (id))""",
        "CREATE VIEW seen AS SELECT k, p FROM child",
        "INSERT INTO parent VALUES (2, 'two'), (1, 'one')",
        "INSERT INTO child VALUES (2, 1), (1, 2), (1, 1)",
    )
    with source(tables=["child", "parent", "seen"]) as opened:
        child, parent, seen = opened.schema().tables
        assert child.primary_key == ("p", "k")
        (link,) = child.foreign_keys
        assert (link.columns, link.references, link.referenced_columns) == (
            ("p",),
            "parent",
            ("id",),
        )
        assert [c.nullable for c in parent.columns] == [False, False]
        assert (seen.primary_key, seen.foreign_keys) == ((), ())
        rows = pa.Table.from_batches(opened.read("child")).to_pylist()
        assert rows == [{"p": 1, "k": 1}, {"p": 1, "k": 2}, {"p": 2, "k": 1}]
        assert pa.Table.from_batches(opened.read("seen"))["k"].to_pylist() == [1, 1, 2]
    with source(table="child") as opened:
        assert opened.schema().main.foreign_keys == ()


def test_tables_of_one_name_in_two_databases(run, mariadb_server, mariadb_database):
    other = f"{mariadb_database}_other"
    mariadb_server.run(None, f"CREATE DATABASE {other}", f"CREATE TABLE {other}.t (a INT)")
    run("CREATE TABLE t (a INT)")
    with source(tables=["t", f"{other}.t"]) as opened:
        names = [table.name for table in opened.schema().tables]
    assert names == [f"{mariadb_database}.t", f"{other}.t"]


def test_names_are_quoted(run):
    run("CREATE TABLE `a``%b` (`select` INT, `A 100%s` TEXT)")
    run("INSERT INTO `a``%b` VALUES (1, '100%')")
    assert fetch(table="a`%b").to_pylist() == [{"select": 1, "A 100%s": "100%"}]
    injected = "a`%b` AS r; DROP TABLE `a`%b`; -- "
    with pytest.raises(SourceError, match="has no such table or view"):
        fetch(table=injected)
    assert fetch(table="a`%b").num_rows == 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 1; DROP TABLE t", "found several statements"),
        ("SELECT 1) AS r; DROP TABLE t; SELECT * FROM (SELECT 1", "found several statements"),
        ("DELETE FROM t RETURNING id", "refused the query: .*error in your SQL syntax"),
        ("SELECT id FROM t INTO OUTFILE '/tmp/proofmint'", "error in your SQL syntax"),
        ("SELECT id FROM t FOR UPDATE", "would change the database; a source only reads"),
        ("SELECT NEXTVAL(counter) AS n", "would change the database; a source only reads"),
        ("SELECT writes() AS n", "would change the database; a source only reads"),
        ("SELEC 1", "refused the query: .*error in your SQL syntax"),
        ("SELECT 1 AS a, 2 AS a", "more than one column of a name: .*'a'; use AS"),
        ("SELECT * FROM nothing", "refused the query: .*nothing' doesn't exist"),
    ],
)
def test_a_query_only_reads(run, query, message):
    run(
        "CREATE TABLE t (id INT)",
        "INSERT INTO t VALUES (1)",
        "CREATE SEQUENCE counter",
        "CREATE FUNCTION writes() RETURNS INT BEGIN DELETE FROM t; RETURN 1; END",
    )
    with pytest.raises(SourceError, match=message) as caught:
        fetch(query=query)
    assert not caught.value.retryable
    assert fetch(table="t").num_rows == 1


def test_a_query_may_hold_what_looks_like_parameters(run):
    query = "SELECT 7 % 4 AS m, ':x %s' AS y, 'a;b' AS z, 1/3 AS third -- the end"
    assert fetch(query=query).to_pylist() == [
        {"m": 3, "y": ":x %s", "z": "a;b", "third": Decimal("0.3333")}
    ]


def test_what_is_missing_is_named(run, mariadb_server, mariadb_database, monkeypatch):
    run("CREATE TABLE customers (id INT)")
    for given_, message in [
        ({"table": "custmers"}, "no such table or view; it has: customers"),
        ({"table": "crm.customers"}, "the database has no schema 'crm'"),
        ({"table": "customers", "target": "churn"}, "expected the target 'churn' among"),
        ({"tables": ["customers", "customers"]}, "expected different tables"),
    ]:
        with pytest.raises(SourceError, match=message):
            fetch(**given_)
    monkeypatch.setenv("DB", mariadb_server.url(f"{mariadb_database}x"))
    with pytest.raises(SourceError, match=rf"does not exist; the server has: .*{mariadb_database}"):
        fetch(table="customers")
    monkeypatch.setenv("DB", mariadb_server.url(None))
    with pytest.raises(SourceError, match=r"expected table 'customers' as `database\.table`"):
        fetch(table="customers")


def test_a_wrong_password_is_not_worth_a_retry(mariadb_server, monkeypatch):
    monkeypatch.setenv("DB", mariadb_server.url("mysql", password="s3cret"))
    with pytest.raises(SourceError, match="refused the login") as caught:
        fetch(table="t")
    assert not caught.value.retryable
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("mysql://u:s3cret@127.0.0.1:1/d", SourceUnavailable, "127.0.0.1:1 .*does not answer"),
        ("mariadb://u:s3cret@no.such.host.invalid/d", SourceUnavailable, "does not answer"),
        ("mysql://u:s3cret@h/d?colour=s3cret", SourceError, "cannot be used: .*'colour'"),
    ],
)
def test_a_connection_that_fails_does_not_tell_its_password(monkeypatch, url, error, message):
    monkeypatch.setenv("DB", url)
    with pytest.raises(SourceError, match=message) as caught:
        fetch(table="t")
    assert type(caught.value) is error
    assert "s3cret" not in str(caught.value)


def test_urls_and_airflow_connections(run, mariadb_server, mariadb_database, monkeypatch):
    run("CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)")
    url = mariadb_server.url(mariadb_database)
    for scheme in ("mysql", "mariadb", "mariadb+pymysql"):
        monkeypatch.setenv("DB", url.replace("mysql+pymysql", scheme))
        assert fetch(table="t").num_rows == 1
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", url.replace("mysql+pymysql", "mysql"))
    assert fetch(connection="shop", table="t").num_rows == 1
    as_json = {
        "conn_type": "mysql",
        "login": "owner",
        "password": mariadb_server.password,
        "host": "127.0.0.1",
        "port": mariadb_server.port,
        "schema": mariadb_database,
    }
    monkeypatch.setenv("AIRFLOW_CONN_AS_JSON", json.dumps(as_json))
    assert fetch(connection="as_json", table="t").num_rows == 1


def test_a_forbidden_table_is_a_fault_of_the_source(
    run, mariadb_server, mariadb_database, monkeypatch
):
    run(
        "CREATE TABLE open_ (id INT)",
        "CREATE TABLE secret (id INT)",
        "CREATE OR REPLACE USER guest IDENTIFIED BY 'p@ss/word'",
        f"GRANT SELECT ON {mariadb_database}.open_ TO guest",
    )
    monkeypatch.setenv("DB", mariadb_server.url(mariadb_database, "guest", "p@ss/word"))
    with pytest.raises(SourceError, match="no such table or view; it has: open_"):
        fetch(table="secret")
    with pytest.raises(SourceError, match="refused the query: SELECT command denied"):
        fetch(query="SELECT * FROM secret")
    assert fetch(query="SELECT COUNT(*) AS n FROM open_").to_pylist() == [{"n": 0}]


def test_all_tables_are_read_in_one_state_of_the_database(run):
    run(
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "INSERT INTO t SELECT seq FROM seq_1_to_200000",
        "CREATE TABLE u (id INT PRIMARY KEY)",
    )
    with source(tables=["t", "u"], memory_mib=16) as opened:
        opened.schema()
        batches = opened.read("t")
        sizes = [next(batches).num_rows]
        run("DELETE FROM t WHERE id > 100", "INSERT INTO u VALUES (1)")
        sizes += [batch.num_rows for batch in batches]
        assert len(sizes) > 1
        assert sum(sizes) == 200_000
        assert list(opened.read("u")) == []


def test_reading_may_stop_early_and_go_on_in_the_same_state(run):
    run(*LONG_TABLE)
    with source(table="t", memory_mib=16) as opened:
        opened.schema()
        batches = opened.read("t")
        next(batches)
        batches.close()
        run("DELETE FROM t WHERE id > 10")
        assert sum(batch.num_rows for batch in opened.read("t")) == 20_000


def test_a_connection_that_breaks_loses_the_state_and_the_table_is_read_anew(run):
    run(*LONG_TABLE)
    with source(table="t", memory_mib=16) as opened:
        table = opened.schema().main
        (part,) = opened.parts(table)
        batches = opened.read_part(table, part)
        next(batches)
        run(f"KILL CONNECTION {opened._database._session._connection.thread_id()}")
        with pytest.raises(SourceChanged, match="connection was lost while table 't' was read"):
            list(batches)
        run("DELETE FROM t WHERE id > 10")
        (again,) = opened.parts(table)
        assert sum(batch.num_rows for batch in opened.read_part(table, again)) == 10


def test_a_query_that_is_killed_may_be_tried_again(run):
    run(*LONG_TABLE)
    with source(table="t", memory_mib=16) as opened:
        table = opened.schema().main
        batches = opened.read("t")
        next(batches)
        run(f"KILL QUERY {opened._database._session._connection.thread_id()}")
        with pytest.raises(SourceUnavailable, match="stopped while table 't' was read") as caught:
            list(batches)
        assert type(caught.value) is SourceUnavailable
        (part,) = opened.parts(table)
        assert sum(batch.num_rows for batch in opened.read_part(table, part)) == 20_000


def test_rows_larger_than_a_packet(run):
    run(
        "SET GLOBAL max_allowed_packet = 67108864",
    )
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, x LONGTEXT, y LONGBLOB)",
        "INSERT INTO t SELECT seq, 's', 'b' FROM seq_1_to_3",
        """INSERT INTO t VALUES (4, REPEAT('é', 9000000), 'b'), (5, REPEAT('x', 16777210), ''),
        (6, NULL, REPEAT('ab', 9000000)), (7, REPEAT('x', 40000000), NULL), (8, 's', 'b')""",
    )
    found = fetch(table="t", memory_mib=16).to_pylist()
    assert [row["id"] for row in found] == list(range(1, 9))
    # Not compared as they are: to explain how such texts differ takes minutes.
    as_expected = [
        found[3]["x"] == "é" * 9_000_000,
        found[4]["x"] == "x" * 16_777_210,
        found[4]["y"] == r"\x",
        found[5]["y"] == r"\x" + "6162" * 9_000_000,
        found[6]["x"] == "x" * 40_000_000,
        found[7] == {"id": 8, "x": "s", "y": r"\x62"},
    ]
    assert as_expected == [True] * 6


def test_a_watermark_gives_what_is_new_or_changed(run):
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME(6) NOT NULL)",
        "INSERT INTO t VALUES (2, '2020-01-01 00:00:00.5'), (1, '2020-01-02'), (3, '2020-01-02')",
    )
    with source(table="t", watermark="at") as opened:
        table = opened.schema().main
        rows = pa.Table.from_batches(opened.read("t"))
        assert rows["id"].to_pylist() == [2, 1, 3]
        end = opened.end_of(table)
    assert json.loads(json.dumps(end)) == {"watermark": "2020-01-02 00:00:00.000000"}
    run("INSERT INTO t VALUES (0, '2020-01-03')", "UPDATE t SET at = '2020-01-04' WHERE id = 2")
    with source(table="t", watermark="at") as opened:
        opened.after = {"t": end}
        assert pa.Table.from_batches(opened.read("t"))["id"].to_pylist() == [1, 3, 0, 2]
    with source(query="SELECT at, id FROM t", watermark="at") as opened:
        opened.after = {"data": end}
        assert pa.Table.from_batches(opened.read("data"))["id"].to_pylist() == [1, 3, 0, 2]


@pytest.mark.parametrize(
    ("column", "timezone", "ids"),
    [
        ("day", "UTC", [2, 3, 5]),
        ("at", "Asia/Tokyo", [2, 3, 5]),
        ("moment", "Europe/Berlin", [2, 3, 5]),
        ("moment", "UTC", [3, 4, 5]),
    ],
)
@pytest.mark.parametrize("query", [False, True])
def test_the_rows_between_two_days_and_those_without_one_are_asked_for(
    run, column, timezone, ids, query
):
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, day DATE, at DATETIME(6), moment TIMESTAMP(6) NULL)",
        "SET time_zone = '+00:00'",
        "INSERT INTO t VALUES"
        " (1, '2026-02-28', '2026-02-28 23:59:59.999999', '2026-02-28 22:59:59.999999'),"
        " (2, '2026-03-01', '2026-03-01 00:00:00', '2026-02-28 23:00:00'),"
        " (3, '2026-03-31', '2026-03-31 23:59:59.999999', '2026-03-31 21:59:59.999999'),"
        " (4, '2026-04-01', '2026-04-01 00:00:00', '2026-03-31 22:00:00'),"
        " (5, NULL, NULL, NULL)",
    )
    between = {"column": column, "start": "2026-03-01", "end": "2026-04-01", "timezone": timezone}
    given = {"query": "SELECT * FROM t"} if query else {"table": "t"}
    assert sorted(fetch(**given, between=between)["id"].to_pylist()) == ids


def test_a_watermark_must_be_one(run):
    run("CREATE TABLE t (id INT, name TEXT)", "INSERT INTO t VALUES (1, 'a'), (NULL, 'b')")
    for watermark, error, message in [
        ("idd", ParamsError, "expected a column of table 't', found 'idd'; choose one of: id"),
        ("name", ParamsError, "'name' of table 't' is string"),
        ("id", SourceError, "expected a value of 'id' in every row .* found 1 rows without"),
    ]:
        with pytest.raises(error, match=message), source(table="t", watermark=watermark) as opened:
            opened.parts(opened.schema().main)


_VALUES = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "u": st.none() | st.integers(0, 2**64 - 1),
        "m": st.none() | st.decimals(1 - 10**28, 10**28 - 1, allow_nan=False, places=10),
        "f": st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
        "d": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "x": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
        "b": st.none() | st.binary(max_size=300),
        "t": st.none() | st.datetimes(),
    }
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(_VALUES, min_size=1, max_size=20))
def test_values_survive(run, mariadb_server, mariadb_database, rows):
    with mariadb_server.connect(mariadb_database) as connection, connection.cursor() as cursor:
        cursor.execute(
            """CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, i BIGINT, u BIGINT UNSIGNED,
            m DECIMAL(38,10), f FLOAT, d DOUBLE, x TEXT CHARACTER SET utf8mb4, b BLOB,
            t DATETIME(6))"""
        )
        for i, row in enumerate(rows):
            # As texts, which MariaDB rounds to the nearest float.
            row = row | {name: None if row[name] is None else repr(row[name]) for name in "fd"}
            cursor.execute(
                "INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (i, *(row[name] for name in "iumfdxbt")),
            )
    found = fetch(table="t").drop(["id"]).to_pylist()
    for row in rows:
        row["b"] = None if row["b"] is None else rf"\x{row['b'].hex()}"
    assert found == rows  # zero has no sign in MariaDB, nor in this comparison
