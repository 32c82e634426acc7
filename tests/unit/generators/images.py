"""Encoders of made-up images for the tests of their generators."""

import numpy as np

from tasks.encoding.image import ImageEncoder
from tasks.encoding.labels import Labels
from tasks.schema import Column, DatasetSchema, TableSchema


def image_encoder(
    height: int, width: int, channels: int, *, target: str | None = "label", n_levels: int = 3
) -> ImageEncoder:
    """Of 40 images: 30 of label 3 and 10 of label 7, or without labels."""
    columns = [Column(name="image", type="image", meaning="image", nullable=False)]
    if target is not None:
        columns.append(Column(name=target, type="int64", meaning="categorical"))
    table = TableSchema(name="images", columns=tuple(columns))
    schema = DatasetSchema(kind="image", tables=(table,), target=target)
    labels = Labels.of(columns[1], {"3": 30, "7": 10}, 40) if target else Labels.of(None, {}, 40)
    levels = np.linspace(0, 255, n_levels).astype(np.uint8)
    return ImageEncoder(schema, (channels, height, width), levels, labels)
