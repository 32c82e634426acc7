"""Only what is new is pulled; the dataset has the bytes of a full pull all the same."""

import base64
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

from tasks import retry
from tasks.errors import SourceUnavailable, WorkspaceError
from tasks.sources.databases import postgresql
from tasks.stages.ingest import ingest
from tasks.storage import digest, read_json, read_table
from tests import kafka
from tests.datasets import dataset_params

Query = Callable[[str], None]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short."""
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def run(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Query]:
    """Runs SQL in a database that the variable SHOP names."""
    monkeypatch.setenv("SHOP", database)
    connection = psycopg2.connect(database.replace("postgresql+psycopg2", "postgresql"))
    connection.autocommit = True

    def execute(sql: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    yield execute
    connection.close()


ORDERS = """
    CREATE TABLE orders (
        shop text, number int, state text, changed timestamptz, PRIMARY KEY (shop, number));
    INSERT INTO orders SELECT
        'shop ' || i % 3, i, 'open', '2024-01-01'::timestamptz + (i / 2) * interval '1 second'
    FROM generate_series(1, 200) AS i
"""

LATER = """
    INSERT INTO orders SELECT 'shop 9', i, 'new', '2024-02-01' FROM generate_series(1, 50) AS i;
    UPDATE orders SET state = 'paid', changed = '2024-02-02' WHERE number IN (3, 77, 200)
"""


def orders(watermark: str | None = "changed", **settings):
    source = {"type": "sql", "connection": "SHOP", "table": "orders", "watermark": watermark}
    return dataset_params(source=source | settings, target=None)


def pull(project: Path, params=None) -> str:
    """Ingest; the digest of what came."""
    ingest(project / "raw", params or orders(), project=project)
    return digest(project / "raw")


def whole(project: Path, params=None) -> str:
    """What a run without any cache gives."""
    return pull(project / "elsewhere", params)


def came(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of rows that came since."""
    lines = [r.message for r in caplog.records if "came since the last run" in r.message]
    caplog.clear()
    return [line.partition(": ")[2] for line in lines]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_new_and_changed_rows_alone_are_pulled(run, tmp_path, log):
    run(ORDERS)
    first = pull(tmp_path)
    assert came(log) == []
    # The rows of the last watermark come again: there may be new ones of the same second.
    assert pull(tmp_path) == first
    assert came(log) == ["1 rows came since the last run, 1 of them in place of older ones"]
    run(LATER)
    second = pull(tmp_path)
    # 50 new ones, 3 changed ones, of which number 200 had the last watermark.
    assert came(log) == ["53 rows came since the last run, 3 of them in place of older ones"]
    assert second == whole(tmp_path) != first
    run("INSERT INTO orders VALUES ('shop 0', 1000, 'new', '2024-02-02')")
    assert pull(tmp_path) == whole(tmp_path)
    assert read_json(tmp_path / "raw" / "report.json")["rows"] == {"orders": 251}


def test_a_table_without_a_key_grows_at_its_end(run, tmp_path, log):
    run("CREATE TABLE orders AS SELECT i AS n FROM generate_series(1, 10) AS i")
    pull(tmp_path, orders("n"))
    run("INSERT INTO orders SELECT generate_series(11, 15)")
    assert pull(tmp_path, orders("n")) == whole(tmp_path, orders("n"))
    assert came(log) == ["6 rows came since the last run, 1 of them in place of older ones"]


SERVERS = ("postgresql", "mysql", "sqlite")


@pytest.fixture
def change(request, tmp_path, monkeypatch) -> Query:
    """Runs SQL in a database of the server that the test names, which the variable SHOP leads to."""
    match request.param:
        case "postgresql":
            url = request.getfixturevalue("database")
        case "mysql":
            name = request.getfixturevalue("mariadb_database")
            url = request.getfixturevalue("mariadb_server").url(name)
        case "sqlite":
            url = f"sqlite:///{tmp_path / 'shop.db'}"
    monkeypatch.setenv("SHOP", url)
    engine = sa.create_engine(url, poolclass=sa.NullPool)

    def execute(sql: str) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(sql)

    return execute


