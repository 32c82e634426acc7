"""Spark on this machine: the same rows, bytes and errors as without it."""

import importlib.util
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from tasks.engines import _spark_session
from tasks.engines.base import Progress
from tasks.engines.local import LocalEngine
from tasks.engines.spark import SparkEngine
from tasks.errors import ParamsError, SourceError, SourceUnavailable, WorkspaceError
from tasks.sources.sql import SqlSource
from tasks.stages.clean import clean
from tasks.stages.ingest import ingest
from tasks.storage import digest, read_batches, read_json
from tests.datasets import dataset_params

installed = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="pyspark or Java is not installed (proofmint[spark]; Debian: openjdk-17-jre-headless)",
)


@pytest.fixture(scope="module")
def spark() -> Iterator[None]:
    """One Spark for the module: engines take the one that their process has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROOFMINT_SPARK_URL", "local[2]")
        with _spark_session.started():
            yield


def both(tmp_path: Path, source: dict[str, Any], **sections: Any) -> tuple[Path, Path]:
    """The folders of what either engine ingests and cleans."""
    folders = []
    for engine in ("local", "spark"):
        params = dataset_params(source=source, engine=engine, target=None, **sections)
        folder = tmp_path / engine
        ingest(folder / "raw", params, project=tmp_path)
        clean(folder / "raw", folder / "clean", params)
        folders.append(folder)
    return folders[0], folders[1]


def write_csvs(folder: Path, n_files: int = 3) -> None:
    rng = np.random.default_rng(0)
    for i in range(n_files):
        age = rng.integers(0, 90, 2_000)
        rows = [f"{i * 2_000 + j},{a or ''},{float(a) / 7},x {a % 9}" for j, a in enumerate(age)]
        (folder / f"people-{i}.csv").write_text("\n".join(["id,age,ratio,name", *rows]) + "\n")


CLEAN = {
    "missing": {"age": "mean"},
    "outliers": {"ratio": {"method": "iqr", "action": "clip"}},
    "drop_duplicates": {"by": ["age", "name"]},
}


@installed
def test_files_become_the_same_bytes(spark, tmp_path):
    write_csvs(tmp_path)
    local, on_spark = both(
        tmp_path, {"type": "files", "path": "people-*.csv", "table": "people"}, clean=CLEAN
    )
    assert digest(on_spark) == digest(local)
    assert read_json(local / "raw/report.json")["rows"] == {"people": 6_000}
    assert read_json(local / "clean/report.json")["rows"]["people"] < 6_000


@installed
def test_parquet_files_become_the_same_bytes(spark, tmp_path):
    for i in range(3):
        rows = pa.table({"n": np.arange(500) + i, "x": [None, float("nan"), 1.5, 2.0] * 125})
        pq.write_table(rows, tmp_path / f"t{i}.parquet", row_group_size=200)
    local, on_spark = both(tmp_path, {"type": "files", "path": "t*.parquet"})
    assert digest(on_spark) == digest(local)


@installed
def test_parts_of_postgresql_are_read_in_one_state_of_it(spark, database, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP", database)
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id integer PRIMARY KEY, at timestamp, x text)")
        connection.exec_driver_sql(
            """INSERT INTO t SELECT i, CASE WHEN mod(i, 1000) = 0 THEN 'infinity'::timestamp END,
            repeat(md5(i::text), 20) FROM generate_series(1, 40000) AS s(i)"""
        )
    settings = {"connection": "SHOP", "table": "t", "memory_mib": 16}
    given: list[Progress] = []
    found = []
    with SparkEngine() as on_spark:
        for load in (LocalEngine().load, on_spark.load):
            given.clear()
            opened = SqlSource(settings, kind="tabular", target=None, project=tmp_path)
            with opened:
                table = opened.schema().main
                parts = list(opened.parts(table))
                with engine.begin() as connection:
                    connection.exec_driver_sql("UPDATE t SET x = 'new' WHERE mod(id, 2) = 0")
                rows = pa.Table.from_batches(load(opened, table, parts, given.append))
                found.append((rows, dict(opened.counts() | opened.counted)))
            with engine.begin() as connection:
                connection.exec_driver_sql("UPDATE t SET x = repeat(md5(id::text), 20)")
    assert len(parts) > 2
    assert given == [Progress(i + 1, len(parts)) for i in range(len(parts))]
    assert found[1][0].equals(found[0][0])
    assert found[1][0].num_rows == 40_000
    assert found[1][1]["made_missing.t.at"] == found[0][1]["made_missing.t.at"] == 40
    engine.dispose()


@installed
def test_a_table_of_one_part_is_read_here(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP", "sqlite:///shop.db")
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(i, i / 3) for i in range(999)])
    connection.close()
    source = {"type": "sql", "connection": "SHOP", "table": "t"}
    local, on_spark = both(tmp_path, source)
    assert digest(on_spark) == digest(local)


@installed
def test_an_error_in_a_task_is_the_error_that_it_is_here(spark, tmp_path):
    write_csvs(tmp_path)
    with (tmp_path / "people-1.csv").open("a") as stream:
        stream.write('1,2,3,"never closed')
    messages = []
    for engine in ("local", "spark"):
        params = dataset_params(
            source={"type": "files", "path": "people-*.csv"}, engine=engine, target=None
        )
        with pytest.raises(SourceError) as caught:
            ingest(tmp_path / engine, params, project=tmp_path)
        messages.append(str(caught.value))
        assert not (tmp_path / engine).exists()
    assert messages[1] == messages[0]
    assert "people-1.csv" in messages[0]


@installed
def test_a_source_that_does_not_answer_a_task_is_worth_a_retry(
    spark, database, tmp_path, monkeypatch
):
    monkeypatch.setenv("SHOP", database)
    with sa.create_engine(database, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id integer PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    opened = SqlSource(
        {"connection": "SHOP", "table": "t"}, kind="tabular", target=None, project=tmp_path
    )
    with opened, SparkEngine() as engine:
        table = opened.schema().main
        (part,) = opened.parts(table)
        # The state that the parts are of is held by `opened` alone.
        opened._database.opened.close()
        with pytest.raises(SourceUnavailable):
            list(engine.load(opened, table, [part, part]))


@installed
def test_a_map_gives_the_results_in_order_with_their_notes(spark, tmp_path):
    n_rows = 200_000
    source = {"type": "files", "path": "n.csv"}
    (tmp_path / "n.csv").write_text("n\n" + "\n".join(map(str, range(n_rows))) + "\n")
    ingest(tmp_path / "raw", dataset_params(source=source, target=None), project=tmp_path)

    def summed(batch: pa.RecordBatch, note: int) -> tuple[int, int, int]:
        return note, batch.num_rows, sum(batch["n"].to_pylist())

    def endless() -> Iterator[int]:
        yield from range(10**9)

    with SparkEngine() as engine:
        found = list(engine.map(tmp_path / "raw", "n", summed, endless()))
    assert found == list(LocalEngine().map(tmp_path / "raw", "n", summed, endless()))
    assert [note for note, _, _ in found] == list(range(len(found)))
    assert sum(total for _, _, total in found) == n_rows * (n_rows - 1) // 2
    batches = list(read_batches(tmp_path / "raw", "n"))
    assert len(batches) == len(found) > 2

    def fails(batch: pa.RecordBatch) -> None:
        raise ZeroDivisionError("of the third kind")

    with SparkEngine() as engine, pytest.raises(ZeroDivisionError, match="of the third kind"):
        list(engine.map(tmp_path / "raw", "n", fails))


@installed
def test_secrets_are_not_in_the_configuration_of_spark(spark, database, monkeypatch):
    from pyspark import SparkContext

    monkeypatch.setenv("SHOP", "postgresql://u:s3cret@h/d")
    with SparkEngine() as engine:
        seen = engine._session.context.getConf().getAll()
        assert SparkContext._active_spark_context is engine._session.context
    assert "s3cret" not in json.dumps(seen)


@pytest.mark.parametrize(
    ("master", "error", "message"),
    [
        ("sc://127.0.0.1:15002", ParamsError, "found the address of Spark Connect"),
        ("mesos://h:1", ParamsError, "expected a master of Spark, found 'mesos://h:1'; choose"),
        (
            "spark://127.0.0.1:1",
            WorkspaceError,
            "no master of Spark answers at spark://127.0.0.1:1",
        ),
        ("spark://no.such.host.invalid:7077", WorkspaceError, "no master of Spark answers"),
    ],
)
def test_a_master_that_cannot_be_used(monkeypatch, master, error, message):
    pytest.importorskip("py4j")
    monkeypatch.setenv("PROOFMINT_SPARK_URL", master)
    monkeypatch.setattr(_spark_session, "_check_installed", lambda: None)
    with pytest.raises(error, match=message), SparkEngine():
        pass


def test_without_java_or_pyspark_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("PROOFMINT_SPARK_URL", raising=False)
    if importlib.util.find_spec("pyspark") is not None:
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(WorkspaceError, match=r"needs Java 17 .* openjdk-17"), SparkEngine():
            pass
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        with pytest.raises(WorkspaceError, match="none at JAVA_HOME="), SparkEngine():
            pass
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WorkspaceError, match=r"pip install 'proofmint\[spark\]'"), SparkEngine():
        pass
