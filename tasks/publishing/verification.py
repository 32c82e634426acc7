"""Checking a release against its attestation, offline: signature, manifest, every file."""

from dataclasses import dataclass
from pathlib import Path

from tasks.errors import VerificationError
from tasks.publishing.attestation import VERDICT_EVIDENCE, read_attestation
from tasks.publishing.envelope import Signed
from tasks.publishing.keys import read_public_key
from tasks.publishing.manifest import MANIFEST_FILE, Manifest, faults
from tasks.publishing.notices import Notice, notice_of, read_notice
from tasks.storage import digest, read_json

ATTESTATION_INSIDE = ".proofmint/attestation.json"
NOTICE_INSIDE = ".proofmint/withdrawn.json"
"""Where they are in a copy that goes around as one folder, as on the Hugging Face Hub."""

_OF_THE_HUB = frozenset((".proofmint", ".git", ".gitattributes", ".cache"))
"""What such a folder may hold besides the release: git's own, and what `hf download` leaves."""


@dataclass(frozen=True)
class Verified:
    """What is now known of a release."""

    attestation: Signed
    n_files: int
    verdict_passed: bool
    withdrawn: Notice | None
    """What says that it must no longer be used; None: nothing beside this copy."""


def attestation_of(release: Path) -> Path:
    """Where the attestation of a release stands: beside its folder, or inside if it is there only."""
    beside = release.parent / f"{release.name}.attestation.json"
    inside = release / ATTESTATION_INSIDE
    return inside if inside.is_file() and not beside.is_file() else beside


def verify_release(release: Path, key: Path | None = None) -> Verified:
    """Check a release.

    Args:
        release: its folder; the attestation stands beside it, or in `.proofmint` of it.
        key: PEM file of the public key that must have signed; None: any key.

    Raises:
        VerificationError: with one line for each file that is not as attested.
    """
    release = release.resolve()
    if not release.is_dir():
        raise VerificationError(f"expected the folder of a release, found none at {release}")
    path = attestation_of(release)
    if not path.is_file():
        raise VerificationError(
            f"expected the attestation {path}, found none. It is published beside the release:"
            " copy it there, or, in the project that made the release, run"
            f" `proofmint release {release.name}`"
        )
    attestation = read_attestation(path, None if key is None else read_public_key(key))
    if fault := _attested_fault(release, MANIFEST_FILE, attestation.manifest_sha256):
        raise VerificationError(f"{release}: {fault}")
    manifest = Manifest.load(release)
    is_of_the_hub = (release / ATTESTATION_INSIDE).is_file()
    if wrong := faults(release, manifest, _OF_THE_HUB if is_of_the_hub else frozenset()):
        raise VerificationError("\n  ".join([f"{release} is not what was attested:", *wrong]))
    if fault := _attested_fault(release, VERDICT_EVIDENCE, attestation.facts["verdict_sha256"]):
        raise VerificationError(f"{release}: {fault}")
    if manifest.dataset != attestation.facts["dataset"]:
        raise VerificationError(
            f"{path} is about {attestation.facts['dataset']!r}, not {manifest.dataset!r}"
        )
    verdict = read_json(release / VERDICT_EVIDENCE)
    signed = attestation.manifest_sha256
    notice = read_notice(notice_of(release), signed)
    if is_of_the_hub:
        notice = notice or read_notice(release / NOTICE_INSIDE, signed)
    return Verified(attestation, len(manifest.files) + 1, verdict.get("passed") is True, notice)


def _attested_fault(release: Path, path: str, sha256: str) -> str | None:
    """What is wrong with one file whose digest the attestation itself names; None: nothing."""
    place = release / path
    if place.is_symlink():
        return f"{path}: a link, which a release may not hold"
    if not place.is_file():
        return f"{path}: missing"
    return None if digest(place) == sha256 else f"{path}: changed: not what was attested"
