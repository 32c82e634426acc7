"""The operator of dags/maintenance.py."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException
from proofmint_stage_process import end_group, environment, start


class PruneOperator(BaseOperator):
    """Run `proofmint prune` in the project's folder, its output in the task's log.

    A scheduled run removes; a run that somebody triggers does what its form says.

    Args:
        project: the project's folder.
        options: as of every operator.
    """

    def __init__(self, *, project: str, **options: Any) -> None:
        super().__init__(**options)
        self.project = project

    def execute(self, context: Mapping[str, Any]) -> None:
        """Fail where a store could not be pruned."""
        params = context["params"]
        dry = params["dry_run"] and context["dag_run"].run_type != "scheduled"
        arguments = ["prune", "--older-than", str(params["older_than_days"])]
        command = [sys.executable, "-m", "tasks", *arguments, *(["--dry-run"] if dry else [])]
        # Airflow's own settings say that tasks may not come near its database.
        self._process = start(command, Path(self.project), env=environment())
        try:
            for line in self._process.stdout or ():
                self.log.info("%s", line.rstrip())
            status = self._process.wait()
        finally:  # also after a timeout, which Airflow raises right here
            self.on_kill()
        if status != 0:
            raise AirflowException(f"`proofmint prune` ended with exit status {status}")

    def on_kill(self) -> None:
        """End what was started; what is half done is done by the next run."""
        if process := getattr(self, "_process", None):
            end_group(process.pid, process.poll)
