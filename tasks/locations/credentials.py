"""From the name of a connection to what a file system needs to let us in.

Without a connection, the libraries read their own variables and files (`AWS_ACCESS_KEY_ID`,
`~/.aws`, `~/.netrc` ...). Nothing of this stands in a message.
"""

import json
import os
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tasks.errors import SourceError

_SECRET_OPTION = re.compile(
    r"pass(w|phrase|$)|pwd|secret|token|credential|signature|(^|[-_.])(sig|sas|jwt|auth)$|key$"
    r"|^odbc_connect$|^__extra__$",
    re.IGNORECASE,
)
"""Names of options in a URL that are secret, or may hold something that is."""


def holds_secret(url: str) -> bool:
    """Whether a URL has a password, or an option that is one by its name (a key, a signature).

    The user of a web server is one too: it may be a token.
    """
    place, _, query = url.partition("#")[0].partition("?")
    scheme, _, rest = place.partition("://")
    user, is_there, _ = rest.partition("/")[0].rpartition("@")
    has_login = bool(is_there) and (":" in user or scheme.lower() in ("http", "https"))
    options = parse_qsl(query, keep_blank_values=True)
    return has_login or any(_SECRET_OPTION.search(name) for name, _ in options)


class Connection(BaseModel):
    """A connection as Airflow writes it, in JSON or as a URL."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    login: str | None = Field(default=None, description="user, or id of the access key")
    password: str | None = Field(default=None, description="or the secret access key")
    extra: dict[str, Any] = Field(default={}, description="what else the service asks for")

    @field_validator("extra", mode="before")
    @classmethod
    def _is_a_mapping(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) and value else value or {}

    def options(self, protocol: str) -> dict[str, Any]:
        """The keyword arguments of fsspec's file system for `protocol`."""
        if protocol in ("s3", "s3a"):
            return self._s3()
        logins = {"username": self.login, "password": self.password}
        return {name: value for name, value in logins.items() if value} | self.extra

    def _s3(self) -> dict[str, Any]:
        """Of Airflow's form of an `aws` connection."""
        extra = self.extra
        region = extra.get("region_name")
        found = {
            "key": self.login or extra.get("aws_access_key_id"),
            "secret": self.password or extra.get("aws_secret_access_key"),
            "token": extra.get("aws_session_token"),
            "endpoint_url": extra.get("endpoint_url") or extra.get("host"),
            "client_kwargs": {"region_name": region} if region else None,
        }
        return {name: value for name, value in found.items() if value}


def connection_of(name: str | None, setting: str = "source.connection") -> Connection | None:
    """The connection that the variable `name`, or Airflow's `AIRFLOW_CONN_<NAME>`, holds.

    Args:
        name: of the connection; None: there is none.
        setting: that names it, for messages.

    Raises:
        SourceError: neither is set, or it holds no connection.
    """
    if name is None:
        return None
    airflow_name = f"AIRFLOW_CONN_{name.upper()}"
    for variable in (name, airflow_name):
        if value := os.environ.get(variable):
            try:
                is_json = value.lstrip().startswith("{")
                return Connection.model_validate(json.loads(value) if is_json else _of_url(value))
            except (ValidationError, ValueError):
                # The cause is cut off because it may hold the value, and that the password.
                raise SourceError(
                    f"expected the variable {variable} to hold a connection as Airflow writes it,"
                    " like aws://key:secret@/?endpoint_url=…, or in JSON; found something else"
                ) from None
    raise SourceError(
        f"{setting} names {name!r}, but the environment variable {name} is not set,"
        f" nor is {airflow_name}; set one to a connection as Airflow writes it"
    )


def _of_url(value: str) -> dict[str, Any]:
    parts = urlsplit(value)
    if not parts.scheme:
        raise ValueError("no URL")
    return {
        "login": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "extra": dict(parse_qsl(parts.query)),
    }
