"""The bytes of a version, in a folder that nobody else writes to, checked against its attestation."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tasks import versions
from tasks.errors import VerificationError, WorkspaceError
from tasks.publishing.targets.base import Copy
from tasks.publishing.verification import attestation_of, verify_release
from tasks.versions import Version
from tasks.workspace import dvc, state_of


@contextlib.contextmanager
def copy_of(project: Path, version: Version) -> Iterator[Copy]:
    """A copy of a version, for as long as the block runs.

    From releases/<name> of the project where that is this version, else from DVC's cache or remote.
    The caller holds the lock of the dataset's releases.

    Raises:
        WorkspaceError: neither the project nor its cache or remote has the version's bytes.
        VerificationError: what DVC has is not what was attested.
    """
    place = state_of(project) / "outgoing" / version.dataset
    shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
    place.mkdir(parents=True)
    try:
        release = place / version.name
        attestation = attestation_text(project, version)
        attestation_of(release).write_text(attestation, encoding="utf-8")
        if not _copy_standing(project / "releases" / version.dataset, release):
            path = f"releases/{version.dataset}"
            _get(project, path, version.tag, release)
            verify_release(release)
        yield Copy(version, release, attestation)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def attestation_text(project: Path, version: Version) -> str:
    """The attestation of a version, as its commit holds it."""
    path = f"releases/{version.dataset}.attestation.json"
    return versions.read_at(project, version.commit, path)


def _get(project: Path, path: str, tag: str, release: Path) -> None:
    try:
        dvc(project, "get", str(project), path, "--rev", tag, "--out", str(release))
    except WorkspaceError as error:
        said = str(error).partition(" failed: ")[2].strip() or str(error)
        told = WorkspaceError(
            f"expected the bytes of {tag} in {path}, DVC's cache or its remote, found them in none; put"
            " them back: `dvc fetch --all-tags` where a remote has them, or `proofmint restore` of a"
            f" backup elsewhere, and its .dvc/cache from there ({said.splitlines()[0]})"
        )
        told.retryable = error.retryable
        raise told from error


def _copy_standing(standing: Path, release: Path) -> bool:
    """Copy releases/<name>, if it is what the attestation beside `release` attests."""
    try:
        shutil.copytree(standing, release, copy_function=shutil.copyfile)
        verify_release(release)
    except (VerificationError, OSError):
        shutil.rmtree(release, ignore_errors=True)
        return False
    return True
