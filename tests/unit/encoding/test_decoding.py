"""Files of images -> pixels, by the quick decoder and by Pillow."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tasks.encoding import decoding
from tasks.encoding.decoding import Picture, decode_images
from tasks.errors import DataError
from tasks.schema import IMAGE_TYPE

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def _file(mode: str = "RGB", form: str = "PNG", **save: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(stream, format=form, **save)
    return stream.getvalue()


def _decode(*files: bytes | None) -> list[Picture]:
    cells = [{"bytes": file, "path": "x"} for file in files]
    return list(decode_images(pa.array(cells, IMAGE_TYPE)))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_common_files_need_no_pillow(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    file = _file(mode)
    monkeypatch.setattr(decoding, "_decode_any", refuse)
    (found,) = _decode(file)
    assert found.mode == mode
    assert np.array_equal(found.pixels, np.asarray(Image.open(io.BytesIO(file))))


@pytest.mark.parametrize(
    "file",
    [
        _file("P"),
        _file("1"),
        _file("LA"),
        _file("RGBA"),
        _file("I;16"),
        _file("L", transparency=3),
        _file("RGB", "JPEG"),
        _file("L", "BMP"),
        _file("RGB")[:-12],  # without its last chunk, which holds nothing
    ],
)
def test_other_files_are_what_pillow_says(file: bytes) -> None:
    (found,) = _decode(file)
    with Image.open(io.BytesIO(file)) as image:
        assert found.mode == image.mode
        assert np.array_equal(found.pixels, np.asarray(image))


@pytest.mark.parametrize(
    "broken",
    [None, b"", b"\x89PNG\r\n\x1a\n", _file()[:70], b"no image", _file("RGB", "JPEG")[:50]],
)
def test_what_cannot_be_read_is_named_by_its_row(broken: bytes | None) -> None:
    with pytest.raises(DataError, match=r"cannot read the image in row 1 of a batch"):
        _decode(_file(), broken)


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match=r"row 0 .* exceeds limit of 40 pixels"):
        _decode(_file())


def test_a_changed_byte_is_noticed() -> None:
    file = bytearray(_file("L"))
    file[50] ^= 255
    with pytest.raises(DataError, match="cannot read the image in row 0"):
        _decode(bytes(file))
