"""Airflow operators that run the pipeline of one dataset in a git worktree of their DAG run.

    OpenWorktree  >>  Stage …  >>  Release  >>  CloseWorktree

Airflow schedules; DVC decides whether a stage has to run; the stage itself is a process of its own,
so that CUDA starts fresh and nothing heavy is ever imported into Airflow.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, BaseOperator, Connection
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
)

PROGRESS_FILE_VARIABLE = "PROOFMINT_PROGRESS_FILE"
"""Names a file to which each task that ends appends a line of JSON, for `run --airflow`."""

KILL_AFTER_SECONDS = 15
"""How long a stopped stage may take to end by itself."""


class _DatasetOperator(BaseOperator):
    """A task of the DAG of one dataset."""

    def __init__(self, *, project: str, dataset: str, **options: Any) -> None:
        super().__init__(**options)
        self.project = project
        self.dataset = dataset

    def _worktree(self, context: Mapping[str, Any]) -> Path:
        from tasks.worktrees import path_of

        return path_of(Path(self.project), self.dataset, context["run_id"])

    def _command(
        self, context: Mapping[str, Any], *arguments: str, env: Mapping[str, str] | None = None
    ) -> list[str]:
        """Run `python -m …` in the worktree, its output in the task's log; return the lines.

        Raises:
            AirflowFailException: it failed in a way that a retry cannot mend.
            AirflowException: it failed otherwise.
        """
        root = self._worktree(context)
        with tempfile.TemporaryDirectory() as folder, _only_one(root, self.task_id) as leader:
            fault = Path(folder) / "fault.json"
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=root,
                env={**_environment(), **(env or {}), "PROOFMINT_FAULT_FILE": str(fault)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=[leader.fileno()],
            )
            leader.write(str(self._process.pid))
            leader.flush()
            lines = []
            try:
                for line in self._process.stdout or ():
                    lines.append(line.rstrip())
                    self.log.info("%s", lines[-1])
                status = self._process.wait()
            except KeyboardInterrupt:  # of `run --airflow`: no retry, but the teardown
                fault_told = {
                    "type": "ProofmintError",
                    "message": "interrupted",
                    "retryable": False,
                }
                raise self._failure(context, fault_told) from None
            finally:  # also after a timeout, which Airflow raises right here
                self.on_kill()
            if status != 0:
                raise self._failure(context, _told(fault, status))
            return lines

    def _failure(self, context: Mapping[str, Any], fault: Mapping[str, Any]) -> AirflowException:
        """The exception for a fault: only what a retry may mend is retried."""
        again = fault["retryable"] and context["ti"].try_number <= self.retries
        _report({"task": self.task_id, "fault": fault, "again": again})
        message = f"{fault['type']}: {fault['message']}"
        return AirflowException(message) if fault["retryable"] else AirflowFailException(message)

    def on_kill(self) -> None:
        """End the whole process group, politely first."""
        if process := getattr(self, "_process", None):
            _end_group(process.pid, process.poll)


class OpenWorktreeOperator(_DatasetOperator):
    """Setup: make the run's worktree, with what the trigger form says, and check the settings."""

    def execute(self, context: Mapping[str, Any]) -> str:
        """Return the worktree's folder."""
        from tasks.errors import ProofmintError
        from tasks.worktrees import OVERRIDES, open_worktree

        overrides = {name: context["params"].get(name) for name in OVERRIDES}
        try:
            worktree = open_worktree(Path(self.project), self.dataset, context["run_id"], overrides)
        except ProofmintError as error:
            fault = {"type": type(error).__name__, "message": str(error), "retryable": False}
            raise self._failure(context, fault) from error
        self.log.info("worktree %s at commit %s", worktree.path, worktree.commit)
        if worktree.uncommitted:
            self.log.warning(
                "The run uses the commit; changes of these files are not in it: %s",
                ", ".join(worktree.uncommitted),
            )
        self._command(context, "tasks", "check", self.dataset)
        return str(worktree.path)


