"""The notice of a withdrawal: a signed statement beside a copy of a release that it must not be used.

It is about one manifest, so it can be put beside any copy, wherever it went, and means nothing
beside another one. `proofmint verify` reads it offline.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.errors import VerificationError
from tasks.publishing.envelope import open_signed, sign
from tasks.versions import Version

PREDICATE_TYPE = "urn:proofmint:withdrawal:v1"

_TEXTS_OF_A_PREDICATE = ("dataset", "version", "reason", "by", "at")


@dataclass(frozen=True)
class Notice:
    """That a release was withdrawn, as somebody has signed it."""

    version: str
    reason: str
    by: str
    at: str
    """ISO 8601 with a time zone."""
    fingerprint: str
    """Of the key that signed it."""


def notice_of(release: Path) -> Path:
    """Where the notice about a copy of a release stands: beside its folder, like the attestation."""
    return release.parent / f"{release.name}.withdrawn.json"


def sign_notice(version: Version, reason: str, by: str, at: str, key: Ed25519PrivateKey) -> str:
    """The text of the notice that a version is withdrawn.

    Args:
        version: which one.
        reason: in a sentence or two.
        by: who withdraws it.
        at: ISO 8601 with a time zone.
        key: of the project.
    """
    predicate = {
        "dataset": version.dataset,
        "version": version.name,
        "reason": reason,
        "by": by,
        "at": at,
    }
    return sign(PREDICATE_TYPE, version.digest, predicate, key)


def read_notice(path: Path, manifest_sha256: str) -> Notice | None:
    """The notice at `path` if it is about the release with this manifest.

    Whoever signed it: one who can put a file there could as well have changed the release, and a
    copy that somebody warns of is better looked at than used.

    Raises:
        VerificationError: there is something else than a notice whose signature holds.
    """
    if not path.is_file():
        return None
    signed = open_signed(path, path.read_bytes(), PREDICATE_TYPE, None)
    facts = signed.facts
    if not all(isinstance(facts.get(name), str) for name in _TEXTS_OF_A_PREDICATE):
        raise VerificationError(f"{path}: not a notice of a withdrawal")
    if signed.manifest_sha256 != manifest_sha256:
        return None
    return Notice(facts["version"], facts["reason"], facts["by"], facts["at"], signed.fingerprint)
