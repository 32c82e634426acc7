"""Which rows are the same: tables, keys, images, texts; in memory and spilled to files."""

import datetime
import io
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.cleaning.digests import row_digests
from tasks.cleaning.repeats import Repeats
from tasks.errors import DataError
from tasks.schema import IMAGE_TYPE, DatasetSchema
from tests.cleaned import clean
from tests.datasets import IMAGES, png


def digests_of(values: pa.Array) -> list[bytes]:
    batch = pa.RecordBatch.from_arrays([values], names=["x"])
    return [row.tobytes() for row in row_digests(batch)]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, 1, -1, 2**63 - 1, -(2**63), None]),
        pa.array([0, 2**64 - 1, None], pa.uint64()),
        pa.array([0.0, 1.0, 5e-324, 1.7976931348623157e308, None]),
        pa.array([True, False, None]),
        pa.array(["", "a", "b", "ab", "a\0", "12345678", "123456789", "🙂", "🙃", None]),
        pa.array(["x" * n for n in range(300)] + ["x" * 299 + "y", None]),
        pa.array([b"", b"\0", b"\0\0", None]),
        pa.array([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), None]),
        pa.array([0, 1, None], pa.timestamp("us")),
        pa.array([datetime.time(1), datetime.time(2), None]),
        pa.array([datetime.timedelta(1), datetime.timedelta(2), None]),
        pa.array(
            [Decimal("1.10"), Decimal("-1.10"), Decimal(10) ** 35, None], pa.decimal128(38, 2)
        ),
    ],
    ids=lambda values: str(values.type),
)
def test_digests_tell_values_apart_wherever_they_lie(values):
    digests = digests_of(values)
    assert len(set(digests)) == len(values)
    assert digests_of(pa.concat_arrays([values[2:], values])[len(values) - 2 :]) == digests


def test_digests_see_in_which_column_a_value_is():
    rows = {"a": ["x", "y", "", "xy", None], "b": ["y", "x", "xy", "", "x"]}
    assert len({d.tobytes() for d in row_digests(pa.RecordBatch.from_pydict(rows))}) == 5


def test_digests_differ_in_half_of_their_bits():
    """Counted over 4,096 neighbours: 64 of 128 bits on average, in each lane 32."""
    batch = pa.RecordBatch.from_pydict({"x": np.arange(4_097), "y": np.zeros(4_097)})
    changes = np.unpackbits((row_digests(batch)[1:] ^ row_digests(batch)[:-1]).view(np.uint8))
    assert changes.mean() == pytest.approx(0.5, abs=0.005)


def test_zero_is_zero():
    assert len(set(digests_of(pa.array([0.0, -0.0])))) == 1


def test_rows_are_found_across_batches():
    rows = {"age": [5.0, 5.0, None, 5.0, None], "sex": ["f", "m", "f", "f", "f"]}
    found = clean(rows, {"drop_duplicates": True})
    assert found.rows == [
        {"age": 5.0, "sex": "f"},
        {"age": 5.0, "sex": "m"},
        {"age": None, "sex": "f"},
    ]
    assert found.effects == {"drop_duplicates": {"rows_dropped": 2}}


@pytest.mark.parametrize(("keep", "places"), [("first", [0, 1, 2, 5]), ("last", [1, 2, 4, 5])])
def test_of_rows_with_one_key_one_stays(keep, places):
    rows = {"key": [7, None, None, 7, 7, 8], "place": range(6)}
    found = clean(rows, {"drop_duplicates": {"by": ["key"], "keep": keep}})
    assert found.values("place") == places


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3) | st.none(), st.sampled_from("abé🙂")), min_size=1),
    cut=st.lists(st.integers(1, 5), min_size=1),
)
def test_duplicates_are_those_of_a_set_however_rows_are_batched(rows, cut):
    columns = {"x": pa.array([x for x, _ in rows], pa.int64()), "y": [y for _, y in rows]}
    found = clean(columns, {"drop_duplicates": True}, cut=cut)
    assert [(row["x"], row["y"]) for row in found.rows] == list(dict.fromkeys(rows))


@pytest.mark.parametrize("keep", ["first", "last"])
def test_many_rows_are_compared_in_files(keep):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 5_000, 20_000)
    digests = row_digests(pa.RecordBatch.from_pydict({"x": values}))
    found = []
    for memory_rows in (3_000, 10**6):
        repeats = Repeats(keep, memory_rows)
        for start in range(0, 20_000, 1_000):
            rows = np.arange(start, start + 1_000)
            repeats.add(digests[rows], rows)
        found.append(np.unpackbits(repeats.find(20_000))[:20_000] == 0)
    kept = np.unique(values if keep == "first" else values[::-1], return_index=True)[1]
    expected = np.isin(np.arange(20_000), kept if keep == "first" else 19_999 - kept)
    assert (found[0] == expected).all()
    assert (found[1] == expected).all()


def test_images_are_the_same_if_pixels_and_label_are():
    stream = io.BytesIO()
    Image.open(io.BytesIO(png(7))).save(stream, format="PNG", compress_level=0)
    contents = [png(7), stream.getvalue(), png(7), png(8)]
    assert contents[0] != contents[1]
    structs = [{"bytes": content, "path": f"{i}"} for i, content in enumerate(contents)]
    columns = {"image": pa.array(structs, IMAGE_TYPE), "label": ["a", "a", "b", "a"]}
    schema = DatasetSchema(kind="image", tables=(IMAGES,), target="label")
    found = clean(columns, {"drop_duplicates": True}, schema=schema)
    assert [row["image"]["path"] for row in found.rows] == ["0", "2", "3"]


def test_a_damaged_image_is_named():
    structs = pa.array([{"bytes": png()[:40], "path": "x/1.png"}], IMAGE_TYPE)
    schema = DatasetSchema(kind="image", tables=(IMAGES,), target="label")
    with pytest.raises(DataError, match=r"cannot read the image 'x/1.png'"):
        clean({"image": structs, "label": ["a"]}, {"drop_duplicates": True}, schema=schema)
