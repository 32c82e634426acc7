"""Encryption at rest: files that only the holder of one key can read, and that cannot be altered.

    header    magic and version (8 bytes), which key (8), digest of the content (32), chunk size (4)
    chunks    AES-256-GCM of `CHUNK_BYTES` of content each, the last one shorter, 16 bytes of tag each

The key of a file follows from the master key and the content's keyed digest, so equal contents give
equal files (DVC stores them once, a stage that runs again writes the same bytes), and no nonce is
ever used for two contents. The nonce of a chunk is its number and whether it is the last one, and
each chunk authenticates the header: a chunk that was altered, moved, cut off or taken from another
file is noticed. A file that was exchanged as a whole is not: that is what the digests in dvc.lock are
for. Equal files show that their contents are equal, and a file shows its size; nothing else.

The master key is in `PROOFMINT_ENCRYPTION_KEY`, or in the file that `PROOFMINT_ENCRYPTION_KEY_FILE`
names. It is never written anywhere. What is decrypted is in memory only.

Source:
    AES-GCM: NIST SP 800-38D. Numbered chunks with a mark on the last: STREAM of Hoang, Reyhanitabar,
    Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance" (2015).
    Keys by purpose: HMAC-SHA-256 (RFC 2104) as a pseudorandom function.
"""

import base64
import binascii
import hashlib
import hmac
import io
import os
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tasks.errors import DataError, WorkspaceError

KEY_VARIABLE = "PROOFMINT_ENCRYPTION_KEY"
KEY_FILE_VARIABLE = "PROOFMINT_ENCRYPTION_KEY_FILE"

SUFFIX = ".enc"
"""Of the names of encrypted files."""

KEY_BYTES = 32
CHUNK_BYTES = 256 * 1024
"""Small enough that one column of a Parquet file is read without decrypting its neighbours."""

_MAGIC = b"PMINTEN\x01"
_HEADER = struct.Struct(">8s8s32sI")
_TAG_BYTES = 16
_KEPT_CHUNKS = 16
"""Decrypted chunks that a reader keeps: Parquet reads the pages of a column one after the other."""

_MAKE_A_KEY = (
    'make one with: python -c "import os, base64; print(base64.b64encode(os.urandom(32)).decode())"'
    " and keep it safe: without it the data is lost"
)


def key() -> bytes:
    """The master key, 32 bytes.

    Raises:
        WorkspaceError: there is none, or it is no key of 32 bytes in base64.
    """
    text = os.environ.get(KEY_VARIABLE)
    if text:
        return _decoded(text, KEY_VARIABLE)
    place = os.environ.get(KEY_FILE_VARIABLE)
    if not place:
        raise WorkspaceError(
            f"the data is encrypted at rest: expected its key in {KEY_VARIABLE}, or the name of a file"
            f" with it in {KEY_FILE_VARIABLE}, found neither; {_MAKE_A_KEY}"
        )
    try:
        return _decoded(Path(place).read_text(encoding="ascii"), f"the file of {KEY_FILE_VARIABLE}")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise WorkspaceError(
            f"cannot read the key file that {KEY_FILE_VARIABLE} names: {reason}"
        ) from None


def _decoded(text: str, where: str) -> bytes:
    try:
        found = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        found = None
    if found is None or len(found) != KEY_BYTES:
        what = "text that is not base64" if found is None else f"{len(found)} bytes"
        # A passphrase has far fewer than 256 bits that cannot be guessed.
        raise WorkspaceError(
            f"expected a key of {KEY_BYTES} random bytes in base64 in {where}, found {what};"
            f" passphrases are not taken; {_MAKE_A_KEY}"
        )
    return found


def encrypted(content: bytes | memoryview, master: bytes | None = None) -> Iterator[bytes]:
    """The bytes of the encrypted file of `content`, piece by piece; the same for equal contents.

    Args:
        content: of the file; it is read twice.
        master: 32 bytes; None: `key()`.
    """
    master = master or key()
    content = memoryview(content).cast("B")
    digest = hmac.digest(_derived(master, b"digest"), content, "sha256")
    header = _HEADER.pack(_MAGIC, _name_of(master), digest, CHUNK_BYTES)
    cipher = AESGCM(_file_key(master, digest))
    yield header
    n_chunks = _n_chunks(len(content))
    for i in range(n_chunks):
        piece = content[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES]
        yield cipher.encrypt(_nonce(i, is_last=i == n_chunks - 1), piece, header)


