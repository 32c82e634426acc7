"""Pictures from files and arrays: PNG of 8-bit greyscale or colour, without any metadata.

What a file carries beside its pixels (place, camera, time, comments) is left behind: it may be
personal.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps, UnidentifiedImageError

from tasks.schema import IMAGE_TYPE, Column
from tasks.sources.base import column

Mode = Literal["L", "RGB"]
Fit = Literal["pad", "crop", "stretch"]

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""Pillow's name of the format by suffix."""

MAX_PIXELS = 64 * 2**20
"""Pixels of one picture at most; a larger one is taken for a decompression bomb."""

MAX_FILE_BYTES = 512 * 2**20
"""Bytes of a picture's file at most: more than uncompressed colour of `MAX_PIXELS` takes."""

MODE_DESCRIPTION = (
    "what every picture is converted to, L (greyscale) or RGB; null: pictures stay as they are, and"
    " one that is not 8-bit greyscale or colour is refused. Transparent parts become white"
)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = (b"IHDR", b"IDAT", b"IEND")
_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    zlib.error,
    EOFError,
    struct.error,
    MemoryError,
    Image.DecompressionBombError,
    Warning,  # where the caller's filters make errors of warnings, of a bomb or of wrong metadata
)
"""What Pillow's decoders raise on damaged files."""


class Unreadable(Exception):
    """Why something is no picture that we can use; the message continues its name."""


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        content: a PNG file.
        width, height: in pixels.
        mode: L or RGB.
        format: of the file that it came from, as Pillow calls it.
    """

    content: bytes
    width: int
    height: int
    mode: str
    format: str

    def row(self, name: str) -> dict[str, Any]:
        """The values of `picture_columns`.

        Args:
            name: of its file.
        """
        return {
            "image": {"bytes": self.content, "path": name},
            "width": self.width,
            "height": self.height,
            "mode": self.mode,
        }


def picture_columns(others: list[Column]) -> list[Column]:
    """The columns of a table of pictures: the picture, the `others`, its sizes and its mode."""
    return [
        column("image", IMAGE_TYPE, nullable=False),
        *others,
        column("width", pa.int32(), nullable=False),
        column("height", pa.int32(), nullable=False),
        column("mode", pa.string(), nullable=False),
    ]


def picture_of(content: bytes, mode: Mode | None) -> Picture:
    """The picture in a file of any of the `FORMATS`, told by its content.

    Args:
        content: of the file.
        mode: to convert to; None: as it is.

    Raises:
        Unreadable: it is no picture, damaged, too large, an animation, or of a mode that needs to
            be converted.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=sorted(set(FORMATS.values())))
    except UnidentifiedImageError as error:
        known = ", ".join(dict.fromkeys(FORMATS.values()))
        raise Unreadable(f"is not an image of a known format ({known})") from error
    except _DAMAGE as error:
        raise Unreadable(f"cannot be read: {error}") from error
    _check_size(image.width, image.height)
    try:
        if getattr(image, "n_frames", 1) > 1:
            raise Unreadable("is an animation or has several pages, expected one picture")
        # Turned as the camera says, because the camera's note is left behind.
        upright = ImageOps.exif_transpose(image)
        upright.load()
    except _DAMAGE as error:
        raise Unreadable(f"is damaged: {error}") from error
    plain = _converted(upright, mode)
    # Looked through even where it is encoded anew: a damaged end is damage in any mode.
    bare = _pixels_alone(content) if image.format == "PNG" else None
    if bare is None or plain.mode != image.mode or plain.size != image.size:
        bare = _as_png(plain)
    return Picture(bare, plain.width, plain.height, plain.mode, str(image.format))


def picture_of_pixels(pixels: np.ndarray, mode: Mode | None) -> Picture:
    """The picture of these pixels.

    Shape:
        pixels: (H, W) or (H, W, 1) uint8 greyscale, or (H, W, 3) uint8 colour.

    Raises:
        Unreadable: it is too large.
    """
    flat = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    _check_size(flat.shape[1], flat.shape[0])
    image = Image.fromarray(np.ascontiguousarray(flat))
    plain = image if mode is None else image.convert(mode)
    return Picture(_as_png(plain), plain.width, plain.height, plain.mode, "PNG")


def refitted(picture: Picture, size: tuple[int, int], fit: Fit) -> Picture:
    """The picture in another size.

    Args:
        picture: of mode L or RGB.
        size: width and height.
        fit: what becomes of another shape: `pad` puts what stands along its border around it,
            `crop` cuts off as much at both ends, `stretch` changes the shape.
    """
    if (picture.width, picture.height) == size:
        return picture
    image = Image.open(io.BytesIO(picture.content))
    if fit == "crop":
        made = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    elif fit == "stretch":
        made = image.resize(size, Image.Resampling.LANCZOS)
    else:
        scale = min(size[0] / image.width, size[1] / image.height)
        inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        inner = min(inner[0], size[0]), min(inner[1], size[1])
        made = Image.new(image.mode, size, _border_colour(image))
        corner = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        made.paste(image.resize(inner, Image.Resampling.LANCZOS), corner)
    return Picture(_as_png(made), *size, made.mode, picture.format)


def _border_colour(image: Image.Image) -> tuple[int, ...]:
    """The median of the pixels along the border, channel by channel."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return tuple(int(value) for value in np.median(border, axis=0))


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Unreadable(f"has {width} x {height} pixels, more than {MAX_PIXELS}")
    if width * height == 0:
        raise Unreadable(f"has {width} x {height} pixels, expected one at least")


def _converted(image: Image.Image, mode: Mode | None) -> Image.Image:
    """The picture in 8-bit greyscale or colour."""
    is_transparent = "A" in image.getbands() or "transparency" in image.info
    if mode is None:
        if image.mode not in ("L", "RGB", "1", "P") or is_transparent:
            raise Unreadable(
                f"is of mode {image.mode}{' and transparent' if is_transparent else ''}, expected"
                " 8-bit greyscale (L) or colour (RGB); `mode: RGB` or `mode: L` converts all"
            )
        mode = "L" if image.mode in ("L", "1") else "RGB"
    if image.mode == mode and not is_transparent:
        return image
    if image.mode.startswith("I;16"):
        return _eight_bits(image).convert(mode)
    if image.mode in ("I", "F"):
        kind = "32-bit" if image.mode == "I" else "floating-point"
        raise Unreadable(f"has {kind} pixels, of which no one says what is white")
    if is_transparent:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB").convert(mode)
    return image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit greyscale in 8 bits: 65,535 becomes 255, what is between is rounded."""
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8))


def _pixels_alone(content: bytes) -> bytes:
    """A PNG without the chunks that are no pixels; nothing is compressed anew.

    Raises:
        Unreadable: a chunk is not whole, which Pillow overlooks where it has all pixels by then.
    """
    kept = [_PNG_SIGNATURE]
    place = len(_PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content.ljust(place + 8, b"\0"), place)
        end = place + 12 + length
        if zlib.crc32(content[place + 4 : end - 4]).to_bytes(4, "big") != content[end - 4 : end]:
            raise Unreadable(f"is damaged: chunk {kind.decode('latin-1')!r} at byte {place}")
        if kind in _PIXEL_CHUNKS:
            kept.append(content[place:end])
        place = end
    return b"".join(kept)


def _as_png(image: Image.Image) -> bytes:
    bare = Image.frombytes(image.mode, image.size, image.tobytes())
    stream = io.BytesIO()
    bare.save(stream, format="PNG")
    return stream.getvalue()
