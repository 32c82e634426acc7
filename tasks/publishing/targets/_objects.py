"""A file system in an object store, and its errors as ours: for the targets that write there."""

import contextlib
from collections.abc import Iterator
from typing import Any

import fsspec

from tasks.errors import SourceError, TargetUnavailable, WorkspaceError
from tasks.locations.credentials import Connection, connection_of

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
PROBE_READ_TIMEOUT_SECONDS = 10
"""A store that says nothing to a first, small question is given up in half a minute; one that has
answered gets the library's own patience for the rest."""

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


def in_store(url: str, name: str | None, endpoint: str | None) -> str:
    """What to call a place: the same URL in another store, or of another account, is another one."""
    known = {"connection": name, "endpoint": endpoint}
    return ", ".join([url, *(f"{key} {value}" for key, value in known.items() if value)])


def object_store(url: str, name: str | None, endpoint: str | None) -> Any:
    """A file system of S3, after it has answered.

    Args:
        url: of what is asked for: s3://bucket/prefix.
        name: of the connection; None: what the library finds by itself (`AWS_ACCESS_KEY_ID` …).
        endpoint: of a store that is not Amazon's; None: that of the connection, or Amazon's.
    """
    known = connection(name)
    options = known.options("s3") if known else {}
    if endpoint:
        options["endpoint_url"] = endpoint
    probe = _system(options, PROBE_READ_TIMEOUT_SECONDS, {"max_attempts": 0})
    probe.retries = 1
    # Told by what is asked in earnest, with the right message.
    with contextlib.suppress(FileNotFoundError, PermissionError):
        probe.call_s3("head_bucket", Bucket=url.removeprefix("s3://").partition("/")[0])
    return _system(options, READ_TIMEOUT_SECONDS, {"max_attempts": 3})


def _system(options: dict[str, Any], read_seconds: int, retries: dict[str, int]) -> Any:
    limits = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "read_timeout": read_seconds,
        "retries": retries,
    }
    return fsspec.filesystem(
        "s3", **options, config_kwargs=limits, skip_instance_cache=True, use_listings_cache=False
    )


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
