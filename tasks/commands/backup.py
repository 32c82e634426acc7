"""`proofmint backup`: everything that it takes to go on elsewhere, in one file of the owner's.

    git.bundle            all branches and tags, and the commit that is checked out
    git/config            remotes, identity; git/shallow: of a clone without its whole history
    project/…             releases, .dvc/config.local, and files that are not committed
    dvc/files, dvc/runs   data of all branches and tags, and what earlier runs computed
    state/…               .proofmint: keys, secrets, MLflow's store, approvals, refusals, searches
    databases/*.dump      Airflow's and MLflow's, where `up` made them

What can be made again is left out: worktrees, fetched files, logs, the environment. It may be made
while runs are under way: it holds what was released before it began.
"""

import contextlib
import datetime
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tasks.commands import postgres
from tasks.commands.postgres import PostgresServer
from tasks.commands.releases import print_table
from tasks.commands.server_settings import servers_of
from tasks.errors import WorkspaceError
from tasks.maintenance.archive import Writer, files_below, writing
from tasks.maintenance.dvc_objects import locks_of, objects_of
from tasks.maintenance.stores import dvc_cache_of
from tasks.workspace import git, locked, state_of

DATABASES = ("airflow", "mlflow", "mlflow_auth")

SHALLOW = "git/shallow"
"""Where the history of a shallow clone ends; without it git takes the bundle for damaged."""

MLFLOW_STORE = PurePosixPath("mlflow/mlflow.db")

BACKUPS = "backups"
"""Folder of the state that no backup takes along."""

_MADE_AGAIN = frozenset(
    {BACKUPS, "worktrees", "airflow", "logs", "locks", "postgres", "demo", "outgoing", "benchmarks"}
)
_LARGE = frozenset({"cache", "checkpoints"})
_OF_PROCESSES = frozenset({"servers.json", "servers.lock", "ports.json", "lock"})
"""Files of the state that mean something on this machine alone."""


def backup(project: Path, file: Path, *, everything: bool) -> int:
    """Write the state of a project into one file.

    Args:
        project: its folder.
        file: to write; nobody but the owner can read it.
        everything: also data that no branch and no tag refers to, checkpoints and fetched files.

    Raises:
        WorkspaceError: the file exists or is to be where the next backup would take it along, the
            project's folder is no repository with a commit, or a database cannot be read.
    """
    state, rows = state_of(project), []
    _check_place(file, project, state)

    def part(name: str, archive: Writer, before: tuple[int, int]) -> tuple[int, int]:
        now = len(archive.digests), archive.size_bytes
        rows.append((name, f"{now[0] - before[0]:,}", f"{(now[1] - before[1]) / 2**20:,.1f} MiB"))
        return now

    with (
        tempfile.TemporaryDirectory(dir=state) as folder,
        locked(state / "locks" / "prune"),
        writing(file, Path(folder)) as archive,
    ):
        _describe(archive, project, state)
        _add_repository(archive, project, Path(folder))
        at = part("repository and releases", archive, (0, 0))
        missing = _add_data(archive, project, everything=everything)
        at = part("data", archive, at)
        _add_state(archive, state, Path(folder), everything=everything)
        at = part("keys, models, records", archive, at)
        _add_databases(archive, project, Path(folder))
        part("databases", archive, at)
    print_table(("what", "files", "size"), rows)
    if missing:
        print(f"{missing:,} objects of data are not on this machine (they may be in DVC's remote)")
    print(f"{file} holds the signing key and all passwords: keep it as you keep those")
    return 0


def _check_place(file: Path, project: Path, state: Path) -> None:
    """Refuse a file that would be a part of itself."""
    place, own = file.resolve(), state.resolve() / BACKUPS
    inside = any(place.is_relative_to(folder.resolve()) for folder in (project, state))
    if inside and not place.is_relative_to(own):
        raise WorkspaceError(f"expected a file outside of {project} or in {own}, found {file}")
    if place.is_relative_to(own):
        own.mkdir(mode=0o700, exist_ok=True)
    if not place.parent.is_dir():
        raise WorkspaceError(f"expected {place.parent} to be a folder; make it first")


