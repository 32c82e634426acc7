"""Versions shared through a git remote: a bare repository and clones that share no disk."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks import git_remote, versions
from tasks.errors import RemoteMoved, RemoteUnavailable, WorkspaceError
from tasks.versions import Version
from tasks.workspace import git

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three clones of one bare repository with one commit."""
    origin, first = tmp_path / "origin.git", tmp_path / "0"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(origin))
    git(tmp_path, "clone", "-q", str(origin), str(first))
    git(first, "checkout", "-q", "-b", "main")
    git(first, *IDENTITY, "commit", "-q", "--allow-empty", "-m", "begin")
    git(first, "push", "-q", "origin", "main")
    for number in (1, 2):
        git(tmp_path, "clone", "-q", str(origin), str(tmp_path / str(number)))
    monkeypatch.setenv(git_remote.VARIABLE, "origin")
    return [tmp_path / str(number) for number in range(3)]


def publish(clone: Path, dataset: str = "iris") -> Version:
    """The next version of a dataset, made as `proofmint release` makes it."""
    previous = versions.tip(clone, dataset)
    newest = versions.newest(clone, dataset)
    base = git(clone, "rev-parse", "HEAD")
    text = {"made-by": str(clone)}
    commit = versions.commit_files(clone, base, [previous or base], text, "a version")
    number = newest.number + 1 if newest else 1
    version = Version(dataset, number, commit, "r", "d", 3, "passed", "2026-11-21T00:00:00+00:00")
    versions.publish_version(clone, version, previous)
    return version


def test_a_version_is_seen_by_every_clone(clones: list[Path]) -> None:
    version = publish(clones[0])
    assert versions.newest(clones[1], "iris") is None
    versions.refresh(clones[1], "iris")
    found = versions.newest(clones[1], "iris")
    assert found is not None
    assert (found.commit, found.tag) == (version.commit, "iris@v1")
    assert versions.tip(clones[0], "iris") == versions.tip(clones[1], "iris") == version.commit


def test_who_comes_second_is_told_and_nothing_of_it_is_left(clones: list[Path]) -> None:
    winner = publish(clones[0])
    with pytest.raises(RemoteMoved, match="another publisher was quicker"):
        publish(clones[1])
    assert versions.newest(clones[1], "iris") is None
    versions.refresh(clones[1], "iris")
    assert publish(clones[1]).number == 2
    versions.refresh(clones[2], "iris")
    found = versions.versions(clones[2], "iris")
    assert [v.number for v in found] == [1, 2]
    assert found[0].commit == winner.commit


def test_publishers_at_the_same_time_each_get_a_version(clones: list[Path]) -> None:
    def three(clone: Path) -> list[int]:
        made = []
        while len(made) < 3:
            versions.refresh(clone, "iris")
            try:
                made.append(publish(clone).number)
            except RemoteMoved:
                continue
        return made

    with ThreadPoolExecutor(3) as pool:
        made = sorted(number for numbers in pool.map(three, clones) for number in numbers)
    assert made == list(range(1, 10))
    for clone in clones:
        versions.refresh(clone, "iris")
        assert [v.number for v in versions.versions(clone, "iris")] == made


def test_datasets_whose_names_begin_alike_do_not_disturb_each_other(clones: list[Path]) -> None:
    publish(clones[0], "iris")
    versions.refresh(clones[1], "iris_wide")
    publish(clones[1], "iris_wide")
    versions.refresh(clones[2], "iris")
    assert versions.datasets(clones[2]) == ["iris", "iris_wide"]
    assert [v.tag for v in versions.versions(clones[2], "iris")] == ["iris@v1"]


def test_a_remote_that_does_not_answer_is_worth_a_retry(clones: list[Path]) -> None:
    git(clones[0], "remote", "set-url", "origin", str(clones[0].parent / "gone.git"))
    for refused in (lambda: versions.refresh(clones[0], "iris"), lambda: publish(clones[0])):
        with pytest.raises(RemoteUnavailable, match="origin") as caught:
            refused()
        assert caught.value.retryable
    assert versions.versions(clones[0], "iris") == []


def test_a_commit_is_fetched_when_it_is_needed(clones: list[Path]) -> None:
    git(clones[0], *IDENTITY, "commit", "-q", "--allow-empty", "-m", "later")
    commit = git(clones[0], "rev-parse", "HEAD")
    with pytest.raises(WorkspaceError, match="push it there, then clear the failed task"):
        git_remote.provide_commit(clones[1], commit)
    git(clones[0], "push", "-q", "origin", "HEAD:refs/heads/topic")
    git_remote.provide_commit(clones[1], commit)
    assert git(clones[1], "cat-file", "-t", commit) == "commit"


def test_without_a_remote_a_clone_is_on_its_own(
    clones: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(git_remote.VARIABLE)
    publish(clones[0])
    monkeypatch.setenv(git_remote.VARIABLE, "origin")
    versions.refresh(clones[1], "iris")
    assert versions.versions(clones[1], "iris") == []
