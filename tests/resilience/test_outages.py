"""What a release needs fails while it is made: the object store, the network, the clock, the other one."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
import s3fs
import sqlalchemy as sa
from moto.server import ThreadedMotoServer

from tasks import versions, workspace
from tasks.commands.release import make_release
from tasks.errors import SourceUnavailable, WorkspaceError
from tasks.publishing.verification import verify_release
from tasks.sources.sql import SqlSource
from tasks.workspace import dvc, git
from tasks.worktrees import open_worktree
from tests.resilience.test_power_loss import check_it_is_done
from tests.small_project import DATASET, at, make_project, run_pipeline

RELEASE = ["release", DATASET]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose pipeline has run."""
    root = make_project(tmp_path / "project")
    run_pipeline(root, root, 40)
    return root


# --- the object store -------------------------------------------------------------------------


def use_store(root: Path, endpoint: str) -> None:
    """Let DVC's remote be a bucket there; it gives up after a second in place of minutes."""
    (root / ".dvc" / "config").write_text(
        "[core]\n    analytics = false\n    remote = store\n"
        f"['remote \"store\"']\n    url = s3://outages/dvc\n    endpointurl = {endpoint}\n"
        "    read_timeout = 1\n    connect_timeout = 1\n"
    )
    if git(root, "status", "--porcelain", ".dvc"):
        git(root, "commit", "-q", "-a", "-m", "a remote")


def test_an_object_store_that_is_down_and_one_that_never_answers(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "MOST_IDLE_SECONDS", 5.0)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "id-of-the-key",
        "AWS_SECRET_ACCESS_KEY": "hush-hush",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as mute, socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # a port on which nobody listens
        for server in (refusing, mute):
            use_store(root, f"http://127.0.0.1:{server.getsockname()[1]}")
            with pytest.raises(WorkspaceError) as caught:
                make_release(root, DATASET)
            assert caught.value.retryable
            assert "push" in str(caught.value)
            assert "hush" not in str(caught.value)
            assert [v.number for v in versions.versions(root, DATASET)] == [1]  # made, and not lost
    store = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    store.start()
    try:
        endpoint = "http://{}:{}".format(*store.get_host_and_port())
        use_store(root, endpoint)
        s3fs.S3FileSystem(endpoint_url=endpoint, skip_instance_cache=True).mkdir("outages")
        assert make_release(root, DATASET).version.number == 1
        assert "in sync" in dvc(root, "status", "--cloud")
    finally:
        store.stop()
    check_it_is_done(root, 1)


# --- the network to the source ----------------------------------------------------------------


class Cable:
    """A TCP connection to a server that can be cut, as by a router that restarts."""

    def __init__(self, socket_file: str) -> None:
        self._target = socket_file
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._guard = threading.Lock()
        self.seen_bytes, self.cut_after_bytes = 0, sys.maxsize
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            self._ends += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while content := source.recv(65_536):
                with self._guard:
                    self.seen_bytes += len(content)
                    if self.seen_bytes > self.cut_after_bytes:
                        self.cut_after_bytes = sys.maxsize  # once; who tries again gets through
                        self.cut()
                        return
                sink.sendall(content)
        except OSError:
            pass

    def cut(self) -> None:
        """End all connections at once, without a word."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the threads that wait for its bytes

    def close(self) -> None:
        self._server.close()
        self.cut()
        # Not before: a thread that still waits would read from whoever got the number of its file next.
        for end in self._ends:
            end.close()


def test_the_network_is_cut_in_the_middle_of_ingest(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sa.make_url(database)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id integer PRIMARY KEY, x text)")
        rows = "SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i"
        connection.exec_driver_sql(f"INSERT INTO t {rows}")
    cable = Cable(f"{url.query['host']}/.s.PGSQL.{url.query['port']}")
    through = url.set(host="127.0.0.1", port=cable.port, query={})
    monkeypatch.setenv("DB", through.render_as_string(hide_password=False))
    try:
        with pytest.raises(SourceUnavailable) as caught:
            read(after=lambda: setattr(cable, "cut_after_bytes", cable.seen_bytes + 2_000_000))
        assert caught.value.retryable
        assert cable.cut_after_bytes == sys.maxsize  # it was cut
        assert read(after=lambda: None) == 20_000  # the next try
    finally:
        cable.close()


def read(after) -> int:
    """Rows of the table, of which there are some before `after` is called."""
    with SqlSource(
        {"connection": "DB", "table": "t"}, kind="tabular", target=None, project=Path()
    ) as source:
        table = source.schema().main
        after()
        return pa.Table.from_batches(source.read(table.name)).num_rows


# --- the clock --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jumping_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that lets a process's clock jump by two days, again and again."""
    if shutil.which("gcc") is None:
        pytest.skip("a clock of one's own needs gcc")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def test_the_clock_jumps_while_a_release_is_made(root: Path, jumping_clock: Path) -> None:
    for number, n_rows in ((1, 40), (2, 50), (3, 60)):
        run_pipeline(root, root, n_rows)
        done = subprocess.run(
            [sys.executable, "-m", "tasks", *RELEASE],
            cwd=root,
            env={**environment(), "LD_PRELOAD": str(jumping_clock)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        check_it_is_done(root, number)


def test_versions_are_in_the_order_of_their_numbers_whatever_the_clock_said(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2031-01-01T00:00:00Z")
    make_release(root, DATASET)
    monkeypatch.delenv("GIT_COMMITTER_DATE")
    run_pipeline(root, root, 50)
    make_release(root, DATASET)
    found = versions.versions(root, DATASET)
    assert [v.number for v in found] == [1, 2]
    assert found[0].created_at > found[1].created_at
    newest = versions.newest(root, DATASET)
    assert newest is not None
    assert newest.number == 2


def environment() -> dict[str, str]:
    """Ours, with this repository's `tasks`."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


# --- the other publisher ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [(50, 60), pytest.param((50, 50), marks=pytest.mark.slow)],
    ids=["two results", "the same result"],
)
def test_two_publishers_race_for_a_version(root: Path, rows: tuple[int, int]) -> None:
    """Two runs of Airflow at once, each in its worktree and its process."""
    make_release(root, DATASET)
    places = [open_worktree(root, DATASET, f"run {i}").path for i in range(2)]
    for place, n_rows in zip(places, rows, strict=True):
        run_pipeline(place, root, n_rows)

    def publish(place: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "tasks", *RELEASE],
            cwd=place,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(publish, places))
    assert [done.returncode for done in ended] == [0, 0], [done.stderr for done in ended]
    n_new = sum(": released v" in done.stdout for done in ended)
    n_versions = 1 + len(set(rows))
    assert n_new == n_versions - 1
    found = versions.versions(root, DATASET)
    assert len({v.commit for v in found}) == len({v.digest for v in found}) == n_versions
    assert sorted(v.rows for v in found) == sorted({40, *rows})
    check_it_is_done(root, n_versions)
    assert verify_release(at(root).release).attestation.manifest_sha256 == found[-1].digest
