"""Images in folders and .npz files are written back as they were read, and faults have their place."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.commands.examples import check_output
from tasks.commands.labelled_images import LabelledImages, read_images
from tasks.errors import DataError, ParamsError, SourceError, WorkspaceError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (24, 5, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (24, 5, 7, 3), dtype=np.uint8)
DIGITS = np.arange(24) % 3

ARRAYS: dict[str, dict[str, Any]] = {
    "grey": {"x": GREY, "y": DIGITS},
    "one colour": {"x": GREY[..., None], "y": DIGITS.astype(np.uint8)[:, None]},
    "colour": {"x": COLOUR, "y": np.array(["cat", "dog", "cow"])[DIGITS]},
    "colours first": {"x": COLOUR.transpose(0, 3, 1, 2).copy(), "y": DIGITS.astype(np.int16)},
    "bytes as labels": {"x": GREY, "y": np.array([b"cat", b"dog", b"cow"])[DIGITS]},
    "black or white": {"x": GREY > 99, "y": DIGITS == 1},
    "no labels": {"x": GREY},
    "other names": {"pictures": GREY, "classes": DIGITS},
}


def _stored(path: Path, tmp_path: Path) -> LabelledImages:
    return read_images(path, tmp_path / "stored")


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_written_as_they_were(name: str, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "in.npz", **ARRAYS[name])
    images = _stored(tmp_path / "in.npz", tmp_path)
    assert images.n_rows == 24
    images.write(tmp_path / "out.npz", images.rows(), 24)
    with np.load(tmp_path / "out.npz") as written:
        assert written.files == list(ARRAYS[name])
        for key, values in ARRAYS[name].items():
            assert written[key].dtype == values.dtype
            np.testing.assert_array_equal(written[key], values)
    # The same bytes as NumPy writes, so there is no clock in them.
    assert (tmp_path / "out.npz").read_bytes()[:64] == (tmp_path / "in.npz").read_bytes()[:64]


def _folder(path: Path, labels: list[str]) -> Path:
    for i, label in enumerate(labels):
        (path / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(GREY[i]).save(path / label / f"{i}.bmp")
    return path


@pytest.mark.parametrize("labels", [["a", "b c", "é"] * 8, [""] * 24], ids=["labels", "none"])
def test_folders_are_written_as_they_were(labels: list[str], tmp_path: Path) -> None:
    images = _stored(_folder(tmp_path / "in", labels), tmp_path)
    images.write(tmp_path / "out", images.rows(), 24)
    written = sorted(path.relative_to(tmp_path / "out") for path in tmp_path.glob("out/**/*.png"))
    assert [path.name for path in sorted(written, key=lambda p: p.name)] == [
        f"{i:08d}.png" for i in range(24)
    ]
    assert sorted({path.parent.name for path in written}) == sorted(set(labels))
    pixels = {np.asarray(Image.open(tmp_path / "out" / path)).tobytes() for path in written}
    assert pixels == {image.tobytes() for image in GREY}


def _broken(path: Path) -> None:
    (path / "a" / "0.bmp").write_bytes((path / "a" / "0.bmp").read_bytes()[:70])


def _larger(path: Path) -> None:
    Image.fromarray(COLOUR[0]).resize((9, 9)).save(path / "a" / "x.png")


def _loose(path: Path) -> None:
    Image.fromarray(GREY[0]).save(path / "loose.png")


def _transparent(path: Path) -> None:
    Image.new("RGBA", (7, 5)).save(path / "a" / "x.png")


def _described(path: Path) -> None:
    (path / "metadata.csv").write_text("file_name,label\na/0.bmp,a\n")


@pytest.mark.parametrize(
    ("harm", "error", "message"),
    [
        (_broken, SourceError, "in/a/0.bmp is damaged: .*\n.*add .* --set skip_unreadable=true"),
        (_larger, DataError, "7 x 5 pixels in grey .* and 9 x 9 pixels in colour .a/x.png."),
        (_loose, SourceError, "(?s)loose.png is in no folder of a label.*--set target=null"),
        (_transparent, SourceError, "(?s)`mode: RGB`.*takes"),
        (_described, SourceError, "found a file of metadata"),
    ],
)
def test_a_bad_folder_is_refused(
    harm: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = _folder(tmp_path / "in", ["a", "b"] * 12)
    harm(path)
    with pytest.raises(error, match=message):
        _stored(path, tmp_path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": GREY, "y": DIGITS[:9]}, "expected a label for each image"),
        ({"x": GREY / 255, "y": DIGITS}, r"expected images of unsigned bytes .uint8., found 'x'"),
        ({"x": GREY, "y": DIGITS / 2}, "expected labels that are whole numbers, texts or truth"),
        ({"x": GREY, "y": np.array([{}] * 24)}, "objects"),
        ({"x": GREY[:, 0, 0], "y": DIGITS}, "expected images .n, height, width."),
        ({"x": COLOUR[..., :2], "y": DIGITS}, "with 1 or 3 colours"),
        ({"x": GREY, "a": DIGITS, "b": DIGITS}, "call the labels 'y'"),
        ({}, "expected an array 'x' of images .* found none"),
    ],
    ids=["length", "float", "float labels", "objects", "flat", "two colours", "which", "empty"],
)
def test_bad_arrays_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", **arrays)
    with pytest.raises(SourceError, match=message):
        _stored(tmp_path / "in.npz", tmp_path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.npz").write_bytes(b"PK\3\4 and then nothing")
    with pytest.raises(SourceError, match="is it whole"):
        _stored(tmp_path / "in.npz", tmp_path)


def test_other_files_and_arrays_are_told(tmp_path: Path) -> None:
    path = _folder(tmp_path / "in", ["a", "b"] * 12)
    (path / "a" / "notes.txt").write_text("x")
    (path / "c").mkdir()
    (path / "b").rename(path / ".b")
    (path / "a" / "a").mkdir()
    (path / "a" / "0.bmp").rename(path / "a" / "a" / "0.bmp")
    assert _stored(path, tmp_path).notes == [
        f"{path}: 1 files that are no images of a known format were left out",
        f"{path}: 12 images in hidden folders (.name) were left out",
        f"{path}: 1 folders are of labels that no image has",
        f"{path}: 1 images lie in folders of folders; their label is the outermost",
    ]
    np.savez(tmp_path / "in.npz", x=GREY, y=DIGITS, when=np.arange(3))
    arrays = read_images(tmp_path / "in.npz", tmp_path / "arrays")
    assert arrays.notes == [f"{tmp_path / 'in.npz'}: the arrays when were left out"]
    np.savez(tmp_path / "ids.npz", x=GREY, ids=np.arange(24))
    (note,) = read_images(tmp_path / "ids.npz", tmp_path / "ids").notes
    assert "the array ids was taken for the labels" in note


def test_no_images_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=GREY[:0], y=DIGITS[:0])
    with pytest.raises(DataError, match=r"expected images in .*in.npz, found none"):
        _stored(tmp_path / "in.npz", tmp_path)


def test_only_a_known_label_can_be_held(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=GREY, y=DIGITS)
    images = _stored(tmp_path / "in.npz", tmp_path)
    assert images.value("label", "2") == 2
    with pytest.raises(ParamsError, match="label=7: expected one of the labels '0', '1', '2'"):
        images.value("label", "7")


def test_a_folder_is_written_where_nothing_is_lost(tmp_path: Path) -> None:
    source = _folder(tmp_path / "in", ["a"] * 3)
    for output, message in (
        (source, "would replace the input"),
        (source / "out", "among the real images"),
        (tmp_path, "with something in it"),
        (tmp_path / "no" / "out", "make it first"),
        (tmp_path / "out.npz", "is called like a file"),
    ):
        with pytest.raises(WorkspaceError, match=message):
            check_output(source, output, is_folder=True)
    (tmp_path / "empty").mkdir()
    check_output(source, tmp_path / "empty", is_folder=True)
