"""Folders of images: what is kept, what is left behind, what is refused."""

import io
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tasks.errors import SourceError
from tasks.sources import _pictures, images
from tasks.sources.images import ImageSource
from tests.datasets import png

METADATA = [
    {"file_name": "b.png", "kind": "cat", "age": 3},
    {"file_name": "a/c.png", "kind": "dog", "age": 4},
]


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


def test_a_name_that_is_not_utf8_is_told(tmp_path):
    put(tmp_path, "a/x.png", png())
    put(tmp_path, os.fsdecode(b"a/y\xff.png"), png())
    with (
        pytest.raises(SourceError, match=r"found the file b'a/y\\xff\.png'"),
        source(tmp_path) as o,
    ):
        rows(o)


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
        (b"", "is not an image of a known format"),
        (b"GIF89a", "is not an image|cannot be read"),
        (b"<html>Not found</html>", "is not an image of a known format"),
        (png(3, size=(64, 64))[:-30], "is damaged"),
        (png()[:-20], "is damaged: chunk 'IDAT' at byte 33"),
        (png()[:-12], "is damaged: chunk '.{16}' at byte"),
        (png()[:-1], "is damaged: chunk 'IEND' at byte"),
        (png(3, size=(64, 64))[:20], "cannot be read|is not an image"),
        (encoded(Image.new("RGB", (64, 64)), "JPEG")[:-300], "is damaged|cannot be read"),
        (encoded(Image.new("RGB", (64, 64)), "BMP")[:-300], "is damaged"),
        (encoded(Image.new("RGB", (64, 64)), "TIFF")[:-300], "is damaged|cannot be read"),
        (encoded(Image.new("RGB", (64, 64), "red"), "WEBP")[:-20], "is damaged|cannot be read"),
        (bomb(), "cannot be read|pixels, more than"),
        (encoded(Image.new("RGBA", (2, 2))), "is of mode RGBA and transparent"),
        (encoded(Image.new("L", (2, 2)), transparency=0), "is of mode L and transparent"),
        (encoded(Image.new("I;16", (2, 2))), "is of mode I;16"),
        (encoded(Image.new("F", (2, 2)), "TIFF"), "is of mode F"),
        (encoded(Image.new("CMYK", (2, 2)), "JPEG"), "is of mode CMYK"),
        (
            encoded(
                Image.new("L", (2, 2)), save_all=True, append_images=[Image.new("L", (2, 2), 9)]
            ),
            "is an animation",
        ),
        (
            encoded(
                Image.new("L", (2, 2)),
                "TIFF",
                save_all=True,
                append_images=[Image.new("L", (2, 2), 9)],
            ),
            "is an animation or has several pages",
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
    assert lenient.counts() == {
        "other_files": 0,
        "images_in_hidden_folders": 0,
        "unreadable_images": 1,
        "misnamed_images": 0,
        "folders_without_images": 0,
    }


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_damaged_end_is_damage_in_any_mode(tmp_path, mode):
    put(tmp_path, "a/1.png", encoded(Image.new("RGB", (4, 4)))[:-12])
    with pytest.raises(SourceError, match=r"1\.png is damaged: chunk"):
        rows(source(tmp_path, mode=mode))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_white_are_refused_in_any_mode(tmp_path, mode):
    put(tmp_path, "a/1.tif", encoded(Image.new(mode, (2, 2), 7), "TIFF"))
    with pytest.raises(SourceError, match=r"pixels, of which no one says what is white"):
        rows(source(tmp_path, mode="L"))


def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    put(tmp_path, "a/1.png", png())
    os.mkfifo(tmp_path / "pictures" / "a" / "2.png")
    with pytest.raises(SourceError, match=r"2\.png is no plain file"):
        rows(source(tmp_path))


def test_folders_of_labels_without_images_are_counted(tmp_path):
    put(tmp_path, "a/1.png", png())
    put(tmp_path, "b/notes.txt", b"x")
    (tmp_path / "pictures" / "c" / "d").mkdir(parents=True)
    opened = source(tmp_path)
    assert len(rows(opened)) == 1
    assert opened.counts()["folders_without_images"] == 2


def test_images_in_hidden_folders_are_counted(tmp_path):
    for name in ("a/1.png", ".b/1.png", ".b/c/2.png"):
        put(tmp_path, name, png())
    put(tmp_path, ".git/config", b"x")
    opened = source(tmp_path)
    assert len(rows(opened)) == 1
    assert opened.counts()["images_in_hidden_folders"] == 2
    assert opened.counts()["other_files"] == 1


def test_our_limit_is_below_the_bombs_of_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(_pictures, "MAX_PIXELS", 11)
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


def test_batches_are_bounded_by_the_memory(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (700, 700), dtype=np.uint8)
    content = encoded(Image.fromarray(noise))  # 490 kB, as noise does not compress
    for i in range(5):
        put(tmp_path, f"a/{i}.png", content)
    opened = source(tmp_path, memory_mib=16, workers=4)  # batches of 1 MiB
    assert [batch.num_rows for batch in opened.read("images")] == [3, 2]


def test_parts_are_groups_of_files_and_can_be_read_alone_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "PART_FILES", 2)
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        put(tmp_path, name, png())
    put(tmp_path, "b/2.png", b"")
    opened = source(tmp_path, skip_unreadable=True)
    table = opened.schema().main
    first, second = opened.parts(table)
    assert first.place == {"files": ["a/1.png", "a/2.png"]}
    elsewhere = source(tmp_path, skip_unreadable=True)
    for _ in range(2):
        (batch,) = elsewhere.read_part(table, second)
        assert batch["label"].to_pylist() == ["b"]
    assert elsewhere.counts()["unreadable_images"] == 1


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_every_format_is_read_and_one_under_a_wrong_suffix_is_counted(tmp_path, form):
    put(tmp_path, "a/1.bmp", encoded(Image.new("L", (8, 8), 200), form))
    opened = source(tmp_path)
    (row,) = rows(opened)
    with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
        pixels = np.asarray(image)
    assert (pixels == 200).all()
    assert opened.counts()["misnamed_images"] == (form != "BMP")


