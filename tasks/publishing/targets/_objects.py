"""A file system in an object store, and its errors as ours: for the targets that write there."""

import contextlib
from collections.abc import Iterator
from typing import Any

import fsspec

from tasks.errors import SourceError, TargetUnavailable, WorkspaceError
from tasks.locations.credentials import Connection, connection_of

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
TRIES = 2
"""Of one request, each by two of the library's own: a store that is gone is told of in half a
minute. Airflow tries again later; what has arrived by then is not sent again."""

REFUSALS = frozenset(
    ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket")
)
"""Codes of S3 for what trying again does not mend."""


def connection(name: str | None) -> Connection | None:
    """The connection that a target names.

    Raises:
        WorkspaceError: no variable holds it.
    """
    try:
        return connection_of(name, "the target's `connection`")
    except SourceError as error:
        raise WorkspaceError(str(error)) from None


def object_store(name: str | None, endpoint: str | None) -> Any:
    """A file system of S3 that gives up in half a minute where nothing answers.

    Args:
        name: of the connection; None: what the library finds by itself (`AWS_ACCESS_KEY_ID` …).
        endpoint: of a store that is not Amazon's; None: that of the connection, or Amazon's.
    """
    known = connection(name)
    options = known.options("s3") if known else {}
    if endpoint:
        options["endpoint_url"] = endpoint
    limits = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "read_timeout": READ_TIMEOUT_SECONDS,
        "retries": {"max_attempts": 1},
    }
    system = fsspec.filesystem(
        "s3", **options, config_kwargs=limits, skip_instance_cache=True, use_listings_cache=False
    )
    system.retries = TRIES
    return system


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Turn what the store's library raises into errors with a message, without credentials.

    Raises:
        TargetUnavailable: it does not answer, or another publisher was quicker.
        WorkspaceError: it refused.
    """
    try:
        yield
    except WorkspaceError:
        raise
    except Exception as error:  # of a library that has many
        cause = error.__cause__ or error.__context__ or error
        response: dict[str, Any] = getattr(cause, "response", None) or {}
        code = str(response.get("Error", {}).get("Code", ""))
        is_refusal = code in REFUSALS or isinstance(error, PermissionError)
        is_refusal = is_refusal or "Credentials" in type(error).__name__
        if is_refusal or (isinstance(error, FileNotFoundError) and code != "404"):
            raise WorkspaceError(
                f"the object store refused: {type(error).__name__} {code}: check the bucket and the"
                " rights of the `connection`, or of AWS_ACCESS_KEY_ID"
            ) from error
        if code in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
            raise TargetUnavailable("another publisher moved the pointer just now") from error
        raise TargetUnavailable(
            f"the object store does not answer: {type(error).__name__} {code}".rstrip()
        ) from error
