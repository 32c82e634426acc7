"""Where things are: the folders of a dataset, the project, and the state that git never sees.

A run works in a *root*: the project's own folder (`dvc repro`) or a git worktree of it (Airflow).
State that must outlive a run (checkpoints, MLflow's store, keys, servers) is in `.proofmint/` of
the *project*, which all its worktrees share.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tasks.errors import WorkspaceError

MOST_IDLE_SECONDS = 600.0
"""How long a DVC command may neither calculate nor read nor write a byte."""

_FULL_BYTES = 2**20
"""Free on a disk that is as good as full."""

Gate = Literal["raw", "clean", "synthetic", "release"]


@dataclass(frozen=True)
class Layout:
    """The folders and files of one dataset under a root, as dvc.yaml names them."""

    root: Path
    dataset: str

    @property
    def _data(self) -> Path:
        return self.root / "data" / self.dataset

    @property
    def raw(self) -> Path:
        return self._data / "raw"

    @property
    def clean(self) -> Path:
        return self._data / "clean"

    @property
    def split(self) -> Path:
        """Holds the datasets `train` and `holdout`; also `validation` and `folds.parquet` if asked for."""
        return self._data / "split"

    @property
    def balanced(self) -> Path:
        return self._data / "balanced"

    @property
    def model(self) -> Path:
        return self._data / "model"

    @property
    def synthetic(self) -> Path:
        return self._data / "synthetic"

    @property
    def evaluation(self) -> Path:
        return self._data / "evaluation"

    @property
    def audit(self) -> Path:
        return self._data / "audit"

    @property
    def release(self) -> Path:
        return self.root / "releases" / self.dataset

    @property
    def attestation(self) -> Path:
        """Beside the release, because it says who made it when, which differs between runs."""
        return self.root / "releases" / f"{self.dataset}.attestation.json"

    def verdict(self, gate: Gate) -> Path:
        return self._data / "gates" / f"{gate}.json"

    def suite(self, gate: Gate) -> Path:
        """The suite of a gate; synthetic data must satisfy the suite of the clean data."""
        point = "clean" if gate == "synthetic" else gate
        folder = self.root / "great_expectations" / "expectations"
        return folder / f"{self.dataset}_{point}.json"

    @property
    def suites(self) -> list[Path]:
        """The suites of all gates, each once."""
        return sorted({self.suite(gate) for gate in get_args(Gate)})


def project_of(root: Path) -> Path:
    """The project's own folder, seen from any of its worktrees.

    Raises:
        WorkspaceError: `root` is not in a git repository.
    """
    try:
        common = git(root, "rev-parse", "--path-format=absolute", "--git-common-dir")
    except WorkspaceError as error:
        raise WorkspaceError(
            f"expected {root} to be in a git repository (a clone of the project, or a folder after"
            f" `git init`), but: {error}"
        ) from error
    return Path(common).parent


def state_of(project: Path) -> Path:
    """The folder of everything that is kept but not versioned; made on first use, owner only.

    `PROOFMINT_HOME` puts it elsewhere.
    """
    state = Path(os.environ.get("PROOFMINT_HOME") or project / ".proofmint")
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return state


def git(
    root: Path, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None
) -> str:
    """What a git command prints, stripped.

    Raises:
        WorkspaceError: git is missing or the command failed; the message is git's own.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            input=stdin,
            env=None if env is None else {**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise WorkspaceError(f"expected git and the folder {root}: {error}") from error
    if done.returncode != 0:
        raise _failed(f"git {' '.join(arguments)}", root, done.stderr)
    return done.stdout.strip()


def dvc(root: Path, *arguments: str) -> str:
    """What a DVC command prints, stripped; waits where another command holds DVC's lock.

    Raises:
        WorkspaceError: the command failed; the message is DVC's own. Or it did nothing for so long
            that whoever it talks to will never answer (no client of S3 gives up a `PUT`): try again.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
    before = -1.0
    with subprocess.Popen(
        command,
        cwd=root,
        env=stage_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while True:
            try:
                said, errors = process.communicate(timeout=MOST_IDLE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if (now := _work_of(process.pid)) == before:
                    process.kill()
                    fault = WorkspaceError(
                        f"`dvc {' '.join(arguments)}` in {root} did nothing for"
                        f" {MOST_IDLE_SECONDS:.0f} s: its remote does not answer, or another command"
                        " holds its lock; look at both, then run the same command again"
                    )
                    fault.retryable = True
                    raise fault from None
                before = now
            except BaseException:
                process.kill()
                raise
    if process.returncode != 0:
        raise _failed(f"dvc {' '.join(arguments)}", root, errors)
    return said.strip()


def _work_of(pid: int) -> float:
    """What grows while a process does something: bytes of its files, seconds of its processor."""
    import psutil

    try:
        process = psutil.Process(pid)
        files, times = process.io_counters(), process.cpu_times()
        return float(files.read_chars + files.write_chars + round(times.user + times.system, 1))
    except psutil.Error:  # it has just ended
        return -2.0


def _failed(command: str, root: Path, said: str) -> WorkspaceError:
    # Git does not always say why it could not write.
    if os.strerror(errno.ENOSPC) in said or shutil.disk_usage(root).free < _FULL_BYTES:
        return disk_full(str(root))
    return WorkspaceError(f"{command} in {root} failed: {said.strip()}")


def disk_full(place: str) -> WorkspaceError:
    """The error of a write for which there is no room; another run that ends may make some."""
    error = WorkspaceError(
        f"no space is left on the disk of {place}; free some (`proofmint prune --dry-run` says what can go),"
        " then run the same command again: nothing that was there is lost"
    )
    error.retryable = True
    return error


def stage_environment() -> dict[str, str]:
    """The environment in which DVC finds our Python as `python`, and `tasks` in its own folder."""
    environment = dict(os.environ)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    environment["PYTHONUNBUFFERED"] = "1"
    environment.pop("PYTHONSAFEPATH", None)
    return environment


@contextlib.contextmanager
def locked(place: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file at `place`; whoever else wants it, in any process, waits.

    Args:
        place: of the lock file; made where there is none.
        shared: others may hold it too, if they share it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
