"""Images in IDX files, the format of MNIST, with their labels in a second file.

**Source**: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "The
IDX file format": two zero bytes, the type of the values, the number of dimensions, the size of each
as 32-bit big-endian integers, then the values.
"""

import contextlib
import gzip
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from tasks.errors import SourceError
from tasks.locations.base import Location
from tasks.locations.remote import masked
from tasks.locations.resolve import resolve
from tasks.schema import DatasetSchema, TableSchema, arrow_schema
from tasks.sources._located import place_of, reading
from tasks.sources._pictures import (
    MAX_PIXELS,
    MODE_DESCRIPTION,
    Mode,
    picture_columns,
    picture_of_pixels,
)
from tasks.sources._rows import batches_of
from tasks.sources.base import Part, Source, SourceSettings, column, table_schema

TABLE = "images"
PART_BYTES = 8 * 2**20
"""Bytes of pixels of a part at most."""

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"


class IdxSettings(SourceSettings):
    """Settings of `source: {type: idx}`."""

    images: str = Field(
        min_length=1,
        description="IDX file of images, gzipped or not: a path or a URL. Of three dimensions"
        " (images, rows, columns), or of four, the last one for 1 or 3 colours",
    )
    labels: str | None = Field(
        default=None,
        min_length=1,
        description="IDX file with a whole number for each image; null: images without labels",
    )
    mode: Mode | None = Field(default=None, description=MODE_DESCRIPTION)
    connection: str | None = Field(
        default=None, description="name of the variable with the credentials for a URL"
    )


