"""Airflow operators that run the pipeline of one dataset in a git worktree of their DAG run.

    OpenWorktree  >>  Stage …  >>  Release  >>  CloseWorktree

Airflow schedules; DVC decides whether a stage has to run; the stage itself is a process of its own,
so that CUDA starts fresh and nothing heavy is ever imported into Airflow.
"""

import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, BaseOperator, Connection
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
)
from proofmint_metrics import count_release, measure_stage
from proofmint_partitions import FIELD
from proofmint_task import LOCK_KEY, RECORD_KEY, DatasetOperator, fault_of, report

from tasks.partitions import key_of

APPROVE_TASK = "approve"
"""The task whose result is a person's yes, where a dataset needs one (see proofmint_approval.py)."""


class OpenWorktreeOperator(DatasetOperator):
    """Setup: make the run's worktree, with what the trigger form says, and check the settings."""

    def execute(self, context: Mapping[str, Any]) -> str:
        """Return the worktree's folder; where it fails, nothing is left of it."""
        from tasks import git_remote
        from tasks.errors import ProofmintError
        from tasks.worktrees import OVERRIDES, close_worktree

        overrides = {name: context["params"].get(name) for name in OVERRIDES}
        try:
            self._check_form(context, known={*OVERRIDES, FIELD} if self.partition else OVERRIDES)
            record = self._begin(context, overrides) if git_remote.name() else None
            if record is None:
                self._open(context, overrides)
        except ProofmintError as error:
            raise self._failure(context, fault_of(error)) from error
        try:
            with self._opened(context, record) as root:
                self._command(context, "tasks", "check", self.dataset)
        except Exception:
            if record is None:  # Airflow tears down nothing where the setup has failed
                close_worktree(Path(self.project), self.dataset, context["run_id"])
            raise
        return str(root)

    @staticmethod
    def _check_form(context: Mapping[str, Any], known: Collection[str]) -> None:
        """That each setting of the run is one, which Airflow's form sees to, and its REST API not."""
        from tasks.errors import ParamsError

        if unknown := sorted((context["dag_run"].conf or {}).keys() - known):
            raise ParamsError(
                f"the run's settings: unknown {', '.join(unknown)}; choose among"
                f" {', '.join(sorted(known))}"
            )

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


class StageOperator(DatasetOperator):
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
        report({"task": self.task_id, **result})
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


class ReleaseOperator(DatasetOperator):
    """Make the release a version; without a change there is none, and the task is skipped.

    A skipped task emits no asset event, so consumers of the dataset run for new versions only.

    Args:
        asset: the dataset.
        connections: names of environment variables or Airflow connections that targets use.
        options: as of every operator.
    """

    ui_color = "#e6f4ea"

    def __init__(self, *, asset: Asset, connections: Sequence[str] = (), **options: Any) -> None:
        super().__init__(outlets=[asset], **options)
        self.asset = asset
        self.connections = tuple(connections)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return version, digest, verdict, DVC revision and commit."""
        from tasks import git_remote

        with self._opened(context) as root:
            if git_remote.name():
                self._command(context, "dvc", "--wait-for-lock", "pull")
            self._keep_approval(context)
            secrets = {k: v for name in self.connections for k, v in _secret(name).items()}
            self._command(context, "tasks", "release", self.dataset, env=secrets)
            place = root / ".dvc" / "tmp" / f"release-{self.dataset}.json"
            outcome: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        report({"task": self.task_id, "release": outcome})
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
        """Where workers share no disk, have the yes that a person gave where `release` looks for it.

        On a common disk it is there already. What comes by XCom may have been edited, so it counts
        only if the worker that took the answer has signed it.
        """
        from tasks import approvals, git_remote
        from tasks.errors import ProofmintError
        from tasks.publishing.signed_approvals import read_approval
        from tasks.workspace import state_of

        if APPROVE_TASK not in self.upstream_task_ids or git_remote.name() is None:
            return
        if said := context["ti"].xcom_pull(task_ids=APPROVE_TASK):
            state = state_of(Path(self.project))
            try:
                approvals.keep(state, self.dataset, read_approval(state, self.dataset, said))
            except ProofmintError as error:
                raise self._failure(context, fault_of(error)) from error


class CloseWorktreeOperator(DatasetOperator):
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
