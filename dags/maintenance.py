"""The weekly clean-up: what `proofmint prune` does, on a worker that has the project's disk."""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Param
from proofmint_maintenance import PruneOperator

from tasks.pipeline import MAINTENANCE

with DAG(
    dag_id=MAINTENANCE,
    description="Removes worktrees, logs, caches and runs that no release needs",
    doc_md=__doc__,
    schedule="@weekly",
    catchup=False,
    max_active_runs=1,
    params={
        "dry_run": Param(
            True,
            type="boolean",
            title="Dry run",
            description="Only say what would be removed; scheduled runs do remove it",
        ),
        "older_than_days": Param(
            30,
            type="integer",
            minimum=1,
            maximum=3650,
            title="Older than, in days",
            description="Since it was last used",
        ),
    },
    tags={"proofmint", "maintenance"},
):
    PruneOperator(
        task_id="prune",
        project=str(Path(__file__).resolve().parent.parent),
        execution_timeout=timedelta(hours=6),
        owner="proofmint",
    )
