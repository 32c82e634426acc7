"""Where the servers of `up` keep their things: ports, secrets, and the environment they run in."""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.commands import demo_source, postgres
from tasks.errors import WorkspaceError
from tasks.storage import read_json, write_json
from tasks.workspace import state_of

PORTS = {"airflow": ("PROOFMINT_AIRFLOW_PORT", 8080), "mlflow": ("PROOFMINT_MLFLOW_PORT", 5000)}
"""For each server the variable that sets its port, and the port tried first otherwise."""

USER = "admin"

_OBSERVABILITY = (
    "AIRFLOW__OPENLINEAGE__",
    "AIRFLOW__METRICS__",
    "AIRFLOW__TRACES__",
    "AIRFLOW__LOGGING__JSON_LOGS",
)
"""Settings of Airflow that `up` leaves to whoever starts it."""


@dataclass(frozen=True)
class Servers:
    """Where the servers of a project are; nothing needs to run."""

    project: Path
    state: Path

    @property
    def record(self) -> Path:
        """Which processes were started."""
        return self.state / "servers.json"

    @property
    def ports_file(self) -> Path:
        """Which ports they were given."""
        return self.state / "ports.json"

    @property
    def database(self) -> Path:
        """The PostgreSQL that Airflow and MLflow write to."""
        return self.state / "postgres" / "servers"

    def log(self, name: str) -> Path:
        """The log of one process."""
        return self.state / "logs" / f"{name}.log"

    def url(self, server: str) -> str:
        """Where a server answers; it was started before."""
        return f"http://127.0.0.1:{read_json(self.ports_file)[server]}"


def servers_of(project: Path) -> Servers:
    """The servers of a project."""
    return Servers(project.resolve(), state_of(project).resolve())


def airflow_environment(servers: Servers, database: postgres.PostgresServer) -> dict[str, str]:
    """The environment of Airflow's processes, and so of the tasks that they run."""
    url = servers.url("airflow")
    passwords = servers.state / "secrets" / "airflow.json"
    password_of(servers, "airflow")
    settings = {
        "CORE__DAGS_FOLDER": servers.project / "dags",
        "CORE__PLUGINS_FOLDER": servers.project / "plugins",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": max(4, os.cpu_count() or 1),
        "CORE__AUTH_MANAGER": (
            "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
        ),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords,
        "CORE__FERNET_KEY": secret(servers, "fernet_key"),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": database.url("airflow"),
        "API__HOST": "127.0.0.1",
        "API__PORT": url.rpartition(":")[2],
        "API__BASE_URL": url,
        "API__WORKERS": 1,
        "API__INSTANCE_NAME": "Proofmint",
        "API__ENABLE_SWAGGER_UI": False,
        "API__SECRET_KEY": secret(servers, "airflow_secret_key"),
        "API_AUTH__JWT_SECRET": secret(servers, "jwt_secret", secrets.token_urlsafe(64)),
        "LOGGING__BASE_LOG_FOLDER": servers.state / "logs" / "airflow",
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": servers.state / "logs" / "parsing",
        "USAGE_DATA_COLLECTION__ENABLED": False,
        # An API server that comes back within five minutes ends no training (default: 3 x 5 s).
        "WORKERS__MAX_FAILED_HEARTBEATS": 60,
        "WORKERS__EXECUTION_API_RETRIES": 10,
    }
    return {
        **environment(servers),
        "AIRFLOW_HOME": str(servers.state / "airflow"),
        **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
        **observability(servers.state),
        "MLFLOW_TRACKING_URI": servers.url("mlflow"),
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": password_of(servers, "mlflow"),
    }


