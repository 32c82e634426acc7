"""Secret randomness: what differential privacy adds must be unknown to whoever reads the result.

All other randomness of a dataset comes from its seed, which is published (`tasks.seeding`). Noise
that anyone can compute again can be subtracted again, so the noise of differential privacy comes
from a key that is never published: a stream cipher spells as many bits as are needed for each
purpose. The same key, purpose and size give the same numbers, so a training that was killed
goes on with the very noise that it would have had.

See docs/decisions/0009-noise-from-a-secret-key.md.
"""

import hashlib
import hmac
import os
import secrets
import tempfile
from math import prod
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from scipy.special import ndtri

from tasks.errors import WorkspaceError

KEY_BYTES = 32


class SecretNoise:
    """Numbers that nobody without the key can tell from independent random ones.

    Each purpose may be asked for once: noise that is used twice cancels out in a difference.

    Source:
        Stream cipher: RFC 8439 (ChaCha20). Keys of the purposes: RFC 2104 (HMAC), SHA-256.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"expected a key of {KEY_BYTES} bytes, found {len(key)}")
        self._key = key
        self._used: set[tuple[str | int, ...]] = set()

    def uniform(self, shape: tuple[int, ...], *names: str | int) -> np.ndarray:
        """Numbers evenly spread in (0, 1), float64, for the purpose that `names` spells."""
        if names in self._used:
            raise ValueError(f"the noise for {names} has been used before")
        self._used.add(names)
        key = derive_key(self._key, *names)
        stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
        bits = np.frombuffer(stream.update(bytes(8 * prod(shape))), dtype="<u8")
        return np.asarray(((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53).reshape(
            shape
        )

    def normal(self, shape: tuple[int, ...], *names: str | int) -> np.ndarray:
        """Standard normal numbers, float64, for the purpose that `names` spells.

        Limits: 53 random bits a number, so none is beyond 8.3 standard deviations.
        """
        return np.asarray(ndtri(self.uniform(shape, *names)))


def derive_key(key: bytes, *names: str | int) -> bytes:
    """The key for one purpose; it tells nothing about `key` or the keys of other purposes."""
    return hmac.new(key, "/".join(map(str, names)).encode(), hashlib.sha256).digest()


def new_key() -> bytes:
    """A key that nobody knows and nothing keeps."""
    return secrets.token_bytes(KEY_BYTES)


def project_key(state: Path, name: str = "noise") -> bytes:
    """The project's key of this name, made on first use.

    Never used as it is: `derive_key` makes one for each piece of work out of it, named by the
    fingerprint of all that determines the result, the training data included. So the same work
    gives the same bytes, and two tables that differ in one row share no noise.

    Writes:
        state/keys/<name>.key: readable by its owner only.

    Raises:
        WorkspaceError: there is a file, but no key in it.
    """
    place = state / "keys" / f"{name}.key"
    if not place.exists():
        _make_key(place)
    key = place.read_bytes()
    if len(key) != KEY_BYTES:
        raise WorkspaceError(
            f"expected a key of {KEY_BYTES} bytes at {place}, found {len(key)}; restore it, or"
            " remove it: a new one is made, and what was made with it is made anew"
        )
    return key


def _make_key(place: Path) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes a file that only its owner can read; a link never replaces the key of a run
    # that was here first.
    handle, draft = tempfile.mkstemp(dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(new_key())
            stream.flush()
            os.fsync(stream.fileno())
        os.link(draft, place)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
