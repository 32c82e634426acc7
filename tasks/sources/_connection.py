"""From the name of a connection to an open one, and from a driver's errors to ours.

The URL of a database holds its password, so it is never printed, and messages of drivers are
stripped of it.
"""

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from tasks.errors import SourceError, SourceUnavailable
from tasks.locations.databases import without_password

CONNECT_TIMEOUT_SECONDS = 10

_REFUSED_LOGINS = ("authentication failed", "does not exist", "pg_hba.conf", "no password supplied")

_PASSING_STATES = ("08", "40", "53", "55P03", "57")
"""SQLSTATE prefixes of what may pass: lost connections, conflicts, too many clients, shutdowns."""


def connect(name: str, url: sa.URL) -> sa.Connection:
    """Open a connection of SQLAlchemy.

    Args:
        name: by which messages call the database.
        url: as `url_of` gives it.

    Raises:
        SourceError: the database refuses the user, or there is no driver for it.
        SourceUnavailable: it does not answer.
    """
    try:
        return sa.create_engine(url, poolclass=sa.NullPool).connect()
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise SourceError(f"no driver for {url.drivername!r} is installed: {error}") from error
    except DBAPIError as error:
        raise _unconnected(name, url, error) from None


def explain(error: DBAPIError, what: str) -> SourceError:
    """The error of ours for a driver's error while doing `what`."""
    state = str(getattr(error.orig, "pgcode", None) or "")
    message = str(error.orig).strip().split("\n")[0]
    if state == "25006":
        return SourceError(f"{what} would change the database; a source only reads: {message}")
    if error.connection_invalidated or state.startswith(_PASSING_STATES):
        return SourceUnavailable(f"the database stopped answering while {what} was read: {message}")
    return SourceError(f"the database refused {what}: {message}")


def _unconnected(name: str, url: sa.URL, error: DBAPIError) -> SourceError:
    message = without_password(" ".join(str(error.orig).split()), url)
    port = f":{url.port}" if url.port else ""
    place = f"at {url.host}{port}" if url.host else "on this machine"
    database = f"the database {url.database!r} {place} (connection {name})"
    if any(sign in message for sign in _REFUSED_LOGINS):
        return SourceError(f"{database} refused the login: {message}")
    return SourceUnavailable(f"{database} does not answer: {message}")
