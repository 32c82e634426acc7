"""A connection to an SQLite file that cannot change it."""

import sqlite3
from urllib.parse import quote

from tasks.errors import SourceError, SourceUnavailable
from tasks.sources.databases.base import Access

_LOCK_SECONDS = 10

_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR)


def connected(access: Access) -> sqlite3.Connection:
    """A connection that cannot write, in a transaction."""
    given = access.url.database or access.url.host
    if not given or given == ":memory:":
        raise SourceError(
            f"expected the URL of connection {access.connection} to name a file, like"
            " sqlite:///data/shop.db, found none"
        )
    path = access.project / given
    if not path.is_file():
        raise SourceError(f"expected an SQLite database at {path}, found no such file")
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=ro",
            uri=True,
            timeout=_LOCK_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.text_factory = bytearray
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        # The state that is seen is that of the first read.
        connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        raise explained(error, f"the database {path}") from error
    return connection


def explained(error: sqlite3.Error, what: str) -> SourceError:
    """The error of ours for the driver's while reading `what`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _PASSING:
        return SourceUnavailable(f"{what} does not answer: {error}; somebody else writes to it")
    if code == sqlite3.SQLITE_READONLY:
        return SourceError(f"{what} would change the database; a source only reads: {error}")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return SourceError(f"{what} cannot be read, the file is damaged or no database: {error}")
    return SourceError(f"SQLite refused {what}: {error}")
