"""Files that are somewhere else, fetched into the cache whole or not at all."""

import logging
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tasks import retry
from tasks.cache import Cache, Entry
from tasks.errors import SourceChanged, SourceUnavailable
from tasks.locations.base import Location

CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60
"""Without a byte. How long a whole file takes is not limited."""

TRIES = 3
"""At most, as long as no try comes further: whoever reads the file tries more often than that, and
what was fetched by then is kept for the next try."""

CHUNK_BYTES = 2**20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A file as its server describes it.

    Attributes:
        path: as the server's file system calls it.
        relative: see `Location`.
        size_bytes: None if the server does not say.
        version: of the content: ETag, or time; what `unversioned` gives if the server says neither.
    """

    path: str
    relative: str
    size_bytes: int | None
    version: str


_UNVERSIONED = "unversioned "


def unversioned() -> str:
    """A version that no other file has: nobody can say whether this one will still be the same."""
    return _UNVERSIONED + uuid.uuid4().hex


class Remote(ABC):
    """A server with files. Its errors are SourceError, SourceUnavailable and SourceChanged."""

    @abstractmethod
    def find(self, suffixes: tuple[str, ...]) -> list[Found]:
        """The files that the given URL names, in the order of their paths; tries once."""

    @abstractmethod
    def key(self, file: Found) -> str:
        """What tells this file from all others of all servers; it may hold secrets."""

    @abstractmethod
    def read(self, file: Found, start: int) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """The bytes from `start` on, or from 0 if the server cannot do that; and which of them."""


@dataclass(frozen=True)
class RemoteFile(Location):
    """A file of a server."""

    found: Found
    remote: Remote
    cache: Cache
    _in_use: list[Entry] = field(default_factory=list, repr=False, compare=False)

    @property
    def place(self) -> Mapping[str, Any]:
        """See `Location.place`."""
        found = self.found
        return {
            "remote": found.path,
            "relative": found.relative,
            "size_bytes": found.size_bytes,
            "version": found.version,
        }

    def local(self) -> Path:
        """See `Location.local`."""
        key = "\n".join((self.remote.key(self.found), self.found.version, str(self.size_bytes)))
        entry = self.cache.get("files", key, self._fetch, self.size_bytes or 0)
        self._in_use.append(entry)
        return entry.folder / self._file_name

    def release(self) -> None:
        """See `Location.release`."""
        if self._in_use:
            self._in_use.pop().release()

    @property
    def _file_name(self) -> str:
        """Readers tell formats by it; a name that is too long for a disk keeps its end."""
        return self.name[-100:]

    def _fetch(self, draft: Path) -> None:
        started = time.monotonic()
        target = draft / self._file_name
        waits = retry.waits(TRIES)
        furthest = 0
        while True:
            try:
                self._append(target)
                break
            except SourceChanged:
                raise
            except SourceUnavailable as error:
                reached = target.stat().st_size if target.exists() else 0
                if reached > furthest:  # a try that comes further than all before counts as none
                    furthest, waits = reached, retry.waits(TRIES)
                wait = next(waits, None)
                if wait is None:
                    raise
                _log.info("%s; trying again in %.1f s", error, wait)
                time.sleep(wait)
        n_bytes, seconds = target.stat().st_size, time.monotonic() - started
        _log.info("fetched %s: %.1f MB in %.1f s", self.url, n_bytes / 1e6, seconds)

    def _append(self, target: Path) -> None:
        """Fetch what is missing at the end of `target`."""
        expected = self.size_bytes
        there = target.stat().st_size if target.exists() else 0
        if there and expected is not None and there == expected:
            return
        is_same = not self.found.version.startswith(_UNVERSIONED)
        if not is_same or expected is None or there > expected:
            there = 0
        with self.remote.read(self.found, there) as (start, chunks), target.open("ab") as out:
            out.truncate(start)
            for chunk in chunks:
                out.write(chunk)
        received = target.stat().st_size
        if expected is not None and received != expected:
            if received > expected:
                target.unlink()
            raise SourceUnavailable(
                f"expected {expected:,} bytes of {self.url}, received {received:,}"
            )


def masked(url: str) -> str:
    """A URL without user, password and the values of its query, which may be keys; a path as it is."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    query = "&".join(f"{pair.split('=')[0]}=***" for pair in parts.query.split("&") if pair)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
