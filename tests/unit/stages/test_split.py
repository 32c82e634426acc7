"""The stage that sets a holdout aside."""

import pytest

from tasks.errors import DataError
from tasks.schema import DatasetSchema, TableSchema
from tasks.stages.split import split
from tasks.storage import digest, read_json, read_table, write_dataset
from tests.datasets import PEOPLE, dataset_params, write_people

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
        "stratified_by": "sex",
        "classes_without_holdout": 0,
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
    assert report == {"rows": {"train": 16, "holdout": 4}, "stratified_by": None}


def test_a_class_of_one_row_stays_for_training_and_is_counted(tmp_path):
    write_people(tmp_path / "clean", ROWS | {"sex": ["f"] * 19 + ["m"]})
    split(tmp_path / "clean", tmp_path / "split", dataset_params())
    assert 19 in ids(tmp_path / "split" / "train")
    assert read_json(tmp_path / "split" / "report.json")["classes_without_holdout"] == 1


def test_too_few_rows_and_several_tables_are_refused(tmp_path):
    write_people(tmp_path / "clean", {"id": [1], "age": [1.0], "sex": ["f"]})
    with pytest.raises(DataError, match="expected enough rows to set 20% of them aside, found 1"):
        split(tmp_path / "clean", tmp_path / "split", dataset_params())
    (tmp_path / "linked").mkdir()
    other = TableSchema(name="other", columns=PEOPLE.columns)
    schema = DatasetSchema(kind="tabular", tables=(PEOPLE, other))
    write_dataset(tmp_path / "linked", schema, {"people": [], "other": []})
    with pytest.raises(
        DataError, match=r"expected one table to split, found \['people', 'other'\]"
    ):
        split(tmp_path / "linked", tmp_path / "split", dataset_params())
    assert not (tmp_path / "split").exists()
