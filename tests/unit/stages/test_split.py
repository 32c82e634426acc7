"""The stage that sets a holdout aside."""

import itertools

import pyarrow as pa
import pytest

from tasks.errors import DataError, ParamsError
from tasks.schema import Column, DatasetSchema, ForeignKey, TableSchema
from tasks.splits.folds import folds_of
from tasks.stages.split import split
from tasks.storage import digest, read_json, read_table, write_dataset
from tests.datasets import dataset_params, write_people

ROWS = {"id": list(range(20)), "age": [float(i) for i in range(20)], "sex": ["f", "m"] * 10}


def ids(folder) -> list[int]:
    return read_table(folder, "people")["id"].to_pylist()


def test_the_parts_are_datasets_that_share_no_row(tmp_path):
    write_people(tmp_path / "clean", ROWS)
    split(tmp_path / "clean", tmp_path / "split", dataset_params())
    train, holdout = (ids(tmp_path / "split" / part) for part in ("train", "holdout"))
    assert sorted(train + holdout) == list(range(20))
    assert train == sorted(train)
    assert [sum(i % 2 for i in part) for part in (train, holdout)] == [8, 2]
    assert DatasetSchema.load(tmp_path / "split" / "train").target == "sex"
    assert read_json(tmp_path / "split" / "report.json") == {
        "rows": {"train": 16, "holdout": 4},
        "method": "random",
        "stratified_by": "sex",
        "classes_without_holdout": 0,
        "holdout_rows_like_training_rows": 0,
    }


def test_the_seed_decides_the_rows(tmp_path):
    write_people(tmp_path / "clean", ROWS)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        split(tmp_path / "clean", tmp_path / name, dataset_params(seed=seed))
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert ids(tmp_path / "a" / "holdout") != ids(tmp_path / "c" / "holdout")


@pytest.mark.parametrize(("target", "stratify"), [("age", True), (None, True), ("sex", False)])
def test_a_quantity_or_no_target_splits_at_random(tmp_path, target, stratify):
    write_people(tmp_path / "clean", ROWS, target)
    params = dataset_params(target=target, split={"stratify": stratify})
    split(tmp_path / "clean", tmp_path / "split", params)
    report = read_json(tmp_path / "split" / "report.json")
    assert report["rows"] == {"train": 16, "holdout": 4}
    assert report["stratified_by"] is None


def test_a_class_of_one_row_stays_for_training_and_is_counted(tmp_path):
    write_people(tmp_path / "clean", ROWS | {"sex": ["f"] * 19 + ["m"]})
    split(tmp_path / "clean", tmp_path / "split", dataset_params())
    assert 19 in ids(tmp_path / "split" / "train")
    assert read_json(tmp_path / "split" / "report.json")["classes_without_holdout"] == 1


def test_validation_rows_and_folds_are_stored(tmp_path):
    write_people(tmp_path / "clean", ROWS)
    params = dataset_params(split={"validation_fraction": 0.1, "folds": 2})
    split(tmp_path / "clean", tmp_path / "split", params)
    parts = {part: ids(tmp_path / "split" / part) for part in ("train", "validation", "holdout")}
    assert {part: len(found) for part, found in parts.items()} == {
        "train": 14,
        "validation": 2,
        "holdout": 4,
    }
    assert sorted(itertools.chain(*parts.values())) == list(range(20))
    folds = list(folds_of(tmp_path / "split"))
    assert [len(validated) for _, validated in folds] == [7, 7]
    for trained, validated in folds:
        assert sorted([*trained, *validated]) == list(range(14))


def test_folds_by_time_are_predicted_from_earlier_ones(tmp_path):
    write_people(tmp_path / "clean", ROWS)
    params = dataset_params(split={"time": "id", "folds": 3})
    split(tmp_path / "clean", tmp_path / "split", params)
    assert ids(tmp_path / "split" / "holdout") == [16, 17, 18, 19]
    found = [(t.tolist(), v.tolist()) for t, v in folds_of(tmp_path / "split")]
    assert found == [
        (list(range(4)), list(range(4, 8))),
        (list(range(8)), list(range(8, 12))),
        (list(range(12)), list(range(12, 16))),
    ]


def test_a_split_without_folds_says_so(tmp_path):
    with pytest.raises(DataError, match=r"expected .*folds.parquet, found none: set split.folds"):
        list(folds_of(tmp_path))