def write_encrypted(path: Path, content: bytes | memoryview) -> None:
    """Write `content` encrypted; what is on disk is never plain.

    Raises:
        WorkspaceError: there is no usable key.
    """
    pieces = encrypted(content)
    first = next(pieces)  # A missing key leaves no empty file behind.
    with path.open("wb") as stream:
        stream.write(first)
        for piece in pieces:
            stream.write(piece)


def read_encrypted(path: Path) -> bytes:
    """The content of an encrypted file, whole, in memory.

    Raises:
        WorkspaceError: there is no usable key, or it is another one than the file's.
        DataError: the file is missing, damaged or was altered.
    """
    with DecryptedFile(path) as file:
        return file.read()


class DecryptedFile(io.RawIOBase):
    """An encrypted file as a readable, seekable one; only the chunks that are read are decrypted."""

    def __init__(self, path: Path) -> None:
        """Open it, and check that nothing is missing at its end.

        Raises: see `read_encrypted`.
        """
        super().__init__()
        self._path = path
        try:
            self._stream: BinaryIO = path.open("rb")
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        try:
            self._start()
        except BaseException:
            self._stream.close()
            raise

    def _start(self) -> None:
        header = self._stream.read(_HEADER.size)
        if len(header) < _HEADER.size or not header.startswith(_MAGIC):
            raise DataError(
                f"{self._path} is not an encrypted file of Proofmint, or of a newer version: its first"
                f" {len(_MAGIC)} bytes are others; run the stage that wrote it again"
            )
        _, name, digest, self._chunk_bytes = _HEADER.unpack(header)
        master = key()
        if not hmac.compare_digest(name, _name_of(master)):
            raise WorkspaceError(
                f"{self._path} was encrypted with another key than the one that is given; give the"
                f" one it was written with, in {KEY_VARIABLE} or {KEY_FILE_VARIABLE}"
            )
        self._header = header
        self._cipher = AESGCM(_file_key(master, digest))
        size = self._stream.seek(0, os.SEEK_END) - _HEADER.size
        self._n_chunks = max(1, -(-size // (self._chunk_bytes + _TAG_BYTES)))
        self._size = size - self._n_chunks * _TAG_BYTES
        self._position = 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._chunk(self._n_chunks - 1)

    def _chunk(self, i: int) -> bytes:
        if i not in self._kept:
            self._kept[i] = self._decrypted(i)
            if len(self._kept) > _KEPT_CHUNKS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(i)
        return self._kept[i]

    def _decrypted(self, i: int) -> bytes:
        stride = self._chunk_bytes + _TAG_BYTES
        start = _HEADER.size + i * stride
        self._stream.seek(start)
        data = self._stream.read(stride)
        nonce = _nonce(i, is_last=i == self._n_chunks - 1)
        try:
            return self._cipher.decrypt(nonce, data, self._header)
        except InvalidTag:
            raise DataError(
                f"{self._path} is damaged or was altered: the {len(data):,} bytes from byte"
                f" {start:,} on are not what was written; restore it, or run its stage again"
            ) from None

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of every file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Bytes of the content before the position."""
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes of the content, fewer at its end.

        Raises:
            DataError: they are damaged or were altered.
        """
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        pieces = []
        while wanted:
            i, start = divmod(self._position, self._chunk_bytes)
            piece = self._chunk(i)[start : start + wanted]
            pieces.append(piece)
            self._position += len(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: object) -> int:
        """As of every file."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file and forget what was decrypted."""
        if not self.closed and hasattr(self, "_kept"):
            self._kept.clear()
            self._stream.close()
        super().close()


def _n_chunks(size: int) -> int:
    return max(1, -(-size // CHUNK_BYTES))


def _nonce(i: int, *, is_last: bool) -> bytes:
    return i.to_bytes(11, "big") + bytes([is_last])


def _derived(master: bytes, purpose: bytes) -> bytes:
    return hmac.digest(master, b"proofmint encryption " + purpose, hashlib.sha256)


def _file_key(master: bytes, digest: bytes) -> bytes:
    return _derived(master, b"file " + digest)


def _name_of(master: bytes) -> bytes:
    """Tells a wrong key from a damaged file; says nothing of the key."""
    return _derived(master, b"name")[:8]
