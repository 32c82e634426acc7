"""Images to levels and back."""

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from tasks.encoding.image import ImageEncoder
from tasks.errors import DataError
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema

RNG = np.random.default_rng(0)


def _schema(target: str | None = "label", *more: Column) -> DatasetSchema:
    columns = (
        Column(name="image", type="image", meaning="image", nullable=False),
        Column(name="label", type="string", meaning="categorical"),
        Column(name="width", type="int32", meaning="numeric", nullable=False),
        Column(name="height", type="int32", meaning="numeric", nullable=False),
        Column(name="mode", type="string", meaning="categorical", nullable=False),
        *more,
    )
    if target is None:
        columns = tuple(column for column in columns if column.name != "label")
    table = TableSchema(name="images", columns=columns)
    return DatasetSchema(kind="image", tables=(table,), target=target)


def _batch(schema: DatasetSchema, images: list[np.ndarray], labels: list[Any]) -> pa.RecordBatch:
    rows = []
    for pixels, label in zip(images, labels, strict=True):
        image = Image.fromarray(pixels)
        stream = io.BytesIO()
        image.save(stream, format="PNG")
        rows.append(
            {
                "image": {"bytes": stream.getvalue(), "path": "a/b.png"},
                "label": label,
                "width": image.width,
                "height": image.height,
                "mode": image.mode,
            }
        )
    fields = arrow_schema(schema.main)
    return pa.RecordBatch.from_pylist([{f.name: r[f.name] for f in fields} for r in rows], fields)


def _fit(schema: DatasetSchema, batch: pa.RecordBatch) -> ImageEncoder:
    return ImageEncoder.fit(schema, lambda: iter([batch]), np.random.default_rng(0))


def _pixels(batch: pa.RecordBatch) -> list[np.ndarray]:
    images = batch.column("image").to_pylist()
    return [np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in images]


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (4, 9, 3), (28, 28, 3)], ids=str)
@pytest.mark.parametrize("target", ["label", None])
def test_pixels_and_labels_come_back(shape: tuple[int, ...], target: str | None) -> None:
    images = [RNG.integers(0, 256, shape, dtype=np.uint8) for _ in range(12)]
    schema = _schema(target)
    batch = _batch(schema, images, ["b", "a", "b", "a", "c", "a"] * 2)
    encoder = _fit(schema, batch)
    encoded = encoder.encode(batch)
    channels = 3 if len(shape) == 3 else 1
    assert encoded["pixels"].shape == (12, channels, shape[0], shape[1])
    assert encoded["pixels"].dtype == encoded["labels"].dtype == torch.uint8
    rows = encoder.decode(encoded, np.random.default_rng(0), first_row=10)
    assert all(np.array_equal(*pair) for pair in zip(_pixels(rows), images, strict=True))
    for name in batch.schema.names[1:]:
        assert rows.column(name).equals(batch.column(name)), name
    assert rows.column("image")[0]["path"].as_py() == "00000010.png"


def test_pixels_are_levels_that_occur() -> None:
    schema = _schema()
    images = [np.full((4, 4), value, dtype=np.uint8) for value in (0, 100, 255)] * 3
    encoder = _fit(schema, _batch(schema, images, ["x", "y", "x"] * 3))
    assert encoder.levels.tolist() == [0, 100, 255]
    assert encoder.level_counts.tolist() == [48, 48, 48]
    assert encoder.labels.counts.tolist() == [6, 3]
    new = [np.full((4, 4), value, dtype=np.uint8) for value in (49, 51, 200)]
    pixels = encoder.encode(_batch(schema, new, ["x"] * 3))["pixels"]
    assert pixels[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_equal_tensors_give_equal_bytes_and_state_the_same_encoder() -> None:
    schema = _schema()
    images = [RNG.integers(0, 256, (6, 6), dtype=np.uint8) for _ in range(10)]
    batch = _batch(schema, images, ["b", "a"] * 5)
    encoder = _fit(schema, batch)
    content, arrays = encoder.state()
    again = ImageEncoder.from_state(schema, json.loads(json.dumps(content)), arrays)
    encoded = encoder.encode(batch)
    one, other = (e.decode(encoded, np.random.default_rng(1)) for e in (encoder, again))
    assert one.equals(other)


def _gray(height: int, width: int, n: int = 1) -> list[np.ndarray]:
    return [np.zeros((height, width), dtype=np.uint8)] * n


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (_gray(8, 8, 3) + _gray(9, 8), "3 of 8 x 8 L, 1 of 8 x 9 L"),
        ([*_gray(8, 8), np.zeros((8, 8, 3), np.uint8)], "1 of 8 x 8 L, 1 of 8 x 8 RGB"),
        (_gray(3, 8, 2), "4 pixels a side at least, found 2 of 8 x 3 L"),
        ([np.zeros((8, 8, 4), np.uint8)] * 2, "found 2 of 8 x 8 RGBA"),
        (_gray(8, 8), "two training images at least, found 1"),
    ],
    ids=["sizes", "modes", "small", "alpha", "one"],
)
def test_images_that_do_not_fit_are_refused(images: list[np.ndarray], message: str) -> None:
    schema = _schema()
    with pytest.raises(DataError, match=message):
        _fit(schema, _batch(schema, images, ["x"] * len(images)))


def test_other_faults_are_told() -> None:
    schema = _schema()
    good = _batch(schema, _gray(8, 8, 10), ["x", "y"] * 5)
    encoder = _fit(schema, good)
    with pytest.raises(DataError, match=r"expected labels among \['x', 'y'\], found \['z'\]"):
        encoder.encode(_batch(schema, _gray(8, 8), ["z"]))
    with pytest.raises(DataError, match="expected images of 8 x 8 pixels and 1 channels"):
        encoder.encode(_batch(schema, _gray(8, 9), ["x"]))
    with pytest.raises(DataError, match="1 without one"):
        _fit(schema, _batch(schema, _gray(8, 8, 2), ["x", None]))
    with pytest.raises(DataError, match=r"found also \['camera'\]"):
        _fit(_schema("label", Column(name="camera", type="string", meaning="text")), good)
    broken = good.set_column(
        0, good.schema.field(0), pa.array([{"bytes": b"no", "path": ""}] * 10, good.schema.types[0])
    )
    with pytest.raises(DataError, match="cannot read the image in row 0"):
        _fit(schema, broken)


def test_a_rare_label_is_learned_and_never_published() -> None:
    schema = _schema()
    labels = ["often"] * 5 + ["rare"] * 4
    batch = _batch(schema, _gray(8, 8, 9), labels)
    encoder = _fit(schema, batch)
    assert encoder.encode(batch)["labels"].tolist() == [0] * 5 + [1] * 4
    assert encoder.labels.shares.tolist() == [1.0, 0.0]
    assert encoder.labels.index("often") == 0
    with pytest.raises(DataError, match="'rare' has 4 training rows, and is published from 5 on"):
        encoder.labels.index("rare")
    with pytest.raises(DataError, match=r"at least 5 rows have, found 2 rarer ones"):
        _fit(schema, _batch(schema, _gray(8, 8, 4), ["x", "y"] * 2))
