"""The reader of PostgreSQL: every type, every kind of table, parts, watermarks and faults."""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pytest
import sqlalchemy as sa

from tasks.errors import ParamsError, SourceChanged, SourceError, SourceUnavailable
from tasks.schema import TableSchema
from tasks.sources.base import Part
from tasks.sources.sql import SqlSource

Run = Callable[..., None]


@pytest.fixture
def run(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Executes statements in a database of the test's own, which the connection `DB` names."""
    monkeypatch.setenv("DB", database)
    connection = psycopg2.connect(database.replace("+psycopg2", ""))
    connection.autocommit = True

    def execute(*statements: str) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    yield execute
    connection.close()


def source(**settings: Any) -> SqlSource:
    settings = {"connection": "DB"} | settings
    return SqlSource(settings, kind="tabular", target=None, project=Path())


def fetch(**settings: Any) -> pa.Table:
    with source(**settings) as opened:
        table = opened.schema().main
        batches = list(opened.read(table.name))
        return pa.Table.from_batches(batches, batches[0].schema)


def read_all(opened: SqlSource, table: TableSchema, parts: list[Part]) -> list[dict[str, Any]]:
    return [
        row
        for part in parts
        for batch in opened.read_part(table, part)
        for row in batch.to_pylist()
    ]


AS_TEXT = {
    "time": ("'10:00:00.5'", "10:00:00.5"),
    "timetz": ("'10:00+02'", "10:00:00+02"),
    "interval": ("'1 year 2 days 03:04:05.678'", "1 year 2 days 03:04:05.678"),
    "uuid": ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "bytea": (r"'\x00ff27'", r"\x00ff27"),
    "json": ("""'{"b": [1, null], "a": "x,\\"y\\""}'""", """{"b": [1, null], "a": "x,\\"y\\""}"""),
    "jsonb": ("""'{"b":1, "a":2}'""", '{"a": 2, "b": 1}'),
    "integer[]": ("'{{1,2},{NULL,4}}'", "{{1,2},{NULL,4}}"),
    "text[]": ("""ARRAY['a,b', '', NULL, 'say "x"']""", r'{"a,b","",NULL,"say \"x\""}'),
    "int4range": ("'[1,5]'", "[1,6)"),
    "tstzrange": ("'[2020-01-01 00:00+01,)'", '["2019-12-31 23:00:00+00",)'),
    "inet": ("'192.168.0.1/24'", "192.168.0.1/24"),
    "cidr": ("'10.0.0.0/8'", "10.0.0.0/8"),
    "macaddr": ("'08-00-2b-01-02-03'", "08:00:2b:01:02:03"),
    "bit(3)": ("B'101'", "101"),
    "bit varying": ("B'10'", "10"),
    "money": ("'-1234.5'", "-$1,234.50"),
    "tsvector": ("'a fat cat'", "'a' 'cat' 'fat'"),
    "point": ("'(1,2.5)'", "(1,2.5)"),
    "polygon": ("'((0,0),(1,1))'", "((0,0),(1,1))"),
    "pair": ("ROW(1, 'x y')", '(1,"x y")'),
    "mood": ("'not ok'", "not ok"),
    "char(4)": ("'ab'", "ab  "),
    "name": ("'n'", "n"),
    '"char"': ("'c'", "c"),
    "emails": ("'{a@b.c}'", "{a@b.c}"),
    "pg_lsn": ("'16/B374D848'", "16/B374D848"),
}
"""By type: a value in SQL, and as it is read."""


def test_what_arrow_has_no_type_for_is_text_in_the_spelling_of_the_database(run):
    run(
        "CREATE TYPE pair AS (n integer, t text)",
        "CREATE TYPE mood AS ENUM ('ok', 'not ok')",
        "CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%')",
        "CREATE DOMAIN emails AS email[]",
        f"CREATE TABLE t ({', '.join(f'c{i} {kind}' for i, kind in enumerate(AS_TEXT))})",
        f"INSERT INTO t VALUES ({', '.join(value for value, _ in AS_TEXT.values())})",  # noqa: S608
        "INSERT INTO t SELECT FROM generate_series(1, 1)",
    )
    for found in (fetch(table="t"), fetch(query="SELECT * FROM t")):
        assert set(map(str, found.schema.types)) == {"string"}
        first, second = found.to_pylist()
        assert list(first.values()) == [text for _, text in AS_TEXT.values()]
        assert set(second.values()) == {None}


def test_how_values_are_spelled_does_not_depend_on_the_server(run, database):
    name = sa.make_url(database).database
    run(
        f"ALTER DATABASE {name} SET intervalstyle = 'iso_8601'",
        f"ALTER DATABASE {name} SET bytea_output = 'escape'",
        f"ALTER DATABASE {name} SET datestyle = 'German'",
        f"ALTER DATABASE {name} SET timezone = 'Asia/Kathmandu'",
        f"ALTER DATABASE {name} SET extra_float_digits = -5",
        f"ALTER DATABASE {name} SET client_encoding = 'LATIN1'",
    )
    found = fetch(
        query="SELECT interval '1 day' AS i, '\\x41'::bytea AS b, date '2020-01-31' AS d,"
        " timestamptz '2020-01-31 00:00+00' AS tz, 0.1::float8 + 0.2::float8 AS f, '☃' AS t"
    )
    assert found.to_pylist() == [
        {
            "i": "1 day",
            "b": "\\x41",
            "d": dt.date(2020, 1, 31),
            "tz": dt.datetime(2020, 1, 31, tzinfo=dt.UTC),
            "f": 0.1 + 0.2,
            "t": "☃",
        }
    ]


def test_empty_text_is_not_missing(run):
    run(
        "CREATE TABLE t (a text)",
        r"""INSERT INTO t VALUES (''), (NULL), ('NULL'), ('\N'), ('\.'), (' '), ('"'), (','),
        (E'a\r\nb'), (E'\n'), ('""'), (E'\t')""",
    )
    found = fetch(table="t")["a"].to_pylist()
    assert set(found) == {"", None, "NULL", r"\N", r"\.", " ", '"', ",", "a\r\nb", "\n", '""', "\t"}
    assert len(found) == 12


def test_numbers_survive_exactly(run):
    run(
        """CREATE TABLE t (id integer PRIMARY KEY, r real, d double precision, n numeric(38, 10),
        w numeric(3, -2), f numeric(2, 4), o oid)""",
        "INSERT INTO t VALUES (1, 'NaN', 'NaN', 1234567890123456789012345678.0123456789, 98765, 0.0012,"
        " 4294967295), (2, 'Infinity', '-Infinity', -0.0000000001, 0, 0, 0),"
        " (3, 1e-45, 5e-324, 0, -100, -0.0099, 1), (4, 3.4028235e38, 1.7976931348623157e308, 1, 1, 0, 2)",
    )
    with source(table="t") as opened:
        types = {c.name: c.type for c in opened.schema().main.columns}
        rows = [row for batch in opened.read("t") for row in batch.to_pylist()]
    assert types["n"] == "decimal128(38, 10)"
    assert (types["w"], types["f"], types["o"]) == ("decimal128(5, 0)", "decimal128(4, 4)", "int64")
    assert [str(rows[0][c]) for c in "rd"] == ["nan", "nan"]
    assert (rows[1]["r"], rows[1]["d"]) == (float("inf"), float("-inf"))
    assert rows[2]["d"] == 5e-324
    assert rows[3]["d"] == 1.7976931348623157e308
    assert rows[0]["n"] == Decimal("1234567890123456789012345678.0123456789")
    assert [row["w"] for row in rows] == [98_800, 0, -100, 0]
    assert [row["f"] for row in rows] == [Decimal(x) for x in ("0.0012", "0", "-0.0099", "0")]
    assert rows[0]["o"] == 4_294_967_295


def test_a_numeric_without_a_precision_gets_the_decimal_that_holds_it(run):
    run(
        "CREATE TABLE t (a numeric, b numeric, c numeric, d numeric, e numeric)",
        "INSERT INTO t VALUES (1.50, 12345678901234567890123456789012345678, NULL, 1e39, 1e76 + 1),"
        " (-0.125, 0.5, NULL, 0.25, 0.1)",
    )
    with source(table="t") as opened:
        types = {c.name: c.type for c in opened.schema().main.columns}
        rows = [row for batch in opened.read("t") for row in batch.to_pylist()]
        counts = opened.counts()
    assert types == {
        "a": "decimal128(38, 3)",
        "b": "decimal256(76, 1)",
        "c": "decimal128(38, 0)",
        "d": "decimal256(76, 2)",
        "e": "double",
    }
    assert {row["a"] for row in rows} == {Decimal("1.5"), Decimal("-0.125")}
    assert max(row["b"] for row in rows) == Decimal("12345678901234567890123456789012345678")
    assert max(row["d"] for row in rows) == Decimal(10) ** 39
    assert max(row["e"] for row in rows) == 1e76
    assert counts == {"rounded.t.e": 1}


def test_what_arrow_has_no_value_for_is_made_missing_and_counted(run, caplog):
    run(
        """CREATE TABLE t (id integer PRIMARY KEY, day date NOT NULL, ts timestamp, tz timestamptz,
        n numeric(5, 2) NOT NULL, m numeric, x text, d double precision)""",
        "INSERT INTO t VALUES (1, 'infinity', '-infinity', 'infinity', 'NaN', 'Infinity', 'infinity',"
        " 'infinity'), (2, '2020-02-29', '2020-02-29 01:02:03.000004', '2020-02-29 01:00+01', 1.25, 7,"
        " 'NaN', 0), (3, '-infinity', NULL, NULL, 0, 'NaN', NULL, NULL)",
    )
    with source(table="t") as opened:
        nullable = {c.name: c.nullable for c in opened.schema().main.columns}
        rows = [row for batch in opened.read("t") for row in batch.to_pylist()]
        list(opened.read("t"))  # what is read twice is counted once
        counts = opened.counts()
    assert nullable["day"]
    assert nullable["n"]
    assert not nullable["id"]
    assert counts == {
        "made_missing.t.day": 2,
        "made_missing.t.m": 2,
        "made_missing.t.n": 1,
        "made_missing.t.ts": 1,
        "made_missing.t.tz": 1,
    }
    assert "2 infinite values or NaN in 'day' are made missing" in caplog.text
    assert [row["x"] for row in rows] == ["infinity", "NaN", None]
    assert rows[0]["d"] == float("inf")
    assert rows[1] == {
        "id": 2,
        "day": dt.date(2020, 2, 29),
        "ts": dt.datetime.fromisoformat("2020-02-29 01:02:03.000004"),
        "tz": dt.datetime(2020, 2, 29, tzinfo=dt.UTC),
        "n": Decimal("1.25"),
        "m": Decimal(7),
        "x": "NaN",
        "d": 0.0,
    }
    assert rows[2]["day"] is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "0044-03-15 BC"),
        ("timestamp", "10000-01-01 00:00:00"),
        ("timestamptz", "0001-01-01 00:00:00+00 BC"),
    ],
)
def test_a_date_that_arrow_does_not_reach_is_an_error_that_names_its_row(run, kind, value):
    run(
        f"CREATE TABLE t (id integer PRIMARY KEY, day {kind})",
        f"INSERT INTO t VALUES (7, '2020-01-01'), (8, '{value}')",  # noqa: S608
    )
    with pytest.raises(SourceError, match=r"column 'day', row id = 8: no .* holds") as caught:
        fetch(table="t")
    assert value in str(caught.value)
    assert "cast it to text in a `query`" in str(caught.value)


