"""Airflow as an administrator sees it through its REST API."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tasks.commands.server_settings import USER, Servers, password_of
from tasks.commands.servers import request

SECONDS = 600
"""How long anything may take; the limit only ends a test that would hang."""

ENDED = {"success", "failed"}


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

    @classmethod
    def of(cls, servers: Servers) -> "Airflow":
        """That of `proofmint up`."""
        return cls(servers.url("airflow"), lambda: password_of(servers, "airflow"))

    def api(self, path: str, content: Any = None, method: str | None = None) -> Any:
        """What the API answers to its administrator.

        Args:
            path: below the address of the API.
            content: is sent as JSON; None: nothing is.
            method: of HTTP; None: POST with content, GET without.

        Raises:
            OSError: it does not answer, or not well.
        """
        if self._token is None:
            login = {"username": USER, "password": self.password()}
            self._token = request(f"{self.url}/auth/token", content=login)["access_token"]
        message = urllib.request.Request(  # noqa: S310 - our own addresses
            f"{self.url}/api/v2/{path}",
            data=None if content is None else json.dumps(content).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(message, timeout=60) as answer:
            return json.load(answer)

    def unpause(self, dag: str) -> None:
        """Let a DAG run, as soon as Airflow has read it."""
        wait_for(f"the DAG {dag}", lambda: self._known(dag))
        self.api(f"dags/{dag}", {"is_paused": False}, "PATCH")

    def trigger(self, dag: str, run_id: str | None = None, **conf: Any) -> str:
        """Start a run of a DAG, as soon as Airflow knows the DAG; return the run's id."""
        wait_for(f"the DAG {dag}", lambda: self._known(dag))
        named = {} if run_id is None else {"dag_run_id": run_id}
        body = {**named, "logical_date": None, "conf": conf}
        return str(self.api(f"dags/{dag}/dagRuns", body)["dag_run_id"])

    def _known(self, dag: str) -> bool:
        try:
            self.api(f"dags/{dag}/details")
        except OSError:
            return False
        return True

    def state_of(self, dag: str, run_id: str) -> str:
        """State of a run; empty while nobody answers."""
        try:
            return str(self.api(_run(dag, run_id))["state"])
        except (OSError, ValueError, http.client.HTTPException):
            return ""

    def tasks_of(self, dag: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The tasks of a run by id."""
        answer = self.api(f"{_run(dag, run_id)}/taskInstances?limit=100")
        return {task["task_id"]: task for task in answer["task_instances"]}

    def result_of(self, dag: str, run_id: str, task: str) -> Any:
        """What a task returned."""
        place = f"{_run(dag, run_id)}/taskInstances/{task}/xcomEntries/return_value"
        return self.api(f"{place}?deserialize=false")["value"]

    def wait_for_task(self, dag: str, run_id: str, task: str, state: str) -> None:
        """Wait until a task is in a state; that its run has ended without ends the test."""
        seen: list[str] = []

        def reached() -> bool:
            seen[:] = [self.state_of(dag, run_id), self.tasks_of(dag, run_id)[task]["state"]]
            return seen[1] == state or seen[0] in ENDED

        wait_for(f"{task} of {dag}", reached)
        assert seen[1] == state, self._states(dag, run_id)

    def end_of(self, dag: str, run_id: str, seconds: float = SECONDS) -> str:
        """Wait until a run has ended; return its state."""
        wait_for(
            f"{dag} {run_id}",
            lambda: self.state_of(dag, run_id) in ENDED,
            lambda: json.dumps(self._states(dag, run_id)),
            seconds,
        )
        return self.state_of(dag, run_id)

    def finish(self, dag: str, run_id: str, seconds: float = SECONDS) -> dict[str, dict[str, Any]]:
        """Wait until a run has ended well; return its tasks."""
        state = self.end_of(dag, run_id, seconds)
        assert state == "success", f"{self._states(dag, run_id)}"
        return self.tasks_of(dag, run_id)

    def _states(self, dag: str, run_id: str) -> dict[str, Any]:
        return {name: task["state"] for name, task in self.tasks_of(dag, run_id).items()}


def _run(dag: str, run_id: str) -> str:
    return f"dags/{dag}/dagRuns/{quote(run_id, safe='')}"


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
