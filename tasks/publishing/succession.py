"""From one signing key to the next: the old key signs the new one, and every attestation says so.

Whoever trusts an old key can therefore check releases of its successors offline. A key that is lost
or stolen vouches for nothing: its successor is announced without a signature, which lets the
project release again, and leaves it to consumers whether they trust the new key.
"""

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tasks.errors import VerificationError, WorkspaceError
from tasks.publishing.envelope import pre_authentication_encoding
from tasks.publishing.keys import (
    KEY_FILE,
    PUBLIC_KEY_FILE,
    fingerprint,
    new_key_file,
    public_pem,
    read_key,
    read_public_key,
    signing_key,
)
from tasks.storage import write_json

PAYLOAD_TYPE = "application/vnd.proofmint.successor+pem"

_FILE = "keys/succession.json"
_NEXT_KEY_FILE = "keys/next.pem"


def succession(state: Path) -> list[dict[str, Any]]:
    """The keys of a project that took the place of others, oldest first.

    Each has `key` (PEM), `previous` (fingerprint) and `signature` (base64, by the previous key; null:
    that one is lost or stolen).
    """
    try:
        found: list[dict[str, Any]] = json.loads((state / _FILE).read_text("ascii"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise WorkspaceError(f"{state / _FILE} is not what was written; restore it") from error
    return found


def rotate(state: Path, *, lost: bool) -> tuple[str, str]:
    """Put a new signing key in place of the present one; fingerprints of both, the old one first.

    Args:
        state: of the project.
        lost: the present key, or the one before it, is lost or stolen: it signs nothing any more.

    Raises:
        WorkspaceError: the present key is not lost, and cannot be read.
    """
    new_key_file(state / _NEXT_KEY_FILE)
    pem, signature = public_pem(read_key(state / _NEXT_KEY_FILE).public_key()), None
    if lost:
        previous = _fingerprint_of_lost(state)
    else:
        old = signing_key(state)
        previous = fingerprint(old.public_key())
        signed = old.sign(pre_authentication_encoding(PAYLOAD_TYPE, pem.encode()))
        signature = base64.b64encode(signed).decode("ascii")
    entry = {"key": pem, "previous": previous, "signature": signature}
    # Announced before it is used: a key that signs and is not announced would be refused.
    write_json(state / _FILE, [*succession(state), entry])
    os.replace(state / _NEXT_KEY_FILE, state / KEY_FILE)
    return previous, fingerprint(signing_key(state).public_key())


def _fingerprint_of_lost(state: Path) -> str:
    """Of the present key, whose file may be damaged: then its public half still tells."""
    try:
        return fingerprint(signing_key(state).public_key())
    except WorkspaceError:
        pass
    try:
        return fingerprint(read_public_key(state / PUBLIC_KEY_FILE))
    except VerificationError:
        return "unknown"


def is_announced(entries: Iterable[Mapping[str, Any]], before: str, now: str) -> bool:
    """Whether a project that signed with one key (fingerprints) may sign with another."""
    trusted = {before}
    for entry in entries:
        key = _key_of(entry)
        if key and (entry["previous"] in trusted or entry["signature"] is None):
            trusted.add(fingerprint(key))
    return now in trusted


def vouches_for(key: Ed25519PublicKey, entries: Any, signer: str) -> bool:
    """Whether a key, or a successor that it has signed, is the one with this fingerprint."""
    trusted = {fingerprint(key): key}
    for entry in entries if isinstance(entries, list) else []:
        successor = _key_of(entry)
        voucher = trusted.get(str(entry.get("previous"))) if successor else None
        if successor and voucher and _has_signed(voucher, entry):
            trusted[fingerprint(successor)] = successor
    return signer in trusted


def _has_signed(key: Ed25519PublicKey, entry: Mapping[str, Any]) -> bool:
    try:
        signature = base64.b64decode(entry["signature"] or "", validate=True)
        key.verify(signature, pre_authentication_encoding(PAYLOAD_TYPE, entry["key"].encode()))
    except (InvalidSignature, binascii.Error, TypeError, ValueError):
        return False
    return True


def _key_of(entry: Any) -> Ed25519PublicKey | None:
    try:
        key = serialization.load_pem_public_key(entry["key"].encode())
    except (KeyError, TypeError, AttributeError, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None
