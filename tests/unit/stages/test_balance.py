"""The stage that evens out the training data."""

import pytest

from tasks.errors import DataError
from tasks.stages.balance import balance
from tasks.storage import digest, read_json, read_table
from tests.datasets import dataset_params, write_people

ROWS = {"id": [1, 2, 3, 4], "age": [1.0, 2.0, 3.0, 4.0], "sex": ["f", "m", "f", "f"]}


def test_none_keeps_the_bytes(tmp_path):
    write_people(tmp_path / "split" / "train", ROWS)
    balance(tmp_path / "split", tmp_path / "out", dataset_params())
    assert digest(tmp_path / "out" / "people") == digest(tmp_path / "split" / "train" / "people")


def test_classes_become_equal(tmp_path):
    write_people(tmp_path / "split" / "train", ROWS)
    params = dataset_params(balance={"method": "undersample"})
    balance(tmp_path / "split", tmp_path / "out", params)
    table = read_table(tmp_path / "out", "people")
    assert table["sex"].to_pylist().count("f") == table["sex"].to_pylist().count("m") == 1
    assert table["id"].to_pylist() == sorted(table["id"].to_pylist())
    assert read_json(tmp_path / "out" / "report.json") == {
        "method": "undersample",
        "rows": 2,
        "rows_before": 4,
        "left_out": 2,
    }


@pytest.mark.parametrize(
    ("target", "message"), [(None, "needs a `target`"), ("age", "but 'age' is numeric")]
)
def test_a_target_of_classes_is_needed(tmp_path, target, message):
    write_people(tmp_path / "split" / "train", ROWS, target)
    params = dataset_params(target=target, balance={"method": "undersample"})
    with pytest.raises(DataError, match=message):
        balance(tmp_path / "split", tmp_path / "out", params)
    assert not (tmp_path / "out").exists()
