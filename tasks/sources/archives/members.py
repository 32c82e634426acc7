"""The files in a tar or zip archive, one after the other, none of them ever written to disk."""

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from tasks.errors import SourceError
from tasks.sources.formats._streams import INFLATED_AT_LEAST, INFLATED_TIMES, open_bytes

MAX_MEMBERS = 10_000_000
"""Files of an archive at most."""

MAX_MEMBER_BYTES = 512 * 2**20
"""Bytes of one of them at most."""

_BLOCK = 512
"""Bytes of a tar block; a header is one, and so is each half of the end mark, all zero."""

_SKIPPED_BYTES = 2**20


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: its path in the archive, with slashes.
        place: where it is, for messages: the archive, the name and the offset of its header.
        read: gives its content; to be called before the next member is asked for, or not at all.
    """

    name: str
    place: str
    read: Callable[[], bytes]


def inflated_limit(path: Path, inflated_gib: float | None) -> int:
    """Bytes that an archive may become: what is said, else by its size as every compressed file."""
    if inflated_gib is not None:
        return int(inflated_gib * 2**30)
    return max(INFLATED_AT_LEAST, INFLATED_TIMES * path.stat().st_size)


def members(path: Path, given: str, inflated_gib: float | None) -> Iterator[Member]:
    """The regular files of an archive: of a tar in its order, of a zip by name.

    Args:
        path: of the archive; a tar may be compressed by gzip, bzip2, xz, zstd or lz4.
        given: what people call it.
        inflated_gib: see `inflated_limit`.

    Raises:
        SourceError: the archive is damaged, cut off or a bomb, or a member leads out of it, is a
            link, a device, encrypted or too large.
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
    except OSError as error:
        raise SourceError(f"cannot read {given}: {error.strerror}") from error
    found = _zip_members if is_zip else _tar_members
    for i, member in enumerate(found(path, given, inflated_gib)):
        if i == MAX_MEMBERS:
            raise SourceError(f"{given} has more than {MAX_MEMBERS} members; is it a bomb?")
        yield member


def _tar_members(path: Path, given: str, inflated_gib: float | None) -> Iterator[Member]:
    with open_bytes(path, inflated_gib) as opened:
        stream = _Forward(opened, given)
        archive = None
        offset = 0
        try:
            archive = tarfile.TarFile(fileobj=stream, encoding="utf-8", errors="strict")  # type: ignore[arg-type]
            while (info := archive.next()) is not None:
                offset = archive.offset
                # The archive remembers all of its members, which may be millions.
                archive.members.clear()  # type: ignore[attr-defined]
                if info.isdir():
                    continue
                place = f"{given}, member {info.name!r} at byte {info.offset}"
                _check(info.name, info.size, place)
                if not info.isreg() or info.issparse():
                    raise SourceError(f"{place}: expected a file, found {_kind(info)}")
                yield Member(info.name, place, partial(stream.content, info, place))
        except (tarfile.TarError, ValueError) as error:
            raise SourceError(
                f"{given} is no tar archive, or damaged or cut off at byte {offset}: {error}"
            ) from error
        if stream.last != bytes(_BLOCK):
            raise SourceError(
                f"{given} is damaged or cut off at byte {archive.offset}: expected a header or the"
                " end mark, 1,024 zero bytes; pack it anew"
            )


class _Forward:
    """A stream that `tarfile` can read, though it only goes forward.

    Attributes:
        last: the last block that was read.
    """

    def __init__(self, stream: IO[bytes], given: str) -> None:
        self._stream = stream
        self._given = given
        self._place = 0
        self.last = b""

    def read(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        if size > MAX_MEMBER_BYTES:
            raise SourceError(
                f"{self._given}: the header at byte {self._place} asks for {size} bytes, more than"
                f" {MAX_MEMBER_BYTES}"
            )
        data = self._stream.read(size)
        self._place += len(data)
        self.last = data[-_BLOCK:]
        return data

    def tell(self) -> int:
        """Where the next byte is."""
        return self._place

    def seek(self, place: int) -> None:
        """Go forward to a place, or to the end if that comes first."""
        if self._stream.seekable():
            self._place = self._stream.seek(place)
            return
        while self._place < place and self.read(min(_SKIPPED_BYTES, place - self._place)):
            pass

    def content(self, info: tarfile.TarInfo, place: str) -> bytes:
        """The content of a member whose header was just read."""
        self.seek(info.offset_data)
        data = self.read(info.size)
        if len(data) < info.size:
            raise SourceError(
                f"{place} is cut off: expected {info.size} bytes, found {len(data)}; the archive"
                " ends too early"
            )
        return data


def _kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return f"a link to {info.linkname!r}"
    return "a device or a pipe" if info.isdev() else "something else (a sparse file?)"


def _zip_members(path: Path, given: str, inflated_gib: float | None) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = sorted(archive.infolist(), key=lambda info: info.filename)
            _check_total(infos, path, given, inflated_gib)
            for info in infos:
                if info.is_dir():
                    continue
                place = f"{given}, member {info.filename!r} at byte {info.header_offset}"
                _check(info.filename, info.file_size, place)
                if (mode := info.external_attr >> 16) and stat.S_IFMT(mode) not in (
                    0,
                    stat.S_IFREG,
                ):
                    raise SourceError(f"{place}: expected a file, found a link or a device")
                if info.flag_bits & 1:
                    raise SourceError(f"{place} is encrypted; pack it without a password")
                yield Member(info.filename, place, partial(_zip_content, archive, info, place))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise SourceError(f"{given} is damaged or cut off, or no zip archive: {error}") from error


def _zip_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> bytes:
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, NotImplementedError) as error:
        raise SourceError(f"{place} is damaged: {error}") from error


def _check_total(
    infos: list[zipfile.ZipInfo], path: Path, given: str, inflated_gib: float | None
) -> None:
    total = sum(info.file_size for info in infos)
    if total > (limit := inflated_limit(path, inflated_gib)):
        raise SourceError(
            f"{given} says to become {total} bytes, more than {limit}, which looks like a bomb; if it"
            " is none, set `inflated_gib`"
        )


def _check(name: str, size: int, place: str) -> None:
    first, *further = name.replace("\\", "/").split("/")
    if (not first and further) or first.endswith(":") or ".." in (first, *further):
        raise SourceError(f"{place} has a path that leads out of the archive; pack it anew")
    if not 0 <= size <= MAX_MEMBER_BYTES:
        raise SourceError(f"{place} says to have {size} bytes, more than {MAX_MEMBER_BYTES}")
