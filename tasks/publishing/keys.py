"""The project's signing key: a local Ed25519 key, so that signing needs no network and no service.

Source: Signature: RFC 8032 (Ed25519).
"""

import hashlib
import os
import tempfile
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tasks.errors import VerificationError, WorkspaceError
from tasks.storage import sync_file

KEY_FILE = "keys/ed25519.pem"
PUBLIC_KEY_FILE = "keys/ed25519.pub.pem"


def signing_key(state: Path) -> Ed25519PrivateKey:
    """The project's signing key, made on first use.

    Writes:
        state/keys/ed25519.pem (readable by its owner only) and the public half beside it.

    Raises:
        WorkspaceError: there is a file, but no Ed25519 key in it.
    """
    if not (state / KEY_FILE).exists():
        new_key_file(state / KEY_FILE)
    key = read_key(state / KEY_FILE)
    _write_public_half(state / PUBLIC_KEY_FILE, key)
    return key


def read_key(place: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file.

    Raises:
        WorkspaceError: there is no Ed25519 key in it.
    """
    then = "put it back from a backup; only if it is lost, run `proofmint rotate-key --lost`"
    try:
        key = serialization.load_pem_private_key(place.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise WorkspaceError(
            f"expected a private key without a password at {place}, found something else; {then}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WorkspaceError(
            f"expected an Ed25519 key at {place}, found {type(key).__name__}; {then}"
        )
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


def new_key_file(place: Path) -> None:
    """Write a new key that only its owner can read; one that is there already stays."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes a file that only its owner can read; a link never replaces the key of a run
    # that was here first.
    handle, draft = tempfile.mkstemp(dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(
                Ed25519PrivateKey.generate().private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
        sync_file(Path(draft))
        os.link(draft, place)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()


def _write_public_half(public: Path, key: Ed25519PrivateKey) -> None:
    """Put the public half beside a key, which may have been made by a process that then died."""
    text = public_pem(key.public_key())
    if not public.exists() or public.read_text("ascii") != text:
        handle, draft = tempfile.mkstemp(dir=public.parent)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(text)
        Path(draft).chmod(0o644)
        os.replace(draft, public)
