"""From what people write under `source:` to the files that it names."""

import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tasks import retry
from tasks.cache import Cache
from tasks.errors import SourceError, SourceUnavailable
from tasks.locations import files
from tasks.locations.base import Location
from tasks.locations.credentials import connection_of
from tasks.locations.http import HttpFile
from tasks.locations.objects import ObjectFiles
from tasks.locations.remote import TRIES, Found, Remote, RemoteFile, masked

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")

_log = logging.getLogger(__name__)


def resolve(
    given: str,
    project: Path,
    *,
    suffixes: tuple[str, ...] = (),
    connection: str | None = None,
) -> list[Location]:
    """The files that a path, a glob, a folder or a URL names, in the order of their paths.

    Hidden files are left out, and a file that links make appear twice is there once.

    Args:
        given: a local path, `file://`, `http(s)://`, `s3://bucket/glob`, or another protocol of
            fsspec whose library is installed.
        project: folder from which relative paths count, and whose cache is used.
        suffixes: what names end with in a folder that is named whole, in lower case; (): all.
        connection: name of the variable, or of the Airflow connection, with the credentials; None:
            what the protocol's library finds in the environment.

    Raises:
        SourceError: there is none, it may not be read, or nothing knows the protocol.
        SourceUnavailable: the server does not answer, after all tries.
    """
    path = _local_path(given)
    if path is not None:
        return list(files.find(path, project, suffixes))
    remote = _remote(given, connection)
    cache = Cache.of(project)
    return [_remote_file(given, found, remote, cache) for found in _found(remote, suffixes)]


def at(
    place: Mapping[str, Any], given: str, project: Path, *, connection: str | None = None
) -> Location:
    """One of the files of `resolve`, from its `place`, without asking the server again."""
    if "remote" not in place:
        return files.at(place)
    found = Found(place["remote"], place["relative"], place["size_bytes"], place["version"])
    return _remote_file(given, found, _remote(given, connection), Cache.of(project))


def _local_path(given: str) -> str | None:
    """The path that `given` is; None for a URL of somewhere else.

    Raises:
        SourceError: it is a URL that cannot be one.
    """
    if not _URL.match(given):
        return given
    try:
        parts = urlsplit(given)
    except ValueError as error:
        # It may hold a password.
        scheme = given.partition(":")[0]
        raise SourceError(f"expected a URL like {scheme}://host/file: {error}") from None
    if parts.scheme.lower() != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise SourceError(
            f"expected file:///path, found the host {parts.hostname!r} in {masked(given)!r}"
        )
    return unquote(parts.path)


def _remote(given: str, connection: str | None) -> Remote:
    known = connection_of(connection)
    if urlsplit(given).scheme.lower() in ("http", "https"):
        return HttpFile(given, known)
    return ObjectFiles(given, known)


def _found(remote: Remote, suffixes: tuple[str, ...]) -> list[Found]:
    waits = retry.waits(TRIES)
    while True:
        try:
            return remote.find(suffixes)
        except SourceUnavailable as error:
            wait = next(waits, None)
            if wait is None:
                raise
            _log.info("%s; trying again in %.1f s", error, wait)
            time.sleep(wait)


def _remote_file(given: str, found: Found, remote: Remote, cache: Cache) -> RemoteFile:
    url = masked(given)
    if isinstance(remote, ObjectFiles):
        url = f"{urlsplit(given).scheme}://{found.path}"
    return RemoteFile(url, found.relative, found.size_bytes, found, remote, cache)
