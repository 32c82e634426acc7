"""Balance by rows that are real ones changed a little, for every kind of data."""

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tasks.errors import ParamsError
from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, TableSchema, arrow_schema
from tasks.splits.record import BalanceRecord
from tasks.stages.balance import balance
from tasks.storage import digest, read_json, read_table, write_dataset
from tests.datasets import IMAGES, dataset_params, png, write_images, write_people

MANY = {
    "id": list(range(100)),
    "age": [float(i) for i in range(100)],
    "sex": ["f"] * 80 + ["m"] * 20,
}
TEXTS = TableSchema(
    name="messages",
    columns=(
        Column(name="text", type="string", meaning="text"),
        Column(name="sex", type="string", meaning="categorical"),
    ),
)


def parts(out: Path, table: str) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Real rows, added ones, and those to stop by."""
    record, rows = BalanceRecord.load(out), read_table(out, table)
    assert record is not None
    ends = np.cumsum([0, record.real_rows, record.added_rows, record.validation_rows])
    assert ends[-1] == rows.num_rows
    return tuple(rows.slice(a, b - a) for a, b in itertools.pairwise(ends))  # type: ignore[return-value]


def augment(place: Path, **sections: Any) -> Path:
    settings = {"method": "augment", "augment": sections.pop("augment", {})}
    out = place / f"out{len(list(place.iterdir()))}"
    balance(place / "split", out, dataset_params(balance=settings, **sections))
    return out


def test_rows_of_a_table_are_new_and_of_their_class(tmp_path):
    write_people(tmp_path / "split" / "train", MANY)
    out = augment(tmp_path)
    real, added, validation = parts(out, "people")
    assert (real.num_rows, added.num_rows, validation.num_rows) == (90, 54, 10)
    assert set(added["sex"].to_pylist()) == {"m"}
    assert len(set(added["id"].to_pylist()) | set(real["id"].to_pylist())) == 144
    ages = added["age"].to_numpy()
    assert 60 < ages.mean() < 99
    assert 0 <= ages.min() <= ages.max() <= 99
    assert len(set(ages.tolist()) - set(range(80, 100))) > 0
    report = read_json(out / "report.json")
    assert report["classes"][1] == {"value": "m", "before": 18, "after": 72, "wanted": 72}
    assert (report["copied_for_a_constraint"], report["broke_a_constraint"]) == (0, 0)
    assert digest(out) == digest(augment(tmp_path))


def test_a_constraint_that_changes_break_leaves_copies(tmp_path):
    rng = np.random.default_rng(0)
    low = rng.integers(0, 1000, 60)
    columns = {
        "low": pa.array(low),
        "high": pa.array(low),
        "total": pa.array(2 * low),
        "sex": pa.array(["f"] * 40 + ["m"] * 20),
    }
    table = TableSchema(
        name="t",
        columns=tuple(
            Column(name=n, type=str(v.type), meaning="categorical" if n == "sex" else "numeric")
            for n, v in columns.items()
        ),
    ).constrained(
        dataset_params(
            constraints=[
                {"type": "inequality", "columns": ["low", "high"]},
                {"type": "formula", "column": "total", "formula": "low + high"},
            ]
        ).constraints
    )
    (tmp_path / "split" / "train").mkdir(parents=True)
    schema = DatasetSchema(kind="tabular", tables=(table,), target="sex")
    write_dataset(
        tmp_path / "split" / "train", schema, {"t": [pa.RecordBatch.from_pydict(columns)]}
    )
    out = augment(tmp_path)
    _, added, _ = parts(out, "t")
    low, high, total = (added[n].to_numpy() for n in ("low", "high", "total"))
    assert (low <= high).all()
    # What a formula gives is computed anew.
    assert (total == low + high).all()
    assert (low < high).any()
    # Always broken: nothing but copies is left.
    out = augment(tmp_path, augment={"noise": 0.0, "mixup": 0.0, "resample": 0.0})
    _, added, _ = parts(out, "t")
    assert (added["low"].to_numpy() == added["high"].to_numpy()).all()


def test_images_are_changed_and_keep_size_mode_and_label(tmp_path):
    square = np.zeros((8, 8), dtype=np.uint8)
    square[2:5, 3:6] = 200
    stream = io.BytesIO()
    Image.fromarray(square).save(stream, format="PNG")
    rows = [(png(9, size=(8, 8)), "a")] * 20 + [(stream.getvalue(), "b")] * 8
    rows += [(png(3, size=(5, 6), mode="RGB"), "b")] * 2
    write_images(tmp_path / "split" / "train", rows)
    out = augment(tmp_path, kind="image", target="label")
    real, added, _ = parts(out, "images")
    assert set(added["label"].to_pylist()) == {"b"}
    sizes = set()
    for image in added["image"].to_pylist():
        with Image.open(io.BytesIO(image["bytes"])) as opened:
            sizes.add((opened.mode, opened.size))
    assert sizes == {("L", (8, 8)), ("RGB", (5, 6))}
    contents = {image["bytes"] for image in added["image"].to_pylist()}
    assert len(contents - {image["bytes"] for image in real["image"].to_pylist()}) >= 4
    assert digest(out) == digest(augment(tmp_path, kind="image", target="label"))


def test_texts_take_words_of_their_class_alone(tmp_path):
    texts = [f"good day to you {i}" for i in range(40)] + [
        f"buy cheap pills now {i}" for i in range(10)
    ]
    texts[45] = None
    columns = {"text": pa.array(texts), "sex": pa.array(["ham"] * 40 + ["spam"] * 10)}
    (tmp_path / "split" / "train").mkdir(parents=True)
    schema = DatasetSchema(kind="text", tables=(TEXTS,), target="sex")
    batch = pa.RecordBatch.from_pydict(columns).cast(arrow_schema(TEXTS))
    write_dataset(tmp_path / "split" / "train", schema, {"messages": [batch]})
    settings = {"replacements": 0.8, "typos": 0.0, "mixing": 0.5}
    out = augment(tmp_path, kind="text", augment=settings)
    _, added, _ = parts(out, "messages")
    words = {w for text in added["text"].to_pylist() if text for w in text.split()}
    assert not words & {"good", "day", "to", "you"}
    assert added["text"].null_count > 0
    assert set(added["sex"].to_pylist()) == {"spam"}


def test_rows_with_an_image_and_a_text_are_changed_in_both(tmp_path):
    structs = [{"bytes": png(10 * i, size=(6, 6)), "path": f"{i}.png"} for i in range(20)]
    table = TableSchema(name="pairs", columns=(IMAGES.columns[0], *TEXTS.columns))
    columns = [
        pa.array(structs, IMAGE_TYPE),
        pa.array([f"tone number {i}" for i in range(20)]),
        pa.array(["x"] * 14 + ["y"] * 6),
    ]
    (tmp_path / "split" / "train").mkdir(parents=True)
    schema = DatasetSchema(kind="multimodal", tables=(table,), target="sex")
    batch = pa.RecordBatch.from_arrays(columns, schema=arrow_schema(table))
    write_dataset(tmp_path / "split" / "train", schema, {"pairs": [batch]})
    settings = {"image": {"noise": 0.1}, "text": {"typos": 1.0}}
    _, added, _ = parts(augment(tmp_path, kind="multimodal", augment=settings), "pairs")
    assert set(added["sex"].to_pylist()) == {"y"}
    assert added.num_rows >= 7
    assert not {"tone"} & {text.split()[0] for text in added["text"].to_pylist() if text.split()}
    assert {image["path"][:9] for image in added["image"].to_pylist()} == {"augmented"}


@pytest.mark.parametrize("method", ["smote", "adasyn"])
def test_nothing_is_between_two_images(tmp_path, method):
    write_images(tmp_path / "split" / "train", [(png(), "a")] * 3 + [(png(), "b")] * 2)
    params = dataset_params(kind="image", target="label", balance={"method": method})
    with pytest.raises(ParamsError, match="image data has none; take augment"):
        balance(tmp_path / "split", tmp_path / "out", params)


def test_a_wrong_setting_is_named_with_its_place(tmp_path):
    write_people(tmp_path / "split" / "train", MANY)
    with pytest.raises(ParamsError, match=r"balance\.augment"):
        augment(tmp_path, augment={"rotate_degrees": 3})
