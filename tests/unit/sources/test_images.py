"""Folders of images: what is kept, what is left behind, what is refused."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tasks.errors import SourceError
from tasks.sources import images
from tasks.sources.images import ImageSource
from tests.datasets import png


def put(folder: Path, name: str, content: bytes) -> None:
    path = folder / "pictures" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def source(project: Path, **settings) -> ImageSource:
    given = {"path": "pictures"} | settings
    return ImageSource(given, kind="image", target="label", project=project)


def rows(opened: ImageSource) -> list[dict]:
    return [row for batch in opened.read("images") for row in batch.to_pylist()]


def encoded(image: Image.Image, form: str = "PNG", **save) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=form, **save)
    return stream.getvalue()


def test_images_come_by_label_and_name_with_their_sizes(tmp_path):
    put(tmp_path, "b/1.png", png(7))
    put(tmp_path, "a/2.png", png(0, mode="RGB", size=(2, 5)))
    put(tmp_path, "a/deep/1.PNG", png(255))
    found = rows(source(tmp_path))
    assert [
        (r["image"]["path"], r["label"], r["width"], r["height"], r["mode"]) for r in found
    ] == [
        ("a/2.png", "a", 2, 5, "RGB"),
        ("a/deep/1.PNG", "a", 4, 3, "L"),
        ("b/1.png", "b", 4, 3, "L"),
    ]
    assert found[2]["image"]["bytes"] == png(7)


def test_nothing_but_pixels_is_kept(tmp_path):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "Jane Doe")
    put(tmp_path, "a/1.png", png(9, pnginfo=notes))
    photo = Image.new("RGB", (6, 2), "red")
    exif = Image.Exif()
    exif[0x010E] = "Jane's house"
    exif[0x0112] = 6  # turned by a quarter
    put(tmp_path, "a/2.jpg", encoded(photo, "JPEG", exif=exif))
    first, second = rows(source(tmp_path))
    assert first["image"]["bytes"] == png(9)
    assert b"Jane" not in second["image"]["bytes"]
    assert (second["width"], second["height"]) == (2, 6)
    assert Image.open(io.BytesIO(second["image"]["bytes"])).format == "PNG"


def test_black_and_white_and_palettes_lose_nothing(tmp_path):
    pixels = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    put(tmp_path, "a/1.png", encoded(Image.fromarray(pixels).convert("1")))
    put(tmp_path, "a/2.png", encoded(Image.fromarray(pixels).convert("RGB").quantize(2)))
    first, second = rows(source(tmp_path))
    assert (first["mode"], second["mode"]) == ("L", "RGB")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(first["image"]["bytes"]))), pixels)


def bomb() -> bytes:
    """A PNG that says to be huge and is tiny."""
    content = bytearray(png())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a PNG or JPEG image"),
        (b"GIF89a", "is not a PNG or JPEG image"),
        (png(3, size=(64, 64))[:-30], "is damaged"),
        (png(3, size=(64, 64))[:20], "cannot be read|is not a PNG"),
        (bomb(), "cannot be read|pixels, more than"),
        (encoded(Image.new("RGBA", (2, 2))), "is of mode RGBA"),
        (encoded(Image.new("I;16", (2, 2))), "is of mode I;16"),
        (encoded(Image.new("CMYK", (2, 2)), "JPEG"), "is of mode CMYK"),
        (
            encoded(
                Image.new("L", (2, 2)), save_all=True, append_images=[Image.new("L", (2, 2), 9)]
            ),
            "is an animation",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_or_counted(tmp_path, content, message):
    put(tmp_path, "a/1.png", png())
    put(tmp_path, "a/2.png", content)
    with pytest.raises(SourceError, match=rf"2\.png ({message})"):
        rows(source(tmp_path))
    lenient = source(tmp_path, skip_unreadable=True)
    assert len(rows(lenient)) == 1
    assert lenient.counts() == {"other_files": 0, "unreadable_images": 1}


def test_our_limit_is_below_the_bombs_of_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 11)
    put(tmp_path, "a/1.png", png(size=(4, 3)))
    with pytest.raises(SourceError, match="has 4 x 3 pixels, more than 11"):
        rows(source(tmp_path))


def test_other_files_are_counted_and_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(SourceError, match="expected a folder of images"):
        rows(source(tmp_path))
    put(tmp_path, "a/notes.txt", b"x")
    with pytest.raises(SourceError, match=r"in sub-folders of .*, found none"):
        rows(source(tmp_path))
    put(tmp_path, "a/1.png", png())
    put(tmp_path, "a/._1.png", b"x")
    put(tmp_path, "README.md", b"x")
    opened = source(tmp_path)
    assert len(rows(opened)) == 1
    assert opened.counts()["other_files"] == 3
    put(tmp_path, "loose.png", png())
    with pytest.raises(SourceError, match="is in no folder of a label"):
        rows(source(tmp_path))


def test_batches_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "BATCH_BYTES", 100)
    for i in range(5):
        put(tmp_path, f"a/{i}.png", png(i))
    sizes = [batch.num_rows for batch in source(tmp_path).read("images")]
    assert sum(sizes) == 5
    assert max(sizes) == 2
