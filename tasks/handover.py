"""What the tasks of a run hand each other where their workers share no disk.

Each task is told the commit, params.yaml and the lines of dvc.lock of the stages before it, texts
of a few kilobytes. The data itself goes through DVC's default remote: a task pulls its inputs and
pushes its output. The first dvc.lock of a run is that of the newest version, so that a stage of
which nothing has changed since is taken from the remote instead of run.
"""

import configparser
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tasks import git_remote, versions
from tasks.errors import WorkspaceError
from tasks.pipeline import load_dataset
from tasks.versions import LOCK_FILE
from tasks.worktrees import RunRecord, start_record


def begin(project: Path, dataset: str, overrides: dict[str, Any]) -> RunRecord:
    """The record of a run that starts now.

    Raises:
        ParamsError: the commit has no such dataset, or there is no such setting.
        WorkspaceError: the git remote does not answer, or DVC has no remote to share.
    """
    _check_remote(project)
    git_remote.fetch_versions(project, dataset)
    newest = versions.newest(project, dataset)
    lock = versions.read_at(project, newest.commit, LOCK_FILE) if newest else ""
    return replace(start_record(project, dataset, overrides), lock=lock)


def merged(lock: str, later: Iterable[str | None]) -> str:
    """The text of a dvc.lock with the entries of others put in; None of them: not run yet."""
    stages = _stages(lock)
    for text in later:
        stages |= _stages(text or "")
    return yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False) if stages else ""


def entry(root: Path, address: str) -> str:
    """The text of a dvc.lock with one stage alone, as it stands in a worktree.

    Raises:
        WorkspaceError: the stage has no entry.
    """
    stages = _stages((root / LOCK_FILE).read_text(encoding="utf-8"))
    if address not in stages:
        raise WorkspaceError(f"expected {address} in {root / LOCK_FILE}, found {list(stages)}")
    return yaml.safe_dump({"schema": "2.0", "stages": {address: stages[address]}}, sort_keys=False)


def to_pull(root: Path, dataset: str, stage: str) -> list[str]:
    """What a stage needs of the remote: its inputs, and its output where they are those it knows."""
    every = load_dataset(root, dataset).stages
    (this,) = (each for each in every if each.name == stage)
    lock = root / LOCK_FILE
    stages = _stages(lock.read_text(encoding="utf-8")) if lock.exists() else {}
    made = {out["path"]: out["md5"] for each in stages.values() for out in each.get("outs", ())}
    outs = [out for each in every for out in each.outs]
    inputs = [dep for dep in this.deps if any(_is_in(dep, out) for out in outs)]
    known = {
        dep["path"]: dep["md5"]
        for dep in stages.get(this.address, {}).get("deps", ())
        if dep["path"] in inputs
    }
    if known and all(made.get(path) == md5 for path, md5 in known.items()):
        return [*inputs, *this.outs]
    return inputs


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _check_remote(project: Path) -> None:
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    folder = project / ".dvc"
    settings.read([folder / "config", folder / "config.local"], encoding="utf-8")
    if not settings.get("core", "remote", fallback=None):
        raise WorkspaceError(
            f"{git_remote.VARIABLE} is set, so tasks hand their data on through DVC's default"
            f" remote, but {folder} names none; run `dvc remote add --default NAME URL` in every"
            " worker's clone"
        )


def _stages(lock: str) -> dict[str, Any]:
    content = yaml.safe_load(lock) or {}
    return dict(content.get("stages") or {})
