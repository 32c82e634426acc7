"""A signed statement about a release: in-toto in a DSSE envelope, checked without a network.

The statement's subject is the release's manifest, which holds the digest of every other file. The
attestation and the notice of a withdrawal are such statements.

Source:
    Statement: in-toto Attestation Framework v1, https://github.com/in-toto/attestation, spec/v1.
    Envelope: Dead Simple Signing Envelope 1.0, https://github.com/secure-systems-lab/dsse.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tasks.errors import VerificationError
from tasks.publishing.keys import fingerprint, public_pem
from tasks.publishing.manifest import MANIFEST_FILE

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Signed:
    """A statement whose signature holds, and who signed it."""

    statement: Mapping[str, Any]
    fingerprint: str

    @property
    def facts(self) -> Mapping[str, Any]:
        """The predicate: what is said of the release."""
        predicate: Mapping[str, Any] = self.statement["predicate"]
        return predicate

    @property
    def manifest_sha256(self) -> str:
        """The digest of the manifest that was signed."""
        sha256: str = self.statement["subject"][0]["digest"]["sha256"]
        return sha256


def sign(
    predicate_type: str,
    manifest_sha256: str,
    predicate: Mapping[str, Any],
    key: Ed25519PrivateKey,
) -> str:
    """The text of a signed statement: the same for the same statement and key.

    Args:
        predicate_type: what kind of statement it is.
        manifest_sha256: of the release that it is about.
        predicate: what is said; the public key is added.
        key: signs.
    """
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": MANIFEST_FILE, "digest": {"sha256": manifest_sha256}}],
        "predicateType": predicate_type,
        "predicate": {**predicate, "public_key": public_pem(key.public_key())},
    }
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    signature = key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    return _envelope(payload, signature, fingerprint(key.public_key()))


def open_signed(
    where: object, text: bytes, predicate_type: str, key: Ed25519PublicKey | None
) -> Signed:
    """Read a statement and check its signature.

    Args:
        where: names the file in messages.
        text: of the envelope.
        predicate_type: what kind of statement it must be.
        key: must have signed; None: the key that the statement itself names, which proves that
            nothing was changed since, but not who signed.

    Raises:
        VerificationError: malformed, changed, or signed by another key.
    """
    payload, signature = _open_envelope(where, text)
    statement = _statement(where, payload, predicate_type)
    named = _named_key(where, statement)
    if key is not None and fingerprint(key) != fingerprint(named):
        raise VerificationError(
            f"{where}: expected the signer {fingerprint(key)}, found {fingerprint(named)}"
        )
    try:
        named.verify(signature, pre_authentication_encoding(PAYLOAD_TYPE, payload))
    except InvalidSignature as error:
        raise VerificationError(f"{where}: changed: its signature does not hold") from error
    # Bytes that no signature covers (spaces, the key id) must not be free to change either.
    if text != _envelope(payload, signature, fingerprint(named)).encode("ascii"):
        raise VerificationError(f"{where}: changed: not the envelope that was written")
    return Signed(statement, fingerprint(named))


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """What is signed: type and payload with their lengths, so that neither can pass for the other.

    Source: DSSE 1.0, protocol.md, `PAE(type, body)`.
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _envelope(payload: bytes, signature: bytes, keyid: str) -> str:
    content = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode("ascii"),
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode("ascii")}],
    }
    return json.dumps(content, indent=1) + "\n"


def _open_envelope(where: object, text: bytes) -> tuple[bytes, bytes]:
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
        raise VerificationError(f"{where}: changed: not a DSSE envelope: {error}") from error


def _statement(where: object, payload: bytes, predicate_type: str) -> dict[str, Any]:
    try:
        content = json.loads(payload)
        (subject,) = content["subject"]
        known = (
            content["_type"] == STATEMENT_TYPE
            and content["predicateType"] == predicate_type
            and subject["name"] == MANIFEST_FILE
            and isinstance(subject["digest"]["sha256"], str)
            and isinstance(content["predicate"]["public_key"], str)
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VerificationError(f"{where}: not a statement about a release: {error}") from error
    if not known:
        raise VerificationError(
            f"{where}: not a statement about a release of the type {predicate_type}"
        )
    return dict(content)


def _named_key(where: object, statement: Mapping[str, Any]) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(statement["predicate"]["public_key"].encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise VerificationError(f"{where}: changed: it names no public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise VerificationError(f"{where}: expected an Ed25519 key, found {type(key).__name__}")
    return key
