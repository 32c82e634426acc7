"""Worktrees of runs, in a small repository with real git and real DVC."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tasks.errors import ParamsError
from tasks.workspace import dvc, git
from tasks.worktrees import (
    close_worktree,
    narrow,
    open_worktree,
    own_worktree,
    path_of,
    start_record,
    uncommitted,
)

PARAMS = """\
# about all
datasets:
  iris:
    kind: tabular
    seed: 1 # why one
    source: {}
    generator: tvae
    generator_params: {layers: 3}
    train: {}
    sample: {}
    publish:
      title: "Iris: flowers"
      description: >-
        A long text that goes on and on, well beyond eighty columns, and that must come out as it
        went in.
  wine:
    # about wine
    kind: tabular
    seed: 2
    source: {}
    generator: ctgan
    generator_params: {}
    train: {epochs: 5}
    sample: {}
    publish: {}
"""

PIPELINE = """\
stages:
  first:
    foreach: ${datasets}
    do:
      cmd: mkdir -p data/${key} && echo first ${item.seed} > data/${key}/first
      params:
        - datasets.${key}.seed
      deps:
        - code.txt
      outs:
        - data/${key}/first
  second:
    foreach: ${datasets}
    do:
      cmd: cp data/${key}/first data/${key}/second
      deps:
        - data/${key}/first
      outs:
        - data/${key}/second
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text(
        "[core]\n    analytics = false\n    remote = store\n"
        "['remote \"store\"']\n    url = ../../store\n"
    )
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (root / ".gitignore").write_text("/data/\n/.proofmint/\n")
    (root / "params.yaml").write_text(PARAMS)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "code.txt").write_text("one\n")
    git(root, "init", "-q", "-b", "main")
    commit(root)
    return root


def commit(root: Path) -> None:
    git(root, "add", "-A")
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    git(root, *identity, "commit", "-q", "-m", "test")


def test_a_worktree_holds_the_commit_with_params_of_one_dataset(project: Path) -> None:
    opened = open_worktree(
        project, "wine", "manual__2026-01-01T00:00:00", {"rows": 7, "seed": None}
    )
    assert opened.commit == git(project, "rev-parse", "HEAD")
    assert opened.uncommitted == ()
    entry = yaml.safe_load((opened.path / "params.yaml").read_text())["datasets"]
    assert list(entry) == ["wine"]
    assert entry["wine"]["sample"] == {"rows": 7}
    assert entry["wine"]["seed"] == 2
    assert git(project, "status", "--porcelain") == ""


def test_runs_share_the_cache_and_nothing_else(project: Path) -> None:
    one, two = (open_worktree(project, "wine", name).path for name in ("one", "two"))
    assert "Running stage" in dvc(one, "repro")
    (two / "data").mkdir()
    assert "cached" in dvc(two, "repro")
    assert (two / "data/wine/second").read_text() == "first 2\n"
    assert not (project / "data").exists()


def test_settings_of_dvc_keep_their_meaning(project: Path) -> None:
    place = open_worktree(project, "iris", "run").path
    dvc(place, "repro")
    dvc(place, "push")
    assert any((project.parent / "store").rglob("*"))


def test_a_run_goes_on_in_another_clone_with_what_it_is_handed(
    project: Path, tmp_path: Path
) -> None:
    record = start_record(project, "wine", {"seed": 9})
    with own_worktree(project, "wine", "run/first", record) as place:
        dvc(place, "repro", "--single-item", "first@wine")
        dvc(place, "push", "first@wine")
        lock = (place / "dvc.lock").read_text()
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(project), str(clone))
    with own_worktree(clone, "wine", "run/second", replace(record, lock=lock)) as place:
        dvc(place, "pull", "data/wine/first")
        assert "Running stage" in dvc(place, "repro", "--single-item", "second@wine")
        assert (place / "data/wine/second").read_text() == "first 9\n"
    for root in (project, clone):
        assert not list((root / ".proofmint").glob("worktrees/wine/*"))
        assert not list((root / ".proofmint").glob("runs/wine/*"))
        assert len(git(root, "worktree", "list").splitlines()) == 1


def test_what_a_killed_task_left_is_found_again(project: Path) -> None:
    record = start_record(project, "wine")
    killed = own_worktree(project, "wine", "run/first", record)
    (killed.__enter__() / "made-by-it").touch()
    with own_worktree(project, "wine", "run/first", record) as place:
        assert (place / "made-by-it").exists()
    assert not place.exists()