def test_every_kind_of_table_is_read(run):
    run(
        "CREATE TABLE plain (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x integer,"
        " twice integer GENERATED ALWAYS AS (2 * x) STORED)",
        "INSERT INTO plain (x) VALUES (5), (6)",
        "CREATE VIEW seen AS SELECT x, twice FROM plain",
        "CREATE MATERIALIZED VIEW kept AS SELECT * FROM plain",
        "CREATE TABLE parent (id integer PRIMARY KEY)",
        "CREATE TABLE child (more text) INHERITS (parent)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (1, 'again')",
        "CREATE TABLE cut (k integer, v text, PRIMARY KEY (k)) PARTITION BY RANGE (k)",
        "CREATE TABLE low PARTITION OF cut FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE high PARTITION OF cut FOR VALUES FROM (10) TO (20)",
        "INSERT INTO cut VALUES (15, 'b'), (5, 'a')",
        "CREATE TABLE found (u integer NOT NULL UNIQUE, v integer)",
        "INSERT INTO found VALUES (2, 1), (1, 2)",
    )
    with source(tables=["plain", "seen", "kept", "parent", "cut", "found"]) as opened:
        schema = opened.schema()
        rows = {
            table.name: read_all(opened, table, list(opened.parts(table)))
            for table in schema.tables
        }
    keys = {table.name: table.primary_key for table in schema.tables}
    assert rows["plain"] == [{"id": 1, "x": 5, "twice": 10}, {"id": 2, "x": 6, "twice": 12}]
    assert rows["seen"] == [{"x": 5, "twice": 10}, {"x": 6, "twice": 12}]
    assert rows["kept"] == rows["plain"]
    assert rows["parent"] == [{"id": 1}, {"id": 1}]
    assert rows["cut"] == [{"k": 5, "v": "a"}, {"k": 15, "v": "b"}]
    assert rows["found"] == [{"u": 1, "v": 2}, {"u": 2, "v": 1}]
    assert keys["plain"] == ("id",)
    assert keys["parent"] == ()  # a key of the parent does not hold for its children
    assert keys["cut"] == ("k",)
    assert keys["found"] == ()


