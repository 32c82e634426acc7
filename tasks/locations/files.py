"""Files of this machine: paths, folders and globs, none of which leads out of what was named."""

import difflib
import glob
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import SourceError
from tasks.locations.base import Location


@dataclass(frozen=True)
class LocalFile(Location):
    """A file of this machine."""

    path: Path

    @property
    def place(self) -> Mapping[str, Any]:
        """See `Location.place`."""
        return {"path": str(self.path), "relative": self.relative}

    def local(self) -> Path:
        """See `Location.local`."""
        if not self.path.is_file():
            raise SourceError(f"expected the file {self.path}, found none; it was there before")
        return self.path


def at(place: Mapping[str, Any]) -> LocalFile:
    """The file of a `place`."""
    path = Path(place["path"])
    return LocalFile(str(path), place["relative"], None, path)


def find(given: str, project: Path, suffixes: tuple[str, ...]) -> list[LocalFile]:
    """The files that a path, a folder or a glob names, in the order of their paths.

    Args:
        given: absolute, or relative to `project`.
        project: folder of the project.
        suffixes: what names end with in a folder that is named whole, in lower case; (): all.

    Raises:
        SourceError: there is none, a symbolic link leads out of the folder, or it cannot be read.
    """
    exact = project / given
    try:
        if exact.is_file():
            return [LocalFile(given, exact.name, exact.stat().st_size, exact)]
        if exact.is_dir():
            base, found = exact, _below(exact, suffixes)
        else:
            base, found = _globbed(project, given)
        # Links inside the folder may lead to a file twice; it is one file.
        once = {path.resolve(): path for path in sorted(found, reverse=True)}
        files = [_checked(path, base, given) for path in sorted(once.values())]
    except OSError as error:
        raise SourceError(f"cannot read {given!r}: {error.strerror}: {error.filename}") from error
    if not files:
        raise SourceError(_none_found(given, exact, suffixes))
    return files


def near(path: Path) -> str:
    """Similar names in the same folder, as the end of a message."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent} either"
    found = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()])
    return f"; there is {' and '.join(sorted(found))}" if found else ""


def _below(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for path in _glob(folder, "**/*"):
        if not suffixes or path.name.lower().endswith(suffixes):
            yield path


def _globbed(project: Path, given: str) -> tuple[Path, Iterator[Path]]:
    """The folder before the first part with a wildcard, and what the rest finds in it."""
    parts = (project / given).parts
    n_plain = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    base = Path(*parts[:n_plain])
    if not base.is_dir():
        return base, iter(())
    return base, _glob(base, str(Path(*parts[n_plain:])))


def _glob(base: Path, pattern: str) -> Iterator[Path]:
    try:
        for path in base.glob(pattern):
            parts = path.relative_to(base).parts
            is_hidden = any(part.startswith(".") and part != ".." for part in parts)
            if path.is_file() and not is_hidden:
                yield path
    except (ValueError, NotImplementedError) as error:
        raise SourceError(f"{pattern!r} is not a path or a glob: {error}") from error


def _checked(path: Path, base: Path, given: str) -> LocalFile:
    if not path.resolve().is_relative_to(base.resolve()):
        raise SourceError(
            f"{given!r} finds {path}, which leads out of {base} (to {path.resolve()}); name the"
            " other folder itself, or remove the link"
        )
    relative = path.relative_to(base).as_posix()
    return LocalFile(os.fspath(path), relative, path.stat().st_size, path)


def _none_found(given: str, exact: Path, suffixes: tuple[str, ...]) -> str:
    if exact.is_dir():
        kinds = f" that end with {', '.join(suffixes)}" if suffixes else ""
        return f"expected files{kinds} in the folder {exact}, found none"
    if glob.has_magic(given):
        return f"expected files that fit {given!r}, found none"
    return f"expected a file at {exact}, found none{near(exact)}"
