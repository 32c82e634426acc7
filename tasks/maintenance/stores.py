"""What DVC, MLflow and Airflow keep beyond what releases need.

Each store is cleaned by its own tool, which knows what belongs together.
"""

import contextlib
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tasks.errors import WorkspaceError
from tasks.maintenance.leftovers import is_held
from tasks.workspace import dvc, stage_environment
from tasks.worktrees import openings


def dvc_cache_of(project: Path) -> Path:
    """Where DVC keeps the data of all versions."""
    return Path(dvc(project, "cache", "dir"))


def collect_dvc_garbage(project: Path, state: Path, *, dry_run: bool) -> int | str:
    """Remove from DVC's cache what no branch, no tag and not the project's folder refers to.

    Returns:
        How many objects (would) go; a text: why nothing was looked at.

    Raises:
        WorkspaceError: DVC refused.
    """
    with _nobody_opens(project) as alone:
        if not alone or any(state.glob("worktrees/*/*")):
            return "runs are under way, or were broken off not long ago"
        if any(is_held(lock) for lock in state.glob("locks/run-*")):
            return "a run in the project's folder is under way"
        flags = ["--workspace", "--all-branches", "--all-tags", "--force"]
        said = dvc(project, "gc", *flags, *(["--dry"] if dry_run else []))
        return sum(int(n) for n in re.findall(r"Removed (\d+) objects", said))


@contextlib.contextmanager
def _nobody_opens(project: Path) -> Iterator[bool]:
    """Keep worktrees from being opened; False: one is being opened right now."""
    place = openings(project)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def purge_mlflow_runs(
    store: str, run_ids: Sequence[str], artifacts: Path | None, env: Mapping[str, str]
) -> None:
    """Remove runs that were deleted in MLflow, with their files.

    Args:
        store: URI of MLflow's database.
        run_ids: which runs.
        artifacts: folder of a server's files; None: runs know their own.
        env: beside our own environment.

    Raises:
        WorkspaceError: MLflow refused.
    """
    command = ["mlflow", "gc", "--backend-store-uri", store, "--run-ids", ",".join(run_ids)]
    if artifacts is not None:
        command += ["--artifacts-destination", str(artifacts)]
    _run(command, {"MLFLOW_TRACKING_URI": store, **env})


def clean_airflow_metadata(before: str, env: Mapping[str, str], *, dry_run: bool) -> None:
    """Remove rows about runs before a moment (ISO 8601) from the metadata database.

    Raises:
        WorkspaceError: Airflow refused.
    """
    command = ["airflow", "db", "clean", "--clean-before-timestamp", before, "--yes"]
    _run([*command, "--skip-archive", *(["--dry-run"] if dry_run else [])], env)


def _run(command: Sequence[str], env: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env={**stage_environment(), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=os.sep,  # nothing of the project's is imported
    )
    if done.returncode != 0:
        tail = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-5:])
        raise WorkspaceError(f"`{' '.join(command[:3])}` failed:\n{tail}")