def _describe(archive: Writer, project: Path, state: Path) -> None:
    try:
        head = git(project, "symbolic-ref", "--short", "HEAD")
    except WorkspaceError:
        head = git(project, "rev-parse", "HEAD")
    archive.facts |= {
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "project": str(project.resolve()),
        "state": str(state.resolve()),
        "head": head,
    }


def _add_repository(archive: Writer, project: Path, scratch: Path) -> None:
    bundle = scratch / "git.bundle"
    git(project, "bundle", "create", "--quiet", str(bundle), "--all", "HEAD")
    archive.add("git.bundle", bundle)
    common = Path(git(project, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    archive.add("git/config", common / "config")
    archive.add(SHALLOW, common / "shallow")
    for name in _uncommitted(project):
        if (path := project / name).is_file() and not path.is_symlink():
            archive.add(f"project/{name}", path)
    archive.add("project/.dvc/config.local", project / ".dvc" / "config.local")
    for name, path in files_below(project / "releases", lambda p: p.name.startswith(".")):
        if f"project/releases/{name}" not in archive.digests:
            archive.add(f"project/releases/{name}", path)


def _uncommitted(project: Path) -> list[str]:
    """Files that differ from the commit or are in none, without what git ignores."""
    changed = git(project, "diff", "--name-only", "-z", "--diff-filter=d", "HEAD").split("\0")
    new = git(project, "ls-files", "-z", "--others", "--exclude-standard").split("\0")
    return sorted({*changed, *new} - {""})


def _add_data(archive: Writer, project: Path, *, everything: bool) -> int:
    """Objects of DVC's cache; returns how many of the wanted ones are not there."""
    cache, missing = dvc_cache_of(project), 0
    if everything:
        for name, path in files_below(cache / "files", lambda _: False):
            archive.add(f"dvc/files/{name}", path)
    else:
        names, missing = objects_of(cache, locks_of(project))
        for name in names:
            archive.add(f"dvc/{name}", cache / name)
    for name, path in files_below(cache / "runs", lambda _: False):
        archive.add(f"dvc/runs/{name}", path)
    return missing


def _add_state(archive: Writer, state: Path, scratch: Path, *, everything: bool) -> None:
    left_out = _MADE_AGAIN if everything else _MADE_AGAIN | _LARGE

    def skip(path: PurePosixPath) -> bool:
        if path.parts[0] == scratch.name or path.parts[0] in left_out:
            return True
        if path.name.startswith(".") and path.name.endswith(".draft"):
            return True
        return path.name in _OF_PROCESSES or str(path).startswith(str(MLFLOW_STORE))

    for name, path in files_below(state, skip):
        archive.add(f"state/{name}", path)
    archive.add("state/airflow/airflow.cfg", state / "airflow" / "airflow.cfg")
    if (state / MLFLOW_STORE).exists():
        copy = scratch / "mlflow.db"
        # SQLite's own copy: one state of the database, also while a training writes to it.
        with (
            contextlib.closing(sqlite3.connect(state / MLFLOW_STORE)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        archive.add(f"state/{MLFLOW_STORE}", copy)


def _add_databases(archive: Writer, project: Path, scratch: Path) -> None:
    place = servers_of(project).database
    if not (place / "data").exists():
        return
    with serving(place) as server:
        for name in DATABASES:
            dump = scratch / f"{name}.dump"
            run_program(server, "pg_dump", "--format=custom", f"--file={dump}", name)
            archive.add(f"databases/{name}.dump", dump)


@contextlib.contextmanager
def serving(place: Path) -> Iterator[PostgresServer]:
    """The server of a folder, started for the length of the block where it does not run."""
    ran = postgres.is_running(place)
    server = postgres.start(place)
    try:
        yield server
    finally:
        if not ran:
            server.stop()


def run_program(server: PostgresServer, name: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's against a server.

    Raises:
        WorkspaceError: it failed; the message is its own.
    """
    where = [f"--host={server.sockets}", "--port=5432", f"--username={postgres.SUPERUSER}"]
    done = subprocess.run(
        [str(postgres.program(name)), *where, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise WorkspaceError(f"{name} failed: {done.stderr.strip()}")
