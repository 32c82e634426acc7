"""Images of one size and mode, with pixels worked out by hand."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tasks.errors import DataError, ParamsError
from tasks.schema import IMAGE_TYPE
from tests.cleaned import clean
from tests.datasets import png


def file(image, name="x.png", **save):
    stream = io.BytesIO()
    image.save(stream, format="PNG", **save)
    return {"bytes": stream.getvalue(), "path": name}


def columns(*images):
    opened = [i and Image.open(io.BytesIO(i["bytes"])) for i in images]
    return {
        "image": pa.array(images, IMAGE_TYPE),
        "width": pa.array([o and o.width for o in opened], pa.int32()),
        "height": pa.array([o and o.height for o in opened], pa.int32()),
        "mode": pa.array([o and o.mode for o in opened], pa.string()),
    }


def pixels(image):
    with Image.open(io.BytesIO(image["bytes"])) as opened:
        return np.asarray(opened).tolist()


def test_mixed_sizes_and_modes_become_one_and_are_counted():
    images = [
        {"bytes": png(7, size=(4, 4)), "path": "a.png"},
        {"bytes": png(7, size=(8, 2)), "path": "b.png"},
        file(Image.new("RGB", (4, 4), (255, 0, 0)), "c.png"),
        None,
        file(Image.new("RGB", (1, 1), (0, 0, 0)), "d.png"),
    ]
    found = clean(columns(*images), {"images": {"size": [4, 4], "mode": "L"}})
    # What has the form already keeps its bytes.
    assert found.rows[0]["image"] == images[0]
    assert pixels(found.rows[1]["image"]) == [[7] * 4] * 4
    assert pixels(found.rows[2]["image"]) == [[76] * 4] * 4  # 0.299 of 255
    assert found.rows[3] == {"image": None, "width": None, "height": None, "mode": None}
    assert pixels(found.rows[4]["image"]) == [[0] * 4] * 4
    assert found.values("width") == found.values("height") == [4, 4, 4, None, 4]
    assert found.values("mode") == ["L", "L", "L", None, "L"]
    assert found.effects["images"] == {
        "rows_dropped": 0,
        "resized": {"image": 2},
        "converted": {"image": 2},
    }


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        # The border is 0 in its median, the bright stripe is in the middle of 6 x 2 pixels.
        (
            "pad",
            [[0] * 6, [0] * 6, [0, 0, 200, 200, 0, 0], [0, 0, 200, 200, 0, 0], [0] * 6, [0] * 6],
        ),
        ("crop", None),
        ("stretch", [[0, 0, 200, 200, 0, 0]] * 6),
    ],
)
def test_another_shape_is_padded_cropped_or_stretched(fit, expected):
    stripe = np.zeros((2, 6), dtype=np.uint8)
    stripe[:, 2:4] = 200
    form = {"size": [6, 6] if expected else [2, 2], "fit": fit}
    found = clean(columns(file(Image.fromarray(stripe))), {"images": form})
    assert pixels(found.rows[0]["image"]) == (expected or [[200, 200]] * 2)


def test_a_thin_image_keeps_a_pixel():
    found = clean(columns(file(Image.new("L", (1, 300), 9))), {"images": {"size": [5, 5]}})
    assert pixels(found.rows[0]["image"]) == [[9] * 5] * 5


def test_what_is_transparent_becomes_white():
    image = file(Image.new("RGBA", (2, 2), (0, 0, 0, 51)))
    found = clean(columns(image), {"images": {"mode": "L"}})
    assert pixels(found.rows[0]["image"]) == [[204] * 2] * 2
    assert found.effects["images"]["converted"] == {"image": 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fit": "pad"}, "`size`, `mode` or both"),
        ({"size": [0, 4]}, "greater than or equal to 1"),
        ({"size": [28]}, "at least 2 items"),
        ({"size": [60_000, 60_000]}, "at most 67,108,864 pixels"),
        ({"sise": [4, 4]}, "unknown key; choose one of: size, mode, fit"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ParamsError, match=message):
        clean(columns({"bytes": png(), "path": "a.png"}), {"images": settings})


def test_a_table_without_images_is_refused():
    with pytest.raises(ParamsError, match="a column of images, found none"):
        clean({"x": pa.array([1])}, {"images": {"size": [4, 4]}})


@pytest.mark.parametrize("content", [b"", b"text", png()[:-12]])
def test_a_damaged_image_is_named(content):
    image = {"bytes": content, "path": "broken.png"}
    rows = {"image": pa.array([image], IMAGE_TYPE)}
    with pytest.raises(DataError, match=r"clean.images: 'broken.png' in 'image' "):
        clean(rows, {"images": {"size": [4, 4]}})


def test_equal_images_are_repetitions_once_they_have_one_form():
    images = [file(Image.new("RGB", (4, 4), (9, 9, 9)), "a.png"), file(Image.new("L", (4, 4), 9))]
    settings = {"images": {"mode": "L"}, "drop_duplicates": ["image"]}
    assert len(clean(columns(*images), settings).rows) == 1
