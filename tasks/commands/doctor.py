"""`doctor`: is everything here that the pipeline needs? One line for each thing, in a few seconds."""

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from tasks import params, pipeline
from tasks.commands import daemons, demo_source, postgres
from tasks.commands.server_settings import PORTS, Servers, is_free, servers_of
from tasks.errors import ProofmintError, WorkspaceError
from tasks.workspace import Layout, project_of, stage_environment

Level = Literal["ok", "warning", "problem"]

OLDEST_PYTHON = (3, 11)

NEEDED_DISK_GIB = 2.0
"""For databases, caches and releases of the demo; the environment itself is installed by now."""

NEEDED_MEMORY_GIB = 2.0

_COLOURS = {"ok": "32", "warning": "33", "problem": "31"}

_GPU_SCRIPT = (
    "import torch; print(', '.join(torch.cuda.get_device_name(i)"
    " for i in range(torch.cuda.device_count())))"
)


@dataclass(frozen=True)
class Finding:
    """What one check found; a problem says what to do."""

    level: Level
    subject: str
    text: str


def doctor(root: Path) -> int:
    """Print what is fine, doubtful or missing; 8 if something is missing."""
    levels = []
    for finding in examine(root):
        levels.append(finding.level)
        level = f"{finding.level:8}"
        if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
            level = f"\033[{_COLOURS[finding.level]}m{level}\033[0m"
        print(f"{level} {finding.subject:14} {finding.text}", flush=True)
    n_problems = levels.count("problem")
    if n_problems:
        print(f"{n_problems} of {len(levels)} checks found a problem")
        return WorkspaceError.exit_code
    return 0


