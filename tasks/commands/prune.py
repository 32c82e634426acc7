"""`proofmint prune`: remove what no release, no run and nobody will ask for again."""

import datetime
import os
import time
from collections import defaultdict
from pathlib import Path

from tasks.commands import daemons, postgres
from tasks.commands.releases import print_table
from tasks.commands.server_settings import (
    USER,
    Servers,
    airflow_environment,
    password_of,
    servers_of,
)
from tasks.errors import ProofmintError
from tasks.maintenance.leftovers import Leftover, find, put_lineage_aside, size_of
from tasks.maintenance.stores import (
    clean_airflow_metadata,
    collect_dvc_garbage,
    dvc_cache_of,
    purge_mlflow_runs,
)
from tasks.tracking import open_tracker
from tasks.workspace import locked, state_of

Row = tuple[str, str, str]

DAY_SECONDS = 86_400


def prune(project: Path, *, older_than_days: int, dry_run: bool) -> int:
    """Remove what is left over, and print what went; a part that fails does not stop the others.

    Args:
        project: its folder.
        older_than_days: since it was last touched; what a process holds stays whatever its age.
        dry_run: print what would go, and remove nothing.

    Raises:
        ProofmintError: the first fault of a store that could not be cleaned, after all the rest.
    """
    state = state_of(project)
    before = time.time() - older_than_days * DAY_SECONDS
    faults: list[ProofmintError] = []
    with locked(state / "locks" / "prune"):
        rows = _remove(find(project, state, before), dry_run=dry_run)
        if not dry_run:
            put_lineage_aside(state)
        parts = (
            _prune_mlflow,
            _prune_metadata,
            _prune_dvc,
        )  # the DVC cache last: worktrees are gone
        for part in parts:
            try:
                rows += part(project, before, dry_run=dry_run)
            except ProofmintError as error:
                faults.append(error)
    print("would be removed:" if dry_run else "removed:")
    print_table(("what", "number", "size"), rows)
    if faults:
        raise faults[0]
    return 0


def _remove(found: list[Leftover], *, dry_run: bool) -> list[Row]:
    kinds: dict[str, list[Leftover]] = defaultdict(list)
    for one in found:
        kinds[one.kind].append(one)
        if not dry_run:
            one.remove()
    return [
        (kind, f"{len(members):,}", _size(sum(m.size_bytes for m in members)))
        for kind, members in kinds.items()
    ]


def _prune_dvc(project: Path, _: float, *, dry_run: bool) -> list[Row]:
    cache = dvc_cache_of(project)
    held = size_of(cache) if cache.exists() else 0
    found = collect_dvc_garbage(project, state_of(project), dry_run=dry_run)
    if isinstance(found, str):
        return [("objects of DVC", "-", f"not looked at: {found}")]
    freed = "not known before" if dry_run else _size(held - size_of(cache) if held else 0)
    return [("objects of DVC", f"{found:,}", freed)]


def _prune_mlflow(project: Path, before: float, *, dry_run: bool) -> list[Row]:
    """Runs behind no release, in the store of the project, of `up`, or of MLFLOW_TRACKING_URI."""
    state, servers = state_of(project), servers_of(project)
    rows = []
    if (database := state / "mlflow" / "mlflow.db").exists():
        tracker = open_tracker(None, state / "mlflow")
        run_ids = tracker.unreleased_runs(before)
        if run_ids and not dry_run:
            tracker.delete_runs(run_ids)
            purge_mlflow_runs(f"sqlite:///{database.resolve()}", run_ids, None, {})
        rows.append(("runs of MLflow", f"{len(run_ids):,}", "-"))
    if uri := os.environ.get("MLFLOW_TRACKING_URI") or _own_server(servers):
        tracker = open_tracker(uri, state / "mlflow")
        run_ids = tracker.unreleased_runs(before)
        if run_ids and not dry_run:
            tracker.delete_runs(run_ids)
            if uri == _own_server(servers):
                _purge_own_server(servers, run_ids, uri)
        rows.append(("runs of MLflow's server", f"{len(run_ids):,}", "-"))
    return rows


def _own_server(servers: Servers) -> str | None:
    """Where the MLflow of `up` answers, with its login in the environment; None: it does not run."""
    if "mlflow" not in daemons.living(servers.record):
        return None
    os.environ.setdefault("MLFLOW_TRACKING_USERNAME", USER)
    os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", password_of(servers, "mlflow"))
    return servers.url("mlflow")


def _purge_own_server(servers: Servers, run_ids: list[str], uri: str) -> None:
    database = postgres.start(servers.database)
    artifacts = servers.state / "mlflow-artifacts"
    env = {"MLFLOW_TRACKING_URI": uri}
    purge_mlflow_runs(database.url("mlflow"), run_ids, artifacts, env)


def _prune_metadata(project: Path, before: float, *, dry_run: bool) -> list[Row]:
    """Airflow's rows about old runs; only the servers of `up` let us at their database."""
    servers = servers_of(project)
    if "scheduler" not in daemons.living(servers.record):
        return []
    env = airflow_environment(servers, postgres.start(servers.database))
    moment = datetime.datetime.fromtimestamp(before, datetime.UTC).isoformat()
    clean_airflow_metadata(moment, env, dry_run=dry_run)
    return [("runs in Airflow's metadata", "all", f"before {moment[:10]}")]


def _size(n_bytes: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if abs(n_bytes) < 1024:
            return f"{n_bytes:,.0f} {unit}" if unit == "bytes" else f"{n_bytes:,.1f} {unit}"
        n_bytes /= 1024  # type: ignore[assignment]
    return f"{n_bytes:,.1f} GiB"