@pytest.mark.parametrize("change", SERVERS, indirect=True)
def test_a_late_row_of_the_last_watermark_is_not_lost_without_a_key(change, tmp_path, log):
    change("CREATE TABLE orders (x TEXT, changed INTEGER NOT NULL)")
    change("INSERT INTO orders VALUES ('a', 1), ('b', 2), ('c', 2), ('c', 2)")
    pull(tmp_path)
    change("INSERT INTO orders VALUES ('late', 2), ('a', 2), ('d', 3)")
    assert pull(tmp_path) == whole(tmp_path)
    assert came(log) == ["6 rows came since the last run, 3 of them in place of older ones"]
    rows = read_table(tmp_path / "raw", "orders")
    assert rows["changed"].to_pylist() == [1, 2, 2, 2, 2, 2, 3]
    assert sorted(rows["x"].to_pylist()) == ["a", "a", "b", "c", "c", "d", "late"]


@pytest.mark.parametrize("change", SERVERS, indirect=True)
@pytest.mark.parametrize("key", ["", ", PRIMARY KEY (changed)"])
def test_a_table_that_was_filled_anew_is_pulled_whole(change, key, tmp_path, log):
    change(f"CREATE TABLE orders (x TEXT, changed INTEGER NOT NULL{key})")
    change("INSERT INTO orders VALUES ('a', 9), ('b', 10), ('c', 11)")
    pull(tmp_path)
    change("DELETE FROM orders")
    change("INSERT INTO orders VALUES ('new', 1), ('new', 10)")
    assert pull(tmp_path) == whole(tmp_path)
    assert read_table(tmp_path / "raw", "orders")["changed"].to_pylist() == [1, 10]
    assert "orders: the last watermark was 11 and is 10: rows have been deleted" in log.text
    assert came(log) == []


def test_several_tables(run, tmp_path):
    run(ORDERS)
    run("CREATE TABLE logs (changed int PRIMARY KEY); INSERT INTO logs VALUES (1), (2)")
    both = orders(table=None, tables=["orders", "logs"])
    pull(tmp_path, both)
    run(LATER)
    run("INSERT INTO logs VALUES (3)")
    assert pull(tmp_path, both) == whole(tmp_path, both)
    assert read_table(tmp_path / "raw", "logs")["changed"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE orders ADD COLUMN note text",
        "ALTER TABLE orders ALTER COLUMN state TYPE varchar(20), ALTER COLUMN number TYPE bigint",
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey",
    ],
)
def test_a_changed_table_is_pulled_whole(run, tmp_path, log, change):
    run(ORDERS)
    pull(tmp_path)
    run(change)
    assert pull(tmp_path) == whole(tmp_path)
    assert came(log) == []


def test_other_settings_another_server_or_code_is_a_full_pull(
    run, tmp_path, log, monkeypatch, postgres_server
):
    run(ORDERS)
    pull(tmp_path)
    pull(tmp_path, orders(table=None, query="SELECT * FROM orders"))
    pull(tmp_path, orders("number"))
    assert came(log) == []
    pull(tmp_path, orders(workers=1, memory_mib=32, meanings={"number": "identifier"}))
    assert len(came(log)) == 1
    postgres_server.create_database("another")
    monkeypatch.setenv("SHOP", postgres_server.url("another"))
    connection = psycopg2.connect(postgres_server.url("another").replace("+psycopg2", ""))
    connection.cursor().execute(ORDERS.replace("open", "closed"))
    connection.commit()
    connection.close()
    pull(tmp_path)
    assert came(log) == []
    assert set(read_table(tmp_path / "raw", "orders")["state"].to_pylist()) == {"closed"}


