"""NPZ and NPY files: images and columns exactly, and what is refused with its place."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tasks.errors import ParamsError, SourceError
from tasks.schema import arrow_schema
from tasks.sources import npz
from tasks.sources.npz import NpzSource

GREY = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def source(project: Path, *, kind: Any = "tabular", target: str | None = None, **settings):
    given = {"path": "data.npz"} | settings
    return NpzSource(given, kind=kind, target=target, project=project)


def rows(opened: NpzSource) -> list[dict]:
    table = opened.schema().main
    found = pa.Table.from_batches(opened.read(table.name), arrow_schema(table))
    return found.to_pylist()


def pixels_of(row: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("labels", [np.array([2, 0, 1], np.uint8), np.array(["b", "a", "é"])])
def test_images_and_labels_are_found_by_their_shapes(tmp_path, save, labels):
    save(tmp_path / "data.npz", x=GREY, y=labels)
    opened = source(tmp_path, kind="image", target="label")
    found = rows(opened)
    assert all(np.array_equal(pixels_of(r), p) for r, p in zip(found, GREY, strict=True))
    assert [r["label"] for r in found] == labels.tolist()
    assert opened.schema().main.column("label").meaning == "categorical"
    assert opened.schema().main.name == "images"


def test_colours_may_come_first_or_last(tmp_path):
    colours = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    np.savez(tmp_path / "data.npz", x=colours, y=np.array([[1], [2]]))
    np.savez(tmp_path / "first.npz", x=colours.transpose(0, 3, 1, 2), y=np.array([1, 2]))
    last = rows(source(tmp_path, kind="image", target="label"))
    first = rows(source(tmp_path, kind="image", target="label", path="first.npz"))
    assert first == last
    assert np.array_equal(pixels_of(last[1]), colours[1])


def test_white_scales_other_values_and_bounds_them(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[[0.0, 0.5, 1.0, 0.2]]]))
    (row,) = rows(source(tmp_path, kind="image", path="x.npy", white=1.0))
    assert pixels_of(row).tolist() == [[0, 128, 255, 51]]
    with pytest.raises(SourceError, match=r"expected images of unsigned bytes, .* set `white`"):
        rows(source(tmp_path, kind="image", path="x.npy"))
    for wrong in (1.5, -0.1, np.nan):
        np.save(tmp_path / "x.npy", np.array([[[0.0]], [[wrong]]]))
        with pytest.raises(SourceError, match=r"x\.npy: image 1, counted from 0, has values"):
            rows(source(tmp_path, kind="image", path="x.npy", white=1.0))


def test_labels_may_have_a_file_of_their_own(tmp_path):
    np.save(tmp_path / "x.npy", GREY)
    np.save(tmp_path / "y.npy", np.array([5, 6, 7]))
    opened = source(tmp_path, kind="image", target="label", path="x.npy", labels="y.npy")
    assert [r["label"] for r in rows(opened)] == [5, 6, 7]


def test_parts_of_npy_files_are_ranges(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "PART_BYTES", 40)
    np.save(tmp_path / "x.npy", GREY)
    np.save(tmp_path / "y.npy", np.array([5, 6, 7]))
    settings = {"kind": "image", "target": "label", "path": "x.npy", "labels": "y.npy"}
    opened = source(tmp_path, **settings)
    table = opened.schema().main
    parts = opened.parts(table)
    assert [part.place["rows"] for part in parts] == [[0, 2], [2, 3]]
    (batch,) = source(tmp_path, **settings).read_part(table, parts[1])
    assert batch["label"].to_pylist() == [7]


def test_arrays_become_columns_exactly(tmp_path):
    arrays = {
        "big": np.array([2**63 - 1, -(2**63)]),
        "huge": np.array([2**64 - 1, 0], np.uint64),
        "swapped": np.array([1, 2], ">i2"),
        "half": np.array([0.5, np.nan], np.float16),
        "double": np.array([np.inf, 0.1]),
        "flag": np.array([True, False]),
        "text": np.array(["a,\n", ""]),
        "raw": np.array([b"caf\xc3\xa9", b""]),
        "day": np.array(["2020-02-29", "NaT"], "M8[D]"),
        "time": np.array(["2020-02-29T12:00:00.000001", "NaT"], "M8[us]"),
        "took": np.array([3, 4], "m8[s]"),
        "month": np.array(["2020-02", "2021-01"], "M8[M]"),
    }
    np.savez(tmp_path / "data.npz", **arrays)
    opened = source(tmp_path, target="flag")
    types = {c.name: c.type for c in opened.schema().main.columns}
    assert types == {
        "big": "int64",
        "huge": "uint64",
        "swapped": "int16",
        "half": "float",
        "double": "double",
        "flag": "bool",
        "text": "string",
        "raw": "string",
        "day": "date32[day]",
        "time": "timestamp[us]",
        "took": "duration[s]",
        "month": "date32[day]",
    }
    first, second = rows(opened)
    assert [str(first[name]) for name in arrays] == [
        "9223372036854775807",
        "18446744073709551615",
        "1",
        "0.5",
        "inf",
        "True",
        "a,\n",
        "café",
        "2020-02-29",
        "2020-02-29 12:00:00.000001",
        "0:00:03",
        "2020-02-01",
    ]
    assert np.isnan(second["half"])
    assert second["day"] is None


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_two_dimensions_are_several_columns(tmp_path, order):
    values = np.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], order=order)
    np.savez(tmp_path / "data.npz", x=values, y=np.array([0, 1, 0]))
    assert rows(source(tmp_path))[1] == {"x_0": 3.0, "x_1": 4.0, "y": 1}
    named = source(tmp_path, arrays=["x"], column_names={"x": ["a", "b"]})
    assert rows(named)[2] == {"a": 5.0, "b": 6.0}
    np.save(tmp_path / "x.npy", values)
    assert rows(source(tmp_path, path="x.npy"))[0] == {"x_0": 1.0, "x_1": 2.0}


def test_files_follow_each_other_and_must_be_alike(tmp_path):
    for i in (2, 1):
        np.savez(tmp_path / f"part{i}.npz", a=np.array([i]))
    assert [r["a"] for r in rows(source(tmp_path, path="part*.npz"))] == [1, 2]
    np.savez(tmp_path / "part3.npz", a=np.array([3.0]))
    with pytest.raises(SourceError, match=r"part3\.npz too: a \(int64\); found: a \(double\)"):
        rows(source(tmp_path, path="part*.npz"))


def npy(values: np.ndarray, **save) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, **save)
    return stream.getvalue()


def archive(*members: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return stream.getvalue()


NUMBERS = npy(np.arange(1000))
OBJECTS = npy(np.array([{}, []], dtype=object), allow_pickle=True)
RECORDS = npy(np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]))


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no array of NumPy"),
        (b"\x93NUMPY\x01", "is no array of NumPy"),
        (b"id,age\n1,2\n", "is no array of NumPy"),
        (archive(("a.npy", OBJECTS)), "'a' holds Python objects, which only unpickling could read"),
        (OBJECTS, "'data' holds Python objects"),
        (RECORDS, "'data' holds records or raw bytes"),
        (npy(np.array([1j])), "'data' holds complex numbers"),
        (npy(np.zeros(2, np.longdouble)), "has a type that no column has"),
        (npy(np.array(5)), "expected columns, .* found 'data' \\(one of int64\\)"),
        (npy(np.zeros((2, 2, 2))), "expected columns, .* found 'data' \\(2 x 2 x 2 of float64\\)"),
        (npy(np.zeros((2, 0))), "expected 1 to 10000 columns"),
        (npy(np.zeros((1, 20_000))), "expected 1 to 10000 columns"),
        (npy(np.array([b"\xff", b"a"])), "'data', row 0: expected text in UTF-8, found b'.xff"),
        (archive(("a.npy", NUMBERS), ("b.npy", npy(np.arange(7)))), "arrays of equal length"),
        (archive(("read.me", b"x")), "expected arrays in data.npz, found none"),
        (archive(("a.npy", NUMBERS[:-8])), "asks for 8128 bytes, the archive has 8120"),
        (NUMBERS[:-9], "take 8128 bytes, found 8119; row 998 is the first that is not whole"),
        (NUMBERS + b"\0", "take 8128 bytes, found 8129"),
        (archive(("a.npy", NUMBERS))[:-30], "cannot read data.npz: .* is it whole"),
        (flipped(archive(("a.npy", NUMBERS)), 300), "'a' is damaged from row 0|cannot read"),
        (archive(*[(f"{i}.npy", b"") for i in range(10_001)]), "10001 members"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content, message):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        rows(source(tmp_path))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "data.npz", a=np.zeros(2**20))
    assert (tmp_path / "data.npz").stat().st_size < 20_000
    with pytest.raises(
        SourceError, match=r"1 members of 8388\d+ bytes, more than .* `inflated_gib`"
    ):
        rows(source(tmp_path, inflated_gib=0.007))


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path):
    packed = bytearray(archive(("a.npy", npy(np.zeros(100_000)))))
    place = packed.rfind(b"PK\x01\x02") + 24  # the size in the directory
    packed[place : place + 4] = (len(npy(np.zeros(10)))).to_bytes(4, "little")
    (tmp_path / "data.npz").write_bytes(packed)
    with pytest.raises(SourceError, match=r"Bad CRC-32 for file 'a.npy'|the archive has 208"):
        rows(source(tmp_path))


def test_arrays_that_are_not_there_are_named_with_the_choices(tmp_path):
    np.savez(tmp_path / "data.npz", x=GREY, x2=GREY, y=np.arange(3))
    with pytest.raises(SourceError, match=r"that could be the images, found 2; it has 'x' \(3 x"):
        rows(source(tmp_path, kind="image"))
    with pytest.raises(SourceError, match=r"expected the array 'gone' in data.npz, which has 'x'"):
        rows(source(tmp_path, kind="image", images="gone"))
    with pytest.raises(SourceError, match="expected a label for each image"):
        rows(source(tmp_path, kind="image", images="x", labels="x2"))
    with pytest.raises(ParamsError, match="images and tables, found kind: text"):
        source(tmp_path, kind="text")
    np.savez(tmp_path / "data.npz", x=GREY, y=np.arange(2))
    with pytest.raises(
        SourceError, match=r"labels of the 3 images, found 0; .*'y' \(2 of .*or set `target: null`"
    ):
        rows(source(tmp_path, kind="image", target="label"))


def test_fortran_order_in_an_archive_must_fit_into_the_memory(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((2**20, 3), order="F"))
    assert source(tmp_path, memory_mib=32).schema().main.column_names == ["x_0", "x_1", "x_2"]
    with pytest.raises(SourceError, match="lies column by column"):
        source(tmp_path, memory_mib=16).schema()


def test_a_damaged_end_of_an_archive_is_seen_by_its_checksum(tmp_path):
    content = bytearray(archive(("a.npy", npy(np.arange(20_000)))))
    checksum = zlib.crc32(npy(np.arange(20_000))).to_bytes(4, "little")
    place = content.rfind(checksum)
    content[place] ^= 255
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(SourceError, match=r"'a' is damaged from row \d+ on: Bad CRC-32"):
        rows(source(tmp_path))


NUMBERS_AND_TEXTS = st.sampled_from(
    ["<i1", ">i2", "<i4", ">i8", "<u1", "<u8", "<f4", ">f8", "?", "<U3", "<M8[us]", "<m8[s]"]
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_array_comes_back_exactly(tmp_path, data):
    dtype = np.dtype(data.draw(NUMBERS_AND_TEXTS))
    shape = (data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3)))
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    texts = st.text(characters, max_size=3)
    elements = texts if dtype.kind == "U" else None
    values = data.draw(arrays(dtype, shape, elements=elements))
    if data.draw(st.booleans()):
        values = np.asfortranarray(values)
    suffix = data.draw(st.sampled_from(["npy", "npz"]))
    save = np.save if suffix == "npy" else np.savez_compressed
    save(tmp_path / f"a.{suffix}", values)
    opened = source(tmp_path, path=f"a.{suffix}")
    table = opened.schema().main
    found = pa.Table.from_batches(opened.read(table.name), arrow_schema(table))
    plain = values.astype(dtype.newbyteorder("="))
    for i, column in enumerate(found.columns):
        back = np.array(column.to_pylist(), dtype) if dtype.kind == "U" else column.to_numpy()
        assert back.astype(plain.dtype).tobytes() == plain[:, i].tobytes()
