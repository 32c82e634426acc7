"""The operator of dags/maintenance.py."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException


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
        from tasks.workspace import stage_environment

        params = context["params"]
        dry = params["dry_run"] and context["dag_run"].run_type != "scheduled"
        arguments = ["prune", "--older-than", str(params["older_than_days"])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tasks", *arguments, *(["--dry-run"] if dry else [])],
            cwd=self.project,
            # Airflow's settings in here say that tasks may not come near its database.
            env={k: v for k, v in stage_environment().items() if not k.startswith("AIRFLOW_")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
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
        if (process := getattr(self, "_process", None)) and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