def test_any_name_will_do(run):
    columns = ['a"b', "a%sb", "c:d", "ü x", "new\nline", "data", "x';--"]
    quoted = ", ".join('"' + name.replace('"', '""') + '" integer' for name in columns)
    run(
        'CREATE SCHEMA "S.1"',
        f'CREATE TABLE "S.1"."T %s ; DROP" ({quoted})'.replace("%", "%"),
        'INSERT INTO "S.1"."T %s ; DROP" VALUES (1, 2, 3, 4, 5, 6, 7)',
    )
    found = fetch(table="S.1.T %s ; DROP")
    assert found.to_pylist() == [dict(zip(columns, range(1, 8), strict=True))]


@pytest.mark.parametrize(
    "address",
    ['t"; DROP TABLE t; --', "t; DROP TABLE t", "t' OR '1'='1", "(SELECT 1)", "pg_class;", ""],
)
def test_a_table_that_is_an_injection_just_does_not_exist(run, address):
    run("CREATE TABLE t (id integer)", "INSERT INTO t VALUES (1)")
    with pytest.raises(SourceError, match="no such table or view"):
        fetch(table=address)
    assert fetch(table="t").num_rows == 1


def test_wide_and_long_values(run):
    columns = ", ".join(f"c{i} integer" for i in range(1_600))
    run(
        f"CREATE TABLE wide ({columns})",
        f"INSERT INTO wide VALUES ({', '.join(map(str, range(1_600)))})",  # noqa: S608
        "CREATE TABLE long (id integer PRIMARY KEY, x text)",
        "INSERT INTO long SELECT i, repeat('x', 9000000 * (i % 2) + i) FROM generate_series(1, 5) i",
    )
    assert fetch(table="wide").to_pylist()[0]["c1599"] == 1_599
    found = fetch(table="long", memory_mib=16)
    assert [len(x) for x in found["x"].to_pylist()] == [9_000_001, 2, 9_000_003, 4, 9_000_005]


