"""Airflow's REST API as a person with a login uses it."""

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from tasks.commands.server_settings import USER, Servers, password_of
from tasks.commands.servers import request

ENDED = {"success", "failed"}


class Api:
    """A session of the user of `proofmint up`."""

    def __init__(self, servers: Servers) -> None:
        self.url = servers.url("airflow")
        login = {"username": USER, "password": password_of(servers, "airflow")}
        self.token = request(f"{self.url}/auth/token", content=login)["access_token"]

    def call(self, method: str, path: str, content: Any = None) -> Any:
        """What the API answers.

        Raises:
            urllib.error.HTTPError: it refused.
        """
        message = urllib.request.Request(f"{self.url}/api/v2{path}", method=method)  # noqa: S310
        message.add_header("Authorization", f"Bearer {self.token}")
        if content is not None:
            message.data = json.dumps(content).encode()
            message.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(message, timeout=60) as answer:
            return json.load(answer)

    def unpause(self, dag: str) -> None:
        """Let a DAG run, as soon as Airflow has read it."""

        def known() -> bool:
            return dag in {one["dag_id"] for one in self.call("GET", "/dags?limit=100")["dags"]}

        wait(known, f"the DAG {dag}")
        self.call("PATCH", f"/dags/{dag}", {"is_paused": False})

    def trigger(self, dag: str, **settings: Any) -> str:
        """Start a run with what the trigger form would hold; return its id."""
        content = {"logical_date": None, "conf": settings}
        run_id: str = self.call("POST", f"/dags/{dag}/dagRuns", content)["dag_run_id"]
        return run_id

    def state(self, dag: str, run_id: str) -> str:
        """The state of a run."""
        state: str = self.call("GET", f"/dags/{dag}/dagRuns/{quote(run_id)}")["state"]
        return state

    def tasks(self, dag: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The tasks of a run, by id."""
        path = f"/dags/{dag}/dagRuns/{quote(run_id)}/taskInstances?limit=100"
        return {task["task_id"]: task for task in self.call("GET", path)["task_instances"]}

    def result(self, dag: str, run_id: str, task: str) -> Any:
        """What a task returned."""
        path = f"/dags/{dag}/dagRuns/{quote(run_id)}/taskInstances/{task}/xcomEntries/return_value"
        return self.call("GET", f"{path}?deserialize=false")["value"]

    def wait_for(self, dag: str, run_id: str, task: str, states: set[str]) -> None:
        """Wait until a task is in one of the states, or its run has ended."""

        def reached() -> bool:
            found = self.tasks(dag, run_id)[task]["state"] in states
            return found or self.state(dag, run_id) in ENDED

        wait(reached, f"{task} of {dag}")
        assert self.tasks(dag, run_id)[task]["state"] in states, self.tasks(dag, run_id)

    def wait_for_end(self, dag: str, run_id: str) -> str:
        """Wait until a run has ended; return its state."""
        wait(lambda: self.state(dag, run_id) in ENDED, f"the end of {run_id} of {dag}")
        return self.state(dag, run_id)


def wait(reached: Callable[[], bool], what: str, seconds: float = 600) -> None:
    """Wait for something that must come; the limit is there to end a test that hangs."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.5)
