"""Power is lost between any two steps of a publication; the next release finishes it.

Whatever the step: what was released before is whole, a version is there or not, never half, and
releasing again ends as if nothing had happened.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from tasks import refs, versions
from tasks.errors import WorkspaceError
from tasks.publishing.keys import signing_key
from tasks.publishing.verification import verify_release
from tasks.workspace import git, state_of
from tasks.worktrees import open_worktree
from tests import steps
from tests.small_project import DATASET, at, make_project, run_pipeline

RELEASE = ["release", DATASET]


@pytest.fixture(scope="module")
def fresh() -> Iterator[ProcessPoolExecutor]:
    with steps.processes() as pool:
        yield pool


def released_once(root: Path, fresh: ProcessPoolExecutor) -> Path:
    """A project with a version v1."""
    make_project(root)
    run_pipeline(root, root, 40)
    assert fresh.submit(steps.run, root, RELEASE).result() == 0
    return root


def in_a_worktree(root: Path, fresh: ProcessPoolExecutor) -> Path:
    """A run of Airflow: a worktree where the pipeline has made another release than v1."""
    released_once(root, fresh)
    place = open_worktree(root, DATASET, "manual").path
    run_pipeline(place, root, 50)
    return place


def in_the_project(root: Path, fresh: ProcessPoolExecutor) -> Path:
    """`dvc repro`: the project's own folder."""
    released_once(root, fresh)
    run_pipeline(root, root, 50)
    return root


def for_the_first_time(root: Path, fresh: ProcessPoolExecutor) -> Path:
    """There is no version, no branch, no key and no registered model."""
    make_project(root)
    run_pipeline(root, root, 50)
    return root


def check_nothing_is_lost(root: Path, before: dict[str, str]) -> None:
    """What was there before is there still, and a version is whole or not there."""
    found = {v.tag: v.commit for v in versions.versions(root, DATASET)}
    assert found.items() >= before.items()
    assert len(found) - len(before) in (0, 1)
    for tag in found:
        text = git(root, "show", f"{tag}:releases/{DATASET}.attestation.json")
        assert '"payloadType"' in text
    assert versions.tip(root, DATASET) in (None, *found.values())
    for path in (root / ".dvc" / "cache" / "files" / "md5").glob("*/*"):
        content = path.read_bytes()
        name = f"{path.parent.name}{path.name}".removesuffix(".dir")
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == name
    if (folder := at(root).release).exists():  # old or new, and all of it
        n_files = sum(path.is_file() for path in folder.rglob("*"))
        assert n_files == (folder / "evidence" / "manifest.json").read_text().count('"path"') + 1


def check_it_is_done(root: Path, number: int) -> None:
    """As after a release that nothing disturbed."""
    found = versions.versions(root, DATASET)
    assert [v.number for v in found] == list(range(1, number + 1))
    assert versions.tip(root, DATASET) == found[-1].commit
    log = git(root, "log", "--format=%s", f"datasets/{DATASET}").splitlines()
    assert sum(line.endswith((": attestation", ": params and lock")) for line in log) == 2 * number
    verified = verify_release(at(root).release, state_of(root) / "keys" / "ed25519.pub.pem")
    assert verified.attestation.facts["version"] == f"v{number}"
    assert verified.attestation.manifest_sha256 == found[-1].digest
    client = MlflowClient(f"sqlite:///{root / '.proofmint' / 'mlflow' / 'mlflow.db'}")
    models = client.search_model_versions(f"name = '{DATASET}'")
    assert sorted(model.tags["release"] for model in models) == [v.name for v in found]
    released = client.get_model_version_by_alias(DATASET, "released")
    assert released.tags["release"] == f"v{number}"
    client._tracking_client.store.engine.dispose()


@pytest.mark.parametrize(
    ("start", "alike"),
    [
        # One file more or less in the draft of a folder is the same to whoever comes next.
        (in_a_worktree, f".{DATASET}-"),
        pytest.param(in_a_worktree, "", marks=pytest.mark.slow),
        pytest.param(in_the_project, "", marks=pytest.mark.slow),
        pytest.param(for_the_first_time, "", marks=pytest.mark.slow),
    ],
)
def test_at_every_step(tmp_path: Path, fresh: ProcessPoolExecutor, start, alike) -> None:
    root, states = tmp_path / "project", tmp_path / "states"
    states.mkdir()
    where = start(root, fresh)
    before = {v.tag: v.commit for v in versions.versions(root, DATASET)}
    assert fresh.submit(steps.record, where, RELEASE, root, states).result() == 0
    for state in (found := steps.distinct(states, alike)):
        steps.restore(state, root)
        check_nothing_is_lost(root, before)
        assert fresh.submit(steps.run, where, RELEASE).result() == 0, state
        check_it_is_done(root, len(before) + 1)
    assert len(found) > 20


@pytest.mark.slow
def test_withdrawing_at_every_step(tmp_path: Path, fresh: ProcessPoolExecutor) -> None:
    """In git, in the project, at a target and in MLflow; what stands before v2 stands again."""
    root, states = make_project(tmp_path / "project"), tmp_path / "states"
    states.mkdir()
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["datasets"][DATASET]["publish"]["to"] = [{"type": "folder", "path": "delivered"}]
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git(root, "commit", "-q", "-a", "-m", "a target")
    for n_rows in (40, 50):
        run_pipeline(root, root, n_rows)
        assert fresh.submit(steps.run, root, RELEASE).result() == 0
    before = {v.tag: v.commit for v in versions.versions(root, DATASET)}
    command = ["withdraw", DATASET, "v2", "--reason", "a column was mislabelled"]
    assert fresh.submit(steps.record, root, command, root, states).result() == 0
    target = root / "delivered" / DATASET
    for state in steps.distinct(states, f".{DATASET}-"):
        steps.restore(state, root)
        check_nothing_is_lost(root, before)
        verify_release(target / "v1")
        assert fresh.submit(steps.run, root, command).result() == 0, state
        found = versions.versions(root, DATASET)
        assert [(v.number, v.withdrawn is None) for v in found] == [(1, True), (2, False)]
        standing = verify_release(at(root).release)
        assert standing.attestation.facts["version"] == "v1"
        assert (target / "current").resolve() == (target / "v1").resolve()
        assert verify_release(target / "v2").withdrawn is not None