class StageOperator(_DatasetOperator):
    """Run one stage of dvc.yaml, or let DVC take its output from the cache.

    Args:
        project: the project's folder.
        dataset: which dataset.
        stage: name of the stage in dvc.yaml.
        connection: name of an environment variable or an Airflow connection that the stage reads.
        options: as of every operator.
    """

    ui_color = "#e8f0fe"

    def __init__(self, *, stage: str, connection: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.stage = stage
        self.connection = connection

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return the stage, whether it was executed, and its seconds."""
        started = time.monotonic()
        address = f"{self.stage}@{self.dataset}"
        command = ("dvc", "--wait-for-lock", "repro", "--single-item", address)
        lines = self._command(context, *command, env=_secret(self.connection))
        executed = f"Running stage '{address}':" in lines
        seconds = round(time.monotonic() - started, 1)
        self.log.info("%s %s in %s s", address, "ran" if executed else "was cached", seconds)
        result = {"stage": self.stage, "executed": executed, "seconds": seconds}
        _report({"task": self.task_id, **result})
        return result


class ReleaseOperator(_DatasetOperator):
    """Make the release a version; without a change there is none, and the task is skipped.

    A skipped task emits no asset event, so consumers of the dataset run for new versions only.
    """

    ui_color = "#e6f4ea"

    def __init__(self, *, asset: Asset, **options: Any) -> None:
        super().__init__(outlets=[asset], **options)
        self.asset = asset

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return version, digest, verdict, DVC revision and commit."""
        self._command(context, "tasks", "release", self.dataset)
        place = self._worktree(context) / ".dvc" / "tmp" / f"release-{self.dataset}.json"
        outcome: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        _report({"task": self.task_id, "release": outcome})
        if not outcome["new"]:
            raise AirflowSkipException(f"unchanged, still {outcome['version']}")
        context["outlet_events"][self.asset].extra = {
            key: outcome[key] for key in ("version", "digest", "verdict", "dvc_revision", "commit")
        }
        return outcome


class CloseWorktreeOperator(_DatasetOperator):
    """Teardown: remove the run's worktree; a cleared task opens it again."""

    def execute(self, context: Mapping[str, Any]) -> None:
        """Keep the run's dvc.lock and remove the worktree."""
        from tasks.worktrees import close_worktree

        close_worktree(Path(self.project), self.dataset, context["run_id"])


class ExplainOperator(BaseOperator):
    """Fail with a message: the one task of a dataset whose entry in params.yaml is wrong."""

    def __init__(self, *, fault: str, **options: Any) -> None:
        super().__init__(**options)
        self.fault = fault

    def execute(self, context: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Never succeeds."""
        raise AirflowFailException(self.fault)


def _environment() -> dict[str, str]:
    """What a stage inherits; Airflow's own settings hold passwords that are not its business."""
    from tasks.workspace import stage_environment

    return {k: v for k, v in stage_environment().items() if not k.startswith("AIRFLOW_")}


def _secret(connection: str | None) -> dict[str, str]:
    """The address behind a connection that is no environment variable, if Airflow knows it."""
    if connection is None or connection in os.environ:
        return {}
    try:
        address: str = Connection.get(connection).get_uri()
    except AirflowNotFoundException:
        return {}  # the stage looks further, and says so if there is none
    # SQLAlchemy 1.4 dropped the name that Airflow gives to PostgreSQL.
    if address.startswith("postgres://"):
        address = "postgresql://" + address.removeprefix("postgres://")
    return {connection: address}


@contextlib.contextmanager
def _only_one(root: Path, task: str) -> Iterator[Any]:
    """Let no process of an earlier try of this task live on beside this one.

    The command inherits the locked file, so the lock is held as long as it lives, even where its
    operator was killed. The file names its process group.
    """
    place = root / ".dvc" / "tmp" / f"{task}.leader"
    place.parent.mkdir(exist_ok=True)
    with place.open("a+") as leader:
        try:
            fcntl.flock(leader, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            leader.seek(0)
            _end_group(int(leader.read()))
            fcntl.flock(leader, fcntl.LOCK_EX)
        leader.truncate(0)
        yield leader


def _end_group(group: int, reap: Callable[[], object] = lambda: None) -> None:
    """End a process group; `reap` collects a leader that is our own child, or it never goes."""
    deadline = time.monotonic() + KILL_AFTER_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < deadline:
            reap()
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)


def _told(fault: Path, status: int) -> dict[str, Any]:
    """What the command wrote about its failure; a killed one could not write."""
    if fault.exists():
        told: dict[str, Any] = json.loads(fault.read_text(encoding="utf-8"))
        return told
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    message = f"ended with {how} and without a word; its output is in the log"
    return {"type": "ProofmintError", "message": message, "retryable": True}


def _report(event: Mapping[str, Any]) -> None:
    if place := os.environ.get(PROGRESS_FILE_VARIABLE):
        with Path(place).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(event) + "\n")
