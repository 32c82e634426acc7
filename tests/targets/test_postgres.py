"""The target in PostgreSQL: what its readers find there, and what they never see."""

import dataclasses
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.parquet as pq
import pytest
from sqlalchemy import make_url

from tasks.errors import TargetUnavailable, WorkspaceError
from tasks.publishing.delivery import deliver, mark
from tasks.publishing.targets.base import Copy
from tests.copies import copy_of, made, plan
from tests.releases import HOSTILE, image_inputs, relational_inputs, tabular_inputs


@pytest.fixture
def warehouse(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database, which the connection `WAREHOUSE` names."""
    monkeypatch.setenv("WAREHOUSE", database)
    return database.replace("+psycopg2", "")


def rows(url: str, query: str) -> list[tuple]:
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def name_of(url: str) -> str:
    """Of the database: roles are the server's, and other tests use it."""
    return make_url(url).database or ""


def run(url: str, *statements: str) -> None:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def test_the_rows_are_those_of_the_release(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    deliver(made("postgres", tmp_path, connection="WAREHOUSE"), plan(copies))
    there = rows(warehouse, 'SELECT * FROM patients."patients"')
    (table,) = copies[2].tables
    released = [tuple(row.values()) for row in pq.read_table(table.folder).to_pylist()]
    single = table.schema.column_names.index(HOSTILE)  # of single precision: Python has none
    for row, expected in zip(there, released, strict=True):
        assert row[single] == pytest.approx(expected[single], rel=1e-6)
        assert row[:single] + row[single + 1 :] == expected[:single] + expected[single + 1 :]
    types = dict(
        rows(
            warehouse,
            "SELECT column_name, data_type || is_nullable FROM information_schema.columns"
            " WHERE table_schema = 'patients'",
        )
    )
    assert types == {
        "age": "bigintYES",
        "blood pressure": "double precisionYES",
        "sex": "textNO",
        "smoker": "booleanYES",
        "seen_at": "timestamp without time zoneYES",
        "born": "dateYES",
        "note": "textYES",
        HOSTILE: "realYES",
        "ill": "textNO",
    }
    ((comment,),) = rows(warehouse, "SELECT obj_description('patients.patients'::regclass)")
    assert f"v3, manifest sha256:{copies[2].version.digest}" in comment


def test_keys_links_and_hostile_names(warehouse: str, tmp_path: Path) -> None:
    copy = copy_of(tmp_path / "made", 1, relational_inputs)
    deliver(made("postgres", tmp_path, "shop", connection="WAREHOUSE"), plan([copy]))
    assert rows(warehouse, 'SELECT city FROM shop."our customers" ORDER BY id') == [
        ("Graz",),
        ("Bonn",),
        (None,),
    ]
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        run(warehouse, 'INSERT INTO shop."orders=2024" VALUES (99, 99, 1)')
    with pytest.raises(psycopg2.errors.UniqueViolation):
        run(warehouse, "INSERT INTO shop.\"our customers\" VALUES (1, 'Linz')")


def test_images_are_bytes(warehouse: str, tmp_path: Path) -> None:
    copy = copy_of(tmp_path / "made", 1, image_inputs)
    deliver(made("postgres", tmp_path, "shapes", connection="WAREHOUSE"), plan([copy]))
    ((image, label),) = rows(warehouse, "SELECT image, label FROM shapes.shapes LIMIT 1")
    assert bytes(image).startswith(b"\x89PNG")
    assert label == "left"


def test_a_reader_in_the_middle_of_a_query_sees_one_version(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    target = made("postgres", tmp_path, connection="WAREHOUSE")
    deliver(target, plan(copies[:1]))
    reader = psycopg2.connect(warehouse)
    with reader, reader.cursor("open") as cursor:
        cursor.itersize = 5
        cursor.execute('SELECT note FROM patients."patients"')
        first = cursor.fetchmany(5)
        deliver(target, plan(copies))
        rest = cursor.fetchall()
    reader.close()
    assert len(first + rest) == 21
    assert rows(warehouse, 'SELECT count(*) FROM patients."patients"') == [(23,)]
    assert rows(warehouse, 'SELECT count(*) FROM patients__v1."patients"') == [(21,)]


def test_roles_may_read_what_stands_and_nothing_else(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    role = f"Reader of {name_of(warehouse)}; DROP"
    run(warehouse, f'CREATE ROLE "{role}"')
    target = made("postgres", tmp_path, connection="WAREHOUSE", grant=[role], schema="our_data")
    deliver(target, plan(copies[:1]))
    deliver(target, plan(copies[:2]))
    as_reader = f'SET ROLE "{role}"'
    run(warehouse, as_reader, 'SELECT * FROM our_data."patients"')
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(warehouse, as_reader, 'DELETE FROM our_data."patients"')
    deliver(target, plan(copies[:2], 2))
    run(warehouse, as_reader, 'SELECT * FROM our_data."patients"')
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(warehouse, as_reader, 'SELECT * FROM our_data__v2."patients"')
    ((said,),) = rows(warehouse, "SELECT obj_description('our_data__v2'::regnamespace)")
    assert said.endswith("WITHDRAWN: it was wrong")


def test_views_of_readers_do_not_serve_what_was_withdrawn(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    role = f"viewer_of_{name_of(warehouse)}"
    run(warehouse, f"CREATE ROLE {role}", f"CREATE SCHEMA mine AUTHORIZATION {role}")
    target = made("postgres", tmp_path, connection="WAREHOUSE", grant=[role])
    for n in (1, 2):
        deliver(target, plan(copies[:n]))
    run(warehouse, f"SET ROLE {role}", "CREATE VIEW mine.seen AS SELECT * FROM patients.patients")
    run(warehouse, "GRANT SELECT ON patients.patients TO PUBLIC", "SELECT * FROM mine.seen")
    deliver(target, plan(copies[:2], 2))
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(warehouse, "SELECT * FROM mine.seen")


def test_everybody_may_read_until_it_is_withdrawn(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    role = f"anybody_in_{name_of(warehouse)}"
    run(warehouse, f"CREATE ROLE {role}")
    target = made("postgres", tmp_path, connection="WAREHOUSE", grant=["public"])
    deliver(target, plan(copies[:1]))
    run(warehouse, f"SET ROLE {role}", "SELECT * FROM patients.patients")
    deliver(target, plan(copies[:1], 1))
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(warehouse, f"SET ROLE {role}", "SELECT * FROM patients__v1.patients")


def test_rights_follow_the_settings_of_now(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    before, after = f"before_{name_of(warehouse)}", f"after_{name_of(warehouse)}"
    run(warehouse, f"CREATE ROLE {before}", f"CREATE ROLE {after}")
    target = made("postgres", tmp_path, connection="WAREHOUSE", grant=[before])
    for n in (1, 2):
        deliver(target, plan(copies[:n]))
    run(warehouse, f"GRANT SELECT (age) ON patients.patients TO {before} WITH GRANT OPTION")
    run(warehouse, f"SET ROLE {before}", "SELECT * FROM patients__v1.patients")
    target = made("postgres", tmp_path, connection="WAREHOUSE", grant=[after])
    assert deliver(target, plan(copies[:2])) == "v2 is current, as it was"
    for query in ("SELECT age FROM patients.patients", "SELECT age FROM patients__v1.patients"):
        run(warehouse, f"SET ROLE {after}", query)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(warehouse, f"SET ROLE {before}", query)


def test_each_partition_has_a_schema_of_its_own(warehouse: str, tmp_path: Path) -> None:
    for number in (1, 2):
        name = f"orders__2026_0{number}"
        copy = copy_of(tmp_path / name, 1, tabular_inputs, n_rows=20 + number)
        version = dataclasses.replace(copy.version, dataset=name)
        target = made("postgres", tmp_path, name, connection="WAREHOUSE", schema="ord")
        deliver(target, plan([dataclasses.replace(copy, version=version)]))
        there = rows(warehouse, f"SELECT count(*) FROM ord__2026_0{number}.patients")  # noqa: S608
        assert there == [(20 + number,)]


def test_a_place_that_turned_out_to_be_somebody_else_s_holds_nothing(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    run(warehouse, "CREATE SCHEMA patients")
    assert mark(made("postgres", tmp_path, connection="WAREHOUSE"), plan(copies, 1)) == (
        "nothing is current"
    )


def test_a_schema_of_somebody_else_is_not_touched(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    run(warehouse, "CREATE SCHEMA patients", "CREATE TABLE patients.mine (x int)")
    with pytest.raises(WorkspaceError, match="give the target another `schema`"):
        deliver(made("postgres", tmp_path, connection="WAREHOUSE"), plan(copies))
    assert rows(warehouse, "SELECT * FROM patients.mine") == []


def test_a_view_on_an_old_version_keeps_it(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    target = made("postgres", tmp_path, connection="WAREHOUSE")
    deliver(target, plan(copies[:1]))
    run(warehouse, 'CREATE VIEW public.mine AS SELECT age FROM patients."patients"')
    with pytest.raises(WorkspaceError, match="depends on"):
        deliver(target, plan(copies[:2], keep=1))
    assert target.current() == 2
    assert len(rows(warehouse, "SELECT * FROM public.mine")) == 21


def test_a_fault_in_the_middle_leaves_nothing(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    target = made("postgres", tmp_path, connection="WAREHOUSE", grant=["nobody knows"])
    with pytest.raises(WorkspaceError, match="nobody knows"):
        deliver(target, plan(copies))
    assert (target.held(), target.current()) == ({}, None)


def test_of_two_publishers_the_slower_one_does_not_move_readers_back(
    warehouse: str, copies: list[Copy], tmp_path: Path
) -> None:
    one, other = (made("postgres", tmp_path, connection="WAREHOUSE") for _ in range(2))
    deliver(one, plan(copies[:1]))
    assert one.current() == 1
    one.put(copies[1])
    assert deliver(other, plan(copies)) == "v3 is current"
    with pytest.raises(TargetUnavailable, match="another publisher made v3 current"):
        one.point(2)
    assert one.current() == 3


def test_a_publisher_that_dies_while_it_loads_leaves_nothing(
    warehouse: str, copies: list[Copy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = made("postgres", tmp_path, connection="WAREHOUSE")
    deliver(target, plan(copies[:1]))
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"

    def dies(cursor: Any, *_: object) -> None:
        other = psycopg2.connect(warehouse)
        with other, other.cursor() as killer:
            killer.execute(ended, ("proofmint",))
        other.close()
        cursor.execute("SELECT 1")

    with monkeypatch.context() as patch:
        patch.setattr("tasks.publishing.targets.postgres.copy_rows", dies)
        with pytest.raises(TargetUnavailable, match="stopped answering"):
            deliver(target, plan(copies[:2]))
    assert (set(target.held()), target.current()) == ({1}, 1)
    assert deliver(target, plan(copies[:2])) == "v2 is current"


def test_a_database_that_is_gone_may_come_back(
    copies: list[Copy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE", "postgresql://me:hush-hush@127.0.0.1:1/none")
    with pytest.raises(TargetUnavailable) as caught:
        deliver(made("postgres", tmp_path, connection="WAREHOUSE"), plan(copies))
    assert "hush-hush" not in str(caught.value)
