"""The stage that cleans: folders, reports and refusals."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import DataError, ParamsError
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.stages.clean import clean
from tasks.stages.ingest import ingest
from tasks.storage import digest, read_json, read_table, write_dataset
from tests.datasets import dataset_params, png, write_images, write_people

ROWS = {"id": [1, 2, 3], "age": [5.0, 5.0, None], "sex": ["f", "f", "m"]}


def test_what_is_left_out_is_counted(tmp_path):
    write_people(tmp_path / "raw", ROWS)
    settings = {"drop_columns": ["id"], "drop_duplicates": True, "drop_missing": True}
    clean(tmp_path / "raw", tmp_path / "clean", dataset_params(clean=settings))
    assert read_table(tmp_path / "clean", "people").to_pylist() == [{"age": 5.0, "sex": "f"}]
    assert read_json(tmp_path / "clean" / "report.json") == {
        "rows_before": {"people": 3},
        "rows": {"people": 1},
        "steps": {
            "drop_columns": {"people": {"rows_dropped": 0, "learned": {"columns": ["id"]}}},
            "finite": {"people": {"rows_dropped": 0}},
            "drop_duplicates": {"people": {"rows_dropped": 1}},
            "drop_missing": {"people": {"rows_dropped": 1}},
            "personal": {},
        },
    }
    assert DatasetSchema.load(tmp_path / "clean").main.column_names == ["age", "sex"]


def test_no_settings_change_nothing(tmp_path):
    write_people(tmp_path / "raw", ROWS)
    clean(tmp_path / "raw", tmp_path / "clean", dataset_params())
    assert digest(tmp_path / "clean" / "people") == digest(tmp_path / "raw" / "people")


def test_images_are_cleaned_by_their_pixels(tmp_path):
    write_images(tmp_path / "raw", [(png(1), "a"), (png(1), "a"), (png(2), "a")])
    params = dataset_params(kind="image", target="label", clean={"drop_duplicates": True})
    clean(tmp_path / "raw", tmp_path / "clean", params)
    assert read_table(tmp_path / "clean", "images").num_rows == 2


def test_a_cleaning_that_leaves_nothing_is_refused(tmp_path):
    write_people(tmp_path / "raw", {"id": [1], "age": [None], "sex": ["f"]})
    with pytest.raises(DataError, match=r"found none of 1; left out by {'drop_missing': 1}"):
        clean(tmp_path / "raw", tmp_path / "clean", dataset_params(clean={"drop_missing": True}))
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]


def test_texts_are_normalised_compared_and_measured(tmp_path, caplog):
    columns = (
        Column(name="text", type="string", meaning="text"),
        Column(name="label", type="string", meaning="categorical"),
    )
    schema = DatasetSchema(
        kind="text", tables=(TableSchema(name="messages", columns=columns),), target="label"
    )
    rows = {
        "text": ["<p>Hello &amp; 🙂</p>", " hello & 🙂", "", "x" * 11, None],
        "label": ["ham", "ham", "ham", "spam", "spam"],
    }
    (tmp_path / "raw").mkdir()
    write_dataset(tmp_path / "raw", schema, {"messages": [pa.RecordBatch.from_pydict(rows)]})
    settings = {
        "text": {"text": ["strip_html", "trim", "lower"]},
        "length": {"text": {"min": 1, "max": 10}},
        "drop_duplicates": True,
        "drop_missing": True,
    }
    params = dataset_params(kind="text", target="label", clean=settings)
    with caplog.at_level("INFO"):
        clean(tmp_path / "raw", tmp_path / "clean", params)
    assert read_table(tmp_path / "clean", "messages").to_pylist() == [
        {"text": "hello & 🙂", "label": "ham"}
    ]
    assert "messages: text: 2 normalised (text)" in caplog.messages
    assert "messages: length: 1 too long (text); 1 too short (text); 2 rows left out" in (
        caplog.messages
    )


def test_the_same_settings_give_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    rows = {
        "id": list(range(3_000)),
        "age": [None if i % 7 == 0 else float(x) for i, x in enumerate(rng.normal(size=3_000))],
        "sex": [None if i % 11 == 0 else "fm"[i % 2] for i in range(3_000)],
    }
    write_people(tmp_path / "raw", rows)
    settings = {
        "missing": {"age": "regression", "sex": "mode"},
        "outliers": {"*": {"method": "isolation_forest", "action": "flag"}},
        "scale": {"age": "robust"},
    }
    for name in ("a", "b"):
        clean(tmp_path / "raw", tmp_path / name, dataset_params(clean=settings))
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


RANGE = {"type": "range", "column": "age", "min_value": 0, "max_value": 120}


def test_a_constraint_may_be_about_a_type_that_cleaning_gives(tmp_path):
    (tmp_path / "people.csv").write_text("age,sex\n31,f\nunknown,m\n52,f\n", encoding="utf-8")
    params = dataset_params(constraints=[RANGE], clean={"types": {"age": "int64"}})
    ingest(tmp_path / "raw", params, project=tmp_path)
    assert DatasetSchema.load(tmp_path / "raw").main.constraints == ()
    clean(tmp_path / "raw", tmp_path / "clean", params)
    assert [c.words for c in DatasetSchema.load(tmp_path / "clean").main.constraints] == [
        "0 <= age <= 120"
    ]


def test_a_constraint_that_fits_no_type_is_refused(tmp_path):
    (tmp_path / "people.csv").write_text("age,sex\nyoung,f\nold,m\n", encoding="utf-8")
    params = dataset_params(constraints=[RANGE])
    with pytest.raises(ParamsError, match=r"constraints\.0 \(range\)"):
        ingest(tmp_path / "raw", params, project=tmp_path)
    params = dataset_params(constraints=[RANGE], clean={"types": {"age": "string"}})
    ingest(tmp_path / "raw", params, project=tmp_path)
    with pytest.raises(ParamsError, match=r"after cleaning: constraints\.0 \(range\)"):
        clean(tmp_path / "raw", tmp_path / "clean", params)
