"""One file that holds many, each with its digest: written whole or not at all, checked before use.

An uncompressed tar of regular files, in an order that is given, with `MANIFEST.json` as its last
member: the sha256 of every other one, and facts of whoever wrote it. Memory does not grow with it.
"""

import contextlib
import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tasks.errors import VerificationError, WorkspaceError

MANIFEST = "MANIFEST.json"
FORMAT = "proofmint backup 1"


@dataclass
class Writer:
    """An archive that is being written.

    Attributes:
        facts: kept in the manifest.
        digests: sha256 by name of what was added.
        size_bytes: of all that was added.
    """

    _tar: tarfile.TarFile
    facts: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    size_bytes: int = 0

    def add(self, name: str, path: Path) -> bool:
        """Add a file under a name; False: it has gone since it was listed.

        Raises:
            WorkspaceError: it became shorter while it was read.
        """
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            return False
        with stream:
            facts = os.fstat(stream.fileno())
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = facts.st_size, facts.st_mtime, facts.st_mode & 0o777
            hashing = _Hashing(stream)
            try:
                self._tar.addfile(info, hashing)
            except OSError as error:
                if error.errno is not None:  # of the disk
                    raise
                raise WorkspaceError(
                    f"{path} became shorter while it was read; do it again when nobody writes it"
                ) from error
        self.digests[name] = hashing.digest.hexdigest()
        self.size_bytes += info.size
        return True


class _Hashing:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, n: int = -1) -> bytes:
        content = self._stream.read(n)
        self.digest.update(content)
        return content


@contextlib.contextmanager
def writing(path: Path, scratch: Path) -> Iterator[Writer]:
    """An archive that nobody but the owner can read, at `path` when the block ends well.

    Args:
        path: where there is nothing yet.
        scratch: folder for the manifest, on its way.

    Raises:
        WorkspaceError: something is there already.
    """
    if path.exists():
        raise WorkspaceError(f"expected {path} not to exist; choose another name, or remove it")
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
                writer = Writer(tar)
                yield writer
                manifest = {"format": FORMAT, **writer.facts, "files": writer.digests}
                place = scratch / MANIFEST
                place.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
                writer.add(MANIFEST, place)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def verify(path: Path) -> dict[str, Any]:
    """The manifest of an archive, all of whose files were read and are what it says.

    Raises:
        VerificationError: it is no archive of ours, was cut short, or was changed.
    """
    found: dict[str, str] = {}
    manifest: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                content = tar.extractfile(info) if info.isreg() else None
                if content is None or not _is_safe(info.name) or info.name in found:
                    raise VerificationError(f"{path}: unexpected member {info.name!r}")
                if info.name == MANIFEST:
                    manifest = json.load(content)
                else:
                    found[info.name] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise VerificationError(f"{path} is no backup, or was cut short: {error}") from error
    except OSError as error:
        raise VerificationError(f"cannot read {path}: {error}") from error
    if manifest.get("format") != FORMAT:
        raise VerificationError(
            f"{path}: expected a manifest that says {FORMAT!r}, found {manifest.get('format')!r}; it"
            " is no backup, was cut short, or is of another version of Proofmint"
        )
    if found != manifest["files"]:
        names = sorted(set(found.items()) ^ set(manifest["files"].items()))
        raise VerificationError(f"{path} is damaged: {names[0][0]} is not what the manifest says")
    return manifest


def extract(path: Path, root: Path, place: Callable[[str], Path | None]) -> None:
    """Write the files of an archive that `verify` has read, in place of those that are there.

    Args:
        path: of the archive.
        root: below which all of them are.
        place: where a file goes, by its name; None: nowhere.

    Raises:
        VerificationError: a link leads a file out of `root`.
    """
    with tarfile.open(path, "r:") as tar:
        for info in tar:
            target = None if info.name == MANIFEST else place(info.name)
            content = tar.extractfile(info)
            if target is None or content is None:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.parent.resolve().is_relative_to(root.resolve()):
                raise VerificationError(f"{path}: a link leads {info.name!r} elsewhere")
            target.unlink(missing_ok=True)
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as stream:
                while piece := content.read(1 << 20):
                    stream.write(piece)
            target.chmod(info.mode & 0o777)
            os.utime(target, (info.mtime, info.mtime))


def files_below(folder: Path, skip: Callable[[PurePosixPath], bool]) -> Iterator[tuple[str, Path]]:
    """The regular files of a folder by relative name, sorted; links are left out.

    Args:
        folder: may be missing.
        skip: whether a file or a folder is left out, with all below it.
    """
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = PurePosixPath(place.name)
        if place.is_symlink() or skip(name):
            continue
        if place.is_dir():
            for below, path in files_below(place, lambda n, name=name: skip(name / n)):  # type: ignore[misc]
                yield f"{name}/{below}", path
        elif place.is_file():
            yield str(name), place


def _is_safe(name: str) -> bool:
    """Whether a name stays below the folder that it is put in."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and name == str(path) != "."


def facts_of(manifest: Mapping[str, Any], *names: str) -> list[str]:
    """Facts that a manifest must have, as text.

    Raises:
        VerificationError: one is missing.
    """
    if missing := [name for name in names if not isinstance(manifest.get(name), str)]:
        raise VerificationError(f"the manifest of the backup says nothing of: {', '.join(missing)}")
    return [manifest[name] for name in names]