def test_batches_end_between_rows_wherever_lines_do(run):
    run(
        "CREATE TABLE t (id integer PRIMARY KEY, x text)",
        """INSERT INTO t SELECT i, repeat(E'a,\n"b" ', i % 997) FROM generate_series(1, 2000) i""",
    )
    found = fetch(table="t", memory_mib=16)  # 1 MiB each of 10
    assert found["id"].num_chunks > 5
    assert found["x"].to_pylist() == ['a,\n"b" ' * (i % 997) for i in range(1, 2_001)]


def test_no_rows_are_no_batches(run):
    run("CREATE TABLE t (id integer PRIMARY KEY, n numeric)")
    with source(table="t") as opened:
        assert list(opened.read(opened.schema().main.name)) == []


def test_parts_are_even_where_keys_are_not(run):
    run(
        "CREATE TABLE t (k bigint PRIMARY KEY, x text)",
        "INSERT INTO t SELECT i * i * i, repeat('x', 500) FROM generate_series(1::bigint, 40000) i",
    )
    with source(table="t", memory_mib=16) as opened:
        table = opened.schema().main
        parts = list(opened.parts(table))
        sizes = [len(read_all(opened, table, [part])) for part in parts]
    assert sum(sizes) == 40_000
    assert len(sizes) == 11  # of 2 MiB each: the table has 22 MiB
    assert max(sizes) < 2 * 40_000 / len(sizes)


