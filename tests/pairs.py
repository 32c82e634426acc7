"""Rows with an image, a text and labels, made up: squares of two sizes and shades, and what they are."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, TableSchema, arrow_schema

SIZES = {"small": 2, "large": 6}
SHADES = {"grey": 120, "white": 240}


def pairs(n_rows: int, seed: int = 0, *, labels: tuple[str, ...] = ("size", "shade")) -> Any:
    """The schema, and rows whose image and text show their labels.

    Args:
        n_rows: to make.
        seed: of the made-up rows.
        labels: columns to keep of `size` and `shade`; the first is the target.
    """
    rng = np.random.default_rng(seed)
    size = rng.choice(list(SIZES), n_rows)
    shade = rng.choice(list(SHADES), n_rows)
    images, texts = [], []
    for i in range(n_rows):
        pixels = rng.integers(0, 30, (8, 8))
        side, place = SIZES[size[i]], rng.integers(0, 2)
        pixels[place : place + side, place : place + side] = SHADES[shade[i]]
        stream = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(stream, format="PNG")
        images.append({"bytes": stream.getvalue(), "path": f"{i}.png"})
        words = rng.choice(["here", "see", "look", "there"])
        texts.append(f"{words} a {size[i]} {shade[i]} square")
    known = {
        "image": (
            pa.array(images, IMAGE_TYPE),
            Column(name="image", type="image", meaning="image"),
        ),
        "caption": (pa.array(texts), Column(name="caption", type="string", meaning="text")),
        "size": (pa.array(size), Column(name="size", type="string", meaning="categorical")),
        "shade": (pa.array(shade), Column(name="shade", type="string", meaning="categorical")),
    }
    kept = [known[name] for name in ("image", "caption", *labels)]
    table = TableSchema(name="pairs", columns=tuple(column for _, column in kept))
    schema = DatasetSchema(kind="multimodal", tables=(table,), target=labels[0] if labels else None)
    return schema, pa.RecordBatch.from_arrays([v for v, _ in kept], schema=arrow_schema(table))
