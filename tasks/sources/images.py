"""Images in a folder with one sub-folder per label, read as PNG without any metadata.

What a picture carries beside its pixels (place, camera, time, comments) is left behind: it may be
personal.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field

from tasks.errors import SourceError
from tasks.schema import IMAGE_TYPE, DatasetSchema, TableSchema, arrow_schema
from tasks.sources.base import Part, Source, SourceSettings, column, table_schema

SUFFIXES = (".png", ".jpg", ".jpeg")
TABLE = "images"
MAX_PIXELS = 64 * 2**20
"""Pixels of one image at most; a larger one is taken for a decompression bomb."""

BATCH_BYTES = 32 * 2**20

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = (b"IHDR", b"IDAT", b"IEND")


class ImageSettings(SourceSettings):
    """Settings of `source: {type: images}`."""

    path: str = Field(min_length=1, description="folder with one sub-folder of images per label")
    skip_unreadable: bool = Field(
        default=False,
        description="leave out and count files that cannot be read, instead of failing",
    )


class ImageSource(Source):
    """PNG and JPEG files, labelled by the folder that they are in."""

    Settings = ImageSettings
    observes = False

    def schema(self) -> DatasetSchema:
        """One table of images with their labels and sizes."""
        columns = (
            column("image", IMAGE_TYPE, nullable=False),
            column("label", pa.string(), nullable=False),
            column("width", pa.int32(), nullable=False),
            column("height", pa.int32(), nullable=False),
            column("mode", pa.string(), nullable=False),
        )
        return self.dataset(table_schema(TABLE, columns))

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The images, by label and then by name."""
        del part
        schema = arrow_schema(table)
        rows: list[dict[str, Any]] = []
        n_bytes = 0
        for label, path in self._files():
            try:
                image = _read_image(path)
            except _Unreadable as error:
                if not self.settings.skip_unreadable:
                    raise SourceError(
                        f"{path} {error}; remove it, or set `skip_unreadable: true`"
                    ) from error
                self._n_skipped += 1
                continue
            name = path.relative_to(self._folder).as_posix()
            content = image.pop("bytes")
            rows.append({"image": {"bytes": content, "path": name}, "label": label, **image})
            n_bytes += len(content)
            if n_bytes >= BATCH_BYTES:
                yield pa.RecordBatch.from_pylist(rows, schema)
                rows, n_bytes = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema)

    def counts(self) -> dict[str, int]:
        """Files that were left out."""
        return {"other_files": self._n_other, "unreadable_images": self._n_skipped}

    @property
    def _folder(self) -> Path:
        return self.project / str(self.settings.path)

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Each image with its label."""
        self._n_other = self._n_skipped = 0
        if not self._folder.is_dir():
            raise SourceError(f"expected a folder of images at {self._folder}, found none")
        n_images = 0
        for folder in sorted(self._folder.iterdir()):
            if not folder.is_dir() or folder.name.startswith("."):
                if folder.suffix.lower() in SUFFIXES:
                    raise SourceError(
                        f"{folder} is in no folder of a label; expected"
                        f" {self._folder / '<label>' / folder.name}"
                    )
                self._n_other += 1
                continue
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                    n_images += 1
                    yield folder.name, path
                else:
                    self._n_other += 1
        if n_images == 0:
            raise SourceError(
                f"expected images ({', '.join(SUFFIXES)}) in sub-folders of {self._folder}, found none"
            )


class _Unreadable(Exception):
    """Why a file is no image that we can use."""


def _read_image(path: Path) -> dict[str, Any]:
    """One image as PNG of 8-bit greyscale or RGB, with its size and mode."""
    try:
        content = path.read_bytes()
        with warnings.catch_warnings():
            # Our own limit follows; Pillow's would be a warning here and an error there.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=["PNG", "JPEG"])
    except UnidentifiedImageError as error:
        raise _Unreadable("is not a PNG or JPEG image") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _Unreadable(f"cannot be read: {error}") from error
    _check_form(image)
    try:
        # Turned as the camera says, because the camera's note is left behind.
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("1", "P"):
            upright = upright.convert("L" if upright.mode == "1" else "RGB")
        upright.load()
    except (OSError, ValueError, SyntaxError, zlib.error, EOFError, struct.error) as error:
        raise _Unreadable(f"is damaged: {error}") from error
    as_it_is = image.format == "PNG" and upright.mode == image.mode and upright.size == image.size
    return {
        "bytes": _pixels_alone(content) if as_it_is else _as_png(upright),
        "width": upright.width,
        "height": upright.height,
        "mode": upright.mode,
    }


def _check_form(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _Unreadable(f"has {image.width} x {image.height} pixels, more than {MAX_PIXELS}")
    if getattr(image, "n_frames", 1) > 1:
        raise _Unreadable("is an animation, expected one picture")
    if image.mode not in ("L", "RGB", "1", "P") or "transparency" in image.info:
        raise _Unreadable(
            f"is of mode {image.mode} or transparent, expected 8-bit greyscale (L) or colour (RGB)"
        )


def _pixels_alone(content: bytes) -> bytes:
    """A PNG without the chunks that are no pixels; nothing is compressed anew."""
    kept = [_PNG_SIGNATURE]
    place = len(_PNG_SIGNATURE)
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        kind = content[place + 4 : place + 8]
        end = place + 12 + length
        if kind in _PIXEL_CHUNKS:
            kept.append(content[place:end])
        if kind == b"IEND":
            break
        place = end
    return b"".join(kept)


def _as_png(image: Image.Image) -> bytes:
    bare = Image.frombytes(image.mode, image.size, image.tobytes())
    stream = io.BytesIO()
    bare.save(stream, format="PNG")
    return stream.getvalue()