def test_what_is_counted_is_counted_as_by_a_full_pull(run, tmp_path, log):
    run(ORDERS)
    run(
        "ALTER TABLE orders ADD COLUMN due date; UPDATE orders SET due = 'infinity' WHERE number < 9"
    )
    run("UPDATE orders SET due = '2025-01-01' WHERE number = 200")
    pull(tmp_path)
    # Of the rows that are replaced none has a value that may have been made missing.
    run("INSERT INTO orders VALUES ('shop 9', 201, 'new', '2024-01-15', '-infinity')")
    assert pull(tmp_path) == whole(tmp_path)
    assert read_json(tmp_path / "raw" / "report.json")["made_missing.orders.due"] == 9
    assert "all are read again" not in log.text
    run(LATER)
    assert pull(tmp_path) == whole(tmp_path)
    assert read_json(tmp_path / "raw" / "report.json")["made_missing.orders.due"] == 9
    assert "rows were replaced that the report counts: all are read again" in log.text


def test_deleted_rows_stay_until_the_cache_is_removed(run, tmp_path):
    run(ORDERS)
    pull(tmp_path)
    run("DELETE FROM orders WHERE number = 5")
    pull(tmp_path)
    assert read_table(tmp_path / "raw", "orders").num_rows == 200
    shutil.rmtree(tmp_path / ".proofmint" / "cache" / "snapshots")
    assert pull(tmp_path) == whole(tmp_path)
    assert read_table(tmp_path / "raw", "orders").num_rows == 199


@pytest.mark.parametrize("damage", ["entry", "pointer", "shard"])
def test_a_damaged_cache_is_a_full_pull(run, tmp_path, damage):
    run(ORDERS)
    pull(tmp_path)
    snapshots = tmp_path / ".proofmint" / "cache" / "snapshots"
    (pointer,) = snapshots.glob("*.json")
    (entry,) = (path for path in snapshots.iterdir() if path.is_dir())
    match damage:
        case "entry":
            shutil.rmtree(entry)
        case "pointer":
            pointer.write_text("{")
        case "shard":
            (entry / "snapshot.json").unlink()
    run(LATER)
    assert pull(tmp_path) == whole(tmp_path)


def test_encrypted_rows_are_encrypted_in_the_cache_too(run, tmp_path, log, monkeypatch):
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(bytes(range(32))).decode())
    run(ORDERS)
    pull(tmp_path, orders(encrypt=True))
    cached = [p for p in (tmp_path / ".proofmint" / "cache").rglob("*") if p.stat().st_size]
    files = [path for path in cached if path.is_file() and path.suffix != ".json"]
    assert {path.suffix for path in files} == {".enc"}
    run(LATER)
    assert pull(tmp_path, orders(encrypt=True)) == whole(tmp_path, orders(encrypt=True))
    assert len(came(log)) == 1
    monkeypatch.delenv("PROOFMINT_ENCRYPTION_KEY")
    with pytest.raises(WorkspaceError, match="PROOFMINT_ENCRYPTION_KEY"):
        pull(tmp_path, orders(encrypt=True))


def test_only_the_last_snapshot_is_kept(run, tmp_path):
    run(ORDERS)
    for _ in range(3):
        pull(tmp_path)
        run("INSERT INTO orders SELECT 's', max(number) + 1, '', '2025-01-01' FROM orders")
    snapshots = tmp_path / ".proofmint" / "cache" / "snapshots"
    assert len([path for path in snapshots.iterdir() if path.is_dir()]) == 1


def test_a_dataset_that_is_removed_or_changed_does_not_touch_the_snapshot(run, tmp_path):
    run(ORDERS)
    pull(tmp_path)
    shutil.rmtree(tmp_path / "raw")
    run(LATER)
    assert pull(tmp_path) == whole(tmp_path)


def _pull_slowly(project: Path, seconds: float) -> None:
    decode = postgresql.Decoder.__call__

    def slow(self, block):
        time.sleep(seconds)
        return decode(self, block)

    postgresql.Decoder.__call__ = slow
    ingest(project / "raw", orders(), project=project)


