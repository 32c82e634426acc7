"""The contract of file formats.

To add a format, write one file `tasks/sources/formats/<name>.py` with one subclass of `Format`; the
suffixes that it declares find it, or `format: <name>`.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import pyarrow as pa

from tasks.errors import ProofmintError, SourceChanged, SourceError
from tasks.locations.base import Location
from tasks.schema import Column, TableSchema


@dataclass(frozen=True)
class FileTable:
    """A table that files hold.

    Attributes:
        columns: of the table.
        name: that the files give it; None: they name none.
    """

    columns: Sequence[Column]
    name: str | None = None


@dataclass(frozen=True)
class FilePart:
    """Rows of one file.

    Attributes:
        file: that holds them.
        place: where they are in it, and what is known of them, in values that JSON has.
    """

    file: Location
    place: Mapping[str, Any] = field(default_factory=dict)


class Format(ABC):
    """One way to write tables into files. Use it in a `with` block.

    Attributes:
        suffixes: that its files end with, in lower case.
        takes: names of the settings of the `files` source that mean something to it.
    """

    suffixes: ClassVar[tuple[str, ...]]
    takes: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, settings: Any, batch_bytes: int) -> None:
        """Open nothing yet.

        Args:
            settings: of the `files` source.
            batch_bytes: of memory that one batch should take at most.
        """
        self.settings = settings
        self.batch_bytes = batch_bytes
        self.opened = contextlib.ExitStack()
        self._stamps: dict[str, list[int] | None] = {}

    def __enter__(self) -> Self:
        """Start to read; what is opened is put on `self.opened`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what was opened."""
        self.opened.close()

    @contextlib.contextmanager
    def first_look(self, file: Location) -> Iterator[Path]:
        """A file on this machine, as `opened`; what it is like now is kept for its parts."""
        with opened(file) as path:
            self._stamps[file.url] = stamp_of(file, path)
            yield path

    @contextlib.contextmanager
    def next_look(self, part: FilePart) -> Iterator[Path]:
        """The file of a part, as `opened`.

        Raises:
            SourceChanged: it is not what it was.
        """
        with opened(part.file) as path:
            stamp = part.place["stamp"]
            if stamp is not None and stamp_of(part.file, path) != stamp:
                raise SourceChanged(f"{path} has changed while it was read; it is read anew")
            yield path

    def part(self, file: Location, **place: Any) -> FilePart:
        """A part of a file that `first_look` saw."""
        return FilePart(file, {**place, "stamp": self._stamps[file.url]})

    @abstractmethod
    def tables(self, files: Sequence[Location]) -> list[FileTable]:
        """The tables that these files hold together.

        Raises:
            SourceError: a file cannot be read, or has other columns than the others.
        """

    @abstractmethod
    def parts(self, files: Sequence[Location], table: TableSchema) -> list[FilePart]:
        """The parts of one of `tables(files)`, in the order of the rows.

        Called after `tables` with the same files.
        """

    @abstractmethod
    def read(self, table: TableSchema, part: FilePart) -> Iterator[pa.RecordBatch]:
        """The rows of a part of `parts`, which may have been made in another process.

        Raises:
            SourceError: they cannot be read.
        """


@contextlib.contextmanager
def opened(file: Location) -> Iterator[Path]:
    """A file on this machine; errors call a remote one by its URL, not by its place in the cache."""
    with file.reading() as path:
        try:
            yield path
        except SourceError as error:
            if "://" not in file.url:
                raise
            raise type(error)(str(error).replace(str(path), file.url)) from error


def ahead(files: Sequence[Location]) -> Iterator[Location]:
    """The files one by one, while the next remote one is fetched."""
    with ThreadPoolExecutor(1) as pool:
        for i, file in enumerate(files):
            if i + 1 < len(files) and "://" in files[i + 1].url:
                pool.submit(_fetch, files[i + 1])
            yield file


def _fetch(file: Location) -> None:
    # Who reads the file meets the fault, and tells it.
    with contextlib.suppress(ProofmintError), file.reading():
        pass


def stamp_of(file: Location, path: Path) -> list[int] | None:
    """What tells one state of a local file from another; None: its location keeps watch."""
    if "://" in file.url:
        return None
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def check_same(first: Path, expected: Sequence[str], path: Path, found: Sequence[str]) -> None:
    """Refuse a file that has other columns than the first one.

    Raises:
        SourceError: with what is missing and what is too much.
    """
    if list(found) == list(expected):
        return
    missing = [name for name in expected if name not in set(found)]
    further = [name for name in found if name not in set(expected)]
    reasons = [
        *([f"missing: {', '.join(missing)}"] if missing else []),
        *([f"unknown: {', '.join(further)}"] if further else []),
    ] or ["they are in another order"]
    raise SourceError(
        f"expected the columns of {first} in {path} too: {_some(expected)}; found: {_some(found)}"
        f" ({'; '.join(reasons)})"
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
