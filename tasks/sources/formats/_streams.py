"""The bytes of a file, decompressed, and its text as UTF-8; each fault is named with its place."""

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from tasks.errors import SourceError
from tasks.sources.formats._encodings import encoding_of, is_utf8, not_text

PIECE_BYTES = 2**20
"""Bytes that are decompressed and decoded at a time."""

INFLATED_TIMES = 200
"""A compressed file may become so many times its size; tables rarely pass 50."""

INFLATED_AT_LEAST = 4 * 2**30
"""Bytes that every compressed file may become."""


@contextlib.contextmanager
def open_bytes(path: Path, inflated_gib: float | None = None) -> Iterator[io.BufferedReader]:
    """The content of a file, decompressed as its first bytes ask for, whatever its name is.

    Args:
        path: of a plain file, or one compressed by gzip, bzip2, xz, zstd or lz4, or a zip of one.
        inflated_gib: what a compressed file may become at most, in GiB; None: `INFLATED_TIMES` its
            size, and `INFLATED_AT_LEAST`.

    Raises:
        SourceError: it cannot be read, is damaged or cut off, or becomes too large.
    """
    with contextlib.ExitStack() as stack, naming(path):
        raw = stack.enter_context(path.open("rb"))
        head = raw.read(10)
        raw.seek(0)
        opened = _inflated(raw, head, stack, path)
        if opened is None:
            yield raw
            return
        size = path.stat().st_size
        limit = max(INFLATED_AT_LEAST, INFLATED_TIMES * size)
        if inflated_gib is not None:
            limit = int(inflated_gib * 2**30)
        yield io.BufferedReader(_Limited(opened, path, limit), PIECE_BYTES)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn the errors of reading and decompressing into one that names the file."""
    try:
        yield
    except EOFError as error:
        raise SourceError(
            f"{path} is cut off: its compressed data ends too early; copy it anew"
        ) from error
    except (
        gzip.BadGzipFile,
        lzma.LZMAError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise SourceError(f"{path} is damaged, or not what it begins as: {error}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        if "runcated" in reason:
            reason = f"it is cut off, its compressed data ends too early ({reason}); copy it anew"
        raise SourceError(f"cannot read {path}: {reason}") from error


def _inflated(
    raw: IO[bytes], head: bytes, stack: contextlib.ExitStack, path: Path
) -> IO[bytes] | None:
    """The decompressed stream; None: the bytes are plain."""
    if head.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], stack.enter_context(gzip.open(raw)))
    if head[:3] == b"BZh" and head[4:10] == b"1AY&SY":
        return stack.enter_context(bz2.open(raw))
    if head.startswith(b"\xfd7zXZ\0"):
        return stack.enter_context(lzma.open(raw))
    for magic, codec in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4")):
        if head.startswith(magic):
            file = stack.enter_context(pa.OSFile(str(path)))
            return stack.enter_context(pa.CompressedInputStream(file, codec))  # type: ignore[no-any-return]
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        archive = stack.enter_context(zipfile.ZipFile(raw))
        members = [info for info in archive.infolist() if not info.is_dir()]
        if len(members) != 1:
            raise SourceError(
                f"expected one file in {path}, found {len(members)}; unpack it and name the files by"
                " a glob"
            )
        return stack.enter_context(archive.open(members[0]))
    return None


class _Limited(io.RawIOBase):
    """A decompressed stream that refuses to become larger than it may."""

    def __init__(self, stream: IO[bytes], path: Path, limit: int) -> None:
        self._stream, self._path, self._left = stream, path, limit
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with naming(self._path):
            data = self._stream.read(min(len(buffer), PIECE_BYTES))
        self._left -= len(data)
        if self._left < 0:
            raise SourceError(
                f"{self._path} becomes larger than {self._limit / 2**30:.3g} GiB when it is"
                " decompressed, which looks like a bomb; if it is none, set `inflated_gib`"
            )
        buffer[: len(data)] = data
        return len(data)


def text_of(
    path: Path, encoding: str, inflated_gib: float | None = None, start: int = 0
) -> Generator[bytes, None, None]:
    """The text of a file as UTF-8, without a byte order mark, in pieces.

    Args:
        path: of the file.
        encoding: a byte order mark tells more than `utf-8`.
        inflated_gib: see `open_bytes`.
        start: bytes of the text to leave out.

    Raises:
        SourceError: it cannot be read, or bytes are not of the encoding.
    """
    with open_bytes(path, inflated_gib) as stream:
        head = stream.peek(4)[:4]
        known = encoding_of(head, encoding, path)
        if start and stream.seekable() and is_utf8(known):
            stream.seek(start + len(codecs.BOM_UTF8) * head.startswith(codecs.BOM_UTF8))
            start = 0
        for piece in utf8_pieces(stream, known, path):
            if start >= len(piece):
                start -= len(piece)
                continue
            yield piece[start:] if start else piece
            start = 0


def can_seek(path: Path, encoding: str, inflated_gib: float | None = None) -> bool:
    """Whether the text of a file is its bytes, so that reading can start anywhere."""
    with open_bytes(path, inflated_gib) as stream:
        return stream.seekable() and is_utf8(encoding_of(stream.peek(4)[:4], encoding, path))


def utf8_pieces(stream: IO[bytes], encoding: str, path: Path) -> Generator[bytes, None, None]:
    """The text of a stream as UTF-8, without a byte order mark, in pieces.

    Bytes that are UTF-8 already pass as they are: `check_utf8` is for those who find them wrong.

    Raises:
        SourceError: bytes are not of the encoding; with their line and byte.
    """
    if is_utf8(encoding):
        first = stream.read(PIECE_BYTES).removeprefix(codecs.BOM_UTF8)
        while first:
            yield first
            first = stream.read(PIECE_BYTES)
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    n_bytes = n_lines = 0
    is_first = True
    data = b"-"
    while data:
        data = stream.read(PIECE_BYTES)
        n_waiting = len(decoder.getstate()[0])
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(encoding, "replace")
            place = n_bytes - n_waiting + error.start
            raise not_text(path, encoding, error, place, n_lines + before.count("\n")) from error
        n_bytes += len(data)
        n_lines += text.count("\n")
        if is_first:
            text, is_first = text.removeprefix("\ufeff"), not text
        if text:
            yield text.encode()


def check_utf8(path: Path, encoding: str, inflated_gib: float | None) -> None:
    """Find the first bytes of a file that are not UTF-8.

    Raises:
        SourceError: there are some; with their line and byte.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    n_bytes = n_lines = 0
    with open_bytes(path, inflated_gib) as stream:
        data = b"-"
        while data:
            data = stream.read(PIECE_BYTES)
            n_waiting = len(decoder.getstate()[0])
            try:
                decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                place = n_bytes - n_waiting + error.start
                n_lines += error.object[: error.start].count(b"\n")
                raise not_text(path, encoding, error, place, n_lines) from error
            n_bytes += len(data)
            n_lines += data.count(b"\n")
