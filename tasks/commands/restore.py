"""`proofmint restore`: a project as `proofmint backup` found it, in a folder of its own.

All of the file is read and compared with its digests first. The project is put together beside its
place and moved there when it is whole, so a restore that is interrupted leaves nothing but a draft.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from tasks import versions
from tasks.commands.backup import MLFLOW_STORE, SHALLOW, run_program, serving
from tasks.errors import VerificationError, WorkspaceError
from tasks.maintenance.archive import extract, facts_of, verify
from tasks.publishing.verification import verify_release
from tasks.workspace import Layout, git

_PARTS = {"git.bundle": "parts", "databases": "parts", "git": "parts", "dvc": "project/.dvc/cache"}
"""Where the members of a backup go below the draft; `project` and `state` as they are called."""


def restore(file: Path, into: Path) -> int:
    """Restore a project, and verify its releases.

    Args:
        file: that `proofmint backup` wrote.
        into: the project's folder, which does not exist or is empty. Its state goes to
            `.proofmint` in it, or to PROOFMINT_HOME, which is empty then, too.

    Raises:
        VerificationError: the file is damaged, or a restored release is not what its proof says.
        WorkspaceError: a folder is not empty, or git or PostgreSQL refused.
    """
    into = into.absolute()
    home = Path(os.environ.get("PROOFMINT_HOME") or into / ".proofmint").absolute()
    for folder in (into, home):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise WorkspaceError(f"expected {folder} to be new or empty; restore elsewhere")
    manifest = verify(file)
    head, old_state = facts_of(manifest, "head", "state")
    beside = into if into.exists() else into.parent  # a volume cannot be replaced, but filled
    beside.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{into.name}-", dir=beside))
    try:
        project = draft / "project"
        _open_repository(file, draft, project, head)
        extract(file, draft, lambda name: _target(draft, name))
        _put_config(draft, project)
        state = project / ".proofmint"
        state.mkdir(exist_ok=True)
        _load_databases(draft / "parts" / "databases", state)
        _point_mlflow_at(state / MLFLOW_STORE, old_state, str(home))
        _lock_up(state)
        if home != into / ".proofmint":
            _move(state, home)
        _move(project, into)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _report(into, manifest)
    return 0


def _move(folder: Path, to: Path) -> None:
    """Put a folder in its place at once; where there is an empty one, what is in it, `.git` last."""
    if not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, to)
        return
    for path in sorted(folder.iterdir(), key=lambda path: path.name == ".git"):
        shutil.move(path, to / path.name)
    folder.rmdir()


def _target(draft: Path, name: str) -> Path | None:
    top, _, rest = name.partition("/")
    if top == "git.bundle":
        return None  # it has served
    if top == "project":
        return draft / name
    if top == "state":
        return draft / "project" / ".proofmint" / rest
    if top not in _PARTS:
        raise VerificationError(f"the backup holds {name!r}, which this version does not know")
    return draft / _PARTS[top] / (rest if top == "dvc" else name)


def _open_repository(file: Path, draft: Path, project: Path, head: str) -> None:
    """All branches and tags, and the files of the commit that was checked out."""
    bundle = draft / "git.bundle"
    project.mkdir()
    git(project, "init", "--quiet", "--initial-branch=proofmint-restores-into-none")
    places = {"git.bundle": bundle, SHALLOW: project / ".git" / "shallow"}
    extract(file, draft, places.get)
    git(project, "fetch", "--quiet", str(bundle), "+refs/*:refs/*")
    git(project, "checkout", "--quiet", head)
    bundle.unlink()
    for name in git(project, "ls-files", "--modified", "-z").split("\0"):
        if name:
            raise VerificationError(f"git did not restore {name} of {head}")


def _put_config(draft: Path, project: Path) -> None:
    place = draft / "parts" / "git" / "config"
    if place.exists():
        shutil.copyfile(place, project / ".git" / "config")
    with contextlib.suppress(WorkspaceError):  # there was none
        git(project, "config", "--file", ".dvc/config.local", "--unset", "cache.dir")


def _load_databases(dumps: Path, state: Path) -> None:
    if not dumps.is_dir():
        return
    with serving(state / "postgres" / "servers") as server:
        for dump in sorted(dumps.glob("*.dump")):
            server.create_database(dump.stem)
            flags = ("--exit-on-error", f"--dbname={dump.stem}", str(dump))
            run_program(server, "pg_restore", *flags)


def _point_mlflow_at(database: Path, before: str, now: str) -> None:
    """Let the store of the project know where its files are now: it keeps absolute paths."""
    if not database.exists():
        return
    columns = (
        ("experiments", "artifact_location"),
        ("runs", "artifact_uri"),
        ("model_versions", "source"),
        ("model_versions", "storage_location"),
    )
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for table, column in columns:
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",  # noqa: S608 - our own names
                (before, now),
            )


def _lock_up(state: Path) -> None:
    """The folders in which secrets are belong to the owner alone, as they did."""
    for folder in (state, *(state / name for name in ("keys", "secrets"))):
        if folder.is_dir():
            folder.chmod(0o700)


def _report(project: Path, manifest: dict[str, Any]) -> None:
    """Verify what was restored, and say what to do next."""
    names = versions.datasets(project)
    verified = []
    for dataset in names:
        if (place := Layout(project, dataset).release).exists():
            verify_release(place)
            verified.append(dataset)
    n_versions = sum(len(versions.versions(project, dataset)) for dataset in names)
    print(f"restored {project}, as it was at {manifest['created_at']}")
    print(f"{n_versions} versions of {len(names)} datasets; verified: {', '.join(verified) or '-'}")
    print("next: `proofmint doctor` there, then `proofmint up`; connections of sources are in")
    print("`.proofmint/env`, or were in the environment of the old machine")
