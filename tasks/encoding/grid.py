"""Images beside each other, as one picture."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MIN_SIDE = 32
"""Pixels at which an image is shown at least: smaller ones are enlarged by a whole number."""

GAP = 2
"""Pixels between two images."""

MARGIN = 8
"""Pixels beside the names of the rows."""

MAX_NAME = 24
"""Characters of a name that are shown."""


def grid_of(rows: Sequence[np.ndarray], names: Sequence[str]) -> bytes:
    """A PNG of rows of images; the same bytes for the same images.

    Args:
        rows: each (n, H, W, C) uint8 with C 1 or 3; at least one image in all of them.
        names: one a row, written before it; none: nothing is written.
    """
    _, height, width, channels = rows[0].shape
    factor = max(1, -(-MIN_SIDE // min(height, width)))
    height, width = height * factor, width * factor
    font = ImageFont.load_default()
    shown = [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name in names]
    left = max((int(font.getlength(name)) + 2 * MARGIN for name in shown), default=0)
    n_columns = max(len(row) for row in rows)
    size = (left + n_columns * (width + GAP) + GAP, len(rows) * (height + GAP) + GAP)
    picture = Image.new("L" if channels == 1 else "RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for y, row in zip(range(GAP, size[1], height + GAP), rows, strict=True):
        if names:
            name = shown[(y - GAP) // (height + GAP)]
            draw.text((MARGIN, y + height / 2), name, "black", font, anchor="lm")
        for x, pixels in zip(range(left + GAP, size[0], width + GAP), row, strict=False):
            large = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
            picture.paste(Image.fromarray(large[:, :, 0] if channels == 1 else large), (x, y))
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()