@pytest.mark.parametrize(
    "key",
    [
        "(i % 7)::integer, i::smallint",
        "md5(i::text)::uuid, 0",
        "md5(i::text), i",
        "i / 3, md5(i::text)",
        "i * 1.5, 0",
        "timestamptz '2020-01-01' + i * interval '1 hour', i",
        "decode(md5(i::text), 'hex'), i",
        "-i::float8, i",
    ],
)
def test_parts_of_any_key_give_the_rows_in_order(run, key):
    rows = f"generate_series(1, 12000) i, LATERAL (SELECT {key}) AS a(k, l)"
    run(
        f"CREATE TABLE t AS SELECT a.*, repeat('x', 400) AS x FROM {rows}",  # noqa: S608
        "ALTER TABLE t ADD PRIMARY KEY (k, l)",
    )
    with source(table="t", memory_mib=16) as opened:
        table = opened.schema().main
        parts = list(opened.parts(table))
        rows = read_all(opened, table, parts)
    keys = [(row["k"], row["l"]) for row in rows]
    assert len(parts) > 2
    assert len(set(keys)) == 12_000
    assert keys == sorted(keys)


def test_a_key_of_texts_that_a_locale_orders_is_one_part_in_the_order_of_bytes(run, database):
    locales = fetch(
        query="SELECT collname::text FROM pg_collation WHERE collprovider IN ('c', 'i')"
        " AND collname NOT IN ('C', 'POSIX', 'unicode') UNION ALL SELECT ''"
    )["collname"]
    if not (locale := max(locales.to_pylist())):
        pytest.skip("this PostgreSQL knows no locale but C")
    run(
        f'CREATE TABLE t (k text COLLATE "{locale}" PRIMARY KEY, x text)',
        "INSERT INTO t SELECT chr(65 + i % 58) || i, repeat('x', 500) FROM generate_series(1, 12000) i",
    )
    with source(table="t", memory_mib=16) as opened:
        table = opened.schema().main
        (part,) = opened.parts(table)
        keys = [row["k"] for row in read_all(opened, table, [part])]
    assert keys == sorted(keys)


def test_a_part_is_read_by_another_process_from_its_settings_alone(run):
    run("CREATE TABLE t (id integer PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    with source(table="t") as opened, source(table="t") as other:
        table = opened.schema().main
        (part,) = opened.parts(table)
        run("INSERT INTO t VALUES (3)")
        assert [row["id"] for row in read_all(other, table, [part])] == [1, 2]


def test_connections_are_kept_for_the_next_part_and_closed_at_the_end(run, database):
    run(
        "CREATE TABLE t (id integer PRIMARY KEY, x text)",
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 9000) i",
    )

    def n_open() -> int:
        with psycopg2.connect(database.replace("+psycopg2", "")) as connection:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'proofmint'"
                " AND datname = current_database()"
            )
            (count,) = cursor.fetchone()
        connection.close()
        return int(count)

    with source(table="t", memory_mib=16, workers=2) as opened:
        table = opened.schema().main
        parts = list(opened.parts(table))
        assert len(parts) > 2
        for part in parts:
            list(opened.read_part(table, part))
        assert n_open() == 2  # the one that holds the state, and a reader
        next(iter(opened.read_part(table, parts[0])))  # left in the middle: closed
        next(iter(opened.read_part(table, parts[1])))
    assert n_open() == 0


