"""SQLite files: columns that hold what they like, keys, order, and their faults."""

import contextlib
import datetime as dt
import json
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.errors import ParamsError, SourceError, SourceUnavailable
from tasks.sources.databases._sqlite import session
from tasks.sources.sql import SqlSource

CHINOOK = Path(__file__).parents[5] / "shared/data/chinook/Chinook_Sqlite.sqlite"

Run = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs statements in a database of the test's own, which the connection `DB` names."""
    monkeypatch.setenv("DB", "sqlite:///shop.db")

    def run_(*statements: str, values: tuple[Any, ...] = ()) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            for statement in statements:
                connection.execute(statement, values)
            connection.commit()

    return run_


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., SqlSource]:
    def source_(target: str | None = None, **settings: Any) -> SqlSource:
        settings = {"connection": "DB"} | settings
        return SqlSource(settings, kind="tabular", target=target, project=tmp_path)

    return source_


@pytest.fixture
def fetch(source: Callable[..., SqlSource]) -> Callable[..., pa.Table]:
    def fetch_(**settings: Any) -> pa.Table:
        with source(**settings) as opened:
            table = opened.schema().main
            return pa.Table.from_batches(opened.read(table.name))

    return fetch_


def types(table: pa.Table) -> dict[str, str]:
    return dict(zip(table.column_names, map(str, table.schema.types), strict=True))


def test_types_are_those_of_the_values(run, fetch):
    run(
        """CREATE TABLE t (i INTEGER, r REAL, m NUMERIC(10,2), whole REAL, x TEXT, day DATE,
        at DATETIME, iso TIMESTAMP, b BLOB, y BOOLEAN, five BOOLEAN, none INT, late DATE,
        untyped)""",
        """INSERT INTO t VALUES (9223372036854775807, 0.1, 12.5, 3, 'é', '2020-01-31',
        '2020-01-31 10:00:00', '2020-01-31T10:00:00.125', x'00ff', 1, 5, NULL, '2020-02-31', 7)""",
        "INSERT INTO t (i, m, x, b) VALUES (-9223372036854775808, 3, '', x'')",
    )
    found = fetch(table="t")
    assert types(found) == {
        "i": "int64",
        "r": "double",
        "m": "double",
        "whole": "double",
        "x": "string",
        "day": "date32[day]",
        "at": "timestamp[us]",
        "iso": "timestamp[us]",
        "b": "string",
        "y": "bool",
        "five": "int64",
        "none": "int64",
        "late": "string",
        "untyped": "int64",
    }
    first, second = found.to_pylist()
    assert first == {
        "i": 2**63 - 1,
        "r": 0.1,
        "m": 12.5,
        "whole": 3.0,
        "x": "é",
        "day": dt.date(2020, 1, 31),
        "at": dt.datetime.fromisoformat("2020-01-31T10:00"),
        "iso": dt.datetime.fromisoformat("2020-01-31T10:00:00.125"),
        "b": r"\x00ff",
        "y": True,
        "five": 5,
        "none": None,
        "late": "2020-02-31",
        "untyped": 7,
    }
    assert (second["i"], second["x"], second["b"], second["at"]) == (-(2**63), "", r"\x", None)


def test_a_column_of_several_types_is_text_and_counted(run, source, caplog):
    run(
        "CREATE TABLE t (a INTEGER, b REAL)",
        "INSERT INTO t VALUES (1, 9007199254740993.0), ('n/a', 0.1), (2, 1)",
        "CREATE TABLE u (n)",
        "INSERT INTO u VALUES (0.30000000000000004), (9007199254740993), (x'01')",
    )
    with source(tables=["t", "u"]) as opened, caplog.at_level(logging.WARNING):
        t, u = opened.schema().tables
        assert [c.type for c in (*t.columns, *u.columns)] == ["string", "double", "string"]
        assert pa.Table.from_batches(opened.read("t"))["a"].to_pylist() == ["1", "n/a", "2"]
        assert pa.Table.from_batches(opened.read("u"))["n"].to_pylist() == [
            "0.30000000000000004",
            "9007199254740993",
            r"\x01",
        ]
        assert opened.counts() == {"read_as_text.t.a": 2, "read_as_text.u.n": 3}
    assert "2 numbers or bytes in 'a' are read as text" in caplog.text


def test_rows_come_by_key_or_as_stored_and_views_by_all_columns(run, fetch):
    run(
        "CREATE TABLE keyed (k TEXT COLLATE NOCASE, n INT, PRIMARY KEY (k, n)) WITHOUT ROWID",
        "INSERT INTO keyed VALUES ('b', 2), ('B', 3), ('a', 3)",
        "CREATE TABLE plain (rowid INT, b TEXT)",
        "INSERT INTO plain VALUES (2, 'x'), (1, 'b'), (NULL, 'z')",
        "CREATE VIEW seen AS SELECT b, rowid FROM plain",
    )
    assert fetch(table="keyed")["k"].to_pylist() == ["B", "a", "b"]
    assert fetch(table="plain")["b"].to_pylist() == ["x", "b", "z"]
    assert fetch(table="seen")["b"].to_pylist() == ["b", "x", "z"]
    assert fetch(query="SELECT rowid AS n, b FROM plain; ")["n"].to_pylist() == [None, 1, 2]