def examine(root: Path) -> Iterator[Finding]:
    """All checks, in the order in which their findings build on each other."""
    # torch takes seconds to import, so it does while the other checks run.
    gpu = subprocess.Popen(
        [sys.executable, "-c", _GPU_SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield _python()
        yield from _programs()
        yield from _machine(root)
        yield _postgres()
        try:
            servers = servers_of(project_of(root))
        except WorkspaceError:
            yield Finding(
                "problem", "repository", f"{root} is in no git repository; run `git init`"
            )
        else:
            yield Finding("ok", "repository", str(servers.project))
            yield from _datasets(root, servers)
            yield from _ports(servers)
        if address := os.environ.get("MLFLOW_TRACKING_URI"):
            yield _mlflow(address)
        yield _gpu(gpu)
    finally:
        gpu.kill()
        gpu.communicate()


# --- the machine ------------------------------------------------------------------------------


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        text = f"expected {wanted} or newer, found {version}; install one"
        return Finding("problem", "Python", text)
    return Finding("ok", "Python", version)


def _programs() -> Iterator[Finding]:
    search = stage_environment()["PATH"]
    for name, hint in (("git", "install it"), ("dvc", "run `make demo`, which installs it")):
        place = shutil.which(name, path=search)
        if place is None:
            yield Finding("problem", name, f"expected the program on PATH, found none; {hint}")
        else:
            yield Finding("ok", name, place)


def _machine(root: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(root).free / 2**30
    text = f"{free:.1f} GiB free where {root} is"
    if free < NEEDED_DISK_GIB:
        yield Finding("problem", "disk", f"{text}; free some: {NEEDED_DISK_GIB:.0f} GiB are needed")
    else:
        yield Finding("ok", "disk", text)
    memory = psutil.virtual_memory().available / 2**30
    n_cores = len(
        psutil.Process().cpu_affinity() if hasattr(psutil.Process, "cpu_affinity") else []
    )
    text = f"{memory:.1f} GiB free, {n_cores or os.cpu_count()} cores"
    if memory < NEEDED_MEMORY_GIB:
        text += f"; trainings may run out of it, {NEEDED_MEMORY_GIB:.0f} GiB are better"
        yield Finding("warning", "memory", text)
    else:
        yield Finding("ok", "memory", text)


def _postgres() -> Finding:
    with tempfile.TemporaryDirectory(prefix="proofmint-doctor-") as folder:
        try:
            with postgres.running(Path(folder) / "postgres"):
                return Finding("ok", "PostgreSQL", "the embedded server starts")
        except ProofmintError as error:
            return Finding("problem", "PostgreSQL", str(error))


def _gpu(process: subprocess.Popen[str]) -> Finding:
    names = process.communicate(timeout=60)[0].strip()
    if process.returncode != 0:
        return Finding("problem", "GPU", "torch cannot be imported; run `make demo` to install it")
    return Finding("ok", "GPU", names or "none; trainings use the processor")


# --- the project ------------------------------------------------------------------------------


def _datasets(root: Path, servers: Servers) -> Iterator[Finding]:
    try:
        stages = {name: len(d.stages) for name, d in pipeline.load(root).items()}
        yield Finding("ok", "dvc.yaml", f"{max(stages.values(), default=0)} stages a dataset")
    except pipeline.PipelineError as error:
        yield Finding("problem", "dvc.yaml", str(error))
    try:
        datasets = params.load(root / params.PARAMS_FILE).datasets
    except ProofmintError as error:
        yield Finding("problem", "params.yaml", str(error))
        return
    yield Finding("ok", "params.yaml", f"datasets: {', '.join(datasets)}")
    for name, dataset in datasets.items():
        yield _suites(root, name)
        yield from _source(name, dataset.source.settings, servers)


def _suites(root: Path, name: str) -> Finding:
    suites = Layout(root, name).suites
    missing = [str(suite.relative_to(root)) for suite in suites if not suite.exists()]
    if missing:
        text = f"expected the suites {', '.join(missing)}; write them and commit them"
        return Finding("problem", f"{name}", text)
    return Finding("ok", name, f"gates: {', '.join(suite.stem for suite in suites)}")


def _source(name: str, settings: dict[str, object], servers: Servers) -> Iterator[Finding]:
    """Names only: what a connection holds is secret."""
    connection, path = settings.get("connection"), settings.get("path")
    demo = "run `proofmint demo-source start`"
    if isinstance(connection, str):
        variables = (connection, f"AIRFLOW_CONN_{connection.upper()}")
        known = {*os.environ, *demo_source.variables(servers.state)}
        if found := [variable for variable in variables if variable in known]:
            yield Finding("ok", name, f"connection {found[0]} is set")
        else:
            todo = demo if connection == demo_source.CONNECTION else f"set {variables[0]}"
            text = f"connection {connection} is set nowhere; {todo}, or define it in Airflow"
            yield Finding("warning", name, text)
    if isinstance(path, str) and "://" not in path and not (servers.project / path).exists():
        demo_path = servers.project / path == demo_source.digits_folder(servers.project)
        text = f"source {path} does not exist; {demo if demo_path else 'put the data there'}"
        yield Finding("warning", name, text)


def _ports(servers: Servers) -> Iterator[Finding]:
    ours = bool(daemons.living(servers.record)) and servers.ports_file.exists()
    for server, (variable, first) in PORTS.items():
        if ours:
            yield Finding("ok", f"{server} port", f"`up` runs: {servers.url(server)}")
            continue
        wanted = os.environ.get(variable) or str(first)
        if wanted.isdecimal() and 0 < int(wanted) < 65_536 and is_free(int(wanted)):
            yield Finding("ok", f"{server} port", f"{wanted} is free")
        elif variable in os.environ:
            text = f"{variable} asks for {wanted!r}, which is taken or no port; choose another"
            yield Finding("problem", f"{server} port", text)
        else:
            text = f"{wanted} is taken; `up` will take the next free one, or {variable}"
            yield Finding("warning", f"{server} port", text)


def _mlflow(address: str) -> Finding:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return Finding("ok", "MLflow", f"store of type {parts.scheme or 'file'}")
    where = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    try:
        urllib.request.urlopen(f"{where}{parts.path.rstrip('/')}/health", timeout=2)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            return Finding("problem", "MLflow", f"{where} answers {error.code}; see its log")
    except (OSError, ValueError) as error:
        text = f"{where} does not answer ({error}); start it or unset MLFLOW_TRACKING_URI"
        return Finding("problem", "MLflow", text)
    return Finding("ok", "MLflow", where)
