"""What docker-compose.yml describes as real processes of this machine, where there is no Docker engine.

Commands, environment and order are read from the file; what containers get from Docker is put in:
paths of volumes, ports on the loopback interface, names of hosts, the image's environment, and a
restart of servers that die. PostgreSQL is the one of the wheel, with a password and on a port as there.
"""

import contextlib
import http.client
import os
import re
import secrets
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from tasks.commands import daemons, postgres
from tasks.commands.server_settings import is_free
from tasks.commands.servers import request
from tasks.workspace import git
from tests import postgres_on_a_port
from tests.airflow_rest import Airflow, wait_for
from tests.projects import REPOSITORY

MARKER = "PROOFMINT_TEST_CONTAINER"
"""In the environment of everything that runs in a service: what kills a container kills that."""

SERVERS = ("redis", "api-server", "scheduler", "dag-processor", "worker-cpu", "worker-gpu")
STEPS = ("project", "databases", "airflow-init")

WORKERS = ("worker-cpu", "worker-gpu")

PORTS = {"postgres": 5432, "redis": 6379, "api-server": 8080, "mlflow": 5000}
"""What listens in the file's networks."""

IMAGE = {"PYTHONPATH": "/project", "PYTHONUNBUFFERED": "1", "AIRFLOW_HOME": "/airflow"}
"""What docker/Dockerfile sets for every service of ours."""


class _Loader(yaml.SafeLoader):
    """Compose's own tags in files that override others."""


_Loader.add_constructor("!reset", lambda loader, node: None)


def read_compose() -> dict[str, Any]:
    """The services of docker-compose.yml, with a GPU's worker beside the other one."""
    services: dict[str, Any] = yaml.load(
        (REPOSITORY / "docker-compose.yml").read_text(),
        Loader=_Loader,  # noqa: S506 - a SafeLoader
    )["services"]
    override = yaml.load((REPOSITORY / "docker" / "gpu.yml").read_text(), Loader=_Loader)  # noqa: S506
    services["worker-cpu"]["command"] = override["services"]["worker-cpu"]["command"]
    return services


