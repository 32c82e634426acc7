"""A connection to MySQL or MariaDB that sees one state of the database and cannot change it."""

import contextlib
import difflib
import threading
from collections.abc import Generator
from typing import Any

import pyarrow as pa
import pymysql
import sqlalchemy as sa
from pymysql.constants import CR, ER

from tasks.errors import SourceChanged, SourceError, SourceUnavailable
from tasks.locations.databases import without_password
from tasks.sources._connection import CONNECT_TIMEOUT_SECONDS
from tasks.sources.databases._mysql.rows import Rows

_SETTINGS = (
    "SET SESSION time_zone = '+00:00', net_write_timeout = 3600, wait_timeout = 86400",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)
"""The server is to wait, for an hour, while what it sent is being stored."""

_DATABASES = "SELECT schema_name FROM information_schema.schemata ORDER BY schema_name"

_CONNECTION_KILLED = 1927
_READ_ONLY_TRANSACTION = 1792
_MUST_CHANGE_PASSWORD = 1820
_NO_SUCH_PLUGIN_LOGIN = 1698

_REFUSED_LOGINS = (
    ER.ACCESS_DENIED_ERROR,
    ER.DBACCESS_DENIED_ERROR,
    _NO_SUCH_PLUGIN_LOGIN,
    _MUST_CHANGE_PASSWORD,
)

_LOST = (
    0,  # PyMySQL's own, where the connection was closed
    CR.CR_SERVER_GONE_ERROR,
    CR.CR_SERVER_LOST,
    CR.CR_MALFORMED_PACKET,
    ER.SERVER_SHUTDOWN,
    _CONNECTION_KILLED,
    ER.TABLE_DEF_CHANGED,
)
"""The snapshot is gone, or no longer shows the table."""

_PASSING = (ER.QUERY_INTERRUPTED, ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK)


class Session:
    """One read-only transaction with a consistent snapshot; one query at a time."""

    def __init__(self, name: str, url: sa.URL) -> None:
        """Connect, and take the snapshot.

        Args:
            name: by which messages call the connection.
            url: of the database.

        Raises:
            SourceError: the database refuses the login, or there is none of this name.
            SourceUnavailable: it does not answer.
        """
        self._url = url
        self._connection = _connected(name, url)
        self._busy = threading.Lock()
        self.is_lost = False
        try:
            for statement in _SETTINGS:
                self._connection.query(statement)
        except pymysql.err.MySQLError as error:
            self.close()
            raise self.explained(error, "the start of a transaction") from error

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        with contextlib.suppress(pymysql.err.Error):
            self._connection.close()

    def fetch(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a small result, with `%s` for each value.

        Raises:
            pymysql.err.MySQLError: the server refused it.
        """
        with self._busy, self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def databases(self) -> list[str]:
        """The names of the databases that the user may see."""
        return [row[0] for row in self.fetch(_DATABASES)]

    def describe(self, statement: str) -> list[Any]:
        """The fields of a result without rows.

        Raises:
            pymysql.err.MySQLError: the server refused it.
        """
        with self._busy, self._connection.cursor() as cursor:
            cursor.execute(statement)
            result: Any = cursor._result
            return list(result.fields)

    def stream(
        self, statement: str, chunk_bytes: int
    ) -> Generator[tuple[list[Any], list[pa.Array]], None, None]:
        """A large result: its fields, and for some rows at a time the values of each column.

        Raises:
            pymysql.err.MySQLError: the server refused or ended it, or the connection broke.
        """
        with self._busy:
            self._connection.query(statement, unbuffered=True)
            rows = Rows(self._connection, chunk_bytes)
            try:
                for values in rows:
                    yield rows.fields, values
            except GeneratorExit:
                self._stop(rows)
                raise

    def explained(self, error: pymysql.err.MySQLError, what: str) -> SourceError:
        """The error of ours for a driver's error while doing `what`."""
        code, message = (*error.args, "", "")[:2]
        if code in _LOST:
            self.is_lost = True
            return SourceChanged(
                f"the connection was lost while {what} was read, and with it the state of the"
                f" database that was being read: {message or 'closed'}"
            )
        if code == _READ_ONLY_TRANSACTION:
            return SourceError(f"{what} would change the database; a source only reads: {message}")
        if code in _PASSING:
            return SourceUnavailable(f"the database stopped while {what} was read: {message}")
        return SourceError(f"the database refused {what}: {message}")

    def _stop(self, rows: Rows) -> None:
        """End a query of which no more is wanted, so that the snapshot stays."""
        try:
            with contextlib.closing(_connected("", self._url)) as other:
                other.query(f"KILL QUERY {self._connection.thread_id()}")
            rows.discard()
        except (SourceError, pymysql.err.MySQLError):
            self.is_lost = True
            self.close()


def _connected(name: str, url: sa.URL) -> pymysql.Connection:
    # SQLAlchemy knows what the parts of a URL are called by the driver: TLS, sockets.
    url = url.set(drivername="mysql+pymysql")
    _, arguments = url.get_dialect()().create_connect_args(url)
    arguments = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        **arguments,
        "charset": "utf8mb4",
        "local_infile": False,
        "autocommit": True,
    }
    try:
        return pymysql.connect(**arguments)
    except pymysql.err.MySQLError as error:
        raise _unconnected(name, url, error) from None
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise SourceError(
            f"the URL of connection {name} cannot be used: {without_password(str(error), url)}"
        ) from None


def _unconnected(name: str, url: sa.URL, error: pymysql.err.MySQLError) -> SourceError:
    code, message = (*error.args, "", "")[:2]
    message = without_password(str(message), url)
    place = f"at {url.host or 'localhost'}:{url.port or 3306}"
    database = f"the database {url.database!r} {place} (connection {name})"
    if code == ER.BAD_DB_ERROR:
        return SourceError(f"{database} does not exist; {_databases(name, url)}")
    if code in _REFUSED_LOGINS:
        return SourceError(f"{database} refused the login: {message}")
    return SourceUnavailable(f"{database} does not answer: {message}")


def _databases(name: str, url: sa.URL) -> str:
    """Which databases there are, those of a similar name first."""
    connection = _connected(name, url._replace(database=None))
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(_DATABASES)
        known = [row[0] for row in cursor.fetchall()]
    near = difflib.get_close_matches(str(url.database), known, n=3, cutoff=0.5)
    return f"the server has: {', '.join(near or known[:20])}"
