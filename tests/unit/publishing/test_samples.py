"""What a report shows of synthetic texts and pairs."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from tasks.publishing.samples import (
    CLASSES,
    IMAGES_PER_CLASS,
    TEXTS_PER_CLASS,
    data_uri,
    sample_images,
    sample_of_texts,
)
from tasks.publishing.tables import write_tables
from tasks.storage import write_dataset
from tests.pairs import pairs


def test_the_first_texts_of_each_label() -> None:
    rows = pa.table({"text": [f"text {i}" for i in range(20)], "label": ["b", "a"] * 10})
    found = sample_of_texts(rows, "texts", 1_000, "label")
    assert found.names == ["text", "label"]
    assert found.n_rows == 1_000
    assert found.by_label
    assert found.lines[0] == ["text 1", "a"]
    assert found.lines[TEXTS_PER_CLASS] == ["text 0", "b"]
    assert len(found.lines) == 2 * TEXTS_PER_CLASS


def test_many_labels_missing_ones_and_long_texts() -> None:
    labels = [None, *map(str, range(CLASSES + 5))]
    rows = pa.table({"text": ["x" * 5_000] * len(labels), "label": labels})
    found = sample_of_texts(rows, "texts", len(labels), "label")
    assert len(found.lines) == CLASSES
    assert found.lines[0][1] == ""
    assert len(found.lines[0][0]) == 400
    assert found.lines[0][0].endswith("…")


def test_texts_without_labels() -> None:
    found = sample_of_texts(pa.table({"text": ["a", None, "c"] * 5}), "texts", 15, None)
    assert not found.by_label
    assert found.lines == [["a"], [""], ["c"], ["a"]]


def test_pairs_are_shown_as_images_with_their_texts(tmp_path: Path) -> None:
    schema, rows = pairs(40)
    (tmp_path / "synthetic").mkdir()
    (tmp_path / "release").mkdir()
    write_dataset(tmp_path / "synthetic", schema, {"pairs": [rows]})
    (table,) = write_tables(tmp_path / "synthetic", schema, tmp_path / "release")
    large, small = sample_images(tmp_path / "release", table, schema.target)
    assert (large.label, small.label) == ("large", "small")
    said = [row for row in rows.to_pylist() if row["size"] == "large"][:IMAGES_PER_CLASS]
    assert large.texts == tuple(row["caption"] for row in said)
    first = np.asarray(Image.open(io.BytesIO(said[0]["image"]["bytes"])))
    assert large.sources[0] == data_uri(first[:, :, None])
    assert len(large.sources) == IMAGES_PER_CLASS
