"""The on-disk cache: what can be had again, kept up to a size, the least recently used goes first.

    .proofmint/cache/files/<sha256 of the key>/       one entry, whole or not there
    .proofmint/cache/files/<sha256 of the key>.lock   held by who uses the entry, or makes it

Several processes and threads may use one cache at once: an entry is made by one of them while the
others wait, and what one of them uses is not evicted. Removing the folder loses nothing but time.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Literal

from tasks.errors import ParamsError
from tasks.workspace import locked, state_of

LIMIT_VARIABLE = "PROOFMINT_CACHE_GIB"
DEFAULT_LIMIT_GIB = 20.0

_SLACK = 0.05
"""Share of the limit that a process adds before it looks again what everybody has put there."""

Drawer = Literal["files", "snapshots"]


class Entry:
    """A folder in the cache that stays there until `release`, or until nobody has this object.

    Attributes:
        folder: holds what was made.
    """

    def __init__(self, folder: Path, lock: IO[str]) -> None:
        self.folder = folder
        self._finalizer = weakref.finalize(self, lock.close)

    def release(self) -> None:
        """Say that it is not in use any more."""
        self._finalizer()


class Cache:
    """The cache of a project."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Look at nothing yet; the folder may not exist.

        Args:
            folder: of the cache.
            limit_bytes: on disk; what is in use, and what a process has added since it last
                looked (5 % of the limit at most), may be beyond it.
        """
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._unseen_bytes = limit_bytes  # what others have put there is not known yet
        self._guard = threading.Lock()

    @classmethod
    def of(cls, project: Path) -> "Cache":
        """The cache of a project, with the limit of the environment variable PROOFMINT_CACHE_GIB.

        Raises:
            ParamsError: the variable holds no positive number.
        """
        given = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_LIMIT_GIB)
        try:
            limit = float(given)
        except ValueError:
            limit = 0.0
        if not 0 < limit < 2**30:
            raise ParamsError(
                f"expected {LIMIT_VARIABLE} to be a number of GiB above 0, found {given!r}"
            )
        return cls(state_of(project) / "cache", int(limit * 2**30))

    def get(
        self, drawer: Drawer, key: str, make: Callable[[Path], None], size_bytes: int = 0
    ) -> Entry:
        """The entry of this key; made first, by one process at a time, where there is none.

        Args:
            drawer: the sub-folder.
            key: equal keys stand for equal content.
            make: fills the folder that it is given; what an interrupted try has left there is
                still in it.
            size_bytes: what it will take on disk, as far as known; makes room for it.
        """
        while True:
            if (entry := self.find(drawer, key)) is not None:
                return entry
            place = self._place(drawer, key)
            with contextlib.closing(_lock(place, fcntl.LOCK_EX)):
                if not place.exists():
                    self._make(place, make, size_bytes)

    def find(self, drawer: Drawer, key: str) -> Entry | None:
        """The entry of this key if there is one; waits while it is being made."""
        place = self._place(drawer, key)
        if not place.parent.exists():
            return None
        lock = _lock(place, fcntl.LOCK_SH)
        if not place.exists():
            lock.close()
            return None
        os.utime(place)
        return Entry(place, lock)

    def drop(self, drawer: Drawer, key: str) -> None:
        """Remove an entry now, unless somebody uses it."""
        _remove(self._place(drawer, key))

    def evict(self, place: Path) -> bool:
        """Remove the entry in this folder; False: somebody uses it."""
        return _remove(place)

    def uses(self, drawer: Drawer) -> dict[str, int]:
        """When each entry was last used, in ns: to be compared, as somebody may set the clock."""
        found = {}
        for place in [path for path in (self.folder / drawer).glob("*") if path.is_dir()]:
            with contextlib.suppress(FileNotFoundError):
                found[place.name] = place.stat().st_mtime_ns
        return found

    def forget(self, drawer: Drawer, before: Mapping[str, int]) -> None:
        """Remove what was used since `before` was the `uses`, unless somebody still uses it."""
        for name, used in self.uses(drawer).items():
            if before.get(name) != used:
                with contextlib.suppress(FileNotFoundError):
                    _remove(self.folder / drawer / name)

    def _make(self, place: Path, make: Callable[[Path], None], size_bytes: int) -> None:
        self._make_room(size_bytes)
        draft = place.with_suffix(".draft")
        draft.mkdir(parents=True, exist_ok=True)
        make(draft)
        os.replace(draft, place)
        with self._guard:
            self._unseen_bytes += max(0, _size(place) - size_bytes)

    def _make_room(self, size_bytes: int) -> None:
        """Evict the least recently used entries until `size_bytes` more fit."""
        with self._guard:
            self._unseen_bytes += size_bytes
            if self._unseen_bytes <= _SLACK * self.limit_bytes:
                return
            self._unseen_bytes = 0
        with locked(self.folder / "lock"):
            entries = []
            # A draft is of a process that ended, or that is at it: the lock tells.
            for place in (path for path in self.folder.glob("*/*") if path.is_dir()):
                with contextlib.suppress(FileNotFoundError):
                    entries.append((place.stat().st_mtime_ns, _size(place), place))
            total = sum(size for _, size, _ in entries) + size_bytes
            for _, size, place in sorted(entries):
                if total <= (1 - _SLACK) * self.limit_bytes:
                    break
                if _remove(place):
                    total -= size

    def _place(self, drawer: Drawer, key: str) -> Path:
        return self.folder / drawer / hashlib.sha256(key.encode()).hexdigest()


def _lock(place: Path, kind: int) -> IO[str]:
    """The lock file of an entry, open and locked."""
    path = place.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        lock = path.open("a")
        try:
            fcntl.flock(lock, kind)
            # Whoever evicts an entry removes its lock file too: then this one is nobody's.
            if os.fstat(lock.fileno()).st_ino == path.stat().st_ino:
                return lock
        except FileNotFoundError:
            pass
        except BaseException:
            lock.close()
            raise
        lock.close()


def _remove(place: Path) -> bool:
    """Remove an entry or a draft, and its lock file; False if it is in use."""
    try:
        lock = _lock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    gone = place.with_suffix(".gone")
    with contextlib.closing(lock):
        shutil.rmtree(gone, ignore_errors=True)
        for path in (place.with_suffix(""), place.with_suffix(".draft")):
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, gone)  # at once: half an entry would look like one
                shutil.rmtree(gone, ignore_errors=True)
        place.with_suffix(".lock").unlink()
    return True


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
