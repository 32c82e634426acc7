"""Versions in a small repository with real git."""

from pathlib import Path

import pytest

from tasks.errors import WorkspaceError
from tasks.versions import (
    Version,
    Withdrawal,
    commit_files,
    datasets,
    identity,
    narrow_lock,
    newest,
    publish_version,
    read_at,
    release_revision,
    standing,
    tip,
    versions,
    withdraw_version,
)
from tasks.workspace import git

LOCK = """\
schema: '2.0'
stages:
  publish@iris:
    cmd: x
    outs:
    - path: releases/iris
      md5: aaa.dir
  publish@wine:
    cmd: x
    outs:
    - path: releases/wine
      md5: bbb.dir
"""


NOTICE = '{\n "payload": "abc"\n}\n'


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that knows no user, as a fresh machine."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return tmp_path


def release(root: Path, number: int, previous: str | None, dataset: str = "iris") -> Version:
    head = git(root, "rev-parse", "HEAD")
    parents = [parent for parent in (previous, head) if parent]
    files = {"dvc.lock": f"v{number}\n", "sub/attestation.json": "{}\n"}
    commit = commit_files(root, head, parents, files, f"{dataset}@v{number}\n")
    version = Version(dataset, number, commit, "aaa.dir", "d" * 64, 1234, "passed", "now")
    publish_version(root, version, previous)
    return version


def test_a_version_is_a_commit_and_a_tag_and_touches_nothing_else(repository: Path) -> None:
    (repository / "code.py").write_text("2\n")
    first = release(repository, 1, None)
    second = release(repository, 2, first.commit)
    assert tip(repository, "iris") == second.commit
    assert read_at(repository, second.commit, "dvc.lock") == "v2\n"
    assert read_at(repository, second.commit, "code.py") == "1\n"
    parents = git(repository, "show", "-s", "--format=%P", second.commit).split()
    assert parents == [first.commit, git(repository, "rev-parse", "main")]
    assert git(repository, "status", "--porcelain") == "M code.py"
    assert git(repository, "cat-file", "-t", "iris@v2") == "tag"
    assert "Proofmint" in git(repository, "show", "-s", "--format=%an", second.commit)


def test_versions_are_read_from_the_tags_in_order(repository: Path) -> None:
    assert newest(repository, "iris") is None
    assert datasets(repository) == []
    previous = None
    for number in range(1, 12):
        previous = release(repository, number, previous).commit
    git(repository, "tag", "iris@v99")  # somebody else's
    git(repository, "tag", "iris@latest")
    release(repository, 1, None, "iris_wide")
    found = versions(repository, "iris")
    assert [version.number for version in found] == list(range(1, 12))
    last = newest(repository, "iris")
    assert last is not None
    assert (last.name, last.tag, last.rows, last.digest) == ("v11", "iris@v11", 1234, "d" * 64)
    assert last.commit == previous
    assert (last.revision, last.verdict) == ("aaa.dir", "passed")
    assert last.created_at.startswith("20")
    assert datasets(repository) == ["iris", "iris_wide"]


def test_of_two_publishers_one_is_refused_and_leaves_nothing(repository: Path) -> None:
    first = release(repository, 1, None)
    with pytest.raises(WorkspaceError):
        release(repository, 2, None)  # saw no branch, but there is one
    assert tip(repository, "iris") == first.commit
    assert [v.number for v in versions(repository, "iris")] == [1]
    with pytest.raises(WorkspaceError):
        release(repository, 1, first.commit)  # the tag exists
    assert tip(repository, "iris") == first.commit


def test_a_branch_that_somebody_works_on_is_not_moved(repository: Path) -> None:
    first = release(repository, 1, None)
    git(repository, "checkout", "-q", "datasets/iris")
    with pytest.raises(WorkspaceError, match="is checked out in"):
        release(repository, 2, first.commit)
    git(repository, "checkout", "-q", "main")
    release(repository, 2, first.commit)


def test_the_lock_of_one_dataset() -> None:
    narrowed = narrow_lock(LOCK, "wine")
    assert "iris" not in narrowed
    assert release_revision(narrowed, "wine") == "bbb.dir"
    assert narrow_lock(narrowed, "wine") == narrowed
    with pytest.raises(WorkspaceError, match="proofmint run iris"):
        release_revision(narrowed, "iris")


def test_a_withdrawn_version_keeps_its_number_and_gives_way_to_the_one_before(
    repository: Path,
) -> None:
    first = release(repository, 1, None)
    second = release(repository, 2, first.commit)
    because = Withdrawal("rows of a patient: 'x' {1}", "Ada <a@b>", "2026-11-21T00:00:00Z", NOTICE)
    withdraw_version(repository, second, because)
    assert [v.withdrawn for v in versions(repository, "iris")] == [None, because]
    one, two = standing(repository, "iris"), newest(repository, "iris")
    assert one is not None
    assert two is not None
    assert (one.number, two.number) == (1, 2)
    with pytest.raises(WorkspaceError):
        withdraw_version(repository, second, because)
    withdraw_version(repository, first, because)
    assert standing(repository, "iris") is None
    me = ("-c", "user.name=a", "-c", "user.email=a@b")
    git(repository, *me, "tag", "-m", "no notice", "withdrawn/iris_wide@v1")
    release(repository, 1, None, "iris_wide")
    assert standing(repository, "iris_wide") is not None
    assert tip(repository, "iris") == second.commit


def test_git_says_who_acts(repository: Path) -> None:
    assert identity(repository) == "Proofmint <proofmint@localhost>"
    git(repository, "config", "user.name", "Ada L")
    git(repository, "config", "user.email", "ada@example.org")
    assert identity(repository) == "Ada L <ada@example.org>"
