"""Images with a label <-> pixel levels and label indices."""

import io
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from tasks.encoding.base import Batches, Encoder, Preview
from tasks.encoding.decoding import decode_images
from tasks.encoding.grid import grid_of
from tasks.encoding.labels import Labels
from tasks.errors import DataError
from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, arrow_schema

MODES = {"L": 1, "RGB": 3}
"""Modes of images that are encoded, and their channels."""

MIN_SIDE = 4
"""Pixels of the shorter side at least."""


class ImageEncoder(Encoder):
    """Images of one size and mode as whole numbers, with the index of their label.

    A pixel is encoded as the index of its value among the values that occur in the training
    images, which is what makes a model of images with 17 grey levels give 17 grey levels. Nothing
    is lost but the compression and the names of the files; a value that did not occur takes the
    nearest one.

    Tensors, with B images of C channels, H rows and W columns:
      - `pixels` (B, C, H, W) uint8 in [0, L), L the number of `levels`.
      - `labels` (B,) uint8, int16 or int32, indices of `labels`.

    Attributes:
        height, width, channels: of every image.
        levels: (L,) uint8 pixel values that occur, ascending.
        labels: those that training images have.
        level_counts: (L,) int64 training pixels of each level; equal ones where nobody counted.
    """

    def __init__(
        self,
        schema: DatasetSchema,
        shape: tuple[int, int, int],
        levels: np.ndarray,
        labels: Labels,
        level_counts: np.ndarray | None = None,
    ) -> None:
        self.schema = schema
        self.channels, self.height, self.width = shape
        self.levels = levels
        self.labels = labels
        self.level_counts = np.ones(len(levels), int) if level_counts is None else level_counts
        self._image_column = _image_column(schema)

    @property
    def n_rows(self) -> int:
        """Training images."""
        return self.labels.n_rows

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Check that the images are alike; learn their levels and labels."""
        del rng
        name = _image_column(schema)
        forms: Counter[tuple[str, int, int]] = Counter()
        seen = np.zeros(256, dtype=np.int64)
        counts: Counter[str] = Counter()
        for batch in batches():
            for mode, pixels in decode_images(batch.column(name)):
                forms[mode, pixels.shape[1], pixels.shape[0]] += 1
                if mode in MODES:
                    seen += np.bincount(pixels.ravel(), minlength=256)
            if schema.target is not None:
                counts.update(Labels.counted(batch.column(schema.target)))
        mode, width, height = _one_form(forms)
        labels = Labels.of(_label_column(schema), counts, forms.total())
        shape = (MODES[mode], height, width)
        levels = np.flatnonzero(seen)
        return cls(schema, shape, levels.astype(np.uint8), labels, seen[levels])

    def encode(self, batch: pa.RecordBatch) -> dict[str, torch.Tensor]:
        """Level indices of the pixels and indices of the labels."""
        shape = (self.height, self.width, self.channels)
        pixels = np.empty((batch.num_rows, *shape), dtype=np.uint8)
        for i, (mode, values) in enumerate(decode_images(batch.column(self._image_column))):
            if values.size != pixels[i].size or values.shape[:2] != shape[:2]:
                raise DataError(
                    f"expected images of {self.width} x {self.height} pixels and"
                    f" {self.channels} channels, found {values.shape[1]} x {values.shape[0]}, {mode}"
                )
            pixels[i] = values.reshape(shape)
        indices = _nearest_level(self.levels)[pixels]
        return {
            "pixels": torch.from_numpy(indices.transpose(0, 3, 1, 2).copy()),
            "labels": self.labels.encode(batch),
        }

    def decode(
        self,
        encoded: Mapping[str, torch.Tensor],
        rng: np.random.Generator,
        first_row: int = 0,
        held: Mapping[str, Any] | None = None,
    ) -> pa.RecordBatch:
        """PNG files named by their number, with labels and sizes."""
        del rng, held
        pixels = self.levels[encoded["pixels"].cpu().numpy().astype(np.int64)].transpose(0, 2, 3, 1)
        n = len(pixels)
        files = [
            {"bytes": _png(image), "path": f"{first_row + i:08d}.png"}
            for i, image in enumerate(pixels)
        ]
        columns: dict[str, pa.Array] = {
            self._image_column: pa.array(files, IMAGE_TYPE),
            "width": pa.array([self.width] * n),
            "height": pa.array([self.height] * n),
            "mode": pa.array([{1: "L", 3: "RGB"}[self.channels]] * n, pa.string()),
        }
        if self.schema.target is not None:
            columns[self.schema.target] = self.labels.decode(encoded["labels"])
        fields = arrow_schema(self.schema.main)
        arrays = [columns[field.name].cast(field.type) for field in fields]
        return pa.RecordBatch.from_arrays(arrays, schema=fields)

    def preview(self, encoded: Mapping[str, torch.Tensor]) -> Preview:
        """A grid of the images, with a row for each label."""
        pixels = self.levels[encoded["pixels"].cpu().numpy().astype(np.int64)].transpose(0, 2, 3, 1)
        places = encoded["labels"].cpu().numpy()
        rows = {label: pixels[places == label] for label in np.unique(places).tolist()}
        names = [str(self.labels.values[label].as_py()) for label in rows]
        return Preview(".png", grid_of(list(rows.values()), names if self.labels.column else []))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content, arrays = self.labels.state()
        content["shape"] = [self.channels, self.height, self.width]
        return content, {"levels": self.levels, "level_counts": self.level_counts, **arrays}

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        labels = Labels.from_state(_label_column(schema), content, arrays)
        channels, height, width = content["shape"]
        shape = (channels, height, width)
        return cls(schema, shape, arrays["levels"], labels, arrays.get("level_counts"))


def _image_column(schema: DatasetSchema) -> str:
    """The name of the one image column; refuses columns that no decoded image would have."""
    images = [column.name for column in schema.main.columns if column.type == "image"]
    if len(images) != 1:
        raise DataError(f"expected one column of images in {schema.main.name!r}, found {images}")
    known = {images[0], schema.target, "width", "height", "mode"}
    if others := [name for name in schema.main.column_names if name not in known]:
        raise DataError(
            f"images come with a label, width, height and mode; found also {others}:"
            " drop them under clean.drop_columns"
        )
    return images[0]


def _label_column(schema: DatasetSchema) -> Column | None:
    return None if schema.target is None else schema.main.column(schema.target)


def _one_form(forms: Counter[tuple[str, int, int]]) -> tuple[str, int, int]:
    """The only mode, width and height of all images."""
    if forms.total() < 2:
        raise DataError(f"expected two training images at least, found {forms.total()}")
    found = ", ".join(f"{n} of {w} x {h} {m}" for (m, w, h), n in forms.most_common(5))
    (mode, width, height) = forms.most_common(1)[0][0]
    if len(forms) > 1:
        raise DataError(
            f"expected images of one size and mode, found {found}"
            f"{' ...' if len(forms) > 5 else ''};"
            f" `clean: {{images: {{size: [{max(width, MIN_SIDE)}, {max(height, MIN_SIDE)}],"
            f" mode: {mode}}}}}` makes them alike"
        )
    if mode not in MODES or min(width, height) < MIN_SIDE:
        raise DataError(
            f"expected 8-bit greyscale (L) or colour (RGB) images of {MIN_SIDE} pixels a side at"
            f" least, found {found}; `clean.images` gives them another size or mode"
        )
    return mode, width, height


def _nearest_level(levels: np.ndarray) -> np.ndarray:
    """(256,) uint8: the index of the level nearest to each pixel value, the lower one of two."""
    distances = np.abs(np.arange(256)[:, None] - levels.astype(np.int64)[None, :])
    return np.asarray(distances.argmin(axis=1), dtype=np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    """(H, W, C) uint8 as PNG; the same bytes for the same pixels."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()