def observability(state: Path) -> dict[str, str]:
    """What Airflow tells about itself: lineage into a file; metrics and JSON logs where asked for.

    Whatever our own environment says of these for Airflow stands.
    """
    place = state / "lineage" / "events.jsonl"
    place.parent.mkdir(mode=0o700, exist_ok=True)
    transport = {"type": "file", "log_file_path": str(place), "append": True}
    defaults = {
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "proofmint",
        # The provider would fork the task's process, and with it its line to the supervisor.
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "true",
        # Names without datasets and tasks in them, which stand in tags; plain StatsD has none.
        "AIRFLOW__METRICS__LEGACY_NAMES_ON": "false",
        "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "true",
    }
    given = {name: os.environ[name] for name in os.environ if name.startswith(_OBSERVABILITY)}
    return {**defaults, **given}


def environment(servers: Servers) -> dict[str, str]:
    """Our own environment without settings of another Airflow or MLflow, and without telemetry."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW__", "AIRFLOW_HOME", "MLFLOW_", "PYTEST_"))
    }
    local = "127.0.0.1,localhost"
    proxies = {
        name: f"{local},{inherited[name]}" if inherited.get(name) else local
        for name in ("NO_PROXY", "no_proxy")
    }
    return {
        **inherited,
        **proxies,
        # Airflow and DVC start programs by name; `tasks` is the project's, wherever installed from.
        "PATH": _prepended(Path(sys.executable).parent, inherited.get("PATH", os.defpath)),
        "PYTHONPATH": _prepended(servers.project, inherited.get("PYTHONPATH")),
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def _prepended(folder: Path, path: str | None) -> str:
    return f"{folder}{os.pathsep}{path}" if path else str(folder)


@contextlib.contextmanager
def reserved_ports(servers: Servers, *, in_use: bool) -> Iterator[None]:
    """Give each server a port, and keep other projects of this user from it until it listens."""
    with contextlib.ExitStack() as stack:
        if not (in_use and servers.ports_file.exists()):
            folder = postgres.private_folder(f"proofmint-{os.getuid()}-ports", os.getuid())
            ports = {
                name: _free_port(name, variable, first, folder, stack)
                for name, (variable, first) in PORTS.items()
            }
            write_json(servers.ports_file, ports)
        yield


def _free_port(
    server: str, variable: str, first: int, folder: Path, stack: contextlib.ExitStack
) -> int:
    wanted = os.environ.get(variable)
    if wanted and not (wanted.isdecimal() and 0 < int(wanted) < 65_536):
        raise WorkspaceError(f"expected {variable} to be a port from 1 to 65535, found {wanted!r}")
    for port in [int(wanted)] if wanted else range(first, first + 100):
        reservation = stack.enter_context((folder / str(port)).open("w"))
        try:
            fcntl.flock(reservation, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        if is_free(port):
            return port
    if wanted:
        raise WorkspaceError(
            f"port {wanted} is taken, which {variable} asks for; end what listens there, choose"
            " another port, or unset the variable to get the next free one"
        )
    raise WorkspaceError(f"no free port from {first} to {first + 99} for {server}; set {variable}")


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of the loopback interface."""
    with socket.socket() as probe:
        # As servers do; without it a port that was just closed counts as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def password_of(servers: Servers, server: str) -> str:
    """The password of `admin`; made at the first call."""
    fresh = secrets.token_urlsafe(15)
    if server == "mlflow":
        return secret(servers, "mlflow", fresh)
    # The form in which Airflow reads it, and would write it itself.
    passwords: dict[str, str] = json.loads(
        secret(servers, "airflow.json", json.dumps({USER: fresh}))
    )
    return passwords[USER]


def secret(servers: Servers, name: str, value: str | None = None) -> str:
    """A secret from `.proofmint/secrets`, made there first if need be; 32 random bytes by default."""
    place = servers.state / "secrets" / name
    if not place.exists():
        write_secret(
            place, value or base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")
        )
    return place.read_text(encoding="utf-8").strip()


def write_secret(place: Path, content: str) -> None:
    """Write a file of `.proofmint/secrets`, which nobody else can read or list."""
    place.parent.mkdir(mode=0o700, exist_ok=True)
    demo_source.write_owner_only(place, content)