def test_rows_that_both_sides_have_are_counted(tmp_path, caplog):
    write_people(tmp_path / "clean", {"id": list(range(20)), "age": [1.0] * 20, "sex": ["f"] * 20})
    split(tmp_path / "clean", tmp_path / "split", dataset_params())
    report = read_json(tmp_path / "split" / "report.json")
    assert report["holdout_rows_like_training_rows"] == 4
    assert "4 rows of the holdout equal a training row" in caplog.text


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"group": "patient"}, ParamsError, "split.group names 'patient', .* choose from: id, age"),
        ({"time": "when"}, ParamsError, "split.time names 'when'"),
        ({"stratify": "region"}, ParamsError, "split.stratify names 'region'"),
        ({"stratify": "age"}, ParamsError, "'age' is numeric, .* set split.bins"),
        ({"time": "sex"}, DataError, "expected a column of dates, times or numbers, but 'sex'"),
        ({"time": "age", "validation_fraction": 0.1}, DataError, "a value of 'age' in every row"),
        ({"group": "sex", "validation_fraction": 0.1}, DataError, "at least 3 groups .* found 2"),
        ({"folds": 40}, DataError, "at least 40 rows to train on, found 16"),
    ],
)
def test_what_cannot_be_divided_is_refused(tmp_path, settings, error, message):
    write_people(tmp_path / "clean", ROWS | {"age": [None, *ROWS["age"][1:]]})
    with pytest.raises(error, match=message):
        split(tmp_path / "clean", tmp_path / "split", dataset_params(split=settings))
    assert not (tmp_path / "split").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"time": "a", "group": "b"}, "either `time` or `group`"),
        ({"time": "a", "stratify": "b"}, "either `time` or `stratify`"),
        ({"holdout_fraction": 0.6, "validation_fraction": 0.4}, "leave no rows to train on"),
        ({"folds": 1}, "split.folds"),
        ({"stratify": 3}, "split.stratify"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ParamsError, match=message):
        dataset_params(split=settings)


def test_too_few_rows_are_refused(tmp_path):
    write_people(tmp_path / "clean", {"id": [1], "age": [1.0], "sex": ["f"]})
    with pytest.raises(DataError, match="expected enough rows to set 20% of them aside, found 1"):
        split(tmp_path / "clean", tmp_path / "split", dataset_params())
    assert not (tmp_path / "split").exists()


def link(column: str, table: str) -> ForeignKey:
    return ForeignKey(columns=(column,), references=table, referenced_columns=("id",))


def numbers(name: str, columns: list[str], *links: ForeignKey) -> TableSchema:
    described = tuple(Column(name=c, type="int64", meaning="identifier") for c in columns)
    return TableSchema(name=name, columns=described, primary_key=("id",), foreign_keys=links)


def test_linked_rows_go_with_the_row_that_they_are_about(tmp_path):
    schema = DatasetSchema(
        kind="tabular",
        tables=(
            numbers("customer", ["id", "seller"], link("seller", "employee")),
            # Before the table that it goes with.
            numbers(
                "line",
                ["id", "invoice", "track"],
                link("track", "track"),
                link("invoice", "invoice"),
            ),
            numbers("invoice", ["id", "customer"], link("customer", "customer")),
            numbers("employee", ["id", "boss"], link("boss", "employee")),
            numbers("track", ["id"]),
        ),
    )
    rows = {
        "customer": {"id": range(10), "seller": [1] * 10},
        "invoice": {"id": range(100, 121), "customer": [i // 2 for i in range(20)] + [None]},
        "line": {"id": range(40), "invoice": [100 + i // 2 for i in range(40)], "track": [7] * 40},
        "employee": {"id": [1, 2], "boss": [2, None]},
        "track": {"id": [7, 8]},
    }
    batches = {
        name: [pa.RecordBatch.from_pydict({k: pa.array(v, pa.int64()) for k, v in columns.items()})]
        for name, columns in rows.items()
    }
    (tmp_path / "clean").mkdir()
    write_dataset(tmp_path / "clean", schema, batches)
    split(tmp_path / "clean", tmp_path / "split", dataset_params(target=None))
    found = {
        part: {name: read_table(tmp_path / "split" / part, name).to_pydict() for name in rows}
        for part in ("train", "holdout")
    }
    assert [len(found[part]["customer"]["id"]) for part in found] == [8, 2]
    for tables in found.values():
        customers = set(tables["customer"]["id"])
        assert set(tables["invoice"]["customer"]) - {None} == customers
        assert {(i - 100) // 2 for i in tables["line"]["invoice"]} == customers
        assert (tables["employee"]["id"], tables["track"]["id"]) == ([1, 2], [7, 8])
    assert sum(len(found[part]["invoice"]["id"]) for part in found) == 21
    report = read_json(tmp_path / "split" / "report.json")
    assert report["divided_tables"] == ["customer", "invoice", "line"]
    assert report["shared_tables"] == ["employee", "track"]
    assert report["rows_without_a_link"] == {"invoice": 1, "line": 0}
    assert report["rows_linked_across_parts"] == {"invoice": 0, "line": 0}