@pytest.mark.slow
def test_killed(tmp_path: Path, fresh: ProcessPoolExecutor) -> None:
    """The same with a process that is really killed, twice on its way."""
    root = tmp_path / "project"
    where = in_a_worktree(root, fresh)
    before = {v.tag: v.commit for v in versions.versions(root, DATASET)}
    for step in (60, 90):
        with steps.processes() as doomed, pytest.raises(BrokenProcessPool):
            doomed.submit(steps.kill_at, where, RELEASE, step).result()
        check_nothing_is_lost(root, before)
    assert fresh.submit(steps.run, where, RELEASE).result() == 0
    check_it_is_done(root, 2)


# --- inside of git ----------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a commit; dead locks are noticed at once."""
    monkeypatch.setattr(refs, "LOCK_SECONDS", 0.05)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "config", "user.name", "test")
    git(tmp_path, "config", "user.email", "test@localhost")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    return tmp_path


def publish(root: Path, number: int) -> versions.Version:
    """A version of no data."""
    head, tip = git(root, "rev-parse", "HEAD"), versions.tip(root, DATASET)
    parents = [parent for parent in (tip, head) if parent]
    commit = versions.commit_files(root, head, parents, {"n": f"{number}\n"}, f"v{number}\n")
    version = versions.Version(DATASET, number, commit, "r", "d" * 64, 1, "passed", "now")
    versions.publish_version(root, version, tip)
    return version


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_git_is_killed_at_each_of_its_steps(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repository, 1)
    saved = tmp_path_factory.mktemp("saved") / "repository"
    shutil.copytree(repository, saved)
    tools = tmp_path_factory.mktemp("tools")
    real, calls = shutil.which("git"), "openat,rename,link,unlink,mkdir,fsync,close,write"
    (tools / "git").write_text(
        '#!/bin/sh\ncase " $* " in *" update-ref "*)\n'
        f"exec strace -qq -o /dev/null -e trace={calls}"
        f' -e "inject=$STEP:signal=KILL" {real} "$@";;\nesac\nexec {real} "$@"\n'
    )
    (tools / "git").chmod(0o755)
    path = f"{tools}:{subprocess.os.environ['PATH']}"
    killed = 0
    for call in ("mkdir", "fsync", "rename", "unlink", "write"):
        for number in range(1, 9):
            steps.restore(saved, repository)
            with monkeypatch.context() as doomed:
                doomed.setenv("PATH", path)
                doomed.setenv("STEP", f"{call}:when={number}")
                try:
                    publish(repository, 2)
                    break
                except WorkspaceError:
                    killed += 1
            found = versions.versions(repository, DATASET)
            assert [v.number for v in found] in ([1], [1, 2])
            versions.mend_branch(repository, DATASET)
            if len(found) == 1:
                publish(repository, 2)
            last = versions.newest(repository, DATASET)
            assert last is not None
            assert (last.number, last.commit) == (2, versions.tip(repository, DATASET))
            assert publish(repository, 3).commit == versions.tip(repository, DATASET)
            assert not list((repository / ".git" / "refs").rglob("*.lock"))
    assert killed > 5


def test_a_lock_that_nobody_holds_is_removed_and_a_living_one_is_not(repository: Path) -> None:
    publish(repository, 1)
    lock = repository / ".git" / "refs" / "tags" / f"{DATASET}@v2.lock"
    lock.write_text("")
    publish(repository, 2)
    assert not lock.exists()
    head = git(repository, "rev-parse", "HEAD")
    with pytest.raises(WorkspaceError):  # no lock: another fault
        refs.move_refs(repository, {f"refs/tags/{DATASET}@v2": ("", head)})


def test_a_branch_behind_its_tag_follows_and_one_that_somebody_moved_on_does_not(
    repository: Path,
) -> None:
    first, second = publish(repository, 1), publish(repository, 2)
    git(repository, "update-ref", versions.branch_of(DATASET), first.commit)
    versions.mend_branch(repository, DATASET)
    assert versions.tip(repository, DATASET) == second.commit
    git(repository, "update-ref", "-d", versions.branch_of(DATASET))
    versions.mend_branch(repository, DATASET)
    assert versions.tip(repository, DATASET) == second.commit
    tree = git(repository, "rev-parse", f"{second.commit}^{{tree}}")
    mine = git(repository, "commit-tree", tree, "-p", second.commit, "-m", "mine")
    git(repository, "update-ref", versions.branch_of(DATASET), mine)
    versions.mend_branch(repository, DATASET)
    assert versions.tip(repository, DATASET) == mine


def test_the_public_half_of_a_key_is_made_where_a_killed_run_left_none(tmp_path: Path) -> None:
    key = signing_key(tmp_path)
    public = tmp_path / "keys" / "ed25519.pub.pem"
    text = public.read_text()
    public.unlink()
    assert signing_key(tmp_path).private_bytes_raw() == key.private_bytes_raw()
    assert public.read_text() == text
