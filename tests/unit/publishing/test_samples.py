"""What a report shows of synthetic texts."""

import pyarrow as pa

from tasks.publishing.samples import CLASSES, TEXTS_PER_CLASS, sample_of_texts


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
