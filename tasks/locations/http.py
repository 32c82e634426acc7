"""Files behind `http://` and `https://`."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
import urllib3

from tasks.errors import SourceChanged, SourceError, SourceUnavailable
from tasks.locations.credentials import Connection
from tasks.locations.remote import (
    CHUNK_BYTES,
    CONNECT_TIMEOUT_SECONDS,
    READ_TIMEOUT_SECONDS,
    Found,
    Remote,
    masked,
    unversioned,
)

_PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)

_PACKED_SUFFIXES = (".gz", ".tgz", ".zst", ".br", ".z")

_LIBRARY_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError)


@dataclass(frozen=True)
class HttpFile(Remote):
    """One file of a web server. Redirects may lead to other servers, not to other protocols.

    Attributes:
        url: as given.
        connection: `login` and `password` are sent as HTTP Basic, `extra` as headers.
    """

    url: str = field(repr=False)
    connection: Connection | None = field(default=None, repr=False)

    def find(self, suffixes: tuple[str, ...]) -> list[Found]:
        """See `Remote.find`; a URL is one file."""
        del suffixes
        with self._answer({}) as answer:
            length = answer.headers.get("Content-Length", "")
            is_known = length.isdecimal() and not self._is_packed(answer)
            size = int(length) if is_known else None
            name = PurePosixPath(unquote(urlsplit(self.url).path)).name or "data"
            version = _version(answer) or unversioned()
        return [Found(masked(self.url), name, size, version)]

    def key(self, file: Found) -> str:
        """See `Remote.key`."""
        del file
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))

    @contextlib.contextmanager
    def read(self, file: Found, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """See `Remote.read`; resumes where the server has ranges and the version is the same."""
        strong = None if file.version.startswith("W/") else file.version
        headers = {"Range": f"bytes={start}-", "If-Range": strong} if start and strong else {}
        with self._answer(headers) as answer:
            if (version := _version(answer)) is not None and version != file.version:
                raise SourceChanged(f"{file.path} has changed since it was found")
            at = _first_byte(answer) if answer.status_code == 206 else 0
            if at not in (0, start):
                raise SourceUnavailable(f"{file.path} answered with bytes that were not asked for")
            yield at, answer.raw.stream(CHUNK_BYTES, decode_content=self._is_packed(answer))

    def _is_packed(self, answer: requests.Response) -> bool:
        """Whether the server packs the file for the way, although it was asked not to.

        Some servers say so of files that are packed themselves; those are left as they are.
        """
        is_encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
        return is_encoded and not urlsplit(self.url).path.lower().endswith(_PACKED_SUFFIXES)

    @contextlib.contextmanager
    def _answer(self, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """The answer to a GET, its body unread; all errors of the library become ours."""
        connection = self.connection or Connection()
        sent = {"Accept-Encoding": "identity", **connection.extra, **headers}
        login = (connection.login, connection.password or "") if connection.login else None
        try:
            with (
                requests.Session() as session,
                session.get(
                    self.url,
                    headers={name: str(value) for name, value in sent.items()},  # extra is JSON
                    auth=login,
                    stream=True,
                    timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
                ) as answer,
            ):
                self._check(answer)
                yield answer
        except _LIBRARY_ERRORS as error:
            # Their texts hold the URL, and it may hold a password.
            raise self._explain(error) from None

    def _check(self, answer: requests.Response) -> None:
        where, status = masked(self.url), f"{answer.status_code} {answer.reason}".strip()
        if urlsplit(self.url).scheme == "https" and urlsplit(answer.url).scheme != "https":
            raise SourceError(f"{where} redirects to a place without encryption; name a safe one")
        if answer.status_code in _PASSING_STATUSES:
            raise SourceUnavailable(f"{where} does not answer now: {status}")
        if answer.status_code in (401, 403, 407):
            raise SourceError(f"{where} may not be read: {status}; name a `connection`")
        if not answer.ok:
            raise SourceError(f"expected a file at {where}, the server said: {status}")

    def _explain(self, error: Exception) -> SourceError:
        where = masked(self.url)
        if isinstance(error, requests.exceptions.SSLError):
            return SourceError(f"{where} cannot prove who it is: its certificate is not valid")
        if isinstance(error, requests.TooManyRedirects):
            return SourceError(f"{where} redirects in circles")
        if isinstance(error, ValueError) and not isinstance(error, requests.JSONDecodeError):
            return SourceError(f"{where} is no URL of a file, or redirects to another protocol")
        return SourceUnavailable(f"{where} does not answer: {_reason(error)}")


def _version(answer: requests.Response) -> str | None:
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified")


def _first_byte(answer: requests.Response) -> int:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _reason(error: BaseException) -> str:
    """What is at the bottom of a library's error, in a few words without addresses."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return {
        "IncompleteRead": "the connection broke off",
        "InvalidChunkLength": "the connection broke off",
        "RemoteDisconnected": "the connection broke off",
        "TimeoutError": "timed out",
    }.get(type(error).__name__, type(error).__name__)
