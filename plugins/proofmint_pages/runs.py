"""What Airflow knows of the runs of a dataset: the state of the last ones, and when the next one is."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

GATES = {
    "raw": "validate_raw",
    "clean": "validate_clean",
    "synthetic": "validate_synthetic",
    "release": "validate_release",
}
"""The gates in their order, and the tasks that hold data at them."""

APPROVAL = "approve"
"""The task at which a run waits for a person, where a dataset needs one."""

WAITING = {"awaiting_input", "deferred"}


@dataclass(frozen=True)
class Run:
    """One DAG run."""

    run_id: str
    state: str
    kind: str
    """manual, scheduled, backfill or asset_triggered."""
    started_at: datetime.datetime | None
    ended_at: datetime.datetime | None
    after: datetime.datetime

    def lasted_at(self, moment: datetime.datetime) -> bool:
        """Whether the run was under way then."""
        started = self.started_at is not None and self.started_at <= moment
        return started and (self.ended_at is None or moment <= self.ended_at)


@dataclass(frozen=True)
class Dag:
    """The DAG of a dataset, as the scheduler sees it."""

    is_paused: bool
    schedule: str | None
    next_run: datetime.datetime | None
    """None: nothing is planned, or the DAG is paused."""
    last: Run | None


def dags(session: Session, dag_ids: Iterable[str]) -> dict[str, Dag]:
    """The DAGs that Airflow knows, by their id."""
    wanted = list(dag_ids)
    newest = (
        select(DagRun.dag_id, func.max(DagRun.id).label("id"))
        .where(DagRun.dag_id.in_(wanted))
        .group_by(DagRun.dag_id)
        .subquery()
    )
    last = {
        run.dag_id: _run(run)
        for run in session.scalars(select(DagRun).join(newest, DagRun.id == newest.c.id))
    }
    found = session.scalars(
        select(DagModel).where(DagModel.dag_id.in_(wanted), DagModel.is_stale.is_(False))
    )
    return {
        dag.dag_id: Dag(
            is_paused=dag.is_paused,
            schedule=dag.timetable_description or dag.timetable_summary,
            next_run=None if dag.is_paused else dag.next_dagrun_create_after,
            last=last.get(dag.dag_id),
        )
        for dag in found
    }


def recent(session: Session, dag_id: str, limit: int = 10) -> list[Run]:
    """The newest runs of a DAG, newest first."""
    found = session.scalars(
        select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc()).limit(limit)
    )
    return [_run(run) for run in found]


def find(session: Session, dag_id: str, run_id: str) -> Run | None:
    """One run; None: there is none of that id."""
    found = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    return None if found is None else _run(found)


def task_states(session: Session, dag_id: str, run_id: str) -> dict[str, str]:
    """The state of each task of a run; those that wait have none."""
    found = session.execute(
        select(TaskInstance.task_id, TaskInstance.state).where(
            TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id
        )
    )
    return {task: str(state) if state else "none" for task, state in found}


def released(session: Session, dag_id: str, run_id: str) -> Mapping[str, object] | None:
    """What the task `release` of a run returned; None: it released nothing new."""
    found = session.scalars(
        XComModel.get_many(run_id=run_id, key="return_value", task_ids="release", dag_ids=dag_id)
    ).first()
    content = XComModel.deserialize_value(found) if found else None
    return content if isinstance(content, Mapping) else None


def _run(run: DagRun) -> Run:
    return Run(
        run.run_id,
        str(run.state),
        str(run.run_type),
        run.start_date,
        run.end_date,
        run.run_after,
    )
