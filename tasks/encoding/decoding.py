"""Files of images -> pixels.

PNG files of the two forms that are encoded are read by kornia's decoder, which takes about a tenth of
Pillow's time for small ones (benchmarks/image_loading.py); all others, and whatever that decoder
refuses, by Pillow. Both give the same pixels, and both hold Python's lock, so threads gain nothing.
"""

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from kornia_rs.io import decode_image_png_u8
from PIL import Image

from tasks.errors import DataError

_PNG_HEADER = struct.Struct(">8s4x4sIIBBxxB")
"""Signature; length and name of the first chunk; width, height, bits, colour type, interlacing."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_MODES = {0: ("L", "mono"), 2: ("RGB", "rgb")}
"""Pillow's and kornia's names of a PNG's colour type."""


class Picture(NamedTuple):
    """An image as its file has it.

    Attributes:
        mode: Pillow's name of what a pixel is.
        pixels: (H, W) or (H, W, C), uint8 for the modes L and RGB.
    """

    mode: str
    pixels: np.ndarray


def decode_images(values: pa.Array) -> Iterator[Picture]:
    """The images of a column, one after the other.

    Raises:
        DataError: a cell is empty, or its file cannot be read; with the row in the batch.
    """
    for i, content in enumerate(values.field("bytes").to_pylist()):
        picture = _decode_plain_png(content) if content else None
        yield picture or _decode_any(content, i)


def _decode_plain_png(content: bytes) -> Picture | None:
    """The pixels of a PNG with 8 bits a channel and without a palette; None: it is another file."""
    if len(content) < _PNG_HEADER.size:
        return None
    signature, chunk, width, height, bits, colour, interlaced = _PNG_HEADER.unpack_from(content)
    if signature != _PNG_SIGNATURE or chunk != b"IHDR" or bits != 8 or interlaced:
        return None
    if colour not in _MODES or width * height > (Image.MAX_IMAGE_PIXELS or 0):
        return None
    mode, name = _MODES[colour]
    try:
        pixels = np.asarray(decode_image_png_u8(content, (height, width), name))
    except Exception:
        return None
    return Picture(mode, pixels[:, :, 0] if colour == 0 else pixels)


def _decode_any(content: bytes | None, row: int) -> Picture:
    try:
        with Image.open(io.BytesIO(content or b"")) as image:
            return Picture(image.mode, np.asarray(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the image in row {row} of a batch: {error}") from error
