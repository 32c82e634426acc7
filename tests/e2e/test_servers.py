"""`up` and `down` as a person has them: real PostgreSQL, Airflow and MLflow, in a copy of the project."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from tasks.commands import daemons
from tasks.commands.server_settings import Servers, password_of, servers_of
from tasks.commands.servers import request
from tests.projects import copy_project

AIRFLOW_PUBLIC = re.compile(
    r"/api/v2/(version|monitor/health)"  # no more than that it lives, and since when
    r"|/api/v2/auth/(login|logout)"  # forward to the page where one logs in
    r"|/auth/(login|logout|token|token/login|token/cli)"  # the way in; refuses a wrong password
    r"|/execution/health(/ping)?"
)
MLFLOW_PUBLIC = re.compile(r"/health|/(ajax-)?api/3.0/mlflow/server-info|/static-files/.*")
"""What answers without a login, each with nothing about the data."""

MLFLOW_ROUTES = """
import json
from mlflow.server import app
from mlflow.server.fastapi_app import app as fastapi
routes = [(m, r.rule) for r in app.url_map.iter_rules() for m in r.methods - {"HEAD", "OPTIONS"}]
routes += [(m, r.path) for r in fastapi.routes if getattr(r, "path", None) for m in r.methods]
print(json.dumps(sorted(set(routes))))
"""


@dataclass(frozen=True)
class Running:
    servers: Servers
    output: str
    """What the first `up` printed."""

    def command(self, name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tasks", name],
            cwd=self.servers.project,
            env={k: v for k, v in os.environ.items() if k != "PROOFMINT_HOME"},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    servers = servers_of(copy_project(tmp_path_factory.mktemp("servers") / "a project"))
    try:
        done = Running(servers, "").command("up")
        assert done.returncode == 0, done.stderr
        yield Running(servers, done.stdout)
    finally:
        Running(servers, "").command("down")


def status(method: str, url: str) -> int:
    message = urllib.request.Request(url, method=method)  # noqa: S310 - our own addresses
    if method != "GET":
        message.data = b"{}"
        message.add_header("Content-Type", "application/json")
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(message, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def filled(route: str) -> str:
    """A route with something in the places of its parameters."""
    return re.sub(r"\{[^}]*\}|<[^>]*>", "1", route)


def airflow(running: Running, path: str) -> dict[str, object]:
    url = running.servers.url("airflow")
    login = {"username": "admin", "password": password_of(running.servers, "airflow")}
    token = request(f"{url}/auth/token", content=login)["access_token"]
    answer: dict[str, object] = request(f"{url}{path}", {"Authorization": f"Bearer {token}"})
    return answer


def test_passwords_are_shown_at_the_first_start_only(running: Running) -> None:
    passwords = [password_of(running.servers, name) for name in ("airflow", "mlflow")]
    assert all(password in running.output for password in passwords)
    again = running.command("up")
    assert again.returncode == 0
    assert "already up" in again.stdout
    for server, password in zip(("airflow", "mlflow"), passwords, strict=True):
        assert running.servers.url(server) in again.stdout
        assert password not in again.stdout


def test_secrets_are_in_no_log_and_not_in_git(running: Running) -> None:
    folder = running.servers.state / "secrets"
    secrets = [password_of(running.servers, name) for name in ("airflow", "mlflow")]
    names = ("fernet_key", "jwt_secret", "airflow_secret_key", "mlflow_session_key")
    secrets += [(folder / name).read_text() for name in names]
    logs = [path for path in (running.servers.state / "logs").rglob("*") if path.is_file()]
    assert len(logs) > 5
    for log in logs:
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], log
    untracked = subprocess.run(
        ["git", "status", "--porcelain"],
        cwd=running.servers.project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ".proofmint" not in untracked.stdout


def test_everything_listens_on_the_loopback_interface(running: Running) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for member in daemons.family(running.servers.record)
        for connection in member.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address for address, _ in listening} == {"127.0.0.1"}
    ports = {int(running.servers.url(name).rpartition(":")[2]) for name in ("airflow", "mlflow")}
    assert {port for _, port in listening} == ports


def test_no_route_of_airflow_answers_without_a_login(running: Running) -> None:
    url = running.servers.url("airflow")
    described = request(f"{url}/openapi.json")["paths"]
    routes = [(method.upper(), path) for path, methods in described.items() for method in methods]
    assert len(routes) > 100
    routes += [("GET", path) for path in ("/ui/config", "/ui/dags", "/execution/variables/1")]
    open_routes = [
        (method, path, code)
        for method, path in routes
        if not AIRFLOW_PUBLIC.fullmatch(path)
        and (code := status(method, url + filled(path))) not in (401, 403)
    ]
    assert open_routes == []


def test_no_route_of_mlflow_answers_without_a_login(running: Running) -> None:
    listed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MLFLOW_ROUTES],
        capture_output=True,
        text=True,
        check=True,
    )
    routes = json.loads(listed.stdout.splitlines()[-1])
    assert len(routes) > 100
    open_routes = [
        (method, path, code)
        for method, path in routes
        if not MLFLOW_PUBLIC.fullmatch(path)
        and (code := status(method, running.servers.url("mlflow") + filled(path))) not in (401, 403)
    ]
    assert open_routes == []


def test_airflow_has_our_dags_asleep_and_a_pool_for_gpus(running: Running) -> None:
    dags = airflow(running, "/api/v2/dags")["dags"]
    assert isinstance(dags, list)
    assert {"breast_cancer", "digits"} <= {dag["dag_id"] for dag in dags}
    assert all(dag["is_paused"] for dag in dags)
    assert airflow(running, "/api/v2/importErrors")["total_entries"] == 0
    slots = airflow(running, "/api/v2/pools/gpu")["slots"]
    assert isinstance(slots, int)
    assert slots >= 1


def test_a_training_logs_to_the_server_with_what_airflow_gives_it(running: Running) -> None:
    scheduler = daemons.living(running.servers.record)["scheduler"]
    given = {k: v for k, v in scheduler.environ().items() if k.startswith("MLFLOW_")}
    script = (
        "import mlflow\n"
        "with mlflow.start_run() as run:\n"
        "    mlflow.log_metric('loss', 0.5, step=1)\n"
        "    mlflow.log_text('hello', 'note.txt')\n"
        "print(mlflow.artifacts.load_text(f'runs:/{run.info.run_id}/note.txt'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=running.servers.state,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stdout.splitlines()
    stored = list((running.servers.state / "mlflow-artifacts").rglob("note.txt"))
    assert len(stored) == 1


@pytest.mark.slow
def test_what_was_killed_is_started_again_and_the_rest_left_alone(running: Running) -> None:
    before = daemons.living(running.servers.record)
    for name in ("scheduler", "mlflow"):
        before[name].send_signal(signal.SIGKILL)
    done = running.command("up")
    assert done.returncode == 0, done.stderr
    after = daemons.living(running.servers.record)
    assert set(after) == set(before)
    changed = {name for name in after if after[name].pid != before[name].pid}
    assert changed == {"scheduler", "mlflow"}
    # The children of the killed ones, which nobody would end any more, are gone.
    cared_for = {p.pid for top in after.values() for p in [top, *top.children(recursive=True)]}
    assert {member.pid for member in daemons.family(running.servers.record)} == cared_for


def test_down_leaves_no_process_and_may_be_repeated(running: Running) -> None:
    members = daemons.family(running.servers.record)
    assert len(members) > 5
    assert running.command("down").stdout == "down\n"
    assert all(map(daemons.has_ended, members))
    assert running.command("down").stdout == "nothing was up\n"


@pytest.mark.slow
def test_a_start_that_fails_shows_the_log_and_leaves_nothing(running: Running) -> None:
    running.command("down")
    config = running.servers.state / "airflow" / "airflow.cfg"
    before = config.read_text() if config.exists() else None
    try:
        config.write_text("[core\n")
        done = running.command("up")
        assert done.returncode == 8
        assert "Airflow cannot set up its database" in done.stderr
        assert "MissingSectionHeaderError" in done.stderr
        assert "Traceback" not in done.stderr.partition("\n")[0]
        assert daemons.family(running.servers.record) == []
    finally:
        config.unlink()
        if before is not None:
            config.write_text(before)
