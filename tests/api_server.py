"""Airflow's API server with users and roles in its database, without a scheduler: pages and rights.

The auth manager is the one of `docker-compose.yml` (FAB); the database is SQLite.
"""

import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 240

SET_UP = """
import json, os, sys
from airflow.cli.cli_parser import get_parser

def run(*command):
    arguments = get_parser().parse_args(command)
    arguments.func(arguments)

users = json.loads(sys.stdin.read())
run("db", "migrate")
known = {"Admin", "Op", "User", "Viewer", "Public"}
teams = sorted({role for role, _ in users.values()} - known)
run("roles", "create", *teams)
of_all = ["Website", "Plugins", "DAG Runs", "Task Instances", "Task Logs", "XComs", "HITL Detail", "My Profile"]
run("roles", "add-perms", *teams, "-a", "can_read", "-r", *of_all)
for name, (role, password) in users.items():
    run("users", "create", "-u", name, "-f", name, "-l", name, "-e", f"{name}@localhost", "-r", role, "-p", password)
run("roles", "add-perms", "Viewer", "-a", "can_read", "-r", "Plugins")
run("dags", "reserialize")
"""


@dataclass(frozen=True)
class Answer:
    """What the server answers."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The content of a page."""
        return self.content.decode()


@dataclass(frozen=True)
class ApiServer:
    """A running server.

    Attributes:
        project: whose DAGs and plugins it serves.
        url: of its root, without a slash at the end.
        passwords: by the name of the user.
    """

    project: Path
    url: str
    passwords: Mapping[str, str]
    _environment: Mapping[str, str]

    def token(self, user: str) -> str:
        """A fresh token of a user, as their browser has it in a cookie."""
        login = {"username": user, "password": self.passwords[user]}
        answer = _ask("POST", f"{self.url}/auth/token", {}, login)
        token: str = json.loads(answer.content)["access_token"]
        return token

    def get(self, path: str, token: str | None = None, method: str = "GET") -> Answer:
        """What a browser with this session gets."""
        return _ask(method, self.url + path, {"Cookie": f"_token={token}"} if token else {})

    def api(self, method: str, path: str, token: str, content: object = None) -> Answer:
        """What a call of the REST API gets."""
        headers = {"Authorization": f"Bearer {token}"}
        return _ask(method, self.url + path, headers, content)

    def read_dags(self) -> None:
        """Do what the DAG processor does when a DAG file has changed."""
        command = [sys.executable, "-m", "airflow", "dags", "reserialize"]
        _run(command, self._environment, "")


@contextlib.contextmanager
def api_server(project: Path, users: Mapping[str, str]) -> Iterator[ApiServer]:
    """A server for a project, until the block ends.

    Args:
        project: has dags/ and plugins/; Airflow's home is made in its `.proofmint`.
        users: the role of each, by name.
    """
    # Of hexadecimal digits: a password with a dash in front is an option to a command.
    passwords = {name: secrets.token_hex(12) for name in users}
    home = project / ".proofmint" / "airflow"
    home.mkdir(parents=True)
    port = _free_port()
    environment = _environment(project, home, port)
    given = {name: (role, passwords[name]) for name, role in users.items()}
    _run([sys.executable, "-c", SET_UP], environment, json.dumps(given))
    log = home / "api-server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "api-server"],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        server = ApiServer(project, f"http://127.0.0.1:{port}", passwords, environment)
        _wait(server, process, log)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(project: Path, home: Path, port: int) -> dict[str, str]:
    manager = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    settings = {
        "CORE__DAGS_FOLDER": project / "dags",
        "CORE__PLUGINS_FOLDER": project / "plugins",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__AUTH_MANAGER": manager,
        "CORE__FERNET_KEY": "",
        "FAB__CACHE_TTL": 0,  # of the rights of a user; otherwise changes count after half a minute
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "API__HOST": "127.0.0.1",
        "API__PORT": port,
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__WORKERS": 1,
        "API__SECRET_KEY": secrets.token_urlsafe(32),
        "API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "LOGGING__BASE_LOG_FOLDER": home / "logs",
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "PYTEST_"))}
    known = os.pathsep.join(filter(None, [str(Path.cwd()), inherited.get("PYTHONPATH")]))
    return {
        **inherited,
        "PYTHONPATH": known,
        "AIRFLOW_HOME": str(home),
        "NO_PROXY": "127.0.0.1",
        **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
    }


def _run(command: list[str], environment: Mapping[str, str], given: str) -> None:
    done = subprocess.run(
        command, env=environment, input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def _wait(server: ApiServer, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.get("/api/v2/monitor/health").status == 200:
                return
        time.sleep(0.3)
    raise AssertionError(f"the API server does not answer:\n{log.read_text()[-4000:]}")


def _ask(method: str, url: str, headers: Mapping[str, str], content: object = None) -> Answer:
    message = urllib.request.Request(url, method=method, headers=dict(headers))  # noqa: S310 - ours
    if content is not None:
        message.data = json.dumps(content).encode()
        message.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(message, timeout=60) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, answer.read(), found)
    except urllib.error.HTTPError as error:
        with error:
            found = {name.lower(): value for name, value in error.headers.items()}
            return Answer(error.code, error.read(), found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
