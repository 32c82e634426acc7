"""Who made a release, when and from what, signed: an in-toto statement in a DSSE envelope.

The statement's subject is the release's manifest, which holds the digest of every other file.
The key is a local Ed25519 key, so signing and verifying need no network and no service.

Source:
    Statement: in-toto Attestation Framework v1, https://github.com/in-toto/attestation, spec/v1.
    Envelope: Dead Simple Signing Envelope 1.0, https://github.com/secure-systems-lab/dsse.
    Signature: RFC 8032 (Ed25519).
"""

import base64
import binascii
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tasks.errors import DataError, VerificationError, WorkspaceError
from tasks.publishing.manifest import MANIFEST_FILE
from tasks.storage import digest, read_json

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:proofmint:release:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

PARAMS_EVIDENCE = "evidence/params.json"
MODEL_EVIDENCE = "evidence/model.json"
VERDICT_EVIDENCE = "evidence/gates/release.json"

_KEY_FILE = "keys/ed25519.pem"
_PUBLIC_KEY_FILE = "keys/ed25519.pub.pem"

_TEXTS_OF_A_PREDICATE = (
    "dataset",
    "version",
    "git_commit",
    "dvc_revision",
    "created_at",
    "verdict_sha256",
    "public_key",
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
    approval: str | None = None
    """Who approved the release; null: nobody was asked."""


@dataclass(frozen=True)
class Attestation:
    """A statement whose signature holds, and who signed it."""

    statement: Mapping[str, Any]
    fingerprint: str

    @property
    def facts(self) -> Mapping[str, Any]:
        """The predicate: ReleaseFacts, thresholds, privacy and the digest of the verdict."""
        predicate: Mapping[str, Any] = self.statement["predicate"]
        return predicate

    @property
    def manifest_sha256(self) -> str:
        """The digest of the manifest that was signed."""
        sha256: str = self.statement["subject"][0]["digest"]["sha256"]
        return sha256


def signing_key(state: Path) -> Ed25519PrivateKey:
    """The project's signing key, made on first use.

    Writes:
        state/keys/ed25519.pem (readable by its owner only) and the public half beside it.

    Raises:
        WorkspaceError: there is a file, but no Ed25519 key in it.
    """
    place = state / _KEY_FILE
    if not place.exists():
        _make_key(state)
    try:
        key = serialization.load_pem_private_key(place.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise WorkspaceError(f"expected a private key without a password at {place}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WorkspaceError(f"expected an Ed25519 key at {place}, found {type(key).__name__}")
    return key


def public_pem(key: Ed25519PublicKey) -> str:
    """The key as text, for `verify --key`."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode("ascii")


def fingerprint(key: Ed25519PublicKey) -> str:
    """sha256 of the key's DER form, in hexadecimal: what people compare, and the `keyid`."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


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
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": MANIFEST_FILE, "digest": {"sha256": digest(manifest)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "dataset": facts.dataset,
            "version": facts.version,
            "git_commit": facts.git_commit,
            "dvc_revision": facts.dvc_revision,
            "mlflow_run": facts.mlflow_run,
            "created_at": facts.created_at,
            "thresholds": read_json(release / PARAMS_EVIDENCE)["thresholds"],
            "privacy": _privacy(release),
            "verdict_sha256": digest(verdict),
            "approval": facts.approval,
            "public_key": public_pem(key.public_key()),
        },
    }
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    signature = key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    draft = out.with_name(f".{out.name}.draft")
    draft.write_bytes(_envelope(payload, signature, fingerprint(key.public_key())))
    os.replace(draft, out)


def read_attestation(path: Path, key: Ed25519PublicKey | None) -> Attestation:
    """Read an attestation and check its signature.

    Args:
        path: the file beside the release.
        key: must have signed; None: the key that the attestation itself names, which proves that
            nothing was changed since, but not who signed.

    Raises:
        VerificationError: malformed, changed, or signed by another key.
    """
    text = path.read_bytes()
    payload, signature = _open_envelope(path, text)
    statement = _statement(path, payload)
    named = _named_key(path, statement)
    if key is not None and fingerprint(key) != fingerprint(named):
        raise VerificationError(
            f"{path}: expected the signer {fingerprint(key)}, found {fingerprint(named)}"
        )
    try:
        named.verify(signature, pre_authentication_encoding(PAYLOAD_TYPE, payload))
    except InvalidSignature as error:
        raise VerificationError(f"{path}: changed: its signature does not hold") from error
    # Bytes that no signature covers (spaces, the key id) must not be free to change either.
    if text != _envelope(payload, signature, fingerprint(named)):
        raise VerificationError(f"{path}: changed: not the envelope that was written")
    return Attestation(statement, fingerprint(named))


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file.

    Raises:
        VerificationError: the file is missing or holds no Ed25519 public key.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise VerificationError(f"expected a public key in PEM form at {path}: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise VerificationError(f"expected an Ed25519 key at {path}, found {type(key).__name__}")
    return key


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """What is signed: type and payload with their lengths, so that neither can pass for the other.

    Source: DSSE 1.0, protocol.md, `PAE(type, body)`.
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _privacy(release: Path) -> Any:
    """Epsilon, delta and how they were reached; None: trained without differential privacy."""
    place = release / MODEL_EVIDENCE
    return read_json(place).get("training", {}).get("privacy") if place.is_file() else None


def _make_key(state: Path) -> None:
    place, public = state / _KEY_FILE, state / _PUBLIC_KEY_FILE
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    # mkstemp makes a file that only its owner can read; a link never replaces the key of a run
    # that was here first.
    handle, draft = tempfile.mkstemp(dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
        os.link(draft, place)
        public.write_text(public_pem(key.public_key()), encoding="ascii")
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()


def _envelope(payload: bytes, signature: bytes, keyid: str) -> bytes:
    content = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode("ascii"),
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode("ascii")}],
    }
    return (json.dumps(content, indent=1) + "\n").encode("ascii")


def _open_envelope(path: Path, text: bytes) -> tuple[bytes, bytes]:
    try:
        content = json.loads(text)
        (signed,) = content["signatures"]
        if content["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"expected payload type {PAYLOAD_TYPE!r}")
        return (
            base64.b64decode(content["payload"], validate=True),
            base64.b64decode(signed["sig"], validate=True),
        )
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError) as error:
        raise VerificationError(f"{path}: changed: not a DSSE envelope: {error}") from error


def _statement(path: Path, payload: bytes) -> dict[str, Any]:
    try:
        content = json.loads(payload)
        (subject,) = content["subject"]
        known = (
            content["_type"] == STATEMENT_TYPE
            and content["predicateType"] == PREDICATE_TYPE
            and subject["name"] == MANIFEST_FILE
            and isinstance(subject["digest"]["sha256"], str)
            and all(isinstance(content["predicate"][name], str) for name in _TEXTS_OF_A_PREDICATE)
            and {"mlflow_run", "approval"} <= content["predicate"].keys()
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VerificationError(f"{path}: not a statement about a release: {error}") from error
    if not known:
        raise VerificationError(f"{path}: not a statement about a release")
    return dict(content)


def _named_key(path: Path, statement: Mapping[str, Any]) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(statement["predicate"]["public_key"].encode())
    except (KeyError, AttributeError, ValueError, UnsupportedAlgorithm) as error:
        raise VerificationError(f"{path}: changed: it names no public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise VerificationError(f"{path}: expected an Ed25519 key, found {type(key).__name__}")
    return key
