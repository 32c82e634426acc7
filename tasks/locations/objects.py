"""Files in object storage and wherever else fsspec has a file system for: S3, GCS, Azure, SFTP ..."""

import contextlib
import errno
import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import fsspec

from tasks.errors import SourceChanged, SourceError, SourceUnavailable
from tasks.locations.credentials import Connection
from tasks.locations.remote import CHUNK_BYTES, Found, Remote, masked, unversioned

_VERSION_KEYS = ("ETag", "etag", "md5", "generation", "LastModified", "last_modified", "mtime")
"""What file systems call the version of a file; the first one that a file has counts."""

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

_BLOCK_BYTES = 8 * 2**20
"""Of one request."""

_S3_LIMITS = {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 1}}
"""Whoever reads tries again (`tasks.retry`); with the library's own tries in each of these, a store
that is gone would be told of after minutes."""

_PASSING_ERRORS = frozenset(
    (
        "ClientConnectionError",
        "ClientPayloadError",
        "HTTPClientError",
        "EndpointConnectionError",
        "IncompleteRead",
    )
)
"""Names of errors, because the libraries that have them need not be installed."""

_REFUSALS = (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.EACCES)

T = TypeVar("T")


@dataclass(frozen=True)
class ObjectFiles(Remote):
    """What a URL or a glob names in a file system of fsspec.

    Attributes:
        url: as given.
        connection: None: what the file system's library finds by itself.
    """

    url: str
    connection: Connection | None = None

    @property
    def _protocol(self) -> str:
        return urlsplit(self.url).scheme.lower()

    @cached_property
    def _system(self) -> Any:
        """The file system, without a memory of listings.

        Raises:
            SourceError: there is none for the protocol, or its library is not installed.
        """
        protocol = self._protocol
        try:
            system = fsspec.get_filesystem_class(protocol)
        except ImportError as error:
            raise SourceError(f"{protocol}:// needs a library that is missing: {error}") from error
        except ValueError as error:
            known = "a path, file://, http(s)://, s3:// or another protocol of fsspec"
            raise SourceError(f"expected {known}, found {protocol}://") from error
        options = self.connection.options(protocol) if self.connection else {}
        options = system._get_kwargs_from_urls(self.url) | options
        if not self.connection and protocol in ("s3", "s3a") and not _has_s3_credentials():
            options["anon"] = True  # public buckets want no signature
        if protocol in ("s3", "s3a"):
            options.setdefault("config_kwargs", _S3_LIMITS)
        found = system(**options, skip_instance_cache=True, use_listings_cache=False)
        if protocol in ("s3", "s3a"):
            found.retries = 1
        return found

    def find(self, suffixes: tuple[str, ...]) -> list[Found]:
        """See `Remote.find`: a file, all files below a folder, or what a glob finds."""
        return self._asked(lambda: self._found(suffixes))

    def _found(self, suffixes: tuple[str, ...]) -> list[Found]:
        system = self._system
        path = system._strip_protocol(self.url)
        parts = path.split("/")
        n_plain = next((i for i, p in enumerate(parts) if glob.has_magic(p)), None)
        if n_plain is not None:
            infos = system.glob(path, detail=True)
            base = "/".join(parts[:n_plain]) + "/"
        elif system.isdir(path):
            infos = system.find(path, detail=True)
            infos = {p: i for p, i in infos.items() if p.lower().endswith(suffixes or "")}
            base = path.rstrip("/") + "/"
        else:
            infos = {path: system.info(path)}
            base = path.rpartition("/")[0] + "/"
        found = [
            _described(name, name.removeprefix(base), info)
            for name, info in sorted(infos.items())
            if info["type"] == "file" and not _is_hidden(name.removeprefix(base))
        ]
        if not found:
            raise SourceError(f"expected files that fit {masked(self.url)}, found none")
        return found

    def key(self, file: Found) -> str:
        """See `Remote.key`."""
        given = self.connection.options(self._protocol) if self.connection else {}
        endpoints = (given.get("endpoint_url"), *map(os.environ.get, _ENDPOINT_VARIABLES))
        server = next((str(e) for e in endpoints if e), urlsplit(self.url).netloc)
        return "\n".join((self._protocol, server, file.path))

    @contextlib.contextmanager
    def read(self, file: Found, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """See `Remote.read`; all file systems can start anywhere."""
        now = self._asked(lambda: _described(file.path, "", self._system.info(file.path)))
        if now.version != file.version and not now.version.startswith("unversioned"):
            raise SourceChanged(f"{masked(self.url)}: {file.path} has changed since it was found")
        stream = self._asked(lambda: self._system.open(file.path, "rb", block_size=_BLOCK_BYTES))
        try:
            self._asked(lambda: stream.seek(start))
            yield start, iter(lambda: self._asked(lambda: stream.read(CHUNK_BYTES)), b"")
        finally:
            stream.close()

    def _asked(self, request: Callable[[], T]) -> T:
        """What a request gives; all errors of the libraries become ours."""
        try:
            return request()
        except SourceError:
            raise
        except Exception as error:  # of a library that we do not know
            raise self._explain(error) from None

    def _explain(self, error: Exception) -> SourceError:
        where = masked(self.url)
        names = {kind.__name__ for kind in type(error).__mro__}
        if isinstance(error, FileNotFoundError):
            return SourceError(f"expected files at {where}, found none, or no such bucket")
        if isinstance(error, PermissionError) or "CredentialsError" in type(error).__name__:
            return SourceError(
                f"{where} may not be read with these credentials; set those of the service"
                " (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY ...), or name a `connection`"
            )
        if "FileExpired" in names:
            return SourceChanged(f"{where}: a file has changed since it was found")
        is_passing = isinstance(error, TimeoutError | ConnectionError) or names & _PASSING_ERRORS
        is_refusal = isinstance(error, OSError) and error.errno in _REFUSALS
        if is_passing or (isinstance(error, OSError) and not is_refusal):
            return SourceUnavailable(f"{where} does not answer: {type(error).__name__}")
        password = urlsplit(self.url).password or (self.connection and self.connection.password)
        message = str(error).replace(password, "***") if password else str(error)
        return SourceError(f"{where} cannot be read: {type(error).__name__}: {message}")


def _described(path: str, relative: str, info: dict[str, Any]) -> Found:
    versions = (str(info[key]) for key in _VERSION_KEYS if info.get(key))
    return Found(path, relative, info.get("size"), next(versions, None) or unversioned())


def _is_hidden(relative: str) -> bool:
    return any(part.startswith(".") for part in relative.split("/"))


def _has_s3_credentials() -> bool:
    from botocore.session import Session

    return Session().get_credentials() is not None