def test_keys_of_several_tables(run, source):
    run(
        "CREATE TABLE Parent (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        """CREATE TABLE child (p INT REFERENCES parent, k INT, twice INT AS (k * 2),
        PRIMARY KEY (p, k))""",
        "INSERT INTO parent VALUES (2, 'two'), (1, 'one')",
        "INSERT INTO child VALUES (2, 1), (1, 2)",
    )
    with source(tables=["child", "parent"]) as opened:
        child, parent = opened.schema().tables
        assert (child.primary_key, parent.primary_key) == (("p", "k"), ("id",))
        (link,) = child.foreign_keys
        assert (link.columns, link.references, link.referenced_columns) == (
            ("p",),
            "Parent",
            ("id",),
        )
        assert [c.nullable for c in parent.columns] == [False, False]
        rows = pa.Table.from_batches(opened.read("child")).to_pylist()
        assert rows == [{"p": 1, "k": 2, "twice": 4}, {"p": 2, "k": 1, "twice": 2}]


def test_names_are_quoted(run, fetch):
    run('CREATE TABLE "a""%b" ("select" INT, "A b" TEXT)', 'INSERT INTO "a""%b" VALUES (1, "x")')
    assert fetch(table='a"%b').to_pylist() == [{"select": 1, "A b": "x"}]
    with pytest.raises(SourceError, match="no such table or view"):
        fetch(table='a"%b"; DROP TABLE "a"%b')


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 1; DROP TABLE t", "found several statements"),
        ("DELETE FROM t RETURNING id", 'refused the query .*near "DELETE": syntax error'),
        ("SELECT 1) AS r; DELETE FROM t; --", "found several statements"),
        ("SELEC 1", 'near "1": syntax error'),
        ("SELECT 1 AS a, 2 AS a", r"more than one column named \['a'\]"),
        ("SELECT load_extension('x')", "not authorized"),
        ("SELECT nix FROM t", "no such column: nix"),
    ],
)
def test_a_query_only_reads(run, fetch, query, message):
    run("CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)")
    with pytest.raises(SourceError, match=message):
        fetch(query=query)
    assert fetch(table="t").num_rows == 1


def test_what_is_missing_is_named_and_nothing_is_created(run, fetch, monkeypatch, tmp_path):
    run("CREATE TABLE customers (id INT)")
    for given_, message in [
        ({"table": "custmers"}, "no such table or view; it has: customers"),
        ({"table": "crm.customers"}, "the database has no schema 'crm'"),
        ({"table": "customers", "target": "churn"}, "expected the target 'churn' among"),
        ({"tables": ["customers", "Customers"]}, "expected different tables"),
    ]:
        with pytest.raises(SourceError, match=message):
            fetch(**given_)
    for url, message in [
        ("sqlite:///shops.db", "expected an SQLite database at .*shops.db, found no such file"),
        ("sqlite://", "to name a file, like sqlite:///data/shop.db, found none"),
        ("sqlite:///:memory:", "to name a file"),
        ("sqlite:///.", "found no such file"),
    ]:
        monkeypatch.setenv("DB", url)
        with pytest.raises(SourceError, match=message):
            fetch(table="customers")
    assert [path.name for path in tmp_path.iterdir()] == ["shop.db"]


def test_a_file_that_is_no_database_and_one_that_is_cut_off(run, fetch, tmp_path):
    (tmp_path / "shop.db").write_bytes(b"name,age\n" * 200)
    with pytest.raises(SourceError, match="damaged or no database: file is not a database"):
        fetch(table="t")
    (tmp_path / "shop.db").unlink()
    run("CREATE TABLE t (x TEXT)", "INSERT INTO t VALUES (hex(zeroblob(50000)))")
    content = (tmp_path / "shop.db").read_bytes()
    (tmp_path / "shop.db").write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match=r"damaged or no database: .*malformed") as caught:
        fetch(table="t")
    assert not caught.value.retryable


def test_a_text_that_is_not_utf_8_has_its_place(run, fetch):
    run("CREATE TABLE t (x TEXT)", "INSERT INTO t VALUES ('a'), (CAST(x'ff41' AS TEXT))")
    with pytest.raises(SourceError, match=r"table 't', rows 1 to 2: column 'x' .*UTF8"):
        fetch(table="t")


def test_a_locked_database_is_worth_a_retry(run, fetch, monkeypatch, tmp_path):
    run("CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)")
    monkeypatch.setattr(session, "_LOCK_SECONDS", 0.05)
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceUnavailable, match="database is locked; somebody else writes"):
            fetch(table="t")
        other.rollback()
    assert fetch(table="t").num_rows == 1


def test_all_tables_are_read_in_one_state_from_any_thread(run, source):
    run("PRAGMA journal_mode = WAL", "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
    run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO t SELECT i, hex(zeroblob(50)) FROM n"
    )
    with source(table="t", memory_mib=16) as opened:
        table = opened.schema().main
        (part,) = opened.parts(table)
        batches = opened.read_part(table, part)
        sizes = [next(batches).num_rows]
        run("DELETE FROM t WHERE id > 100")
        rest: list[int] = []
        thread = threading.Thread(
            target=lambda: rest.extend(batch.num_rows for batch in batches), daemon=True
        )
        thread.start()
        thread.join(30)
        assert sum(sizes + rest) == 20_000
        assert len(rest) > 1
    with source(table="t") as opened:
        assert sum(batch.num_rows for batch in opened.read("t")) == 100


def test_a_key_that_is_missing_in_rows_is_none(run, source):
    run("CREATE TABLE t (k TEXT PRIMARY KEY, n INT)", "INSERT INTO t VALUES ('b', 1), ('a', 2)")
    with source(table="t") as opened:
        assert opened.schema().main.primary_key == ("k",)
    run("INSERT INTO t VALUES (NULL, 4), (NULL, 3)")
    with source(table="t") as opened:
        assert opened.schema().main.primary_key == ()
        rows = pa.Table.from_batches(opened.read("t"))
    assert rows["n"].to_pylist() == [1, 2, 4, 3]


def test_a_watermark_gives_what_is_new_or_changed(run, source):
    run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME NOT NULL)",
        "INSERT INTO t VALUES (2, '2020-01-01 00:00:00'), (1, '2020-01-02 00:00:00')",
    )
    with source(table="t", watermark="at") as opened:
        table = opened.schema().main
        assert pa.Table.from_batches(opened.read("t"))["id"].to_pylist() == [2, 1]
        end = json.loads(json.dumps(opened.end_of(table)))
    assert end == {"last": "2020-01-02 00:00:00"}
    run("INSERT INTO t VALUES (0, '2020-01-03 00:00:00')")
    with source(table="t", watermark="at") as opened:
        opened.after = {"t": end}
        assert pa.Table.from_batches(opened.read("t"))["id"].to_pylist() == [1, 0]
    run("CREATE TABLE u (id INT, x TEXT)", "INSERT INTO u VALUES (1, 'a'), (NULL, 'b')")
    for watermark, error, message in [
        ("x", ParamsError, "'x' of table 'u' is string"),
        ("id", SourceError, "expected a value of 'id' in every row .* found 1 rows without"),
    ]:
        with pytest.raises(error, match=message), source(table="u", watermark=watermark) as opened:
            opened.parts(opened.schema().main)


@pytest.mark.skipif(not CHINOOK.exists(), reason="the data set Chinook is not here")
def test_chinook_has_eleven_tables_with_their_keys(source, monkeypatch):
    monkeypatch.setenv("DB", f"sqlite:///{CHINOOK}")
    names = [
        *("Album", "Artist", "Customer", "Employee", "Genre", "Invoice", "InvoiceLine"),
        *("MediaType", "Playlist", "PlaylistTrack", "Track"),
    ]
    with source(tables=names) as opened:
        schema = opened.schema()
        n_rows = {name: sum(b.num_rows for b in opened.read(name)) for name in names}
    assert sum(n_rows.values()) == 15_607
    assert sum(len(table.foreign_keys) for table in schema.tables) == 11
    assert schema.table("PlaylistTrack").primary_key == ("PlaylistId", "TrackId")
    assert schema.table("Employee").column("HireDate").type == "timestamp[us]"
    assert schema.table("Track").column("UnitPrice").type == "double"


_CELLS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50),
    st.binary(max_size=50),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    integers=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=5, max_size=5),
    floats=st.lists(st.none() | st.floats(allow_nan=False), min_size=5, max_size=5),
    cells=st.lists(_CELLS, min_size=5, max_size=5),
)
def test_values_survive(run, fetch, integers, floats, cells):
    run("DROP TABLE IF EXISTS t", "CREATE TABLE t (i INTEGER, f REAL, x)")
    for values in zip(integers, floats, cells, strict=True):
        run("INSERT INTO t VALUES (?, ?, ?)", values=values)
    found = fetch(table="t")
    assert found["i"].to_pylist() == integers
    if any(value is not None for value in floats):
        assert found["f"].to_pylist() == floats
    if pa.types.is_string(found["x"].type):
        spelled = {bytes: lambda v: rf"\x{v.hex()}", float: repr, int: str, str: str}
        cells = [None if v is None else spelled[type(v)](v) for v in cells]
    assert found["x"].to_pylist() == cells
