"""Files that parts name: found in one process, opened in another, and still the same ones."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.errors import SourceChanged, SourceError
from tasks.locations.base import Location
from tasks.locations.resolve import at
from tasks.sources.formats.base import opened


def check_spelled(names: Iterable[str], where: str) -> None:
    """Raises SourceError for the first file whose name is not UTF-8; names and labels are values."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise SourceError(
                f"expected names in UTF-8 in {where}, found the file {os.fsencode(name)!r}; rename it"
            ) from None


def place_of(location: Location) -> dict[str, Any]:
    """What `reading` needs, in values that JSON has: the location, and the state of a local file."""
    # A remote file is told from another by its place.
    state = None if "://" in location.url else _state(location.local())
    return {"at": dict(location.place), "state": state}


@contextlib.contextmanager
def reading(
    place: Mapping[str, Any], given: str, project: Path, connection: str | None
) -> Iterator[tuple[Location, Path]]:
    """The file of a `place_of`, on this machine for as long as the block lasts.

    Args:
        place: of the file.
        given: what it was found by, as people wrote it.
        project: see `tasks.locations.resolve`.
        connection: see there.

    Raises:
        SourceChanged: it is not the file that it was.
        SourceUnavailable: where it is does not answer.
        SourceError: it is gone.
    """
    location = at(place["at"], given, project, connection=connection)
    with opened(location) as path:
        if place["state"] is not None and _state(path) != place["state"]:
            raise SourceChanged(f"{path} was written to since reading began; all is read again")
        yield location, path


def _state(path: Path) -> list[int]:
    """What tells one state of a file from another."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
