"""IDX files: what is read, in which parts, and what is refused with its place."""

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import SourceError
from tasks.sources import idx
from tasks.sources.idx import IdxSource

PIXELS = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)


def idx_bytes(values: np.ndarray) -> bytes:
    code = {"uint8": 8, "int32": 12, "float32": 13}[values.dtype.name]
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    big_endian = values.astype(values.dtype.newbyteorder(">"))
    return bytes([0, 0, code, values.ndim]) + sizes + big_endian.tobytes()


def source(folder: Path, images: bytes, labels: bytes | None = None, **settings) -> IdxSource:
    (folder / "images").write_bytes(images)
    given = {"images": "images"} | settings
    if labels is not None:
        (folder / "labels").write_bytes(labels)
        given["labels"] = "labels"
    target = "label" if labels is not None else None
    return IdxSource(given, kind="image", target=target, project=folder)


def rows(opened: IdxSource) -> list[dict]:
    return [row for batch in opened.read("images") for row in batch.to_pylist()]


def pixels_of(row: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "labels", [np.array([7, 0, 255], np.uint8), np.array([-1, 0, 9], np.int32)]
)
def test_images_and_labels_come_exactly(tmp_path, pack, labels):
    opened = source(tmp_path, pack(idx_bytes(PIXELS)), pack(idx_bytes(labels)))
    found = rows(opened)
    assert all(np.array_equal(pixels_of(r), p) for r, p in zip(found, PIXELS, strict=True))
    assert [r["label"] for r in found] == labels.tolist()
    assert [r["image"]["path"] for r in found] == [f"0000000{i}.png" for i in range(3)]
    assert (found[0]["width"], found[0]["height"], found[0]["mode"]) == (4, 2, "L")
    assert opened.schema().main.column("label").meaning == "categorical"


def test_parts_are_ranges_that_are_read_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "PART_BYTES", 16)
    opened = source(tmp_path, idx_bytes(PIXELS), idx_bytes(np.array([1, 2, 3], np.uint8)))
    table = opened.schema().main
    first, second = opened.parts(table)
    assert (second.place["start"], second.place["stop"]) == (2, 3)
    settings = {"images": "images", "labels": "labels"}
    elsewhere = IdxSource(settings, kind="image", target="label", project=tmp_path)
    (batch,) = elsewhere.read_part(table, second)
    assert batch["label"].to_pylist() == [3]
    assert sum(batch.num_rows for batch in opened.read_part(table, first)) == 2


def test_colour_and_images_without_labels(tmp_path):
    colours = np.arange(2 * 5 * 4 * 3, dtype=np.uint8).reshape(2, 5, 4, 3)
    opened = source(tmp_path, idx_bytes(colours))
    assert opened.schema().main.column_names == ["image", "width", "height", "mode"]
    found = rows(opened)
    assert np.array_equal(pixels_of(found[1]), colours[1])
    assert found[0]["mode"] == "RGB"
    (grey, _) = rows(source(tmp_path, idx_bytes(colours), mode="L"))
    assert grey["mode"] == "L"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (b"", b"", "images to begin with the magic number .*, found an empty file"),
        (b"\x89PNG\r\n", b"", "magic number .*, found 89 50 4e 47"),
        (b"\0\0\x08\x03\0\0\0", b"", "images is cut off in its header: expected 3 dimensions"),
        (idx_bytes(PIXELS)[:-9], b"", "cut off at byte 31: .* take 40 bytes; number 1, counted"),
        (idx_bytes(PIXELS) + b"\0", b"", "goes on after its last value: .* 40 bytes, found 41"),
        (idx_bytes(PIXELS.astype(np.float32)), b"", "found 3 x 2 x 4 values of type float32"),
        (idx_bytes(PIXELS[0]), b"", "expected images .* found 2 x 4 values"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 0, 0, 4), b"", "expected images of 1 to"),
        (
            b"\0\0\x08\x03" + struct.pack(">3I", 0, 2**16, 2**16),
            b"",
            "expected images of 1 to 67108864 pixels, found 65536 x 65536",
        ),
        (idx_bytes(PIXELS), idx_bytes(PIXELS), "did `images` and `labels` change places"),
        (
            idx_bytes(PIXELS),
            idx_bytes(np.zeros(2, np.uint8)),
            "found 3 images in images and 2 labels in labels",
        ),
        (
            gzip.compress(idx_bytes(PIXELS)[:-9], mtime=0),
            None,
            "ends early: .* number 1, counted from 0",
        ),
        (gzip.compress(idx_bytes(PIXELS) + b"\0", mtime=0), None, "goes on after its last value"),
        (
            gzip.compress(idx_bytes(PIXELS), mtime=0)[:-9],
            None,
            "is damaged at number|cannot read images",
        ),
        (gzip.compress(idx_bytes(PIXELS), mtime=0)[:12], None, "cannot read images: .*ended"),
    ],
)
def test_a_file_that_is_not_what_its_header_says_is_refused(tmp_path, images, labels, message):
    with pytest.raises(SourceError, match=message):
        rows(source(tmp_path, images, labels))


def test_a_missing_file_is_named(tmp_path):
    opened = IdxSource({"images": "gone"}, kind="image", target=None, project=tmp_path)
    with pytest.raises(SourceError, match=r"expected a file at .*gone, found none"):
        opened.schema()
