"""Connections to PostgreSQL that all see one state of it, and what its errors mean.

One connection opens a read-only transaction and exports its snapshot; the connections that read
parts, in this process or another, import it (`SET TRANSACTION SNAPSHOT`), as long as the first one
lives.

**Source**: https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
"""

import contextlib
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import psycopg2
import sqlalchemy as sa

from tasks.errors import SourceChanged, SourceError, SourceUnavailable
from tasks.locations.databases import without_password
from tasks.sources._connection import CONNECT_TIMEOUT_SECONDS
from tasks.sources.databases.base import Access

_SETTINGS = (
    # How values are spelled, whatever the server, the role or the database say.
    "datestyle = 'ISO, YMD'",
    "intervalstyle = 'postgres'",
    "timezone = 'UTC'",
    "extra_float_digits = 1",
    "bytea_output = 'hex'",
    "xmloption = 'content'",
    "standard_conforming_strings = on",
    # A scan that starts where another one happens to be gives the rows in another order.
    "synchronize_seqscans = off",
    # A reader of rows, not of sums: compiling each query takes longer than it saves.
    "jit = off",
    # The first connection idles while the others read, and holds the snapshot; as pg_dump does.
    "idle_in_transaction_session_timeout = 0",
    # Even a statement that ends our transaction finds itself in another one that only reads.
    "default_transaction_read_only = on",
)

_KEEPALIVES = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10}

_NO_SNAPSHOT = ("22023", "42704", "55000")
"""SQLSTATEs of `SET TRANSACTION SNAPSHOT` where whoever exported it is gone."""

_PASSING_STATES = ("08", "25P03", "25P04", "40", "53", "55P03", "57")
"""SQLSTATE prefixes of what may pass: lost connections, timeouts of idleness, conflicts, shutdowns."""

_REFUSED_LOGINS = (
    "authentication failed",
    "does not exist",
    "pg_hba.conf",
    "no password supplied",
    "not permitted to log in",
    "permission denied for database",
)

_TLS = ("SSL", "certificate", "sslmode")


class Snapshot:
    """One state of a database, and the connections that see it. Threads may share it."""

    def __init__(self, access: Access) -> None:
        """Nothing is opened yet."""
        self._access = access
        self._lock = threading.Lock()
        self._exporter: Any = None
        self._id = ""
        self._idle: list[tuple[str, Any]] = []

    @property
    def id(self) -> str:
        """By which other connections find the state; opens it first."""
        self._open()
        return self._id

    def rows(self, statement: str, parameters: Any = None, *, what: str) -> list[tuple[Any, ...]]:
        """What a short statement gives in this state.

        Args:
            statement: with `%s` where parameters are; without parameters, `%` stands for itself.
            parameters: of the statement.
            what: it is about, for messages.

        Raises:
            SourceError, SourceUnavailable, SourceChanged: see `explained`.
        """
        with self.described(statement, parameters, what=what) as cursor:
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    @contextlib.contextmanager
    def described(self, statement: str, parameters: Any = None, *, what: str) -> Iterator[Any]:
        """The cursor of a statement, as `rows`."""
        self._open()
        try:
            with self._exporter.cursor() as cursor:
                cursor.execute("SAVEPOINT before")
                cursor.execute(statement, parameters)
                yield cursor
                cursor.execute("RELEASE before")
        except psycopg2.Error as error:
            if self._exporter.closed:
                raise SourceChanged(_lost(what, error)) from error
            with self._exporter.cursor() as cursor:
                cursor.execute("ROLLBACK TO before")
            raise explained(error, what) from error

    def renew_if_lost(self) -> None:
        """Make sure that the state is still held; if its connection broke, see a new one."""
        if self._exporter is None:
            return
        try:
            with self._exporter.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error:
            self.close()

    @contextlib.contextmanager
    def reader(self, snapshot: str, what: str) -> Iterator[Any]:
        """A connection of its own that sees the state called `snapshot`.

        It is kept for the next part when the block ends well, and closed when it does not.

        Raises:
            SourceChanged: nobody holds that state any more.
            SourceError, SourceUnavailable: see `explained`.
        """
        with self._lock:
            fitting = [pair for pair in self._idle if pair[0] == snapshot]
            for pair in fitting[:1]:
                self._idle.remove(pair)
        connection = fitting[0][1] if fitting else self._imported(snapshot)
        try:
            yield connection
        except psycopg2.Error as error:
            connection.close()
            raise explained(error, what) from error
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if len(self._idle) < self._access.workers:
                self._idle.append((snapshot, connection))
                return
        connection.close()

    def close(self) -> None:
        """Close all connections that nobody reads from."""
        with self._lock:
            for _, connection in self._idle:
                connection.close()
            self._idle.clear()
        if self._exporter is not None:
            self._exporter.close()
            self._exporter, self._id = None, ""

    def _open(self) -> None:
        if self._exporter is not None:
            return
        connection = connect(self._access)
        try:
            with connection.cursor() as cursor:
                cursor.execute(_begin())
                cursor.execute("SELECT pg_export_snapshot()")
                (self._id,) = cursor.fetchone()
        except psycopg2.Error as error:
            connection.close()
            raise explained(error, "the state of the database") from error
        self._exporter = connection

    def _imported(self, snapshot: str) -> Any:
        connection = connect(self._access)
        try:
            with connection.cursor() as cursor:
                cursor.execute(_begin(snapshot))
        except psycopg2.Error as error:
            connection.close()
            if error.pgcode in _NO_SNAPSHOT:
                raise SourceChanged(_lost("the state that was being read", error)) from error
            raise explained(error, "the state that was being read") from error
        return connection


