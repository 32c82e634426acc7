"""What every task of a dataset's DAG does: find its worktree, run a command there, tell of its end.

Workers that share no disk (PROOFMINT_GIT_REMOTE is set) open a worktree for each task in their own
clone of the project. The tasks then hand each other small texts by XCom, and data by DVC's remote.
"""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)
from proofmint_lineage import DatasetLineage
from proofmint_metrics import count_fault
from proofmint_partitions import partition_of
from proofmint_stage_process import end_group, environment, machine, only_one, start, told

from tasks.partitions import PartitionError, base_of

RECORD_KEY, LOCK_KEY = "record", "lock"
"""XComs of a run whose workers share no disk: what it works with, and each stage's lines of dvc.lock."""

PROGRESS_FILE_VARIABLE = "PROOFMINT_PROGRESS_FILE"
"""Names a file to which each task that ends appends a line of JSON, for `run --airflow`."""


class DatasetOperator(DatasetLineage, BaseOperator):
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
                raise self._failure(context, fault_of(error)) from error
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
            self._process = start(
                [sys.executable, "-m", *arguments],
                root,
                env={
                    **_environment(),
                    **(env or {}),
                    "PROOFMINT_FAULT_FILE": str(fault),
                    "PROOFMINT_RUN_ID": context["run_id"],
                },
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
            report({"task": self.task_id, "skipped": fault["message"]})
            return AirflowSkipException(fault["message"])
        again = fault["retryable"] and context["ti"].try_number <= self.retries
        report({"task": self.task_id, "fault": fault, "again": again})
        count_fault(self.dataset, self.task_id, fault["type"])
        message = f"{fault['type']}: {fault['message']}"
        return AirflowException(message) if fault["retryable"] else AirflowFailException(message)

    def on_kill(self) -> None:
        """End the whole process group, politely first."""
        if process := getattr(self, "_process", None):
            end_group(process.pid, process.poll)


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


def fault_of(error: Any) -> dict[str, Any]:
    """One of our errors in the form in which commands tell theirs."""
    kind = type(error).__name__
    return {"type": kind, "message": str(error), "retryable": error.retryable}


def _environment() -> dict[str, str]:
    # Logs of a server are read by others; whoever runs a DAG at a terminal sees their own data.
    values = "shown" if PROGRESS_FILE_VARIABLE in os.environ else "withheld"
    return {"PROOFMINT_LOG_VALUES": values, **environment()}


def report(event: Mapping[str, Any]) -> None:
    """Tell `run --airflow` of the end of a task, if it wants to know."""
    if place := os.environ.get(PROGRESS_FILE_VARIABLE):
        with Path(place).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(event) + "\n")
