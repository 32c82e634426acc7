"""Where the bytes of a file are: on this machine, or somewhere else."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any


@dataclass(frozen=True)
class Location(ABC):
    """One file that a source reads.

    Attributes:
        url: what people call it: a path as they gave it, or a URL without passwords and keys.
        relative: its path below the folder that was named or globbed, with slashes.
        size_bytes: as far as known before it is read.
    """

    url: str
    relative: str
    size_bytes: int | None

    @property
    def name(self) -> str:
        """The name of the file, without folders."""
        return PurePosixPath(self.relative).name

    @property
    @abstractmethod
    def place(self) -> Mapping[str, Any]:
        """Values that JSON has, from which another process makes this location (`at`).

        They hold no passwords, and the version of a remote file: another one is refused.
        """

    @abstractmethod
    def local(self) -> Path:
        """The file on this machine, fetched if need be; it stays there until `release`.

        Raises:
            SourceError: there is no such file, or it may not be read.
            SourceUnavailable: where it is does not answer, after all tries.
            SourceChanged: it is another file than when it was found.
        """

    def release(self) -> None:  # noqa: B027  nothing to do for files of this machine
        """Say that the file of `local` is closed; a fetched one may then leave the cache."""

    @contextlib.contextmanager
    def reading(self) -> Iterator[Path]:
        """`local`, released when the block ends. Every reader of many files should use this."""
        try:
            yield self.local()
        finally:
            self.release()