def connect(access: Access) -> Any:
    """A psycopg2 connection without a transaction.

    Raises:
        SourceError: the database refuses the user, the encryption or an option of the URL.
        SourceUnavailable: it does not answer.
    """
    url = access.url.set(drivername="postgresql+psycopg2")
    _, given = url.get_dialect()().create_connect_args(url)
    host = {"host": urllib.parse.unquote(given["host"])} if given.get("host") else {}
    defaults = {
        "fallback_application_name": "proofmint",
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        **_KEEPALIVES,
    }
    try:
        connection = psycopg2.connect(**{**defaults, **given, **host, "client_encoding": "UTF8"})
    except psycopg2.Error as error:
        raise _unconnected(access.connection, url, error) from None
    # Transactions are ours: psycopg2 would open one that may write.
    connection.set_session(autocommit=True)
    return connection


def explained(error: psycopg2.Error, what: str) -> SourceError:
    """The error of ours for one of the driver while `what` was read."""
    state = error.pgcode or ""
    message = _message(error)
    if state == "25006":
        return SourceError(f"{what} would change the database; a source only reads: {message}")
    if state == "42501":
        return SourceError(
            f"the database refused {what}: {message}; let its owner GRANT SELECT on it to this role"
        )
    if state == "57014" and "statement timeout" in message:
        return SourceError(
            f"the server's statement_timeout ended the reading of {what}: {message}; raise it for"
            " this role (ALTER ROLE ... SET statement_timeout), or read less"
        )
    if state.startswith(_PASSING_STATES) or _is_lost(error):
        return SourceUnavailable(f"the database stopped answering while {what} was read: {message}")
    return SourceError(f"the database refused {what}: {message}")


def quoted(*names: str) -> str:
    """Names as one identifier of SQL: `"schema"."table"`."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def column_of(name: str) -> str:
    """A column of what is read, which every statement calls `data`.

    A name alone would mean a column of the result where ORDER BY knows one.
    """
    return quoted("data", name)


def literal(text: str) -> str:
    """Text as a constant of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _begin(snapshot: str | None = None) -> str:
    imported = f"SET TRANSACTION SNAPSHOT {literal(snapshot)};" if snapshot else ""
    settings = "".join(f"SET {setting};" for setting in _SETTINGS)
    return f"{settings}BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;{imported}"


def _is_lost(error: psycopg2.Error) -> bool:
    """Whether the connection is gone: then the server could not say why by a code."""
    said = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.DatabaseError)
    return not error.pgcode and type(error) in said


def _message(error: psycopg2.Error) -> str:
    """The first line of what the server says, and its hint."""
    message = str(error).strip().split("\n")[0]
    hint = getattr(error.diag, "message_hint", None)
    return f"{message} ({hint})" if hint else message


def _lost(what: str, error: psycopg2.Error) -> str:
    return (
        f"the connection that held the state of the database is gone, so {what} cannot be read as it"
        f" was: {_message(error)}"
    )


def _unconnected(name: str, url: sa.URL, error: psycopg2.Error) -> SourceError:
    message = without_password(" ".join(str(error).split()), url)
    port = f":{url.port}" if url.port else ""
    place = f"at {url.host}{port}" if url.host else "on this machine"
    database = f"the database {url.database!r} {place} (connection {name})"
    if isinstance(error, psycopg2.ProgrammingError):  # no such option of a connection
        return SourceError(f"the URL of {database} cannot be used: {message}")
    if any(sign in message for sign in _TLS):
        return SourceError(
            f"{database} and this machine do not agree on encryption: {message}; see sslmode,"
            " sslrootcert, sslcert and sslkey behind the `?` of the URL"
        )
    if any(sign in message for sign in _REFUSED_LOGINS):
        return SourceError(f"{database} refused the login: {message}")
    return SourceUnavailable(f"{database} does not answer: {message}")
