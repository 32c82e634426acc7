"""The stage that evens out the training data."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import DataError
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema
from tasks.splits.record import BalanceRecord
from tasks.stages.balance import balance
from tasks.storage import digest, read_json, read_table, write_dataset
from tests.datasets import dataset_params, write_people

ROWS = {"id": [1, 2, 3, 4], "age": [1.0, 2.0, 3.0, 4.0], "sex": ["f", "m", "f", "f"]}
MANY = {
    "id": list(range(100)),
    "age": [float(i) for i in range(100)],
    "sex": ["f"] * 80 + ["m"] * 20,
}


def balanced(place: Path, rows: dict[str, list[Any]], **settings: Any) -> dict[str, list[Any]]:
    """The rows in `place/out`, made of these training rows."""
    write_people(place / "split" / "train", rows)
    balance(place / "split", place / "out", dataset_params(balance=settings))
    return read_table(place / "out", "people").to_pydict()


def test_none_keeps_the_bytes(tmp_path):
    balanced(tmp_path, ROWS)
    assert digest(tmp_path / "out" / "people") == digest(tmp_path / "split" / "train" / "people")
    assert BalanceRecord.load(tmp_path / "out") == BalanceRecord(
        method="none", target=None, real_rows=4
    )


def test_classes_become_equal(tmp_path):
    rows = balanced(tmp_path, ROWS, method="undersample")
    assert sorted(rows["sex"]) == ["f", "m"]
    assert rows["id"] == sorted(rows["id"])
    assert read_json(tmp_path / "out" / "report.json") == {
        "method": "undersample",
        "rows": 2,
        "rows_before": 4,
        "left_out": 2,
        "added": 0,
        "validation": 0,
        "classes": [
            {"value": "f", "before": 3, "after": 1, "wanted": 1},
            {"value": "m", "before": 1, "after": 1, "wanted": 1},
        ],
    }


def test_stored_validation_rows_stand_at_the_end(tmp_path):
    write_people(tmp_path / "split" / "validation", {"id": [9], "age": [9.0], "sex": ["m"]})
    rows = balanced(tmp_path, ROWS)
    assert rows["id"] == [1, 2, 3, 4, 9]
    assert BalanceRecord.load(tmp_path / "out").validation_rows == 1


def test_copies_are_of_training_rows_alone(tmp_path):
    rows = balanced(tmp_path, MANY, method="oversample")
    record = BalanceRecord.load(tmp_path / "out")
    # A tenth of the rows is set aside first: 8 and 2 rows.
    assert (record.real_rows, record.added_rows, record.validation_rows) == (90, 54, 10)
    real, added, validation = (
        set(rows["id"][start:end]) for start, end in ((0, 90), (90, 144), (144, 154))
    )
    assert added <= real
    assert not validation & real
    assert rows["sex"][:144].count("f") == rows["sex"][:144].count("m") == 72
    assert [(c.value, c.rows, c.wanted) for c in record.classes] == [("f", 72, 72), ("m", 18, 72)]


@pytest.mark.parametrize("method", ["class_weights", "generate"])
def test_weights_and_generation_keep_the_rows(tmp_path, method):
    rows = balanced(tmp_path, MANY, method=method)
    assert rows == MANY
    record = BalanceRecord.load(tmp_path / "out")
    assert [c.weight for c in record.classes] == [1.0, 4.0]


def test_classes_that_no_synthetic_row_may_name_are_not_generated(tmp_path):
    balanced(tmp_path, MANY | {"sex": ["f"] * 80 + ["m"] * 16 + ["x"] * 4}, method="generate")
    found = {c.value: c.wanted for c in BalanceRecord.load(tmp_path / "out").classes}
    assert found == {"f": 80, "m": 80, "x": 0}
    report = read_json(tmp_path / "out" / "report.json")
    assert report["classes_too_rare_to_generate"] == 1


MIXED = TableSchema(
    name="t",
    columns=(
        Column(name="id", type="int64", meaning="identifier"),
        Column(name="code", type="string", meaning="identifier"),
        Column(name="age", type="int32", meaning="numeric"),
        Column(name="price", type="decimal128(10, 2)", meaning="numeric"),
        Column(name="born", type="date32[day]", meaning="datetime"),
        Column(name="seen", type="timestamp[us, tz=UTC]", meaning="datetime"),
        Column(name="town", type="string", meaning="categorical"),
        Column(name="member", type="bool", meaning="boolean"),
        Column(name="score", type="float", meaning="numeric"),
        Column(name="label", type="string", meaning="categorical"),
    ),
    primary_key=("id",),
)


def mixed(n: int) -> dict[str, list[Any]]:
    """Rows of which a fifth is of the class `yes`, at ages, prices and scores of its own."""
    yes = [i % 5 == 0 for i in range(n)]
    day, moment = datetime.date(2000, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    return {
        "id": list(range(n)),
        "code": [f"c{i}" for i in range(n)],
        "age": [60 + i % 7 if y else 20 + i % 30 for i, y in enumerate(yes)],
        "price": [Decimal(i % 9) + Decimal("0.25") for i in range(n)],
        "born": [day + datetime.timedelta(days=i) for i in range(n)],
        "seen": [moment + datetime.timedelta(seconds=i) for i in range(n)],
        "town": ["x" if i % 3 else "y" for i in range(n)],
        "member": [i % 2 == 0 for i in range(n)],
        "score": [float(i % 11) for i in range(n)],
        "label": ["yes" if y else "no" for y in yes],
    }


def write_mixed(
    folder: Path, rows: dict[str, list[Any]], table: TableSchema = MIXED, target: str = "label"
) -> None:
    folder.mkdir(parents=True)
    table = table.model_copy(update={"columns": tuple(c for c in table.columns if c.name in rows)})
    schema = DatasetSchema(kind="tabular", tables=(table,), target=target)
    arrays = [pa.array(rows[f.name], f.type) for f in arrow_schema(table)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(table))
    write_dataset(folder, schema, {table.name: [batch]})


NUMBERS = ("age", "born", "score", "label")


def test_rows_between_rows_keep_every_type(tmp_path):
    rows = mixed(200)
    write_mixed(tmp_path / "split" / "train", rows)
    params = dataset_params(balance={"method": "smote"}, target="label")
    balance(tmp_path / "split", tmp_path / "out", params)
    report = read_json(tmp_path / "out" / "report.json")
    assert report["variant"] == "SMOTENC"
    # 16 of 160 and 4 of 40 rows are set aside.
    assert (report["added"], report["validation"]) == (108, 20)
    made = read_table(tmp_path / "out", "t").slice(180, 108).to_pydict()
    assert set(made["label"]) == {"yes"}
    # Between rows of the class `yes`, and nowhere else.
    assert {type(age) for age in made["age"]} == {int}
    assert min(made["age"]) >= 60
    assert max(made["age"]) <= 66
    assert all(price.as_tuple().exponent == -2 for price in made["price"])
    assert all(rows["born"][0] <= day <= rows["born"][-1] for day in made["born"])
    assert all(rows["seen"][0] <= moment <= rows["seen"][-1] for moment in made["seen"])
    assert set(made["town"]) <= {"x", "y"}
    assert set(made["member"]) <= {True, False}
    # New identifiers.
    assert len(set(made["id"])) == 108
    assert min(made["id"]) > 180
    assert made["code"][0] == "made-0"


@pytest.mark.parametrize(
    ("method", "columns", "variant"),
    [
        ("smote", NUMBERS, "SMOTE"),
        ("smote", ("town", "member", "label"), "SMOTEN"),
        ("adasyn", NUMBERS, "ADASYN"),
    ],
)
def test_the_variant_follows_from_the_columns(tmp_path, method, columns, variant):
    rows = {name: values for name, values in mixed(200).items() if name in columns}
    if method == "adasyn":  # classes that touch
        rows["age"] = [i % 40 for i in range(200)]
    table = MIXED.model_copy(update={"primary_key": ()})
    write_mixed(tmp_path / "split" / "train", rows, table)
    params = dataset_params(balance={"method": method}, target="label")
    for out in ("a", "b"):
        balance(tmp_path / "split", tmp_path / out, params)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    report = read_json(tmp_path / "a" / "report.json")
    assert report["variant"] == variant
    assert abs(report["added"] - 108) <= (10 if method == "adasyn" else 0)


def test_rows_that_break_a_constraint_are_left_out(tmp_path):
    constraints = [{"type": "fixed_combinations", "columns": ["town", "member"]}]
    rows = mixed(200)
    rows["member"] = [town == "x" for town in rows["town"]]
    params = dataset_params(balance={"method": "smote"}, target="label", constraints=constraints)
    table = MIXED.model_copy(update={"constraints": tuple(params.constraints)})
    write_mixed(tmp_path / "split" / "train", rows, table)
    balance(tmp_path / "split", tmp_path / "out", params)
    made = read_table(tmp_path / "out", "t").to_pydict()
    assert all(m == (t == "x") for m, t in zip(made["member"], made["town"], strict=True))


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        (
            {"age": [None, *mixed(200)["age"][1:]], "score": [float("nan")] * 200},
            {"method": "smote"},
            r"needs a value in every cell, found rows without in: .*score \(1\d\d\).* clean.missing",
        ),
        (
            {"label": ["no"] * 195 + ["yes"] * 5},
            {"method": "smote"},
            "'yes' has 5; lower balance.neighbors to 4",
        ),
        (
            {"label": [None, *mixed(200)["label"][1:]]},
            {"method": "smote"},
            "'label' in every row, found 1",
        ),
        ({}, {"method": "adasyn"}, r"\['town', 'member'\] are categories; take smote"),
    ],
)
def test_what_has_no_rows_between_is_refused(tmp_path, changes, settings, message):
    write_mixed(tmp_path / "split" / "train", mixed(200) | changes)
    with pytest.raises(DataError, match=message):
        balance(
            tmp_path / "split", tmp_path / "out", dataset_params(balance=settings, target="label")
        )
    assert not (tmp_path / "out").exists()


def test_texts_have_nothing_between_them(tmp_path):
    columns = tuple(
        c.model_copy(update={"meaning": "text"}) if c.name == "town" else c for c in MIXED.columns
    )
    write_mixed(
        tmp_path / "split" / "train", mixed(200), MIXED.model_copy(update={"columns": columns})
    )
    with pytest.raises(DataError, match=r"nothing between the values of \['town'\]"):
        balance(
            tmp_path / "split",
            tmp_path / "out",
            dataset_params(balance={"method": "smote"}, target="label"),
        )


@pytest.mark.parametrize(
    ("target", "message"), [(None, "needs a `target`"), ("age", "but 'age' is numeric")]
)
@pytest.mark.parametrize("method", ["undersample", "oversample", "smote", "class_weights"])
def test_a_target_of_classes_is_needed(tmp_path, target, message, method):
    write_people(tmp_path / "split" / "train", ROWS, target)
    params = dataset_params(target=target, balance={"method": method})
    with pytest.raises(DataError, match=message):
        balance(tmp_path / "split", tmp_path / "out", params)
    assert not (tmp_path / "out").exists()


def test_shares_are_of_large_tables_too(tmp_path):
    rng = np.random.default_rng(0)
    n = 70_000  # more than a batch
    sexes = ["m" if u < 0.1 else "f" for u in rng.random(n)]
    rows = {"id": list(range(n)), "age": rng.random(n).tolist(), "sex": sexes}
    found = balanced(tmp_path, rows, method="oversample", ratio=0.5)
    record = BalanceRecord.load(tmp_path / "out")
    trained = found["sex"][: record.real_rows + record.added_rows]
    assert trained.count("m") * 2 == pytest.approx(trained.count("f"), abs=1)
