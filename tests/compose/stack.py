"""The stack of docker-compose.yml on a real Docker engine, with a project and a name of its own."""

import contextlib
import functools
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.conftest import LENIENT
from tests.projects import commit_all, copy_project

TAG = "test"
"""Of the images, so that those in use are not replaced."""

WHEELS_VARIABLE = "PROOFMINT_WHEELS"
"""Names a folder with wheels that no index has, a CPU build of torch say."""

BUILT_FROM_PIPELINE = ("worker-cpu", "mlflow", "demo-data")

START_SECONDS = 600
RUN_SECONDS = 1200


@dataclass
class Stack:
    """A stack; nothing runs until `up`.

    Attributes:
        checkout: the clone of the project in which compose is called.
        name: of the compose project.
        settings: environment variables that docker-compose.yml asks for.
    """

    checkout: Path
    name: str
    settings: dict[str, str] = field(default_factory=dict)

    def compose(self, *arguments: str, check: bool = True) -> str:
        """What `docker compose …` prints, errors included."""
        done = subprocess.run(
            ["docker", "compose", "--profile", "demo", *arguments],
            cwd=self.checkout,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout[-6000:]}"
        return done.stdout

    def environment(self) -> dict[str, str]:
        """In which compose means this stack."""
        return {**os.environ, **self.settings, "COMPOSE_PROJECT_NAME": self.name}

    def up(self) -> float:
        """Start everything; return the seconds until all services are healthy."""
        started = time.monotonic()
        self.compose("up", "--build", "--detach", "--wait", "--wait-timeout", str(START_SECONDS))
        return time.monotonic() - started

    def down(self) -> None:
        """Stop and remove the containers; volumes stay."""
        self.compose("down", "--remove-orphans")

    def inspect(self) -> dict[str, dict[str, Any]]:
        """What Docker tells about each container, by service."""
        ids = self.compose("ps", "--all", "--quiet").split()
        found = json.loads(docker("inspect", *ids))
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}

    def passwords(self) -> dict[str, str]:
        """The passwords of the user admin, as a person gets them."""
        said = self.compose("run", "--rm", "logins")
        return {
            line.split(":")[0]: line.rpartition(" ")[2]
            for line in said.splitlines()
            if ": user admin, password " in line
        }

    def url(self, server: str) -> str:
        """Where a page is published."""
        return f"http://127.0.0.1:{self.settings[f'PROOFMINT_{server.upper()}_PORT']}"

    @functools.cached_property
    def token(self) -> str:
        """Of Airflow's user; keys outlive a restart, and so does what they signed."""
        login = {"username": "admin", "password": self.passwords()["airflow"]}
        answer = json.loads(ask(f"{self.url('airflow')}/auth/token", content=login))
        return str(answer["access_token"])

    def airflow(self, path: str, content: Any = None, method: str | None = None) -> Any:
        """What Airflow's REST API answers to its user."""
        bearer = {"Authorization": f"Bearer {self.token}"}
        return json.loads(ask(f"{self.url('airflow')}/api/v2{path}", bearer, content, method))

    def run(self, dataset: str, **conf: Any) -> dict[str, str]:
        """Trigger the DAG of a dataset as a user would; return the state of each task at its end."""
        self.airflow(f"/dags/{dataset}", {"is_paused": False}, "PATCH")
        trigger = {"logical_date": None, "conf": conf}
        run = self.airflow(f"/dags/{dataset}/dagRuns", trigger)["dag_run_id"]
        deadline = time.monotonic() + RUN_SECONDS
        place = f"/dags/{dataset}/dagRuns/{urllib.parse.quote(run)}"
        while self.airflow(place)["state"] not in ("success", "failed"):
            assert time.monotonic() < deadline, self.airflow(f"{place}/taskInstances")
            time.sleep(2)
        tasks = self.airflow(f"{place}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in tasks}


def docker(*arguments: str) -> str:
    """What `docker …` prints."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stderr}"
    return done.stdout


def has_engine() -> bool:
    """Whether an engine answers, and compose is there."""
    if shutil.which("docker") is None:
        return False
    asked = [["docker", "info"], ["docker", "compose", "version"]]
    return all(subprocess.run(a, capture_output=True, check=False).returncode == 0 for a in asked)


def ask(
    url: str,
    headers: Mapping[str, str] | None = None,
    content: Any = None,
    method: str | None = None,
) -> bytes:
    """What a server answers, never by way of a proxy."""
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(  # noqa: S310 - our own addresses
        url, body, {"Content-Type": "application/json", **(headers or {})}, method=method
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        return bytes(answer.read())


def status(url: str, headers: Mapping[str, str] | None = None) -> int:
    """The status of a server's answer."""
    try:
        ask(url, headers)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


@contextlib.contextmanager
def stack_of_a_test(folder: Path) -> Iterator[Stack]:
    """A stack that trains for a moment; everything of it but its images is gone at the end."""
    checkout = copy_project(folder / "proofmint")
    settings = yaml.safe_load((checkout / "params.yaml").read_text())
    for name, thresholds in LENIENT.items():
        settings["datasets"][name]["train"] = {"epochs": 2}
        settings["datasets"][name]["thresholds"] |= thresholds
    (checkout / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    commit_all(checkout, "quick settings")
    stack = Stack(
        checkout,
        f"proofmint-test-{secrets.token_hex(3)}",
        {
            "PROOFMINT_TAG": TAG,
            "PROOFMINT_AIRFLOW_PORT": str(_free_port()),
            "PROOFMINT_MLFLOW_PORT": str(_free_port()),
        },
    )
    if wheels := os.environ.get(WHEELS_VARIABLE):
        build = {"build": {"additional_contexts": {"wheels": str(Path(wheels).resolve())}}}
        _override(checkout, {"services": dict.fromkeys(BUILT_FROM_PIPELINE, build)})
        stack.settings["PROOFMINT_TORCH_BACKEND"] = ""
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", check=False)


def _override(checkout: Path, content: dict[str, Any]) -> None:
    (checkout / "docker-compose.override.yml").write_text(yaml.safe_dump(content))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
