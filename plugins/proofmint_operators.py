"""Airflow operators that run the pipeline of one dataset in a git worktree of their DAG run.

    OpenWorktree  >>  Stage …  >>  Release  >>  CloseWorktree

Airflow schedules; DVC decides whether a stage has to run; the stage itself is a process of its own,
so that CUDA starts fresh and nothing heavy is ever imported into Airflow.

Workers that share no disk (PROOFMINT_GIT_REMOTE is set) open a worktree for each task in their own
clone of the project. The tasks then hand each other small texts by XCom, and data by DVC's remote.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, BaseOperator, Connection
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
)
from proofmint_lineage import DatasetLineage
from proofmint_metrics import count_fault, count_release, measure_stage
from proofmint_partitions import partition_of
from proofmint_stage_process import end_group, machine, only_one, told

from tasks.partitions import PartitionError, base_of, key_of

RECORD_KEY, LOCK_KEY = "record", "lock"
"""XComs of a run whose workers share no disk: what it works with, and each stage's lines of dvc.lock."""

APPROVE_TASK = "approve"
"""The task whose result is a person's yes, where a dataset needs one (see proofmint_approval.py)."""

PROGRESS_FILE_VARIABLE = "PROOFMINT_PROGRESS_FILE"
"""Names a file to which each task that ends appends a line of JSON, for `run --airflow`."""


