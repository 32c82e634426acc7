"""Who made a release, when and from what, signed: the attestation that stands beside it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from tasks.approvals import Approval
from tasks.errors import DataError, VerificationError
from tasks.publishing.envelope import Signed, open_signed, sign
from tasks.publishing.keys import fingerprint
from tasks.publishing.manifest import MANIFEST_FILE
from tasks.publishing.succession import vouches_for
from tasks.storage import digest, read_json

PREDICATE_TYPE = "urn:proofmint:release:v1"

PARAMS_EVIDENCE = "evidence/params.json"
MODEL_EVIDENCE = "evidence/model.json"
VERDICT_EVIDENCE = "evidence/gates/release.json"

_TEXTS_OF_A_PREDICATE = (
    "dataset",
    "version",
    "git_commit",
    "dvc_revision",
    "created_at",
    "verdict_sha256",
)


@dataclass(frozen=True)
class ReleaseFacts:
    """What a release cannot know of itself, because it differs between runs with equal results."""

    dataset: str
    version: str
    """The tag without the dataset: `v3`."""
    git_commit: str
    """Commit of code and params that the release was made from."""
    dvc_revision: str
    """md5 of the release's output in dvc.lock."""
    created_at: str
    """ISO 8601 with a time zone."""
    mlflow_run: str | None = None
    key_succession: Sequence[Mapping[str, Any]] = ()
    """Of the signing key (`tasks.publishing.succession`)."""
    approval: Approval | None = None
    """Who said yes to the release; null: nobody was asked."""


def attest(release: Path, out: Path, facts: ReleaseFacts, key: Ed25519PrivateKey) -> None:
    """Sign a release and write its attestation to `out`, whole or not at all.

    Reads:
        release/evidence: the manifest, the thresholds, the verdict of the release gate, and the
            guarantee of differential privacy, if the generator has one.

    Raises:
        DataError: the release has no manifest or no evidence.
    """
    manifest, verdict = release / MANIFEST_FILE, release / VERDICT_EVIDENCE
    for place in (manifest, verdict):
        if not place.is_file():
            raise DataError(f"expected a release at {release}, found no {place.name} in it")
    predicate = {
        "dataset": facts.dataset,
        "version": facts.version,
        "git_commit": facts.git_commit,
        "dvc_revision": facts.dvc_revision,
        "mlflow_run": facts.mlflow_run,
        "created_at": facts.created_at,
        "thresholds": read_json(release / PARAMS_EVIDENCE)["thresholds"],
        "privacy": _privacy(release),
        "verdict_sha256": digest(verdict),
        "key_succession": list(facts.key_succession),
        "approval": facts.approval and facts.approval.model_dump(),
    }
    draft = out.with_name(f".{out.name}.draft")
    draft.write_text(sign(PREDICATE_TYPE, digest(manifest), predicate, key), encoding="ascii")
    os.replace(draft, out)


def read_attestation(path: Path, key: Ed25519PublicKey | None) -> Signed:
    """Read an attestation and check its signature.

    Args:
        path: the file beside the release.
        key: must have signed, or have vouched for the one that did; None: any key, which proves
            that nothing was changed since, but not who signed.

    Raises:
        VerificationError: malformed, changed, or signed by another key.
    """
    signed = open_signed(path, path.read_bytes(), PREDICATE_TYPE, None)
    if key and not vouches_for(key, signed.facts.get("key_succession"), signed.fingerprint):
        raise VerificationError(
            f"{path}: expected the signer {fingerprint(key)}, found {signed.fingerprint}"
        )
    if not (_is_whole(signed.facts) and _approves(signed.facts["approval"], signed)):
        raise VerificationError(f"{path}: not a statement about a release")
    return signed


def _is_whole(predicate: Mapping[str, Any]) -> bool:
    return (
        all(isinstance(predicate.get(name), str) for name in _TEXTS_OF_A_PREDICATE)
        and {"mlflow_run", "approval"} <= predicate.keys()
    )


def _approves(approval: Any, signed: Signed) -> bool:
    """Whether an approval is of this very release; null is fine: nobody was asked."""
    try:
        sha256 = signed.manifest_sha256
        return approval is None or Approval.model_validate(approval).digest == sha256
    except ValidationError:
        return False


def _privacy(release: Path) -> Any:
    """Epsilon, delta and how they were reached; None: trained without differential privacy."""
    place = release / MODEL_EVIDENCE
    return read_json(place).get("training", {}).get("privacy") if place.is_file() else None