@dataclass
class Cluster:
    """The services of one project.

    Attributes:
        root: where all volumes are.
        checkout: the repository that compose would be called in.
        settings: environment that every service gets on top, by `*` or by name of a service.
        separate: workers have a clone of the project each, and share no folder.
    """

    root: Path
    checkout: Path
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    separate: bool = False

    def __post_init__(self) -> None:
        self.services = read_compose()
        self.ports = _free_ports(PORTS)
        self.identity = secrets.token_hex(6)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watching = threading.Event()
        self._lock = threading.RLock()
        self.airflow = Airflow(f"http://127.0.0.1:{self.ports['api-server']}", self._password)

    # --- starting and stopping ---------------------------------------------------------------

    @contextlib.contextmanager
    def running(self) -> Iterator["Cluster"]:
        """All services, for the length of the block."""
        watcher = threading.Thread(target=self._restart_what_dies, daemon=True)
        try:
            self.start()
            self._watching.set()
            watcher.start()
            yield self
        finally:
            self._watching.clear()
            if watcher.ident is not None:
                watcher.join()
            self._end_all()

    def start(self) -> None:
        """Run the steps, then the servers, until all of them answer."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._step("secrets")
        self.launch("postgres")
        self.launch("redis")
        wait_for("PostgreSQL", self._postgres_answers)
        for step in STEPS:
            self._step(step)
        self._connect()
        for server in SERVERS[1:]:
            self.launch(server)
        wait_for("Airflow", self.is_healthy, self.explain)

    def _connect(self) -> None:
        """Where disks are separate: the git remote that all clones share."""
        if not self.separate:
            return
        git(self.root, "clone", "--quiet", "--bare", str(self.checkout), str(self.origin))
        for worker in WORKERS:
            git(self.project_of(worker), "remote", "add", "origin", str(self.origin))

    @property
    def origin(self) -> Path:
        """The bare repository behind the clones of separate workers."""
        return self.root / "origin.git"

    def _password(self) -> str:
        return (self._folder("secrets") / "logins" / "airflow").read_text()

    def launch(self, service: str) -> None:
        """Start the process of a service."""
        with self._lock:
            command = (
                self._postgres_command() if service == "postgres" else self.command_of(service)
            )
            log = self.log(service)
            log.parent.mkdir(exist_ok=True)
            with log.open("ab") as output:
                self._processes[service] = subprocess.Popen(
                    command,
                    cwd=self._working_folder(service),
                    env=self.environment_of(service),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    **(postgres._as_server_user() if service == "postgres" else {}),
                )

    def kill(self, service: str) -> list[psutil.Process]:
        """What `docker kill` does: at once end everything in a service; return what it was."""
        ended = []
        with self._lock:
            while members := self.members(service, suspend=True):
                for member in members:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        member.kill()
                ended += members
                self._processes[service].wait()
                daemons.wait_ended(members, 10)
        return ended

    def members(self, service: str | None = None, *, suspend: bool = False) -> list[psutil.Process]:
        """Living processes of a service, or of all; suspended when found, so that none sees others die."""
        tops = {
            process.pid
            for name, process in self._processes.items()
            if process.poll() is None and service in (None, name)
        }
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                # Some rename themselves, and so write over their environment; parents come first.
                if (
                    process.pid in tops
                    or process.ppid() in found
                    or self._is_marked(process, service)
                ):
                    found[process.pid] = process
                    if suspend:
                        process.suspend()
        return [process for process in found.values() if not daemons.has_ended(process)]

    def _is_marked(self, process: psutil.Process, service: str | None) -> bool:
        marker: str = process.environ().get(MARKER, "")
        wanted = f"{self.identity}/{service or ''}"
        return marker == wanted if service else marker.startswith(wanted)

    def _end_all(self) -> None:
        for service in self._processes:
            with contextlib.suppress(ProcessLookupError):
                self._processes[service].terminate()
        while members := self.members():
            for member in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            daemons.wait_ended(members, 10)
        for process in self._processes.values():
            process.wait()

    def _restart_what_dies(self) -> None:
        """`restart: unless-stopped`."""
        while self._watching.is_set():
            with self._lock:
                for service, process in list(self._processes.items()):
                    if process.poll() is not None and self._watching.is_set():
                        self._clear(service)
                        self.launch(service)
            time.sleep(1.0)

    def _clear(self, service: str) -> None:
        """A container that starts again has an empty tmpfs, and nobody else in it."""
        for member in self.members(service):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        if service == "postgres":
            (self._folder("postgres") / "postmaster.pid").unlink(missing_ok=True)
        for path in self._folder(f"{service}-airflow").glob("*.pid"):
            path.unlink()

    def _step(self, service: str) -> None:
        for name in self._instances(service):
            done = subprocess.run(
                self.command_of(name),
                cwd=self._working_folder(name),
                env=self.environment_of(name),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{name}: {done.stdout[-4000:]}{done.stderr[-4000:]}"

    def _instances(self, service: str) -> list[str]:
        """A clone of the project for everybody, or for each worker and for Airflow's own processes."""
        if service == "project" and self.separate:
            return ["project", "project@worker-cpu", "project@worker-gpu"]
        return [service]

    # --- what compose would put in -----------------------------------------------------------

    def command_of(self, service: str) -> list[str]:
        """The command of a service, with the image's entry point before it."""
        kind = service.partition("@")[0]
        given = self.services[kind]["command"]
        words = shlex.split(given) if isinstance(given, str) else [str(word) for word in given]
        words = [self._here(word, service) for word in words]
        if kind == "redis":
            return [*words, "--port", str(self.ports["redis"]), "--bind", "127.0.0.1"]
        if kind.startswith("worker"):
            words += [
                "--celery-hostname",
                f"{kind}@localhost",
            ]  # containers have names of their own
        return [str(REPOSITORY / "docker" / "with-secrets"), *words]

    def environment_of(self, service: str) -> dict[str, str]:
        """The environment of a service: the file's, the image's, and nothing of the tests' own."""
        kind = service.partition("@")[0]
        local = "127.0.0.1,localhost"
        base = {
            k: v
            for k, v in os.environ.items()
            if k in ("HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS")
        }
        own = self.services.get(kind, {}).get("environment", {}) if kind != "postgres" else {}
        filled = {**IMAGE, **{name: str(value) for name, value in own.items()}}
        if kind == "secrets":
            del filled["PROOFMINT_SECRETS_GROUP"], filled["PROOFMINT_S3_CREDENTIALS_FILE"]
        filled = {name: self._here(value, service) for name, value in filled.items()}
        filled.pop("MLFLOW_TRACKING_URI", None)  # a folder does, and saves the memory of a server
        code = REPOSITORY / "docker"
        return {
            **base,
            **filled,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(code), os.defpath]),
            "NO_PROXY": local,
            "no_proxy": local,
            MARKER: f"{self.identity}/{service}",
            **self.settings.get("*", {}),
            **self.settings.get(kind, {}),
        }

    def _here(self, text: str, service: str) -> str:
        """A text of the file with variables, hosts, ports and paths of this machine."""
        text = re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", text)
        for host, port in PORTS.items():
            text = text.replace(f"{host}:{port}", f"127.0.0.1:{self.ports[host]}")
        text = text.replace("localhost:8080", f"127.0.0.1:{self.ports['api-server']}")
        if text in ("8080", "5000"):
            return str(self.ports[{"8080": "api-server", "5000": "mlflow"}[text]])
        text = "127.0.0.1" if text == "0.0.0.0" else text  # noqa: S104 - it is what must not be
        for target, place in sorted(self._mounts(service).items(), reverse=True):
            text = re.sub(rf"(?<![\w.-]){re.escape(target)}(?![\w-])", str(place), text)
        return text

    def _mounts(self, service: str) -> dict[str, Path]:
        """Folder of this machine by path in the container."""
        kind, _, owner = service.partition("@")
        found = {"/opt/proofmint": REPOSITORY / "docker", "/checkout.git": self.checkout / ".git"}
        for volume in self.services.get(kind, {}).get("volumes", ()):
            subpath = volume.get("volume", {}).get("subpath")
            if volume["type"] == "volume" and (subpath is None or volume["source"] == "secrets"):
                found[volume["target"]] = self._folder(volume["source"]) / (subpath or "")
        if "/project" in found:
            found["/project"] = self.project_of(owner or kind)
        if self.separate and kind in WORKERS:
            found["/logs"] = self._folder(f"logs-{kind}")
        found["/store"] = self._folder("store")
        found["/airflow"] = self._folder(f"{kind}-airflow")
        return found

    def project_of(self, service: str) -> Path:
        """The clone of the project that a service works in."""
        own = self.separate and service.startswith("worker")
        return self._folder(f"project-{service}" if own else "project")

    def _working_folder(self, service: str) -> Path:
        if service == "postgres":
            return self._folder("postgres")
        return self._mounts(service).get("/project", self._folder("work"))

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log(self, service: str) -> Path:
        """What a service says."""
        return self.root / "service-logs" / f"{service}.log"

    def task_log(self, worker: str, dag: str, run_id: str, task: str, try_number: int) -> str:
        """What one try of a task wrote on the disk of its worker."""
        folder = self._mounts(worker)["/logs"] / "tasks" / f"dag_id={dag}" / f"run_id={run_id}"
        log = folder / f"task_id={task}" / f"attempt={try_number}.log"
        assert log.exists(), f"no {log}; there is {list(folder.rglob('*'))}"
        return log.read_text(encoding="utf-8", errors="replace")

    # --- PostgreSQL --------------------------------------------------------------------------

    def _postgres_command(self) -> list[str]:
        password = (self._folder("secrets") / "postgres" / "password").read_text()
        return postgres_on_a_port.command(
            self._folder("postgres"), password, self.ports["postgres"]
        )

    def _postgres_answers(self) -> bool:
        import psycopg2

        address = self._folder("secrets") / "databases" / "SUPERUSER_URL"
        try:
            psycopg2.connect(address.read_text()).close()
        except psycopg2.OperationalError:
            return False
        return True

    def is_healthy(self) -> bool:
        """Whether the parts of Airflow live, and both workers are there."""
        try:
            health = request(f"{self.airflow.url}/api/v2/monitor/health")
        except (OSError, ValueError, http.client.HTTPException):
            return False
        parts = ("scheduler", "dag_processor", "metadatabase")
        return all(health[part]["status"] == "healthy" for part in parts) and all(
            "ready." in self.log(worker).read_text(errors="replace") for worker in WORKERS
        )

    def explain(self) -> str:
        """The ends of all logs."""
        return "\n".join(
            f"{name} ({process.poll()}):\n{daemons.tail(self.log(name), 12)}"
            for name, process in self._processes.items()
        )


def _free_ports(names: Sequence[str] | Mapping[str, int]) -> dict[str, int]:
    """A port for each name that nobody listens on."""
    # Below those that the system gives to clients: one of these that waits for a server may meet itself.
    first = 20_000 + os.getpid() % 10_000
    free = (port for port in range(first, first + 2_000) if is_free(port))
    return {name: next(free) for name in names}