@pytest.mark.parametrize(
    ("image", "mode", "pixel"),
    [
        (Image.new("RGBA", (2, 2), (200, 0, 0, 0)), "RGB", (255, 255, 255)),
        (Image.new("RGBA", (2, 2), (200, 0, 0, 255)), "RGB", (200, 0, 0)),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 51)), "L", 204),  # a fifth of black on white
        (Image.new("LA", (2, 2), (9, 255)), "L", 9),
        (Image.new("I;16", (2, 2), 65_535), "L", 255),
        (Image.new("I;16", (2, 2), 257 * 7), "L", 7),
        (Image.new("RGB", (2, 2), (255, 0, 0)), "L", 76),  # 0.299 of 255
        (Image.new("L", (2, 2), 9), "RGB", (9, 9, 9)),
    ],
)
def test_a_mode_converts_what_would_be_refused(tmp_path, image, mode, pixel):
    put(tmp_path, "a/1.png", encoded(image))
    (row,) = rows(source(tmp_path, mode=mode))
    assert row["mode"] == mode
    assert Image.open(io.BytesIO(row["image"]["bytes"])).getpixel((0, 0)) == pixel


def test_a_flat_folder_has_no_labels(tmp_path):
    for name in ("2.png", "1.png", "more/1.png"):
        put(tmp_path, name, png())
    opened = ImageSource({"path": "pictures"}, kind="image", target=None, project=tmp_path)
    assert opened.schema().main.column_names == ["image", "width", "height", "mode"]
    assert [r["image"]["path"] for r in rows(opened)] == ["1.png", "2.png", "more/1.png"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", "file_name,kind,age\nb.png,cat,3\na/c.png,dog,4\n"),
        ("metadata.jsonl", "\n".join(map(json.dumps, METADATA))),
    ],
)
def test_metadata_gives_labels_and_columns(tmp_path, name, content):
    for image in ("b.png", "a/c.png", "unlisted.png"):
        put(tmp_path, image, png())
    put(tmp_path, name, content.encode())
    opened = ImageSource({"path": "pictures"}, kind="image", target="kind", project=tmp_path)
    schema = opened.schema()
    assert schema.main.column_names == ["image", "kind", "age", "width", "height", "mode"]
    assert opened.observes
    assert [(r["image"]["path"], r["kind"], r["age"]) for r in rows(opened)] == [
        ("a/c.png", "dog", 4),
        ("b.png", "cat", 3),
    ]
    assert opened.counts() == {
        "other_files": 0,
        "images_in_hidden_folders": 0,
        "unreadable_images": 0,
        "misnamed_images": 0,
        "images_without_metadata": 1,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file_name,k\nb.png,x\ngone.png,y\n", r"metadata\.csv, row 2: expected the image"),
        ("file_name,k\nb.png,x\nb.png,y\n", "row 2: 'b.png' is named twice, first in row 1"),
        ("file_name,k\n../b.png,x\n", "row 1: expected the name of an image in the folder"),
        ("file_name,k\n/etc/b.png,x\n", "row 1: expected the name of an image in the folder"),
        ("name,k\nb.png,x\n", "expected a column 'file_name'"),
        ("file_name,k,width\nb.png,x,3\n", r"the columns \['width'\] are the images' own"),
    ],
)
def test_metadata_that_does_not_fit_is_refused_with_its_row(tmp_path, content, message):
    put(tmp_path, "b.png", png())
    put(tmp_path, "metadata.csv", content.encode())
    opened = ImageSource({"path": "pictures"}, kind="image", target="k", project=tmp_path)
    with pytest.raises(SourceError, match=message):
        rows(opened)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """An empty object storage."""
    monkeypatch.setenv("PROOFMINT_HOME", str(tmp_path / "home"))
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/pictures", recursive=True)


def test_a_folder_may_be_in_object_storage(remote, tmp_path):
    for name in ("b/1.png", "a/2.png"):
        remote.pipe_file(f"/pictures/{name}", png())
    remote.pipe_file("/pictures/a/notes.txt", b"x")
    opened = source(tmp_path, path="memory://pictures")
    assert [(r["image"]["path"], r["label"]) for r in rows(opened)] == [
        ("a/2.png", "a"),
        ("b/1.png", "b"),
    ]
    assert opened.counts()["other_files"] == 1
    remote.pipe_file("/pictures/b/1.png", b"x")
    with pytest.raises(SourceError, match=r"memory://pictures/b/1\.png is not an image"):
        rows(source(tmp_path, path="memory://pictures"))
    remote.pipe_file("/pictures/b/1.png", png())
    remote.pipe_file("/pictures/metadata.csv", b"file_name,kind\nb/1.png,cat\n")
    given = {"path": "memory://pictures/"}
    listed = ImageSource(given, kind="image", target="kind", project=tmp_path)
    assert [(r["image"]["path"], r["kind"]) for r in rows(listed)] == [("b/1.png", "cat")]
