"""The tables that `benchmarks/loading.py` loads: twelve columns of mixed types, in servers and files."""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pymysql
from harness.systems import ROOT
from psycopg2 import sql

from tasks.commands import postgres
from tasks.commands.postgres import PostgresServer

if TYPE_CHECKING:
    from tests.mariadb import MariadbServer

DATABASE = "loading"

_COLUMNS = """
id bigint, customer_id integer NOT NULL, amount numeric(12, 2) NOT NULL, rate double precision,
quantity smallint, is_member boolean NOT NULL, created_at timestamptz NOT NULL, birth date,
country text NOT NULL, email text, note text, code uuid NOT NULL
"""

_ROWS = """
SELECT i, (random() * 1000000)::integer, round((random() * 10000)::numeric, 2),
    CASE WHEN random() < 0.05 THEN NULL ELSE random() * 100 END, (random() * 100)::smallint,
    random() < 0.3, timestamptz '2020-01-01 00:00+00' + random() * interval '1500 days',
    date '1950-01-01' + (random() * 20000)::integer,
    (ARRAY['DE', 'FR', 'IT', 'ES', 'PL', 'NL', 'US', 'GB'])[1 + (random() * 7)::integer],
    'user' || i || '@example.com',
    CASE WHEN random() < 0.3 THEN NULL ELSE repeat('lorem ipsum, "dolor" ', (random() * 3)::integer) END,
    md5(i::text)::uuid
FROM generate_series(1, %s) i
"""


_MARIADB_COLUMNS = """
id bigint PRIMARY KEY, customer_id integer NOT NULL, amount decimal(12, 2) NOT NULL, rate double,
quantity smallint, is_member boolean NOT NULL, created_at datetime(6) NOT NULL, birth date,
country varchar(2) NOT NULL, email varchar(64), note text, code char(36) NOT NULL
"""

_FROM_CSV = """
FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"' ESCAPED BY '' IGNORE 1 LINES
(id, customer_id, amount, @rate, quantity, @is_member, @created_at, birth, country, email, @note, code)
SET rate = NULLIF(@rate, ''), is_member = (@is_member = 't'), note = NULLIF(@note, ''),
    created_at = TRIM(TRAILING '+00' FROM @created_at)
"""


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL of the benchmark's own.

    Attributes:
        server: that runs.
        home: where files go.
    """

    server: PostgresServer
    home: Path

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return self.server.url(DATABASE)

    def table(self, n_rows: int) -> str:
        """The name of the table with so many rows, made at the first call."""
        name = f"rows_{n_rows}"
        with self.server.connect(DATABASE) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", (name,))
            if cursor.fetchone() == (None,):
                cursor.execute("SELECT setseed(0.5)")
                cursor.execute(
                    f"CREATE TABLE {name} ({_COLUMNS}) WITH (autovacuum_enabled = false)"
                )
                cursor.execute(f"INSERT INTO {name} {_ROWS}", (n_rows,))
                cursor.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
                cursor.execute(f"ANALYZE {name}")
        return name

    def csv(self, n_rows: int) -> Path:
        """The same rows as a CSV file with a header."""
        path = self.home / f"{self.table(n_rows)}.csv"
        if not path.exists():
            draft = path.with_suffix(".draft")
            with (
                self.server.connect(DATABASE) as connection,
                connection.cursor() as cursor,
                draft.open("wb") as stream,
            ):
                cursor.execute("SET timezone = 'UTC'")
                statement = sql.SQL("COPY {} TO STDOUT (FORMAT csv, HEADER)")
                table = sql.Identifier(self.table(n_rows))
                cursor.copy_expert(statement.format(table), stream)
            draft.replace(path)
        return path

    def text_bytes(self, n_rows: int) -> int:
        """What `COPY … TO STDOUT` writes of the table."""
        path = self.home / f"{self.table(n_rows)}.bytes"
        if not path.exists():
            counter = _Counter()
            with self.server.connect(DATABASE) as connection, connection.cursor() as cursor:
                cursor.copy_expert(f"COPY {self.table(n_rows)} TO STDOUT", counter)
            path.write_text(str(counter.n_bytes))
        return int(path.read_text())

    def cpu_seconds(self) -> float:
        """Processor time of all connections so far; waits until they have ended."""
        pid = (self.server.place / "data" / "postmaster.pid").read_text().split("\n", 1)[0]
        postmaster = psutil.Process(int(pid))
        while any(DATABASE in " ".join(_command(child)) for child in postmaster.children()):
            time.sleep(0.05)
        times = postmaster.cpu_times()
        return float(times.children_user + times.children_system)


@dataclass(frozen=True)
class Mariadb:
    """A MariaDB of the benchmark's own, filled from the rows that PostgreSQL has.

    Attributes:
        server: that runs.
        rows: where they are from.
    """

    server: "MariadbServer"
    rows: Postgres

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return self.server.url(DATABASE)

    def table(self, n_rows: int) -> str:
        """As `Postgres.table`."""
        name, path = self.rows.table(n_rows), self.rows.csv(n_rows)
        self.server.run(None, f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        with self._connected() as connection, connection.cursor() as cursor:
            if not cursor.execute("SHOW TABLES LIKE %s", (name,)):
                cursor.execute(f"CREATE TABLE {name} ({_MARIADB_COLUMNS})")
                cursor.execute(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {name} {_FROM_CSV}")
                connection.commit()
        return name

    def cpu_seconds(self) -> float:
        """Processor time of the server so far."""
        (process,) = (
            found
            for found in psutil.process_iter()
            if f"--port={self.server.port}" in _command(found) and found.name() == "mariadbd"
        )
        times = process.cpu_times()
        return float(times.user + times.system)

    def _connected(self) -> "pymysql.Connection":
        return pymysql.connect(
            host="127.0.0.1",
            port=self.server.port,
            user="owner",
            password=self.server.password,
            database=DATABASE,
            local_infile=True,
        )


@contextlib.contextmanager
def mariadb_running(rows: Postgres) -> Iterator[Mariadb | None]:
    """A new server; None where MariaDB is not installed."""
    if shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
        yield None
        return
    sys.path.append(str(ROOT))  # a script finds what is beside it alone
    from tests import mariadb

    with mariadb.running() as server:
        yield Mariadb(server, rows)


class _Counter:
    n_bytes = 0

    def write(self, row: bytes) -> None:
        self.n_bytes += len(row)


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


@contextlib.contextmanager
def postgres_running(home: Path) -> Iterator[Postgres]:
    """The server, with what it held after the last run."""
    home.mkdir(parents=True, exist_ok=True)
    with postgres.running(home / "postgres") as server:
        server.create_database(DATABASE)
        yield Postgres(server, home)


def tree_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