def test_a_watermark_gives_what_came_since(run):
    run(
        "CREATE TABLE t (id integer PRIMARY KEY, at timestamptz, x text)",
        "INSERT INTO t VALUES (3, '2020-01-01', 'a'), (1, '2020-01-02', 'b'), (2, '2020-01-02', 'c')",
    )
    with source(table="t", watermark="at") as opened:
        table = opened.schema().main
        assert [row["id"] for row in read_all(opened, table, list(opened.parts(table)))] == [
            3,
            1,
            2,
        ]
        end = opened.end_of(table)
    assert end == {"last": "2020-01-02 00:00:00+00"}
    run(
        "UPDATE t SET at = '2020-01-03', x = 'new' WHERE id = 3",
        "INSERT INTO t VALUES (9, '2020-01-02', 'same moment')",
    )
    with source(table="t", watermark="at") as opened:
        opened.after = {"t": end}
        table = opened.schema().main
        rows = read_all(opened, table, list(opened.parts(table)))
        assert [row["id"] for row in rows] == [1, 2, 9, 3]  # the last moment's rows come again
        assert opened.end_of(table) == {"last": "2020-01-03 00:00:00+00"}


def test_without_a_key_rows_of_the_last_watermark_come_again_too(run):
    run(
        "CREATE TABLE t (n integer NOT NULL, x json)",
        "CREATE INDEX ON t (n)",
        """INSERT INTO t VALUES (1, '"a"'), (2, '"b"')""",
    )
    for settings in ({"table": "t"}, {"query": "SELECT * FROM t"}):
        with source(watermark="n", **settings) as opened:
            table = opened.schema().main
            opened.after = {table.name: {"last": "2"}}
            rows = read_all(opened, table, list(opened.parts(table)))
            assert rows == [{"n": 2, "x": '"b"'}]
            assert tuple(opened.recognised_by(table)) == ("n",)
            assert opened.end_of(table) == {"last": "2"}


def test_of_an_empty_table_all_is_new(run):
    run("CREATE TABLE t (id integer PRIMARY KEY)")
    with source(table="t", watermark="id") as opened:
        table = opened.schema().main
        opened.parts(table)
        end = opened.end_of(table)
    assert end == {"last": None}
    run("INSERT INTO t VALUES (-5)")
    with source(table="t", watermark="id") as opened:
        opened.after = {"t": end}
        table = opened.schema().main
        assert read_all(opened, table, list(opened.parts(table))) == [{"id": -5}]


@pytest.mark.parametrize(
    ("watermark", "error", "message"),
    [
        (
            "chnaged",
            ParamsError,
            "expected a column of table 't', found 'chnaged'; choose one of: changed",
        ),
        ("x", ParamsError, "integers, dates, timestamps or decimals, 'x' of table 't' is string"),
        ("changed", SourceError, "every row of table 't', found 1 rows without one; fill it"),
        ("until", SourceError, "every row of table 't', found 'infinity'"),
    ],
)
def test_a_watermark_that_would_lose_rows_is_refused(run, watermark, error, message):
    run(
        "CREATE TABLE t (id integer PRIMARY KEY, x text, changed date, until date NOT NULL)",
        "INSERT INTO t VALUES (1, 'a', '2020-01-01', '2021-01-01'), (2, 'b', NULL, 'infinity')",
    )
    with source(table="t", watermark=watermark) as opened, pytest.raises(error, match=message):
        opened.parts(opened.schema().main)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS a; SELECT 2",
        r"SELECT E'\''; COMMIT; DROP TABLE t; --' AS a",
        "SELECT $x$;$x$ AS a; DROP TABLE t",
        "SELECT 1 AS a /* ; /* ; */ ; */; DROP TABLE t",
    ],
)
def test_several_statements_are_refused(run, query):
    run("CREATE TABLE t (id integer)", "INSERT INTO t VALUES (1)")
    with pytest.raises(SourceError, match="several statements"):
        fetch(query=query)
    assert fetch(table="t").num_rows == 1


