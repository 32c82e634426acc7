"""`up` and `down`: PostgreSQL, Airflow and MLflow on this machine, each with a login.

    .proofmint/postgres/servers   databases `airflow`, `mlflow`, `mlflow_auth`; a Unix socket
    .proofmint/airflow            Airflow's home: api-server, scheduler, dag-processor, triggerer
    .proofmint/mlflow-artifacts   what runs store, served by MLflow
    .proofmint/secrets            keys and passwords, made at the first start
    .proofmint/logs               one log for each process, and those of tasks

Everything listens on the loopback interface or on a socket of the owner, and outlives the terminal.
"""

import base64
import http.client
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tasks.commands import daemons, demo_source, postgres
from tasks.commands.server_settings import (
    USER,
    Servers,
    airflow_environment,
    environment,
    password_of,
    reserved_ports,
    secret,
    servers_of,
    write_secret,
)
from tasks.errors import WorkspaceError
from tasks.workspace import locked

START_SECONDS = 240
"""How long all servers together may take; usually under a minute."""

_AIRFLOW = ("scheduler", "dag-processor", "api-server", "triggerer")


def up(project: Path) -> int:
    """Start what does not run yet, and print the addresses when they answer."""
    servers = servers_of(project)
    with locked(servers.state / "servers.lock"):
        if is_up(servers):
            print("already up")
            _print_addresses(servers)
            return 0
        started = time.monotonic()
        ran_before = bool(daemons.living(servers.record))
        try:
            _start(servers)
        except BaseException:
            if not ran_before:
                _stop(servers)
            raise
        print(f"up after {time.monotonic() - started:.0f} s")
        _print_addresses(servers)
    return 0


def down(project: Path) -> int:
    """Stop everything that `up` started, running tasks included; data and passwords stay."""
    servers = servers_of(project)
    with locked(servers.state / "servers.lock"):
        print("down" if _stop(servers) else "nothing was up")
    return 0


def is_up(servers: Servers) -> bool:
    """Whether all processes run."""
    return (
        set(daemons.living(servers.record)) == {"mlflow", *_AIRFLOW}
        and postgres.is_running(servers.database)
        and postgres.is_running(demo_source.place_of(servers.project))
    )


# --- starting and stopping --------------------------------------------------------------------


def _start(servers: Servers) -> None:
    daemons.stop_orphans(servers.record)
    print("starting PostgreSQL")
    (servers.state / "logs").mkdir(mode=0o700, exist_ok=True)
    database = postgres.start(servers.database)
    for name in ("airflow", "mlflow", "mlflow_auth"):
        database.create_database(name)
    demo_source.provide(servers.project)

    alive = daemons.living(servers.record)
    with reserved_ports(servers, in_use=bool(alive)):
        airflow = airflow_environment(servers, database)
        if "mlflow" not in alive:
            print("starting MLflow")
            _launch_mlflow(servers, database)
        if "scheduler" not in alive:
            _migrate(servers, airflow)
        print("starting Airflow")
        for name in _AIRFLOW:
            if name not in alive:
                # Without log servers, which would listen on all interfaces: the logs are local.
                quiet = ["--skip-serve-logs"] if name in ("scheduler", "triggerer") else []
                command = [sys.executable, "-m", "airflow", name, *quiet]
                log = servers.log(name)
                daemons.launch(
                    servers.record, name, command, env=airflow, cwd=servers.project, log=log
                )
        _wait(servers)
    _create_gpu_pool(servers)


def _stop(servers: Servers) -> bool:
    ended = [
        daemons.stop(servers.record),
        postgres.stop(servers.database),
        postgres.stop(demo_source.place_of(servers.project)),
    ]
    servers.ports_file.unlink(missing_ok=True)
    return any(ended)


