"""NumPy's files, NPY and NPZ, a stretch of rows at a time and without pickles.

**Source**: numpy.lib.format, "NPY format" (versions 1.0 and 2.0); an NPZ file is a zip archive of
NPY files.
"""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy

from tasks.errors import SourceError
from tasks.sources.archives.members import inflated_limit

MAX_MEMBERS = 10_000
"""Arrays of an archive at most."""

_MAX_HEADER_BYTES = 2**16
_NO_HEADER = (ValueError, TypeError, RecursionError, MemoryError, tokenize.TokenError, Warning)
"""What NumPy raises on headers that are damaged, or were made to do harm."""

_DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What `zipfile` raises on archives that are damaged, encrypted or packed by unknown methods."""


@dataclass(frozen=True)
class Header:
    """What an NPY file says about its array.

    Attributes:
        name: of the array: of the file, or of the member of the archive, without suffix.
        dtype: of its values.
        shape: its dimensions, the rows first.
        is_fortran: whether the first dimension varies fastest, so that no row lies in one piece.
        n_bytes: of the header itself.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool
    n_bytes: int

    @property
    def n_rows(self) -> int:
        """The first dimension; a single value is one."""
        return self.shape[0] if self.shape else 1

    @property
    def row_bytes(self) -> int:
        """Of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def total_bytes(self) -> int:
        """Of the file, with its header."""
        return self.n_bytes + math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        """As people say it."""
        return f"{self.name!r} ({' x '.join(map(str, self.shape)) or 'one'} of {self.dtype})"


class ArrayFile:
    """An NPY file, or an NPZ archive of several, of which only the headers are read at first.

    Attributes:
        headers: of the arrays, by name, in the order of the archive.
        n_others: members of the archive that are no arrays.
        is_archive: whether it is NPZ, which is read from its start.
    """

    def __init__(self, path: Path, given: str, inflated_gib: float | None) -> None:
        """Read the headers.

        Args:
            path: of the file.
            given: what people call it.
            inflated_gib: that an archive may become, unpacked; None: see `inflated_limit`.

        Raises:
            SourceError: it is no such file, damaged, or has arrays of Python objects.
        """
        self.given = given
        self._path = path
        self.n_others = 0
        try:
            with path.open("rb") as file:
                self.is_archive = file.read(2) == b"PK"
                file.seek(0)
                found = self._members(file, inflated_gib) if self.is_archive else [self._only(file)]
        except _DAMAGE as error:
            raise SourceError(
                f"cannot read {given}: {error}; is it whole, and an .npy or .npz file?"
            ) from error
        self.headers = {header.name: header for header in found}

    def chunks(self, name: str, n_rows: int, start: int, stop: int) -> Iterator[np.ndarray]:
        """The rows from `start` to `stop` of one array, `n_rows` at a time.

        Raises:
            SourceError: the file is damaged.
        """
        header = self.headers[name]
        if not self.is_archive:
            order: Literal["F", "C"] = "F" if header.is_fortran else "C"
            rows = np.memmap(self._path, header.dtype, "r", header.n_bytes, header.shape, order)
            for i in range(start, stop, n_rows):
                yield rows[i : min(i + n_rows, stop)]
            return
        i = start
        try:
            with (
                zipfile.ZipFile(self._path) as archive,
                archive.open(f"{name}.npy") as stream,
            ):
                stream.read(header.n_bytes)
                if header.is_fortran:
                    whole = _rows(stream, header, header.n_rows, "F")
                    yield from (whole[i : i + n_rows] for i in range(start, stop, n_rows))
                    return
                for i in range(0, stop, n_rows):
                    yield _rows(stream, header, min(n_rows, stop - i), "C")
                stream.read(1)  # where the checksum is compared
        except _DAMAGE as error:
            raise SourceError(
                f"{self.given}: array {name!r} is damaged from row {i} on: {error}"
            ) from error

    def _only(self, file: IO[bytes]) -> Header:
        header = _header(file, self._path.stem, self.given)
        size = self._path.stat().st_size
        if size != header.total_bytes:
            whole = max(0, size - header.n_bytes) // max(1, header.row_bytes)
            end = f"row {whole} is the first that is not whole" if size < header.total_bytes else ""
            raise SourceError(
                f"{self.given}: its header says {header}, which take {header.total_bytes} bytes,"
                f" found {size}{'; ' if end else ''}{end}"
            )
        return header

    def _members(self, file: IO[bytes], inflated_gib: float | None) -> list[Header]:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            max_bytes = inflated_limit(self._path, inflated_gib)
            if total > max_bytes or len(members) > MAX_MEMBERS:
                raise SourceError(
                    f"{self.given} says to have {len(members)} members of {total} bytes, more than"
                    f" {MAX_MEMBERS} or {max_bytes}; if it is no bomb, raise `inflated_gib`"
                )
            arrays = [member for member in members if member.filename.endswith(".npy")]
            self.n_others = len(members) - len(arrays)
            return [self._member(archive, member) for member in arrays]

    def _member(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header:
        with archive.open(member) as stream:
            header = _header(stream, member.filename.removesuffix(".npy"), self.given)
        if member.file_size != header.total_bytes:
            raise SourceError(
                f"{self.given}: the header of {header} asks for {header.total_bytes} bytes, the"
                f" archive has {member.file_size}; it is cut off or not an array"
            )
        return header


def _header(stream: IO[bytes], name: str, given: str) -> Header:
    beginning = io.BytesIO(stream.read(_MAX_HEADER_BYTES))
    try:
        version = npy.read_magic(beginning)
        if version > (2, 0):
            raise SourceError(_refusal(given, name, "is of named fields", "an array for each"))
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_fortran, dtype = reader(beginning)
    except _NO_HEADER as error:
        raise SourceError(f"{given}: {name!r} is no array of NumPy: {error}") from error
    if dtype.hasobject:
        raise SourceError(
            _refusal(
                given, name, "holds Python objects", "numbers or texts (`astype`)", pickled=True
            )
        )
    if dtype.kind in "Vc":
        kind = "complex numbers" if dtype.kind == "c" else "records or raw bytes"
        raise SourceError(_refusal(given, name, f"holds {kind}", "an array for each part"))
    return Header(name, dtype, shape, is_fortran and len(shape) > 1, beginning.tell())


def _refusal(given: str, name: str, what: str, instead: str, *, pickled: bool = False) -> str:
    reason = ", which only unpickling could read, and that may run any code" if pickled else ""
    return f"{given}: array {name!r} {what}{reason}; save {instead}"


def _rows(stream: IO[bytes], header: Header, n_rows: int, order: Literal["F", "C"]) -> np.ndarray:
    size = n_rows * header.row_bytes
    content = stream.read(size)
    if len(content) < size:
        raise EOFError("the archive ends early")
    rows = np.frombuffer(content, header.dtype)
    return rows.reshape((n_rows, *header.shape[1:]), order=order)


def named(file: ArrayFile, name: str) -> Header:
    """The header of one array.

    Raises:
        SourceError: there is none of that name, with the choices.
    """
    if name not in file.headers:
        raise SourceError(f"expected the array {name!r} in {file.given}, which has {listed(file)}")
    return file.headers[name]


def listed(file: ArrayFile) -> str:
    """The arrays of a file, for a message."""
    return ", ".join(map(str, file.headers.values())) or "no arrays"