def test_a_query_keeps_the_types_of_its_columns(run):
    run(
        "CREATE DOMAIN price AS numeric(10, 2)",
        "CREATE TABLE t (p price, q numeric(8, 3)[], w numeric(3, -2))",
        "INSERT INTO t VALUES (9.99, '{1.5}', 12345 / 100)",
    )
    with source(query="SELECT p, q, w, p * 2 AS double_p, 1::bigint AS b FROM t") as opened:
        types = {c.name: c.type for c in opened.schema().main.columns}
    assert types == {
        "p": "decimal128(10, 2)",
        "q": "string",
        "w": "decimal128(5, 0)",
        "double_p": "decimal128(38, 2)",
        "b": "int64",
    }


def test_a_statement_that_takes_too_long_is_said_to(run, database, monkeypatch):
    run("CREATE TABLE t AS SELECT 1 AS id")
    monkeypatch.setenv("DB", f"{database}&options=-cstatement_timeout%3D50")
    with pytest.raises(
        SourceError, match="statement_timeout ended the reading of the query"
    ) as caught:
        fetch(query="SELECT 1 AS a, pg_sleep(5)::text AS s, now()::text || id AS n FROM t")
    assert not caught.value.retryable


def test_too_many_clients_may_pass(run, database, monkeypatch):
    run("DROP ROLE IF EXISTS narrow", "CREATE ROLE narrow LOGIN CONNECTION LIMIT 0")
    monkeypatch.setenv("DB", database.replace("postgres@", "narrow@"))
    with pytest.raises(SourceUnavailable, match="too many connections for role") as caught:
        fetch(query="SELECT 1 AS a")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ("sslmode=nonsense", SourceError, "do not agree on encryption: invalid sslmode"),
        ("colour=red", SourceError, 'cannot be used: .*invalid connection option "colour"'),
        ("connect_timeout=x", SourceError, "cannot be used|connect_timeout"),
    ],
)
def test_options_of_the_url_reach_the_driver(monkeypatch, options, error, message):
    monkeypatch.setenv("DB", f"postgresql://u:p%40s3cret%2F@127.0.0.1:1/d?{options}")
    with pytest.raises(error, match=message) as caught:
        fetch(query="SELECT 1 AS a")
    for spelling in ("p@s3cret/", "s3cret", "p%40s3cret%2F"):
        assert spelling not in str(caught.value)


def test_airflows_extra_reaches_the_driver(run, database, monkeypatch):
    host = sa.make_url(database).query["host"]
    extra = '{"sslmode": "disable", "application_name": "from-extra", "cursor": "dictcursor"}'
    name = sa.make_url(database).database
    escaped = extra.replace('"', '\\"')
    monkeypatch.setenv(
        "AIRFLOW_CONN_A",
        f'{{"conn_type": "postgres", "login": "postgres", "schema": "{name}", "host": "{host}",'
        f' "extra": "{escaped}"}}',
    )
    found = fetch(connection="a", query="SELECT current_setting('application_name') AS name")
    assert found.to_pylist() == [{"name": "from-extra"}]


def test_a_state_is_renewed_after_it_was_lost(run):
    run("CREATE TABLE t (id integer PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with source(table="t") as opened:
        table = opened.schema().main
        run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
            " current_database() AND pid <> pg_backend_pid() AND application_name = 'proofmint'"
        )
        with pytest.raises(SourceChanged):
            opened._database._snapshot.rows("SELECT 1", what="a test")
        assert read_all(opened, table, list(opened.parts(table))) == [{"id": 1}]
