"""The manifest of a release: the sha256 and the size of every other file in it, sorted by path.

The attestation signs the manifest, and the manifest vouches for the files: one signature is enough
for any number of them.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tasks.errors import VerificationError
from tasks.storage import digest, write_json

MANIFEST_FILE = "evidence/manifest.json"
"""Where the manifest stands in a release."""

Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileEntry(_Record):
    """One file as it was when the release was made."""

    path: str = Field(min_length=1, description="relative to the release, with forward slashes")
    sha256: str = Sha256
    size_bytes: int = Field(ge=0)

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if (
            path != "/".join(parts)
            or path.startswith("/")
            or not parts
            or any(part in ("..", ".") for part in parts)
            or re.search(r"[\\\x00-\x1f]", path)
            or re.match(r"[A-Za-z]:", path)
        ):
            raise ValueError(f"expected a path inside the release, found {path!r}")
        return path


class Manifest(_Record):
    """What a release consists of and what it was made from."""

    dataset: str = Field(min_length=1)
    files: tuple[FileEntry, ...]
    inputs: Mapping[str, str | None] = Field(
        description="sha256 of what the release was made from: training data, holdout, model ..."
    )

    @field_validator("files", mode="before")
    @classmethod
    def _from_json_array(cls, files: object) -> object:
        return tuple(files) if isinstance(files, list) else files

    @field_validator("files")
    @classmethod
    def _listed_once(cls, files: tuple[FileEntry, ...]) -> tuple[FileEntry, ...]:
        paths = [file.path for file in files]
        if paths != sorted(set(paths)):
            raise ValueError("expected each file once, sorted by path")
        return files

    @classmethod
    def load(cls, release: Path) -> Self:
        """Read the manifest of a release.

        Raises:
            VerificationError: there is none, or it is malformed or points outside the release.
        """
        place = release / MANIFEST_FILE
        try:
            return cls.model_validate_json(place.read_bytes())
        except OSError as error:
            raise VerificationError(
                f"expected a release at {release}, found no {MANIFEST_FILE} in it"
            ) from error
        except ValidationError as error:
            raise VerificationError(f"{place} is not a manifest: {error}") from error


def write_manifest(release: Path, dataset: str, inputs: Mapping[str, str | None]) -> None:
    """List every file below `release` in its manifest; the last thing that is written."""
    files = [
        {
            "path": path,
            "sha256": digest(release / path),
            "size_bytes": (release / path).stat().st_size,
        }
        for path in sorted(_walk(release))
        if path != MANIFEST_FILE
    ]
    write_json(
        release / MANIFEST_FILE, {"dataset": dataset, "files": files, "inputs": dict(inputs)}
    )


def faults(release: Path, manifest: Manifest, apart: frozenset[str] = frozenset()) -> list[str]:
    """What differs between a release and its manifest, one line a file; empty if nothing does.

    Links are never followed: a link in a release is a fault, wherever it leads.

    Args:
        release: its folder.
        manifest: of it.
        apart: names in that folder which are no part of the release.
    """
    found = {
        path: kind for path, kind in _walk(release).items() if path.partition("/")[0] not in apart
    }
    expected = {file.path: file for file in manifest.files}
    lines = [f"{path}: {kind}" for path, kind in found.items() if kind != "file"]
    lines += [
        f"{path}: not in the manifest"
        for path, kind in found.items()
        if kind == "file" and path not in expected and path != MANIFEST_FILE
    ]
    for path, file in expected.items():
        if path not in found:
            lines.append(f"{path}: missing")
        elif found[path] == "file" and (fault := _fault(release / path, file)):
            lines.append(f"{path}: {fault}")
    return sorted(lines)


def _fault(path: Path, expected: FileEntry) -> str | None:
    try:
        size_bytes = path.stat().st_size
        if size_bytes != expected.size_bytes:
            return f"changed: {size_bytes} bytes instead of {expected.size_bytes}"
        sha256 = digest(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if sha256 == expected.sha256 else "changed: another sha256 than in the manifest"


def _walk(folder: Path, prefix: str = "") -> dict[str, str]:
    """What lies below `folder`, by relative path: 'file', or what is wrong with it."""
    found: dict[str, str] = {}
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            path = prefix + entry.name
            # A name that cannot be shown as it is could hide in the message about it.
            if not path.isprintable():
                found[repr(path)] = "a name with unprintable characters"
            elif entry.is_symlink():
                found[path] = "a link, which a release may not hold"
            elif entry.is_dir(follow_symlinks=False):
                found |= _walk(Path(entry.path), f"{path}/")
            elif entry.is_file(follow_symlinks=False):
                found[path] = "file"
            else:
                found[path] = "neither a file nor a folder"
    return found
