"""Target `folder`: another folder, on this machine or mounted from a file server.

    <path>/<dataset>/v2/                    the release
    <path>/<dataset>/v2.attestation.json    `proofmint verify <path>/<dataset>/v2` works there
    <path>/<dataset>/current -> v2          moves in one step (rename of a link)

A copy is written and flushed under another name first.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks.errors import VerificationError, WorkspaceError
from tasks.operation import Record
from tasks.publishing.attestation import read_attestation
from tasks.publishing.notices import notice_of
from tasks.publishing.targets._folders import folder_of
from tasks.publishing.targets.base import Copy, Target
from tasks.publishing.verification import attestation_of
from tasks.storage import new_folder
from tasks.versions import Version

CURRENT = "current"


class FolderSettings(Record):
    """Settings of the target `folder`."""

    path: str = Field(min_length=1, description="folder that holds a folder for each dataset")


class FolderTarget(Target):
    """Copies beside each other in a folder."""

    Settings = FolderSettings

    def __init__(
        self, settings: Mapping[str, Any], *, dataset: str, project: Path, where: str
    ) -> None:
        """See `Target`."""
        super().__init__(settings, dataset=dataset, project=project, where=where)
        self.folder = folder_of(self.settings.path, dataset=dataset, project=project, where=where)

    @property
    def place(self) -> str:
        """See `Target.place`."""
        return str(self.folder)

    def held(self) -> dict[int, str]:
        """See `Target.held`: folders whose attestation stands beside them."""
        found = {}
        for place in self.folder.glob("v*"):
            number = re.fullmatch(r"v(\d+)", place.name)
            if number and place.is_dir() and attestation_of(place).is_file():
                found[int(number[1])] = _digest_of(attestation_of(place))
        return found

    def current(self) -> int | None:
        """See `Target.current`."""
        link = self.folder / CURRENT
        if not link.is_symlink():
            return None
        number = re.fullmatch(r"v(\d+)", link.readlink().name)
        return int(number[1]) if number else None

    def withdrawn(self) -> set[int]:
        """See `Target.withdrawn`: notices beside the copies, whether or not these are still there."""
        names = (re.fullmatch(r"v(\d+)\.withdrawn\.json", f.name) for f in self.folder.glob("v*"))
        return {int(number[1]) for number in names if number}

    def put(self, copy: Copy) -> None:
        """See `Target.put`."""
        place = self.folder / copy.version.name
        with new_folder(place) as draft:
            self.fill(copy, draft)
            _flush(draft)
        write_whole(attestation_of(place), copy.attestation)

    def fill(self, copy: Copy, draft: Path) -> None:
        """Write what a copy consists of into an empty folder."""
        # Contents alone: DVC's files are read-only and may be links into its cache.
        shutil.copytree(copy.folder, draft, dirs_exist_ok=True, copy_function=shutil.copyfile)

    def point(self, number: int | None) -> None:
        """See `Target.point`."""
        link = self.folder / CURRENT
        if link.exists() and not link.is_symlink():
            raise WorkspaceError(f"expected {link} to be a link that Proofmint made; move it away")
        if number is None:
            link.unlink(missing_ok=True)
            return
        draft = link.with_name(f".{CURRENT}.draft")
        draft.unlink(missing_ok=True)
        draft.symlink_to(f"v{number}")
        os.replace(draft, link)
        _flush_entries(self.folder)

    def withdraw(self, version: Version) -> None:
        """See `Target.withdraw`."""
        if version.withdrawn is not None:
            write_whole(notice_of(self.folder / version.name), version.withdrawn.notice)

    def drop(self, number: int) -> None:
        """See `Target.drop`; renamed first, so that nobody finds half of it."""
        doomed = self.folder / f".v{number}-dropped"
        shutil.rmtree(doomed, ignore_errors=True)
        os.replace(self.folder / f"v{number}", doomed)
        shutil.rmtree(doomed)


def write_whole(path: Path, text: str) -> None:
    """Write a small file whole or not at all, unless it has this text."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, path)
    _flush_entries(path.parent)


def _digest_of(attestation: Path) -> str:
    try:
        return read_attestation(attestation, None).manifest_sha256
    except VerificationError as error:
        raise WorkspaceError(f"{error}; move it away with its folder") from error


def _flush(folder: Path) -> None:
    """Have the disk keep all files below a folder, before a rename says that they are there."""
    for place, _, files in os.walk(folder):
        for name in files:
            handle = os.open(Path(place) / name, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        _flush_entries(Path(place))


def _flush_entries(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
