"""From the name of a connection to the URL of a database.

The URL holds a password, so it is never printed, and messages of drivers are stripped of it.
"""

import json
import os
from typing import Any
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from tasks.errors import SourceError

_DRIVERS = {
    "postgres": "postgresql+psycopg2",  # Airflow's word for it
    "postgresql": "postgresql+psycopg2",
}

_AIRFLOWS_OWN = (
    "aws_conn_id",
    "cluster-identifier",
    "cursor",
    "iam",
    "redshift",
    "sqlalchemy_scheme",
)
"""Keys of `extra` that say something to Airflow and nothing to a driver."""


def url_of(name: str, setting: str = "source.connection") -> sa.URL:
    """The URL that the environment variable `name`, or Airflow's `AIRFLOW_CONN_<NAME>`, holds.

    Args:
        name: of the connection.
        setting: that names it, for messages.

    Raises:
        SourceError: neither is set, or it holds no URL.
    """
    airflow_name = f"AIRFLOW_CONN_{name.upper()}"
    for variable in (name, airflow_name):
        if value := os.environ.get(variable):
            try:
                url = _from_json(value) if value.lstrip().startswith("{") else _from_text(value)
            except (ArgumentError, ValueError, KeyError, TypeError, AttributeError):
                # The cause is cut off because it may hold the value, and that the password.
                raise SourceError(
                    f"expected the variable {variable} to hold a database URL like"
                    " postgresql://user:password@host:5432/database, found something else"
                ) from None
            return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    raise SourceError(
        f"{setting} names {name!r}, but the environment variable {name} is not set,"
        f" nor is {airflow_name}; set one to the URL of the database"
    )


def without_password(message: str, url: sa.URL) -> str:
    """A driver's message with `***` where it repeats the password, in any spelling."""
    password = str(url.password or "")
    for spelling in (password, quote(password, safe=""), quote(password), quote_plus(password)):
        if spelling:
            message = message.replace(spelling, "***")
    return message


def _from_json(value: str) -> sa.URL:
    """A connection as Airflow writes it in JSON; plain values of `extra` are options of the driver."""
    content: dict[str, Any] = json.loads(value)
    return sa.URL.create(
        content["conn_type"],
        username=content.get("login"),
        password=content.get("password"),
        host=content.get("host"),
        port=int(content["port"]) if content.get("port") else None,
        database=content.get("schema"),
        query=_options(content.get("extra")),
    )


def _from_text(value: str) -> sa.URL:
    """A URL; Airflow writes options that a URL cannot hold as JSON under `__extra__`."""
    url = sa.make_url(value)
    extra = url.query.get("__extra__")
    url = url.difference_update_query(["__extra__"])
    return url.update_query_dict(_options(extra))


def _options(extra: Any) -> dict[str, str]:
    """The options of the driver in Airflow's `extra`, which may be JSON inside of JSON."""
    found = json.loads(extra) if isinstance(extra, str) and extra else extra or {}
    return {
        name: str(value)
        for name, value in found.items()
        if name not in _AIRFLOWS_OWN and isinstance(value, (str, int)) and value != ""
    }
