"""Folders of images, on this machine or in object storage."""

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.errors import SourceError
from tasks.locations.base import Location
from tasks.locations.resolve import at, resolve
from tasks.sources._located import check_spelled
from tasks.sources._pictures import FORMATS

METADATA_FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""What a file of metadata beside the images is called, as the `datasets` library has it."""


class ImageFolder(ABC):
    """A folder of images.

    Attributes:
        shown: what people call it.
    """

    shown: str

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The images by their paths below the folder, sorted part by part.

        Raises:
            SourceError: there is no such folder.
            SourceUnavailable: where it is does not answer.
        """

    @property
    @abstractmethod
    def n_others(self) -> int:
        """Files that are neither images nor metadata, and hidden folders without images."""

    @property
    def n_hidden(self) -> int:
        """Images in hidden folders of this machine, none of which is read."""
        return 0

    @property
    def n_empty(self) -> int:
        """Folders in it without an image in them or below: labels that no image has."""
        return 0

    @property
    @abstractmethod
    def metadata(self) -> list[str]:
        """The files of metadata, as paths or URLs."""

    @abstractmethod
    def place(self, name: str) -> Any:
        """What `reading` needs of one of `names`, in values that JSON has."""

    @abstractmethod
    def reading(self, place: Any) -> contextlib.AbstractContextManager[tuple[str, Path]]:
        """The name of an image and its file on this machine, for as long as the block lasts."""


def image_folder(given: str, project: Path, connection: str | None) -> ImageFolder:
    """The folder that a path or a URL names; nothing is looked at yet."""
    if "://" in given and not given.startswith("file://"):
        return _RemoteFolder(given, project, connection)
    return _LocalFolder(project / given.removeprefix("file://"))


class _LocalFolder(ImageFolder):
    """A folder of this machine; links in it are followed to files, not to folders."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.shown = str(folder)

    @property
    def names(self) -> list[str]:
        return self._listing[0]

    @property
    def n_others(self) -> int:
        return self._listing[1]

    @property
    def n_hidden(self) -> int:
        return self._listing[2]

    @property
    def n_empty(self) -> int:
        found = {name.partition("/")[0] for name in self.names}
        folders = (path for path in self._folder.iterdir() if path.is_dir())
        return sum(path.name not in found and not path.name.startswith(".") for path in folders)

    @property
    def metadata(self) -> list[str]:
        paths = (self._folder / name for name in METADATA_FILES)
        return [str(path.absolute()) for path in paths if path.is_file()]

    def place(self, name: str) -> str:
        return name

    @contextlib.contextmanager
    def reading(self, place: Any) -> Iterator[tuple[str, Path]]:
        yield place, self._folder / place

    @cached_property
    def _listing(self) -> tuple[list[str], int, int]:
        if not self._folder.is_dir():
            raise SourceError(f"expected a folder of images at {self._folder}, found none")
        names: list[str] = []
        n_others = n_hidden = 0
        for folder, folders, files in os.walk(self._folder):
            for name in folders:
                if name.startswith("."):
                    n_images = _count_images(Path(folder, name))
                    n_hidden += n_images
                    n_others += n_images == 0
            folders[:] = [name for name in folders if not name.startswith(".")]
            place = Path(folder).relative_to(self._folder)
            for name in files:
                if not name.startswith(".") and _is_image(name):
                    names.append((place / name).as_posix())
                elif not (place == Path() and name in METADATA_FILES):
                    n_others += 1
        check_spelled(names, self.shown)
        return sorted(names, key=_parts), n_others, n_hidden


class _RemoteFolder(ImageFolder):
    """A folder behind a URL; its images are fetched into the cache one by one."""

    def __init__(self, given: str, project: Path, connection: str | None) -> None:
        self._given = given.rstrip("/") + "/"
        self._project = project
        self._connection = connection
        self.shown = given

    @cached_property
    def names(self) -> list[str]:
        return sorted(filter(_is_image, self._locations), key=_parts)

    @property
    def n_others(self) -> int:
        return len([n for n in self._locations if not _is_image(n) and n not in METADATA_FILES])

    @property
    def metadata(self) -> list[str]:
        return [self._given + name for name in METADATA_FILES if name in self._locations]

    def place(self, name: str) -> dict[str, Any]:
        return dict(self._locations[name].place)

    @contextlib.contextmanager
    def reading(self, place: Any) -> Iterator[tuple[str, Path]]:
        location = at(place, self._given, self._project, connection=self._connection)
        with location.reading() as path:
            yield location.relative, path

    @cached_property
    def _locations(self) -> dict[str, Location]:
        found = resolve(self._given, self._project, connection=self._connection)
        return {location.relative: location for location in found}


def _count_images(folder: Path) -> int:
    return sum(_is_image(name) for _, _, files in os.walk(folder) for name in files)


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in FORMATS


def _parts(name: str) -> list[str]:
    return name.split("/")
