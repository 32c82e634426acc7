"""Rows with an image, a text or both: these are changed, and whatever else the rows have stays."""

import io
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from pydantic import Field

from tasks.augmentation.image import ImageAugmentation, augment_images
from tasks.augmentation.text import BackOff, TextAugmentation, augment_text
from tasks.errors import DataError
from tasks.params import Record
from tasks.schema import IMAGE_TYPE, Kind, TableSchema

TOGETHER_VALUES = 2**24
"""Pixels times channels of images that are changed together, which bounds the memory."""


class MultimodalAugmentation(Record):
    """How far the images and the texts of rows that have both may be changed."""

    image: ImageAugmentation = Field(default=ImageAugmentation(), description="of the images")
    text: TextAugmentation = Field(default=TextAugmentation(), description="of the texts")


SETTINGS: dict[Kind, type[Record]] = {
    "image": ImageAugmentation,
    "text": TextAugmentation,
    "multimodal": MultimodalAugmentation,
}


class ContentAugmenter:
    """Makes rows of the rows of a table of images or texts, all of which it holds."""

    def __init__(
        self, rows: pa.Table, table: TableSchema, classes: np.ndarray, settings: Record
    ) -> None:
        """Find the columns.

        Args:
            rows: of the table's schema.
            table: describes them.
            classes: of the rows; words are put in place of others of the same class alone.
            settings: of one of `SETTINGS`.

        Shape:
            classes: (N,) integers from 0.

        Raises:
            DataError: there are no images or texts.
        """
        self._rows = rows
        self._classes = classes
        self._images = [c.name for c in table.columns if c.type == "image"]
        self._texts = [c.name for c in table.columns if c.meaning == "text"]
        if not self._images and not self._texts:
            raise DataError(
                f"expected a column of images or texts in {table.name!r}, found none:"
                " there is nothing to augment"
            )
        both = settings if isinstance(settings, MultimodalAugmentation) else None
        self._of_images = both.image if both else settings
        self._of_texts = both.text if both else settings
        self._models: dict[tuple[str, int], BackOff] = {}

    @property
    def across_classes(self) -> bool:
        """Whether the other row may be of any class."""
        found = (self._of_images, self._of_texts)
        return any(getattr(settings, "across_classes", False) for settings in found)

    def make(
        self, sources: np.ndarray, mates: np.ndarray, numbers: np.ndarray, rng: np.random.Generator
    ) -> pa.Table:
        """A row like each of the sources.

        Args:
            sources: places of rows.
            mates: places of other rows, for each.
            numbers: of the rows to make, by which images are named.
            rng: all randomness comes from it.

        Shape:
            sources, mates, numbers: (B,) int64.
        """
        rows, others = (self._rows.take(pa.array(places)) for places in (sources, mates))
        made: dict[str, pa.Array] = {}
        if isinstance(self._of_images, ImageAugmentation):
            for name in self._images:
                pictures = rows[name].to_pylist(), others[name].to_pylist()
                made[name] = _pictures(*pictures, self._of_images, numbers, rng)
        if isinstance(self._of_texts, TextAugmentation):
            for name in self._texts:
                pairs = zip(rows[name].to_pylist(), others[name].to_pylist(), strict=True)
                texts = [
                    text
                    and augment_text(
                        text, mate or "", self._of_texts, self._model(name, int(label)), rng
                    )
                    for (text, mate), label in zip(pairs, self._classes[sources], strict=True)
                ]
                made[name] = pa.array(texts, self._rows.schema.field(name).type)
        columns = dict(zip(rows.column_names, rows.columns, strict=True)) | made
        return pa.table(list(columns.values()), schema=self._rows.schema)

    def _model(self, name: str, label: int) -> BackOff:
        """Of the texts of one class, or of all where the settings allow it."""
        is_of_all = self.across_classes
        key = name, -1 if is_of_all else label
        if key not in self._models:
            texts = self._rows[name]
            if not is_of_all:
                texts = texts.filter(pa.array(self._classes == label))
            self._models[key] = BackOff([text for text in texts.to_pylist() if text])
        return self._models[key]


def _pictures(
    images: list[dict[str, Any] | None],
    mates: list[dict[str, Any] | None],
    settings: ImageAugmentation,
    numbers: np.ndarray,
    rng: np.random.Generator,
) -> pa.Array:
    """Changed images as PNG; those of one size and mode are changed together."""
    arrays, others = ([_pixels(image) for image in some] for some in (images, mates))
    together: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, pixels in enumerate(arrays):
        if pixels is not None:
            together[pixels.shape].append(i)
    draws = torch.Generator().manual_seed(int(rng.integers(2**63)))
    files: list[dict[str, Any] | None] = [None] * len(images)
    for shape, places in sorted(together.items()):
        n_together = max(1, TOGETHER_VALUES // math.prod(shape))
        for start in range(0, len(places), n_together):
            some = places[start : start + n_together]
            own = [arrays[i] for i in some]
            # Images of another size or mode cannot be mixed.
            other = [
                m if (m := others[i]) is not None and m.shape == shape else arrays[i] for i in some
            ]
            changed = augment_images(_tensor(own), _tensor(other), settings, draws)
            levels = (changed * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
            for i, made in zip(some, levels, strict=True):
                files[i] = {"bytes": _png(made), "path": f"augmented-{int(numbers[i]):08d}.png"}
    return pa.array(files, IMAGE_TYPE)


def _tensor(arrays: Sequence[Any]) -> torch.Tensor:
    """(B, C, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255


def _pixels(image: dict[str, Any] | None) -> np.ndarray | None:
    """(H, W, C) uint8."""
    if image is None:
        return None
    try:
        with Image.open(io.BytesIO(image["bytes"])) as opened:
            if opened.mode not in ("L", "RGB"):
                raise DataError(
                    f"expected the image {image['path']!r} in 8-bit greyscale (L) or colour (RGB),"
                    f" found {opened.mode}; set `clean: {{images: {{mode: RGB}}}}`"
                )
            pixels = np.asarray(opened)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"cannot read the image {image['path']!r}: {error}") from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(stream, format="PNG")
    return stream.getvalue()
