"""Airflow as an administrator sees it through its REST API."""

import http.client
import json
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks.commands.servers import request

SECONDS = 300
"""How long anything may take; the limit only ends a test that would hang."""


@dataclass
class Airflow:
    """An API server.

    Attributes:
        url: where it answers.
        password: gives the password of `admin`.
    """

    url: str
    password: Callable[[], str]
    _token: str | None = None

    def api(self, path: str, content: Any = None) -> Any:
        """What the API answers to its administrator.

        Raises:
            OSError: it does not answer, or not well.
        """
        if self._token is None:
            login = {"username": "admin", "password": self.password()}
            self._token = request(f"{self.url}/auth/token", content=login)["access_token"]
        return request(
            f"{self.url}/api/v2/{path}", {"Authorization": f"Bearer {self._token}"}, content
        )

    def trigger(self, dag: str, run_id: str, **conf: Any) -> None:
        """Start a run of a DAG, as soon as Airflow knows the DAG."""
        wait_for(f"the DAG {dag}", lambda: self._known(dag))
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        self.api(f"dags/{dag}/dagRuns", body)

    def _known(self, dag: str) -> bool:
        try:
            self.api(f"dags/{dag}/details")
        except OSError:
            return False
        return True

    def state_of(self, dag: str, run_id: str) -> str:
        """State of a run; empty while nobody answers."""
        try:
            return str(self.api(f"dags/{dag}/dagRuns/{run_id}")["state"])
        except (OSError, ValueError, http.client.HTTPException):
            return ""

    def tasks_of(self, dag: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The tasks of a run by id."""
        answer = self.api(f"dags/{dag}/dagRuns/{run_id}/taskInstances")
        return {task["task_id"]: task for task in answer["task_instances"]}

    def finish(self, dag: str, run_id: str, seconds: float = 300) -> dict[str, dict[str, Any]]:
        """Wait until a run has ended well; return its tasks."""
        ended = ("success", "failed")
        wait_for(
            f"{dag} {run_id}",
            lambda: self.state_of(dag, run_id) in ended,
            lambda: json.dumps(self._states(dag, run_id)),
            seconds,
        )
        state, tasks = self.state_of(dag, run_id), self.tasks_of(dag, run_id)
        assert state == "success", f"{self._states(dag, run_id)}"
        return tasks

    def _states(self, dag: str, run_id: str) -> dict[str, Any]:
        return {name: task["state"] for name, task in self.tasks_of(dag, run_id).items()}


def wait_for(
    what: str,
    is_there: Callable[[], bool],
    explain: Callable[[], str] = str,
    seconds: float = SECONDS,
) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < deadline, f"no {what} after {seconds} s\n{explain()}"
        time.sleep(0.25)


def status_of(url: str) -> int:
    """The status with which a server refuses or accepts a request of nobody."""
    try:
        request(url)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200
