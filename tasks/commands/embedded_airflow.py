"""Run the DAG of a dataset in a process of its own, without a server.

Each run has its own folder with a fresh metadata database, copied from one that was migrated once:
runs at the same time never wait for each other's locks, and nothing grows.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks.commands.server_settings import observability
from tasks.errors import WorkspaceError
from tasks.storage import new_folder
from tasks.workspace import locked, stage_environment, state_of

INTERRUPT_AFTER_SECONDS = 5
"""How long a run that was interrupted at a terminal, as we were, has to end by itself."""

_POLL_SECONDS = 0.2


@dataclass
class EmbeddedRun:
    """A DAG run under way."""

    dataset: str
    log: Path
    """Everything that Airflow and the stages say."""
    _home: Path
    _process: "subprocess.Popen[bytes]"

    def events(self) -> Iterator[dict[str, Any]]:
        """What the tasks report (see plugins/proofmint_task.py), until the run has ended."""
        with (self._home / "progress").open("a+", encoding="utf-8") as stream:
            stream.seek(0)
            while True:
                ended = self._process.poll() is not None
                while line := stream.readline():
                    yield json.loads(line)
                if ended:
                    return
                time.sleep(_POLL_SECONDS)

    def close(self) -> bool:
        """End the run if it has not ended, clean up; return whether it succeeded.

        The log stays where it did not.
        """
        try:
            self._process.wait(INTERRUPT_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGINT)  # its operators end what they started
        succeeded = self._process.wait() == 0
        shutil.rmtree(self._home, ignore_errors=True)
        if succeeded:
            self.log.unlink()
        return succeeded


def start(project: Path, dataset: str, settings: Mapping[str, Any] | None = None) -> EmbeddedRun:
    """Start the DAG of a dataset.

    Args:
        project: its folder, with dags/ and plugins/.
        dataset: name of the DAG.
        settings: what the trigger form would hold.

    Raises:
        WorkspaceError: Airflow's database cannot be prepared.
    """
    state, conf = state_of(project), json.dumps(dict(settings or {}))
    home = Path(tempfile.mkdtemp(prefix=f"{dataset}-", dir=_template(project).parent))
    shutil.copytree(_template(project), home, dirs_exist_ok=True)
    log = state / "logs" / f"{home.name}.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "dags", "test", "--conf", conf, dataset],
            cwd=project,
            env={**_environment(project, home), "PROOFMINT_PROGRESS_FILE": str(home / "progress")},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    return EmbeddedRun(dataset, log, home, process)


def prepare(project: Path) -> None:
    """Have an empty metadata database ready to copy; takes seconds, once."""
    _template(project)


def _template(project: Path) -> Path:
    place = state_of(project) / "airflow" / f"template-{version('apache-airflow')}"
    with locked(place.with_suffix(".lock")):
        if not place.exists():
            with new_folder(place) as draft:
                _migrate(project, draft)
    return place


def _migrate(project: Path, home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        cwd=project,
        env=_environment(project, home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise WorkspaceError(f"cannot prepare Airflow's database:\n{done.stdout[-2000:]}")
    shutil.rmtree(home / "logs", ignore_errors=True)


def _environment(project: Path, home: Path) -> dict[str, str]:
    environment = stage_environment()
    environment.pop("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", None)
    known = os.pathsep.join(filter(None, [str(project), environment.get("PYTHONPATH")]))
    return {
        **environment,
        "PYTHONPATH": known,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(project / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        **observability(state_of(project)),
    }