class IdxSource(Source):
    """Greyscale or colour images of one size, named by their number."""

    Settings = IdxSettings
    observes = False

    def schema(self) -> DatasetSchema:
        """One table of images with their labels, if there are any."""
        images, labels = self._headers
        if labels is not None and labels.shape[0] != images.shape[0]:
            raise SourceError(
                f"expected a label for each image, found {images.shape[0]} images in"
                f" {masked(self.settings.images)} and {labels.shape[0]} labels in"
                f" {masked(self.settings.labels)}; are both files of the same part of the dataset?"
            )
        label = column("label", pa.int64(), nullable=False)
        others = [] if labels is None else [label.model_copy(update={"meaning": "categorical"})]
        return self.dataset(table_schema(TABLE, picture_columns(others)))

    def parts(self, table: TableSchema) -> Sequence[Part]:
        """Ranges of images; a gzipped file is one part, because it has no middle."""
        del table
        images, labels = self._headers
        n_images = images.shape[0]
        place = {name: place_of(location) for name, location in self._locations.items()}
        is_whole = images.is_gzipped or (labels is not None and labels.is_gzipped)
        step = n_images if is_whole else max(1, PART_BYTES // max(1, images.item_bytes))
        return [
            Part(place | {"start": start, "stop": min(start + step, n_images)})
            for start in range(0, n_images, max(1, step))
        ]

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The images of a range, in the order of the file."""
        yield from batches_of(self._rows(part), arrow_schema(table), self.batch_bytes())

    @cached_property
    def _locations(self) -> dict[str, Location]:
        given = {"images": self.settings.images, "labels": self.settings.labels}
        return {name: self._one(path) for name, path in given.items() if path is not None}

    def _one(self, given: str) -> Location:
        found = resolve(given, self.project, connection=self.settings.connection)
        if len(found) > 1:
            raise SourceError(
                f"expected one IDX file, found {len(found)} by {masked(given)!r}; name one"
            )
        return found[0]

    @cached_property
    def _headers(self) -> tuple["_Header", "_Header | None"]:
        with self._locations["images"].reading() as path:
            images = _header(path, masked(self.settings.images))
        _check_images(images, masked(self.settings.images))
        if "labels" not in self._locations:
            return images, None
        with self._locations["labels"].reading() as path:
            labels = _header(path, masked(self.settings.labels))
        if len(labels.shape) != 1 or labels.dtype.kind not in "iu":
            raise SourceError(
                f"expected a whole number for each image in {masked(self.settings.labels)}, found"
                f" {labels}; did `images` and `labels` change places?"
            )
        return images, labels

    def _rows(self, part: Part) -> Iterator[dict[str, Any]]:
        start, stop = part.place["start"], part.place["stop"]
        with contextlib.ExitStack() as opened:
            streams = {
                name: self._items(opened, given, part.place[name], start, stop)
                for name in ("images", "labels")
                if (given := getattr(self.settings, name)) is not None
            }
            for i in range(start, stop):
                picture = picture_of_pixels(next(streams["images"]), self.settings.mode)
                row = picture.row(f"{i:08d}.png")
                if "labels" in streams:
                    row["label"] = int(next(streams["labels"]))
                yield row
            for items in streams.values():
                next(items, None)  # looks for what may follow the last one

    def _items(
        self,
        opened: contextlib.ExitStack,
        given: str,
        place: dict[str, Any],
        start: int,
        stop: int,
    ) -> Iterator[np.ndarray]:
        at, path = opened.enter_context(
            reading(place, given, self.project, self.settings.connection)
        )
        header = _header(path, at.url)
        if not header.is_gzipped:
            shape = (header.shape[0], *header.shape[1:])
            yield from np.memmap(path, header.dtype, "r", header.n_bytes, shape)[start:stop]
            return
        stream = opened.enter_context(gzip.GzipFile(path))
        yield from _unpacked(stream, header, at.url)


@dataclass(frozen=True)
class _Header:
    """What the first bytes of a file say.

    Attributes:
        dtype: of its values.
        shape: its dimensions, the number of images or labels first.
        is_gzipped: whether the file must be unpacked.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_gzipped: bool

    @property
    def n_bytes(self) -> int:
        """Of the header."""
        return 4 + 4 * len(self.shape)

    @property
    def item_bytes(self) -> int:
        """Of one image or label."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def __str__(self) -> str:
        """As people say it."""
        return f"{' x '.join(map(str, self.shape))} values of type {self.dtype.name}"


def _header(path: Path, given: str) -> _Header:
    try:
        with path.open("rb") as file:
            is_gzipped = file.read(2) == _GZIP
            file.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=file) if is_gzipped else file  # type: ignore[assignment]
            header = _parsed(stream, given, is_gzipped=is_gzipped)
        if not is_gzipped:
            _check_size(header, path.stat().st_size, given)
        return header
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"cannot read {given}: {error}") from error


def _parsed(stream: IO[bytes], given: str, *, is_gzipped: bool) -> _Header:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
        raise SourceError(
            f"expected {given} to begin with the magic number of an IDX file (00 00, a type of"
            f" 08 to 0e, the number of dimensions), found {magic.hex(' ') or 'an empty file'}"
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise SourceError(
            f"{given} is cut off in its header: expected {magic[3]} dimensions from byte 4 on,"
            f" found {len(sizes)} bytes of them"
        )
    shape = struct.unpack(f">{magic[3]}I", sizes)
    return _Header(np.dtype(_TYPES[magic[2]]), shape, is_gzipped)


def _check_size(header: _Header, size: int, given: str) -> None:
    expected = header.n_bytes + header.shape[0] * header.item_bytes
    if size < expected:
        whole = (size - header.n_bytes) // max(1, header.item_bytes)
        raise SourceError(
            f"{given} is cut off at byte {size}: its header says {header}, which take {expected}"
            f" bytes; number {whole}, counted from 0, is the first that is not whole"
        )
    if size > expected:
        raise SourceError(
            f"{given} goes on after its last value: its header says {header}, which take"
            f" {expected} bytes, found {size}; its header or its end is wrong"
        )


def _check_images(header: _Header, given: str) -> None:
    is_colour = len(header.shape) == 4 and header.shape[3] in (1, 3)
    if header.dtype != np.uint8 or not (len(header.shape) == 3 or is_colour):
        raise SourceError(
            f"expected images of unsigned bytes in {given}, in three dimensions, or four of which"
            f" the last is 1 or 3, found {header}"
        )
    height, width = header.shape[1:3]
    if not 0 < height * width <= MAX_PIXELS:
        raise SourceError(
            f"{given}: expected images of 1 to {MAX_PIXELS} pixels, found {width} x {height}"
        )


def _unpacked(stream: gzip.GzipFile, header: _Header, given: str) -> Iterator[np.ndarray]:
    """The values of a gzipped file, one image or label at a time."""
    i = 0
    try:
        stream.read(header.n_bytes)
        for i in range(header.shape[0]):
            content = stream.read(header.item_bytes)
            if len(content) < header.item_bytes:
                raise SourceError(
                    f"{given} ends early: its header says {header}, number {i}, counted from 0, is"
                    " the first that is not whole"
                )
            yield np.frombuffer(content, header.dtype).reshape(header.shape[1:])
        if stream.read(1):
            raise SourceError(
                f"{given} goes on after its last value, {header}; its header or its end is wrong"
            )
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{given} is damaged at number {i}, counted from 0: {error}") from error