def test_closing_removes_all_but_what_opens_it_again(project: Path) -> None:
    place = open_worktree(project, "wine", "run", {"seed": 9}).path
    dvc(place, "repro", "--single-item", "first@wine")
    first_commit = git(project, "rev-parse", "HEAD")
    close_worktree(project, "wine", "run")
    assert not place.exists()
    assert len(git(project, "worktree", "list").splitlines()) == 1

    (project / "code.txt").write_text("two\n")
    commit(project)
    again = open_worktree(project, "wine", "run")
    assert again.path == place
    assert again.commit == first_commit
    assert (place / "data/wine/first").read_text() == "first 9\n"
    assert "didn't change" in dvc(place, "repro", "--single-item", "first@wine")
    dvc(place, "repro", "--single-item", "second@wine")


def test_an_open_worktree_is_found_again_and_a_broken_one_made_anew(project: Path) -> None:
    place = open_worktree(project, "wine", "run").path
    (place / "note").write_text("still here")
    assert open_worktree(project, "wine", "run").path == place
    assert (place / "note").exists()
    (place / ".git").unlink()  # what a kill in the middle leaves
    open_worktree(project, "wine", "run")
    assert not (place / "note").exists()
    assert (place / "code.txt").exists()


def test_closing_what_is_not_open_is_no_fault(project: Path) -> None:
    close_worktree(project, "wine", "never")
    close_worktree(project, "wine", "never")


def test_hooks_of_the_user_do_not_run(project: Path) -> None:
    hook = project / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert open_worktree(project, "wine", "run").path.exists()


def test_names_of_runs_are_short_and_different(project: Path) -> None:
    names = [
        path_of(project, "wine", f"scheduled__2026-01-01T00:00:00.00000{i}+00:00").name
        for i in range(3)
    ]
    assert len(set(names)) == 3
    assert all(len(name) <= 36 for name in names)
    assert path_of(project, "wine", "../../../etc").parent == path_of(project, "wine", "x").parent


def test_uncommitted_changes_are_named_and_not_taken_along(project: Path) -> None:
    (project / "code.txt").write_text("changed\n")
    (project / "notes.txt").write_text("no business of a stage\n")
    (project / "tasks").mkdir()
    (project / "tasks" / "new file.py").write_text("")
    opened = open_worktree(project, "wine", "run")
    assert opened.uncommitted == ("code.txt", "tasks/new file.py")
    assert (opened.path / "code.txt").read_text() == "one\n"
    assert uncommitted(opened.path, "wine") == ("params.yaml",)


def test_a_dataset_that_is_not_committed_is_refused(project: Path) -> None:
    with pytest.raises(ParamsError, match="no dataset 'beer'"):
        open_worktree(project, "beer", "run")
    assert open_worktree(project, "wine", "run").path.exists()


def test_narrowing_keeps_values_comments_and_long_lines() -> None:
    text = narrow(PARAMS, "iris")
    assert yaml.safe_load(text)["datasets"] == {"iris": yaml.safe_load(PARAMS)["datasets"]["iris"]}
    assert "# about all" in text
    assert "seed: 1 # why one" in text
    assert '"Iris: flowers"' in text
    assert narrow(text, "iris") == text


def test_another_generator_starts_from_its_own_defaults() -> None:
    entry = yaml.safe_load(narrow(PARAMS, "iris", {"generator": "ctgan"}))["datasets"]["iris"]
    assert (entry["generator"], entry["generator_params"]) == ("ctgan", {})
    same = yaml.safe_load(narrow(PARAMS, "iris", {"generator": "tvae"}))["datasets"]["iris"]
    assert same["generator_params"] == {"layers": 3}


def test_settings_that_no_run_may_set_are_refused() -> None:
    with pytest.raises(ParamsError, match=r"no setting 'license'.*rows"):
        narrow(PARAMS, "iris", {"license": "none"})


@pytest.mark.parametrize(
    "text",
    [
        *("datasets: [", "datasets: 3", "", "other: {}", "datasets: {iris: }"),
        *("datasets: {iris: {kind: 7}}", "datasets: {iris: {day: 2026-02-31}}"),
    ],
)
def test_params_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ParamsError):
        narrow(text, "iris")


def test_opening_at_the_same_time_works(project: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tasks.worktrees import *;"
        "print(open_worktree(Path(sys.argv[1]), 'wine', sys.argv[2]).path)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(project), name])
        for name in ("a", "b", "c", "c", "c")
    ]
    assert [process.wait() for process in started] == [0] * 5
    assert len(git(project, "worktree", "list").splitlines()) == 4
