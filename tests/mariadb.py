"""A real MariaDB for tests, from the distribution's package; skipped where there is none."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest
import sqlalchemy as sa

START_SECONDS = 30
STOP_SECONDS = 10

_SMALL = (
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-log-at-trx-commit=0",
    "--skip-log-bin",
)
"""A server that loses its data when the test ends need not keep it safe."""

_START = """\
CREATE USER owner@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO owner@'%' WITH GRANT OPTION;
DELETE FROM mysql.global_priv WHERE User IN ('root', '');
FLUSH PRIVILEGES;
"""
"""The accounts without a password that come with an installation go."""


@dataclass(frozen=True)
class MariadbServer:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        password: of `owner`, who may do anything; drawn at random.
    """

    port: int
    password: str

    def url(self, database: str | None, user: str = "owner", password: str | None = None) -> str:
        """Where SQLAlchemy finds a database."""
        return sa.URL.create(
            "mysql+pymysql",
            username=user,
            password=self.password if password is None else password,
            host="127.0.0.1",
            port=self.port,
            database=database,
        ).render_as_string(hide_password=False)

    def connect(self, database: str | None = None) -> "pymysql.Connection":
        """A connection of `owner` that commits each statement."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="owner",
            password=self.password,
            database=database,
            autocommit=True,
            connect_timeout=START_SECONDS,
            read_timeout=60,
        )

    def run(self, database: str | None, *statements: str) -> None:
        """Run statements, one by one."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def server_or_skip() -> str:
    """The server's program; a test that needs it is skipped where it is not installed."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    program = shutil.which("mariadbd", path=path)
    if program is None or shutil.which("mariadb-install-db", path=path) is None:
        pytest.skip("MariaDB is not installed (Debian: mariadb-server)")
    return program


@contextlib.contextmanager
def running() -> Iterator[MariadbServer]:
    """A server for the length of the block, of a user without rights where we are root."""
    program = server_or_skip()
    place = Path(tempfile.mkdtemp(prefix="proofmint-mariadb-"))
    try:
        user = _user()
        shutil.chown(place, user.pw_uid, user.pw_gid)
        password = secrets.token_hex(16)
        start = place / "start.sql"
        start.touch(mode=0o600)
        start.write_text(_START.format(password=password))
        shutil.chown(start, user.pw_uid, user.pw_gid)
        _install(place, user)
        port = _free_port()
        with _process(program, place, port, user) as process:
            server = MariadbServer(port, password)
            _await(server, process, place / "log")
            yield server
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _user() -> pwd.struct_passwd:
    """Who runs the server: never root."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("mysql")
    return pwd.getpwnam("nobody")


def _install(place: Path, user: pwd.struct_passwd) -> None:
    done = subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--user={user.pw_name}",
            f"--datadir={place / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-log-file-size=8M",
        ],
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        cwd=place,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"mariadb-install-db failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def _process(
    program: str, place: Path, port: int, user: pwd.struct_passwd
) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        # Ends with us, even if we are killed.
        *("setpriv", "--pdeathsig", "KILL"),
        *(
            ("--reuid", user.pw_name, "--regid", str(user.pw_gid), "--clear-groups")
            * (os.getuid() == 0)
        ),
        program,
        "--no-defaults",
        f"--datadir={place / 'data'}",
        f"--socket={place / 'socket'}",
        f"--pid-file={place / 'pid'}",
        f"--init-file={place / 'start.sql'}",
        "--bind-address=127.0.0.1",
        f"--port={port}",
        "--skip-name-resolve",
        *_SMALL,
    ]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=place)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(server: MariadbServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.connect().close()
        except pymysql.err.OperationalError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"MariaDB did not start:\n{log.read_text(errors='replace')[-4000:]}")