def _launch_mlflow(servers: Servers, database: postgres.PostgresServer) -> None:
    config = servers.state / "secrets" / "mlflow.ini"
    write_secret(
        config,
        "[mlflow]\n"
        "default_permission = NO_PERMISSIONS\n"
        f"database_uri = {database.url('mlflow_auth')}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        # Checking a password is slow by design; a training asks several times a second.
        "auth_cache_ttl_seconds = 60\n",
    )
    env = {
        **environment(servers),
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_USERNAME": USER,
        "MLFLOW_AUTH_ADMIN_PASSWORD": password_of(servers, "mlflow"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secret(servers, "mlflow_session_key"),
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        # Background jobs are for judging language models; they would double the processes.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"),
        *("--host", "127.0.0.1", "--port", servers.url("mlflow").rpartition(":")[2]),
        *("--backend-store-uri", database.url("mlflow"), "--workers", "1"),
        *("--artifacts-destination", str(servers.state / "mlflow-artifacts")),
    ]
    daemons.launch(
        servers.record, "mlflow", command, env=env, cwd=servers.project, log=servers.log("mlflow")
    )


def _migrate(servers: Servers, env: dict[str, str]) -> None:
    log = servers.log("migrate")
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            cwd=servers.project,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise WorkspaceError(f"Airflow cannot set up its database; see {log}:\n{daemons.tail(log)}")


def _wait(servers: Servers) -> None:
    """Wait until everything answers, or say which process does not and why."""
    deadline = time.monotonic() + START_SECONDS
    while missing := _unready(servers):
        alive = daemons.living(servers.record)
        for name in ("mlflow", *_AIRFLOW):
            if name not in alive:
                log = servers.log(name)
                raise WorkspaceError(f"{name} ended; see {log}:\n{daemons.tail(log)}")
        if time.monotonic() > deadline:
            logs = "\n".join(f"{servers.log(n)}:\n{daemons.tail(servers.log(n))}" for n in missing)
            raise WorkspaceError(f"no answer after {START_SECONDS} s from {missing}; {logs}")
        time.sleep(0.5)


def _unready(servers: Servers) -> list[str]:
    """The processes that do not answer yet."""
    unready = []
    try:
        experiments = f"{servers.url('mlflow')}/api/2.0/mlflow/experiments/search?max_results=1"
        login = f"{USER}:{password_of(servers, 'mlflow')}".encode()
        request(experiments, {"Authorization": f"Basic {base64.b64encode(login).decode()}"})
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise WorkspaceError(
                f"MLflow does not accept the password in {servers.state / 'secrets' / 'mlflow'};"
                " its users were made with another one. Put that back, or remove"
                f" {servers.database} with all runs"
            ) from error
        unready.append("mlflow")
    except (OSError, http.client.HTTPException):
        unready.append("mlflow")
    try:
        health = request(f"{servers.url('airflow')}/api/v2/monitor/health")
        parts = {
            "scheduler": "scheduler",
            "dag_processor": "dag-processor",
            "triggerer": "triggerer",
        }
        unready += [name for key, name in parts.items() if health[key]["status"] != "healthy"]
    except (OSError, http.client.HTTPException):
        unready.append("api-server")
    return unready


def _create_gpu_pool(servers: Servers) -> None:
    """The pool in which trainings wait for a GPU; without one, they run one at a time."""
    import torch

    url = servers.url("airflow")
    login = {"username": USER, "password": password_of(servers, "airflow")}
    token = request(f"{url}/auth/token", content=login)["access_token"]
    pool = {
        "name": "gpu",
        "slots": max(1, torch.cuda.device_count()),
        "description": "Trainings at a time: the number of GPUs, or one",
        "include_deferred": False,
    }
    bearer = {"Authorization": f"Bearer {token}"}
    try:
        request(f"{url}/api/v2/pools", bearer, pool)
    except urllib.error.HTTPError as error:
        if error.code != http.client.CONFLICT:  # it exists, perhaps with slots that somebody chose
            raise WorkspaceError(f"cannot create Airflow's pool `gpu`: {error}") from error


# --- talking ----------------------------------------------------------------------------------


def request(url: str, headers: dict[str, str] | None = None, content: Any = None) -> Any:
    """The JSON that a local server answers, never by way of a proxy."""
    message = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - our own addresses
    if content is not None:
        message.data = json.dumps(content).encode()
        message.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(message, timeout=10) as answer:
        return json.load(answer)


def _print_addresses(servers: Servers) -> None:
    folder = servers.state / "secrets"
    shown = folder / "shown"
    for name, title in (("airflow", "Airflow"), ("mlflow", "MLflow")):
        login = "" if shown.exists() else f"   user {USER}, password {password_of(servers, name)}"
        print(f"  {title:10}{servers.url(name)}{login}")
    again = f"user {USER}" if shown.exists() else "shown this once, and kept"
    print(f"  passwords {again}; in airflow.json and mlflow of {folder}")
    print(f"  logs      {servers.state / 'logs'}")
    print("  DAGs are paused until you unpause or trigger them; stop the servers with `make down`")
    shown.touch(mode=0o600)