class _DatasetOperator(DatasetLineage, BaseOperator):
    """A task of the DAG of one dataset.

    Args:
        project: the project's folder.
        dataset: which dataset.
        partition: the dataset's section of that name; None: each run is of the whole dataset.
        options: as of every operator.
    """

    def __init__(
        self,
        *,
        project: str,
        dataset: str,
        partition: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.project = project
        self.dataset = dataset
        self.partition = partition

    def pre_execute(self, context: Mapping[str, Any]) -> None:
        """Let `dataset` be that of the run's partition, which has a name of its own."""
        if self.partition is None:
            return
        try:
            partition = partition_of(self.partition, context)
            self.dataset = partition.name(base_of(self.dataset))
        except PartitionError as error:
            fault = {"type": "ParamsError", "message": str(error), "retryable": False}
            raise self._failure(context, fault) from error
        self.log.info("the run is of the partition %s: %s", partition.key, self.dataset)

    def _worktree(self, context: Mapping[str, Any]) -> Path:
        """Where the task works: the run's worktree, or its own where workers share no disk."""
        from tasks.worktrees import path_of

        return path_of(Path(self.project), self.dataset, _name(context))

    @contextlib.contextmanager
    def _opened(self, context: Mapping[str, Any], record: Any = None) -> Iterator[Path]:
        """The worktree, for the length of the block if it is the task's own.

        Args:
            context: of the task.
            record: the run's, where the task itself has made it (`tasks.worktrees.RunRecord`).

        Raises:
            AirflowException: it cannot be opened.
        """
        from tasks import git_remote
        from tasks.errors import ProofmintError
        from tasks.handover import merged
        from tasks.worktrees import RunRecord, own_worktree

        if git_remote.name() is None:
            with self.observed(self._worktree(context)) as root:
                yield root
            return
        ti, project = context["ti"], Path(self.project)
        if record is None:
            begun = ti.xcom_pull(task_ids="open_worktree", key=RECORD_KEY)
            known = ti.xcom_pull(task_ids=_before(self), key=LOCK_KEY)
            record = RunRecord(begun["commit"], begun["params"], merged(begun["lock"], known))
        with contextlib.ExitStack() as stack:
            try:
                git_remote.provide_commit(project, record.commit)
                own = own_worktree(project, self.dataset, _name(context), record)
                root = stack.enter_context(own)
                stack.enter_context(self.observed(root))
            except ProofmintError as error:
                raise self._failure(context, _fault(error)) from error
            yield root

    def _command(
        self, context: Mapping[str, Any], *arguments: str, env: Mapping[str, str] | None = None
    ) -> list[str]:
        """Run `python -m …` in the worktree, its output in the task's log; return the lines.

        Raises:
            AirflowFailException: it failed in a way that a retry cannot mend.
            AirflowException: it failed otherwise.
        """
        root = self._worktree(context)
        with tempfile.TemporaryDirectory() as folder, only_one(root, self.task_id) as leader:
            fault = Path(folder) / "fault.json"
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=root,
                env={
                    **_environment(),
                    **(env or {}),
                    "PROOFMINT_FAULT_FILE": str(fault),
                    "PROOFMINT_RUN_ID": context["run_id"],
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=[leader.fileno()],
            )
            leader.write(f"{machine()} {self._process.pid}")
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
                raise self._failure(context, told(fault, status))
            return lines

    def _failure(self, context: Mapping[str, Any], fault: Mapping[str, Any]) -> AirflowException:
        """The exception for a fault: only what a retry may mend is retried."""
        if fault["type"] == "EmptyPartition":  # nothing to do is no failure
            _report({"task": self.task_id, "skipped": fault["message"]})
            return AirflowSkipException(fault["message"])
        again = fault["retryable"] and context["ti"].try_number <= self.retries
        _report({"task": self.task_id, "fault": fault, "again": again})
        count_fault(self.dataset, self.task_id, fault["type"])
        message = f"{fault['type']}: {fault['message']}"
        return AirflowException(message) if fault["retryable"] else AirflowFailException(message)

    def on_kill(self) -> None:
        """End the whole process group, politely first."""
        if process := getattr(self, "_process", None):
            end_group(process.pid, process.poll)


class OpenWorktreeOperator(_DatasetOperator):
    """Setup: make the run's worktree, with what the trigger form says, and check the settings."""

    def execute(self, context: Mapping[str, Any]) -> str:
        """Return the worktree's folder."""
        from tasks import git_remote
        from tasks.errors import ProofmintError
        from tasks.worktrees import OVERRIDES

        overrides = {name: context["params"].get(name) for name in OVERRIDES}
        try:
            record = self._begin(context, overrides) if git_remote.name() else None
            if record is None:
                self._open(context, overrides)
        except ProofmintError as error:
            raise self._failure(context, _fault(error)) from error
        with self._opened(context, record) as root:
            self._command(context, "tasks", "check", self.dataset)
        return str(root)

    def _open(self, context: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
        from tasks.worktrees import open_worktree

        worktree = open_worktree(Path(self.project), self.dataset, context["run_id"], overrides)
        self._tell(worktree.commit, worktree.uncommitted)

    def _begin(self, context: Mapping[str, Any], overrides: dict[str, Any]) -> Any:
        from tasks.handover import begin
        from tasks.worktrees import uncommitted

        project = Path(self.project)
        record = begin(project, self.dataset, overrides)
        self._tell(record.commit, uncommitted(project, self.dataset))
        context["ti"].xcom_push(key=RECORD_KEY, value=asdict(record))
        return record

    def _tell(self, commit: str, uncommitted: tuple[str, ...]) -> None:
        self.log.info("the run works with commit %s", commit)
        if uncommitted:
            self.log.warning(
                "The run uses the commit; changes of these files are not in it: %s",
                ", ".join(uncommitted),
            )


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
        with self._opened(context) as root:
            self._pull(context, root)
            command = ("dvc", "--wait-for-lock", "repro", "--single-item", address)
            lines = self._command(context, *command, env=_secret(self.connection))
            self._hand_on(context, root, address)
        executed = f"Running stage '{address}':" in lines
        seconds = round(time.monotonic() - started, 1)
        self.log.info("%s %s in %s s", address, "ran" if executed else "was cached", seconds)
        result = {"stage": self.stage, "executed": executed, "seconds": seconds}
        _report({"task": self.task_id, **result})
        measure_stage(self.dataset, self.stage, seconds, executed=executed)
        return result

    def source_address(self) -> str | None:
        """What the connection of the source holds."""
        name = self.connection
        return (os.environ.get(name) or _secret(name).get(name)) if name else None

    def _pull(self, context: Mapping[str, Any], root: Path) -> None:
        """Have the stage's inputs here, where workers share no disk."""
        from tasks import git_remote
        from tasks.handover import to_pull

        paths = to_pull(root, self.dataset, self.stage) if git_remote.name() else []
        if paths:
            self._command(context, "dvc", "--wait-for-lock", "pull", *paths)

    def _hand_on(self, context: Mapping[str, Any], root: Path, address: str) -> None:
        """Give the stage's output to the tasks behind it, where workers share no disk."""
        from tasks import git_remote
        from tasks.handover import entry

        if git_remote.name():
            self._command(context, "dvc", "--wait-for-lock", "push", address)
            context["ti"].xcom_push(key=LOCK_KEY, value=entry(root, address))


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
        from tasks import git_remote

        with self._opened(context) as root:
            if git_remote.name():
                self._command(context, "dvc", "--wait-for-lock", "pull")
            self._keep_approval(context)
            self._command(context, "tasks", "release", self.dataset)
            place = root / ".dvc" / "tmp" / f"release-{self.dataset}.json"
            outcome: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        _report({"task": self.task_id, "release": outcome})
        count_release(self.dataset, new=outcome["new"])
        if not outcome["new"]:
            raise AirflowSkipException(f"unchanged, still {outcome['version']}")
        event = context["outlet_events"][self.asset]
        event.extra = {
            key: outcome[key] for key in ("version", "digest", "verdict", "dvc_revision", "commit")
        }
        if (key := key_of(self.dataset)) is not None:
            event.add_partitions(key)
        return outcome

    def _keep_approval(self, context: Mapping[str, Any]) -> None:
        """Have the yes that a person gave to this run where `release` looks for it."""
        if APPROVE_TASK not in self.upstream_task_ids:
            return
        from tasks import approvals
        from tasks.workspace import state_of

        if said := context["ti"].xcom_pull(task_ids=APPROVE_TASK):
            approval = approvals.Approval.model_validate(said)
            approvals.keep(state_of(Path(self.project)), self.dataset, approval)


class CloseWorktreeOperator(_DatasetOperator):
    """Teardown: remove the run's worktree; a cleared task opens it again."""

    def execute(self, context: Mapping[str, Any]) -> None:
        """Keep the run's dvc.lock and remove the worktree."""
        from tasks import git_remote
        from tasks.worktrees import close_worktree

        if git_remote.name() is None:  # else each task has closed its own
            close_worktree(Path(self.project), self.dataset, context["run_id"])


class ExplainOperator(BaseOperator):
    """Fail with a message: the one task of a dataset whose entry in params.yaml is wrong."""

    def __init__(self, *, fault: str, **options: Any) -> None:
        super().__init__(**options)
        self.fault = fault

    def execute(self, context: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Never succeeds."""
        raise AirflowFailException(self.fault)


def _name(context: Mapping[str, Any]) -> str:
    """What names the task's worktree among those of its dataset on this machine."""
    from tasks import git_remote

    run_id: str = context["run_id"]
    return f"{run_id}/{context['ti'].task_id}" if git_remote.name() else run_id


def _before(task: Any) -> list[str]:
    """Ids of all tasks that a task waits for."""
    found: dict[str, Any] = {}
    waiting = list(task.upstream_list)
    while waiting:
        other = waiting.pop()
        if other.task_id not in found:
            found[other.task_id] = other
            waiting += other.upstream_list
    return sorted(found)


def _fault(error: Any) -> dict[str, Any]:
    """One of our errors in the form in which commands tell theirs."""
    kind = type(error).__name__
    return {"type": kind, "message": str(error), "retryable": error.retryable}


def _environment() -> dict[str, str]:
    """What a stage inherits; Airflow's own settings hold passwords that are not its business."""
    from tasks.workspace import stage_environment

    # Logs of a server are read by others; whoever runs a DAG at a terminal sees their own data.
    values = "shown" if PROGRESS_FILE_VARIABLE in os.environ else "withheld"
    inherited = {k: v for k, v in stage_environment().items() if not k.startswith("AIRFLOW_")}
    return {"PROOFMINT_LOG_VALUES": values, **inherited}


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


def _report(event: Mapping[str, Any]) -> None:
    if place := os.environ.get(PROGRESS_FILE_VARIABLE):
        with Path(place).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(event) + "\n")
