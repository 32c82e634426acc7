"""The rows of one partition: by the calendar of their column, and by nothing else."""

import logging
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from tasks.commands.postgres import PostgresServer
from tasks.errors import EmptyPartition, ParamsError, SourceError
from tasks.params import DatasetParams
from tasks.schema import DatasetSchema
from tasks.stages.ingest import ingest
from tasks.storage import digest, read_table
from tests.datasets import dataset_params

MARCH = {"start": "2026-03-01", "end": "2026-04-01"}

ROWS = """
INSERT INTO sales VALUES
 (1, '2026-02-28', '2026-02-28 23:59:59.999999', '2026-02-28 22:59:59.999999+00'),
 (2, '2026-03-01', '2026-03-01 00:00:00', '2026-02-28 23:00:00+00'),
 (3, '2026-03-31', '2026-03-31 23:59:59.999999', '2026-03-31 21:59:59.999999+00'),
 (4, '2026-04-01', '2026-04-01 00:00:00', '2026-03-31 22:00:00+00'),
 (5, NULL, NULL, NULL),
 (6, 'infinity', 'infinity', '-infinity')
"""
"""The moments are those of the days in Berlin: an hour ahead in winter, two in summer."""


@pytest.fixture
def shop(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with the table `sales`; the rows 2 and 3 are of March."""
    execute(
        database,
        'CREATE TABLE sales (id int PRIMARY KEY, "the day" date, at timestamp, moment timestamptz);'
        + ROWS,
    )
    monkeypatch.setenv("SHOP", database)
    return database


def execute(database: str, statement: str) -> None:
    url = sa.make_url(database)
    connection = psycopg2.connect(
        host=url.query["host"], port=url.query["port"], user=url.username, dbname=url.database
    )
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def of_shop(column: str, timezone: str = "UTC", **source: Any) -> DatasetParams:
    between = {"column": column, "timezone": timezone, **MARCH}
    given = {"table": "sales"} if "query" not in source else {}
    source = {"type": "sql", "connection": "SHOP", **given, "between": between, **source}
    return dataset_params(source=source, target=None)


def of_files(project: Path, text: str, column: str) -> DatasetParams:
    (project / "sales.csv").write_text(text)
    between = {"column": column, **MARCH}
    source = {"type": "files", "path": "sales.csv", "between": between}
    return dataset_params(source=source, target=None)


def ids(raw: Path) -> list[int]:
    (table,) = DatasetSchema.load(raw).tables
    found: list[int] = read_table(raw, table.name)["id"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("column", "timezone"),
    [
        ("the day", "UTC"),
        ("the day", "Asia/Tokyo"),
        ("at", "Asia/Tokyo"),
        ("moment", "Europe/Berlin"),
    ],
)
@pytest.mark.parametrize("query", [False, True])
def test_a_database_gives_the_rows_of_the_days(
    shop: str, tmp_path: Path, column: str, timezone: str, query: bool
) -> None:
    source = {"query": "SELECT * FROM sales"} if query else {}
    ingest(tmp_path / "raw", of_shop(column, timezone, **source), project=tmp_path)
    assert ids(tmp_path / "raw") == [2, 3]


def test_moments_are_of_the_days_of_the_time_zone(shop: str, tmp_path: Path) -> None:
    ingest(tmp_path / "raw", of_shop("moment", "UTC"), project=tmp_path)
    assert ids(tmp_path / "raw") == [3, 4]


def test_rows_without_a_date_are_told_of_and_in_no_partition(
    shop: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ingest(tmp_path / "raw", of_shop("the day"), project=tmp_path)
    assert "sales: 1 rows have no 'the day' and are in no partition" in caplog.text


def test_what_changes_in_another_partition_changes_no_byte(shop: str, tmp_path: Path) -> None:
    params = of_shop("the day")
    ingest(tmp_path / "before", params, project=tmp_path)
    execute(
        shop,
        "DELETE FROM sales WHERE id = 1; INSERT INTO sales VALUES (7, NULL), (8, '2026-05-05')",
    )
    ingest(tmp_path / "after", params, project=tmp_path)
    assert digest(tmp_path / "before") == digest(tmp_path / "after")
    execute(shop, "INSERT INTO sales VALUES (9, '2026-03-09')")  # late
    ingest(tmp_path / "late", params, project=tmp_path)
    assert ids(tmp_path / "late") == [2, 3, 9]


@pytest.mark.parametrize("statement", ["DELETE FROM sales WHERE id IN (2, 3)", "TRUNCATE sales"])
def test_a_partition_without_rows_has_an_error_of_its_own(
    shop: str, tmp_path: Path, statement: str
) -> None:
    execute(shop, statement)
    with pytest.raises(EmptyPartition, match=r"'the day' from 2026-03-01 to before 2026-04-01"):
        ingest(tmp_path / "raw", of_shop("the day"), project=tmp_path)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("column", "found"),
    [("day", "found none"), ("id", "it holds int32"), ("name", "it holds string")],
)
def test_a_column_that_holds_no_dates_is_refused(
    shop: str, tmp_path: Path, column: str, found: str
) -> None:
    execute(shop, "ALTER TABLE sales ADD name text")
    with pytest.raises(ParamsError, match=found):
        ingest(tmp_path / "raw", of_shop(column), project=tmp_path)


def test_a_source_of_several_tables_is_refused(shop: str, tmp_path: Path) -> None:
    execute(shop, 'CREATE TABLE items (id int, "the day" date)')
    params = dataset_params(
        source={
            "type": "sql",
            "connection": "SHOP",
            "tables": ["sales", "items"],
            "between": {"column": "the day", **MARCH},
        },
        target=None,
    )
    with pytest.raises(ParamsError, match="one table, found sales, items"):
        ingest(tmp_path / "raw", params, project=tmp_path)


def test_files_are_read_through_for_the_rows_of_the_days(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "id,day\n1,2026-02-28\n2,2026-03-01\n3,\n4,2026-03-31\n5,2026-04-01\n"
    params = of_files(tmp_path, text, "day")
    with caplog.at_level(logging.WARNING):
        ingest(tmp_path / "raw", params, project=tmp_path)
    assert ids(tmp_path / "raw") == [2, 4]
    assert "1 rows have no 'day'" in caplog.text
    of_files(tmp_path, text + "6,2026-05-01\n7,\n", "day")
    ingest(tmp_path / "again", params, project=tmp_path)
    assert digest(tmp_path / "raw") == digest(tmp_path / "again")


def test_a_file_without_such_a_date_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="it holds string"):
        ingest(tmp_path / "raw", of_files(tmp_path, "id,day\n1,monday\n", "day"), project=tmp_path)
    with pytest.raises(EmptyPartition):
        ingest(
            tmp_path / "raw", of_files(tmp_path, "id,day\n1,2026-01-01\n", "day"), project=tmp_path
        )
    with pytest.raises(SourceError):
        ingest(tmp_path / "raw", of_files(tmp_path, "", "day"), project=tmp_path)


@pytest.mark.parametrize(
    ("between", "told"),
    [
        ({"column": "d", "start": "2026-03-01", "end": "2026-03-01"}, "after `start`"),
        ({"column": "d", "start": "1.3.2026", "end": "2026-04-01"}, "start"),
        ({"column": "d", "start": "2026-02-30", "end": "2026-04-01"}, "day"),
        ({"column": "d", **MARCH, "timezone": "Berlin"}, "time zone"),
        ({"column": "d", **MARCH, "timezone": "../../etc/passwd"}, "time zone"),
    ],
)
def test_an_interval_that_is_none_is_refused(
    tmp_path: Path, between: dict[str, str], told: str
) -> None:
    source = {"type": "files", "path": "sales.csv", "between": between}
    with pytest.raises(ParamsError, match=told):
        ingest(tmp_path / "raw", dataset_params(source=source, target=None), project=tmp_path)


def test_the_server_finds_a_partition_by_an_index(
    shop: str, postgres_server: PostgresServer
) -> None:
    from tasks.sources.sql import SqlSource

    execute(
        shop,
        "INSERT INTO sales SELECT i, date '2020-01-01' + i % 1000 FROM generate_series(10, 20000) i;"
        ' CREATE INDEX ON sales ("the day"); ANALYZE sales',
    )
    settings = of_shop("the day").source.settings
    with SqlSource(settings, kind="tabular", target=None, project=Path()) as source:
        (part,) = source.parts(source.schema().main)
    name = sa.make_url(shop).database or ""
    with postgres_server.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + part.place["select"])
        assert "Index" in "\n".join(line for (line,) in cursor.fetchall())
