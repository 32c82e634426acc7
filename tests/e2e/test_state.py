"""The state of a project: saved in one file, restored on an empty machine, pruned there."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import versions
from tasks.commands import postgres
from tasks.commands.backup import backup
from tasks.commands.prune import prune
from tasks.commands.restore import restore
from tasks.errors import VerificationError, WorkspaceError
from tasks.maintenance.dvc_objects import locks_of, objects_of
from tasks.publishing.keys import fingerprint, signing_key
from tasks.publishing.verification import verify_release
from tasks.tracking import ALIAS, open_tracker
from tasks.workspace import Layout
from tasks.worktrees import open_worktree, path_of
from tests.e2e.conftest import LENIENT, Project

pytestmark = pytest.mark.usefixtures("first_runs")


@pytest.fixture(scope="module")
def archive(
    project: Project, first_runs: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A backup of the project, made while Airflow's database has a row and a file is not committed."""
    del first_runs
    servers = project.root / ".proofmint" / "postgres" / "servers"
    note = project.root / "notes.txt"
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        project.set_environment(patch)
        stack.callback(shutil.rmtree, servers)
        server = stack.enter_context(postgres.running(servers))
        for name in ("airflow", "mlflow", "mlflow_auth"):
            server.create_database(name)
        with server.connect("airflow") as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE dag_run AS SELECT 7 AS id")
        note.write_text("not committed\n")
        stack.callback(note.unlink)
        file = tmp_path_factory.mktemp("backup") / "backup.tar"
        assert backup(project.root, file, everything=False) == 0
        yield file


@pytest.fixture(scope="module")
def restored(
    archive: Path, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """The project in another folder, from the file alone."""
    with pytest.MonkeyPatch.context() as patch:
        project.set_environment(patch)
        root = tmp_path_factory.mktemp("another machine") / "project"
        assert restore(archive, root) == 0
        yield Project(root, {**project.env, "PYTHONPATH": str(root)})


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_can_read_the_file_or_what_is_secret_in_it(
    archive: Path, restored: Project
) -> None:
    assert mode_of(archive) == 0o600
    state = restored.root / ".proofmint"
    assert mode_of(state) == mode_of(state / "keys") == 0o700
    assert mode_of(state / "keys" / "ed25519.pem") == 0o600


def test_all_versions_are_there_and_verify(
    project: Project, restored: Project, tmp_path: Path
) -> None:
    cache = restored.root / ".dvc" / "cache"
    names, missing = objects_of(cache, locks_of(restored.root))
    assert names
    assert missing == 0
    for dataset in LENIENT:
        assert versions.versions(restored.root, dataset) == versions.versions(project.root, dataset)
        assert verify_release(Layout(restored.root, dataset).release).verdict_passed
    clone = restored.clone(tmp_path / "clone", restored.newest("digits"), share_cache=True)
    clone.dvc("checkout", "-q")
    assert verify_release(Layout(clone.root, "digits").release).verdict_passed
    keys = [signing_key(p.root / ".proofmint").public_key() for p in (project, restored)]
    assert fingerprint(keys[0]) == fingerprint(keys[1])


def test_the_models_are_found_where_they_are_now(restored: Project) -> None:
    client = open_tracker(None, restored.root / ".proofmint" / "mlflow")._client
    model = client.get_model_version_by_alias("digits", ALIAS)
    run = client.get_run(model.run_id)
    assert str(restored.root) in run.info.artifact_uri
    assert client.list_artifacts(model.run_id, "model")


def test_databases_and_files_that_were_not_committed_are_there(restored: Project) -> None:
    assert (restored.root / "notes.txt").read_text() == "not committed\n"
    assert restored.git("status", "--porcelain").split() == ["??", "notes.txt"]
    servers = restored.root / ".proofmint" / "postgres" / "servers"
    with (
        postgres.running(servers) as server,
        server.connect("airflow") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT id FROM dag_run")
        assert cursor.fetchone() == (7,)


def test_the_next_run_finds_everything_computed(restored: Project) -> None:
    ended = restored.proofmint("run", "breast_cancer")
    assert ended.status == 0, ended.errors
    assert "breast_cancer: unchanged, still v1" in ended.output
    executed = [line for line in ended.output.splitlines() if line.startswith("Running stage")]
    assert executed == ["Running stage 'ingest@breast_cancer':"]


def test_a_damaged_file_is_refused_before_anything_is_written(
    archive: Path, tmp_path: Path
) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    for name, broken in (("changed", bytes(content)), ("cut", bytes(content[: len(content) // 3]))):
        file = tmp_path / f"{name}.tar"
        file.write_bytes(broken)
        with pytest.raises(VerificationError, match=r"damaged|no backup"):
            restore(file, tmp_path / "project")
    assert not (tmp_path / "project").exists()


def test_nothing_that_is_there_is_overwritten(archive: Path, restored: Project) -> None:
    with pytest.raises(WorkspaceError, match="new or empty"):
        restore(archive, restored.root)
    with pytest.raises(WorkspaceError, match="not to exist"):
        backup(restored.root, archive, everything=False)


def test_prune_removes_what_is_left_over_and_nothing_else(
    restored: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    restored.set_environment(monkeypatch)
    root, state = restored.root, restored.root / ".proofmint"
    monkeypatch.setattr(tempfile, "tempdir", str(root / ".dvc" / "tmp"))
    gone = [path_of(root, "digits", "killed"), state / "checkpoints" / "digits-1"]
    kept = [path_of(root, "digits", "alive"), state / "checkpoints" / "digits-2"]
    for run in ("killed", "alive"):
        open_worktree(root, "digits", run)
    for folder in (gone[1], kept[1]):
        folder.mkdir(parents=True)
    gone += [
        state / "runs" / "digits" / "old",
        state / "logs" / "airflow" / "old.log",
        root / "releases" / ".digits-abcdefgh",
        root / ".dvc" / "tmp" / "proofmint-crash-1.log",
    ]
    for place in gone[2:]:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x") if place.suffix else place.mkdir()
    garbage = root / ".dvc" / "cache" / "files" / "md5" / "ff" / ("f" * 30)
    garbage.parent.mkdir(exist_ok=True)
    garbage.write_text("nobody's")
    client = open_tracker(None, state / "mlflow")._client
    stale = client.create_run(client.get_experiment_by_name("digits").experiment_id).info.run_id
    client.log_text(stale, "x", "note.txt")
    client.set_terminated(stale)
    artifacts = state / "mlflow" / "artifacts" / "digits" / stale
    leader = kept[0] / ".dvc" / "tmp" / "train.leader"
    leader.parent.mkdir(exist_ok=True)
    time.sleep(0.01)
    with leader.open("a") as process, held(kept[1]):
        fcntl.flock(process, fcntl.LOCK_EX)
        prune(root, older_than_days=0, dry_run=True)
        assert all(place.exists() for place in [*gone, *kept, garbage, artifacts])
        capsys.readouterr()
        prune(root, older_than_days=0, dry_run=False)
        assert "not looked at: runs are under way" in capsys.readouterr().out
        assert garbage.exists()
    assert [place for place in gone if place.exists()] == []
    assert all(place.exists() for place in kept)
    assert not list(artifacts.rglob("*.txt"))
    prune(root, older_than_days=0, dry_run=False)
    assert not any(place.exists() for place in [*kept, garbage])
    assert objects_of(root / ".dvc" / "cache", locks_of(root))[1] == 0
    assert verify_release(Layout(root, "digits").release).verdict_passed
    assert client.get_model_version_by_alias("digits", ALIAS)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The lock of a folder, as a training holds it."""
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)