def _in_process(project: Path, seconds: float) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(
        target=_pull_slowly, args=(project, seconds)
    )
    process.start()
    return process


def test_a_run_that_is_killed_leaves_the_old_snapshot_and_the_old_dataset(run, tmp_path, log):
    run(ORDERS)
    first = pull(tmp_path)
    run(LATER)
    process = _in_process(tmp_path, 20)
    time.sleep(0.5)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert digest(tmp_path / "raw") == first
    assert pull(tmp_path) == whole(tmp_path)
    assert len(came(log)) == 1


def test_two_runs_at_once_both_end_well(run, tmp_path):
    run(ORDERS)
    pull(tmp_path)
    run(LATER)
    for _ in range(2):
        processes = []
        for i in range(2):
            (tmp_path / "root" / str(i)).mkdir(parents=True, exist_ok=True)
            raw = tmp_path / "root" / str(i) / "raw"
            context = multiprocessing.get_context("fork")
            arguments = {"project": tmp_path}
            processes.append(context.Process(target=ingest, args=(raw, orders()), kwargs=arguments))
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0]
        found = {digest(tmp_path / "root" / str(i) / "raw") for i in range(2)}
        assert found == {whole(tmp_path)}


@pytest.mark.parametrize("watermark", [None, "changed"])
def test_a_connection_that_drops_in_the_middle_leaves_no_gap_and_no_row_twice(
    run, tmp_path, monkeypatch, log, watermark
):
    run(ORDERS)
    run("INSERT INTO orders SELECT 'x', i, repeat('y', 99), now() FROM generate_series(1, 20000) i")
    decode = postgresql.Decoder.__call__
    n_blocks = 0

    def drop(self, block):
        nonlocal n_blocks
        n_blocks += 1
        if n_blocks in (3, 6):
            run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        return decode(self, block)

    monkeypatch.setattr(postgresql, "BLOCK_BYTES", 65_536)
    expected = whole(tmp_path, orders(watermark))
    monkeypatch.setattr(postgresql.Decoder, "__call__", drop)
    assert pull(tmp_path, orders(watermark)) == expected
    assert "again in" in log.text
    assert read_table(tmp_path / "raw", "orders").num_rows == 20_200


def test_a_database_that_stays_away_ends_with_one_error(run, tmp_path, monkeypatch):
    run(ORDERS)

    def drop(self, block):
        run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        raise SourceUnavailable("gone")

    monkeypatch.setattr(postgresql.Decoder, "__call__", drop)
    with pytest.raises(SourceUnavailable):
        pull(tmp_path)
    assert not (tmp_path / "raw").exists()
    assert not [t for t in threading.enumerate() if t.name.startswith("load")]


def test_a_topic_lands_in_batches_and_stays_complete(tmp_path, monkeypatch, log):
    with kafka.running() as broker:
        monkeypatch.setenv("BROKER", broker.url)
        columns = {"id": "int64"}
        source = {"type": "kafka", "connection": "BROKER", "topic": "events", "columns": columns}
        params = dataset_params(source=source | {"metadata": ["partition", "offset"]}, target=None)
        broker.send("events", ['{"id": 1}', None, '{"id": 2, "more": 1}'], partition=1)
        pull(tmp_path, params)
        broker.send("events", ['{"id": 3, "more": 1}'])
        broker.send("events", ['{"id": 4}'], partition=1)
        pull(tmp_path, params)
        assert came(log) == ["2 rows came since the last run, 0 of them in place of older ones"]
        assert read_table(tmp_path / "raw", "events")["id"].to_pylist() == [1, 2, 3, 4]
        report = read_json(tmp_path / "raw" / "report.json")
        assert (report["tombstones"], report["undeclared_values"]) == (1, 2)
        before = digest(tmp_path / "raw")
        assert pull(tmp_path, params) == before
        assert came(log) == ["0 rows came since the last run, 0 of them in place of older ones"]
