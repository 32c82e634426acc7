"""Rows side by side: codes that mean the same everywhere, and faults that are named."""

import datetime
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import DataError
from tasks.evaluation import comparison
from tests.comparisons import compare, images, save, schema_of


def test_numbers_codes_and_identities(tmp_path: Path) -> None:
    train = pa.table({"a": [1.5, None, math.nan], "c": ["y", None, "x"]})
    holdout = pa.table({"a": [-0.0], "c": ["z"]})
    synthetic = pa.table({"a": [None, 0.0], "c": [None, "z"]}, schema=train.schema)
    data = compare(tmp_path, schema_of(train), train, holdout, synthetic)
    assert data.categories == (["x", "y", "z"],)
    np.testing.assert_array_equal(data.train.numbers, [[1.5], [np.nan], [np.nan]])
    np.testing.assert_array_equal(data.train.codes, [[1], [-1], [0]])
    # null and NaN are the same missing value, 0 and -0 the same number.
    assert data.train.identities[1] == data.synthetic.identities[0]
    assert data.holdout.identities[0] == data.synthetic.identities[1]
    assert data.train.identities[1] != data.train.identities[2]


def test_dates_are_seconds_whatever_their_unit(tmp_path: Path) -> None:
    day = datetime.date(1970, 1, 2)
    noon = datetime.datetime(1970, 1, 1, 12)  # noqa: DTZ001
    rows = pa.table(
        {
            "day": pa.array([day, None], pa.date32()),
            "wide": pa.array([day, None], pa.date64()),
            "ms": pa.array([noon, None], pa.timestamp("ms")),
            "ns": pa.array([noon, None], pa.timestamp("ns", tz="UTC")),
            "time": pa.array([datetime.time(0, 1), None], pa.time32("s")),
            "span": pa.array([datetime.timedelta(minutes=2), None], pa.duration("us")),
            "money": pa.array([7, None], pa.decimal128(10, 2)),
        }
    )
    schema = schema_of(rows, meanings={"money": "numeric"})
    data = compare(tmp_path, schema, rows, rows, rows)
    np.testing.assert_allclose(data.train.numbers[:1], [[86400, 86400, 43200, 43200, 60, 120, 7]])


def test_identifiers_and_texts_are_left_out(tmp_path: Path) -> None:
    rows = pa.table({"id": ["u1", "u2"], "note": ["a b", "c"], "x": [1, 2], "place": ["N", "S"]})
    schema = schema_of(
        rows, target="note", meanings={"id": "identifier", "note": "text", "place": "geographic"}
    )
    data = compare(tmp_path, schema, rows, rows, rows)
    assert [c.name for c in data.numeric] == ["x"]
    assert [c.name for c in data.discrete] == ["place"]
    assert data.target is None


def test_equal_numbers_of_rows(tmp_path: Path) -> None:
    rows = pa.table({"x": list(range(10))})
    data = compare(tmp_path, schema_of(rows), rows, rows.slice(0, 4), rows)
    holdout, synthetic = data.equal
    assert (len(holdout), len(synthetic)) == (4, 4)
    assert set(synthetic.numbers[:, 0]) < set(range(10))
    assert data.equal[1] is synthetic


def test_values_of_another_type_that_still_fit(tmp_path: Path) -> None:
    train = pa.table({"x": [1, 2], "c": ["1", "2"]})
    synthetic = pa.table({"x": [1.0, 2.0], "c": [1, 2]})
    save(tmp_path / "split" / "train", schema_of(train), train)
    save(tmp_path / "split" / "holdout", schema_of(train), train)
    save(tmp_path / "synthetic", schema_of(synthetic, meanings={"c": "categorical"}), synthetic)
    data = comparison.load(tmp_path / "split", tmp_path / "synthetic", seed=0)
    np.testing.assert_array_equal(data.synthetic.identities, data.train.identities)


@pytest.mark.parametrize(
    ("synthetic", "message"),
    [
        ({"y": [1.0]}, "lacks the columns \\['x'\\] of the training data; it has: y"),
        (
            {"x": ["many"]},
            "column 'x' of the synthetic data: expected values of type double, as in the training data, found string",
        ),
        ({"x": pa.array([], pa.float64())}, "expected rows in the synthetic data, found none"),
        ({"x": [math.inf]}, "column 'x' of the synthetic data: .* larger or infinite ones"),
    ],
)
def test_rows_that_cannot_be_compared(
    tmp_path: Path, synthetic: dict[str, pa.Array], message: str
) -> None:
    train, made = pa.table({"x": [1.0, 2.0]}), pa.table(synthetic)
    save(tmp_path / "split" / "train", schema_of(train), train)
    save(tmp_path / "split" / "holdout", schema_of(train), train)
    save(tmp_path / "synthetic", schema_of(made), made)
    with pytest.raises(DataError, match=message):
        comparison.load(tmp_path / "split", tmp_path / "synthetic", seed=0)


def test_nothing_to_compare(tmp_path: Path) -> None:
    rows = pa.table({"note": ["a"]})
    schema = schema_of(rows, meanings={"note": "text"})
    with pytest.raises(DataError, match=r"no column to compare.*found \['text'\]"):
        compare(tmp_path, schema, rows, rows, rows)


def test_equal_images_are_found_whatever_their_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    schema, train = images(pixels[:4], np.array([0, 1, 0, 1]))
    _, holdout = images(pixels[3:5], np.array([1, 0]))
    _, synthetic = images(pixels[[5, 0]], np.array([1, 1]))
    data = compare(tmp_path, schema, train, holdout, synthetic)
    known = set(data.train.identities.tolist())
    assert [one in known for one in data.synthetic.identities.tolist()] == [False, True]
    assert [one in known for one in data.holdout.identities.tolist()] == [True, False]
    assert data.categories == (["0", "1"],)
    np.testing.assert_array_equal(data.synthetic.codes, [[1], [1]])
    # With as many components as the images span, distances are those of the pixels.
    distance = np.linalg.norm(data.train.numbers[0] - data.train.numbers[1])
    assert distance == pytest.approx(np.linalg.norm(pixels[0] / 255 - pixels[1] / 255), rel=1e-5)


def test_large_images_are_reduced_and_grey_ones_stay_grey(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 100, 60), dtype=np.uint8)
    schema, rows = images(pixels, np.zeros(5, int))
    data = compare(tmp_path, schema, rows, rows, rows)
    assert data.train.numbers.shape == (5, 4)  # five different images span four dimensions


def test_images_of_a_size_that_no_real_one_has(tmp_path: Path) -> None:
    schema, rows = images(np.zeros((3, 8, 8), np.uint8), np.zeros(3, int))
    _, other = images(np.zeros((3, 9, 8), np.uint8), np.zeros(3, int))
    with pytest.raises(DataError, match=r"expected synthetic images of a size.*\(8, 9\)"):
        compare(tmp_path, schema, rows, rows, other)


def test_an_image_that_is_none(tmp_path: Path) -> None:
    schema, rows = images(np.zeros((3, 8, 8), np.uint8), np.zeros(3, int))
    broken = pa.array([{"bytes": b"GIF89a", "path": "x"}, None], rows.schema.field("image").type)
    for row in (0, 1):
        made = pa.table({"image": broken.slice(row, 1), "label": ["0"]})
        with pytest.raises(DataError, match=r"row 0 of table 'rows'.*expected an image in column"):
            compare(tmp_path / str(row), schema, rows, rows, made)
