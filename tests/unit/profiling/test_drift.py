"""What has changed between two snapshots, told by their profiles."""

import datetime
import json
import stat
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from tasks.cli import main
from tasks.errors import SourceError
from tasks.profiling.drift import Change, compare
from tasks.profiling.likeness import name_likeness
from tasks.profiling.profile import DatasetProfile, profile
from tasks.profiling.snapshots import hint, hint_of_source, last_profile, report_drift
from tasks.schema import DatasetSchema, ForeignKey, TableSchema
from tasks.sources.base import column, table_schema, with_meanings
from tasks.stages.ingest import ingest
from tasks.storage import write_dataset
from tasks.workspace import git
from tests.datasets import dataset_params, write_people

Columns = dict[str, Any]


def people(n: int = 2_000, seed: int = 0) -> Columns:
    """Rows with one column of each sort."""
    rng = np.random.default_rng(seed)
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    return {
        "height": rng.normal(1.7, 0.1, n).round(3),
        "income": rng.lognormal(10, 0.5, n).round(2),
        "smoker": rng.choice([0, 1], n, p=[0.8, 0.2]),
        "town": rng.choice(["Bonn", "Köln", "Ulm"], n, p=[0.6, 0.3, 0.1]),
        "joined": [f"{2000 + i % 20}-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(n)],
        "seen": [start + datetime.timedelta(minutes=int(m)) for m in rng.integers(0, 500_000, n)],
        "name": [f"person {i}" for i in rng.permutation(n)],
    }


def profiled(*tables: tuple[TableSchema, pa.Table]) -> DatasetProfile:
    schema = DatasetSchema(kind="tabular", tables=tuple(t for t, _ in tables))
    rows = {t.name: table for t, table in tables}
    schema = with_meanings(schema, rows, {})
    batches = {name: table.to_batches() for name, table in rows.items()}
    return profile(schema, batches, np.random.default_rng(0))


def one(columns: Columns, name: str = "people", **keys: Any) -> tuple[TableSchema, pa.Table]:
    table = pa.table(columns)
    return table_schema(name, [column(f.name, f.type) for f in table.schema], **keys), table


def changes(before: Columns, after: Columns) -> list[Change]:
    return compare(profiled(one(before)), profiled(one(after)))


def kinds(before: Columns, after: Columns) -> set[tuple[str, str | None, str | None]]:
    return {(c.kind, c.column, c.was) for c in changes(before, after)}


def without(columns: Columns, *names: str) -> Columns:
    return {name: values for name, values in columns.items() if name not in names}


def renamed(columns: Columns, **names: str) -> Columns:
    return {names.get(name, name): values for name, values in columns.items()}


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_changes_where_rows_come_and_go(seed):
    assert changes(people(), people(seed=seed)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (range(1, 1001), range(1, 3001)),
        (range(1, 1001), range(1, 10_001)),
        (range(300), range(273, 573)),
        (range(0, 5_000, 5), range(0, 50_000, 5)),
        (range(1_704_067_200, 1_704_153_600, 60), range(1_704_110_400, 1_704_196_800, 60)),
    ],
)
def test_counters_and_clocks_run_on(before, after):
    rows = [
        {
            "n": list(numbers),
            "at": pa.array([n * 10**6 for n in numbers], pa.timestamp("us")),
            "price": np.random.default_rng(seed).gamma(2, 20, len(numbers)),
        }
        for seed, numbers in enumerate((before, after))
    ]
    assert changes(*rows) == []


def test_a_constant_has_no_unit():
    rows = people() | {"version": [1] * 2_000}
    assert changes(rows, rows | {"version": [2] * 2_000}) == []


def test_columns_come_and_go():
    rows = people()
    found = changes(without(rows, "height"), without(rows, "town"))
    assert [c.text for c in found] == [
        "people.height is new: double, numeric",
        "people.town is gone",
    ]


@pytest.mark.parametrize("seed", [0, 1])  # the same rows, and others of the same kind
def test_columns_are_known_under_other_names(seed):
    rows, later = people(), people(seed=seed)
    names = {"income": "annual_income", "smoker": "x1", "town": "City", "height": "h"}
    found = changes(rows, renamed(later, **names))
    assert {(c.kind, c.was, c.column) for c in found} == {
        ("renamed", was, now) for was, now in names.items()
    }
    assert all(c.confidence > 0.65 for c in found)
    assert any(c.text.startswith("people.annual_income was called 'income' (") for c in found)


def test_a_column_that_went_is_not_one_that_came():
    rows = people()
    other = np.random.default_rng(5).gamma(2, 3, 2_000)
    after = without(rows, "height") | {"dose": other}
    assert kinds(rows, after) == {("removed", "height", None), ("added", "dose", None)}


@pytest.mark.parametrize(
    ("name", "change", "kind", "words"),
    [
        ("height", lambda v: v * 100, "unit", "times 100"),
        ("height", lambda v: v / 0.3048, "unit", "divided by 0.3048 (feet and m)"),
        ("height", lambda v: v * 7.3, "unit", "times 7.3"),
        ("height", lambda v: v * 1.8 + 32, "unit", "°C to °F"),
        ("income", lambda v: (v * 100).astype(int), "unit", "times 100 (cents"),
        ("smoker", lambda v: np.where(v == 1, "yes", "no"), "coding", "2 other values"),
        ("smoker", lambda v: 1 - v, "coding", "changed places"),
        (
            "town",
            lambda v: np.where(v == "Köln", "Cologne", v),
            "coding",
            "spells 1 of its values in another way",
        ),
        ("height", lambda v: [str(x) for x in v], "retyped", "was double and is string"),
        (
            "joined",
            lambda v: [f"{d[8:]}.{d[5:7]}.{d[:4]}" for d in v],
            "format",
            "was written like '9999-99-99' and is now like '99.99.9999'",
        ),
        (
            "seen",
            lambda v: [m + datetime.timedelta(hours=2) for m in v],
            "time zone",
            "moved by +2 hours",
        ),
        (
            "town",
            lambda v: [None if i % 4 == 0 else t for i, t in enumerate(v)],
            "missing",
            "was missing in 0.0% and is in 25.0% of rows",
        ),
        (
            "name",
            lambda v: [f"person {i}" for i in range(5_000, 7_000)],
            "content",
            "has none of the values",
        ),
        ("town", lambda v: [f"{t} {i}" for i, t in enumerate(v)], "meaning", "was categorical"),
    ],
)
def test_a_column_is_not_what_it_was(name, change, kind, words):
    rows = people()
    after = dict(rows) | {name: change(rows[name])}
    found = {c.kind: c for c in changes(rows, after)}
    assert kind in found, found
    assert found[kind].column == name
    assert words in found[kind].text


def test_two_columns_changed_places():
    rows = people() | {"weight": np.random.default_rng(3).normal(70, 10, 2_000).round(1)}
    after = dict(rows) | {"weight": rows["income"], "income": rows["weight"]}
    assert kinds(rows, after) == {
        ("swapped", "weight", "income"),
        ("swapped", "income", "weight"),
    }


def test_keys_and_tables():
    link = ForeignKey(columns=("person",), references="people", referenced_columns=("id",))
    persons = {"id": list(range(300)), "age": [i % 80 for i in range(300)]}
    visits = {"visit": list(range(900)), "person": [i % 300 for i in range(900)]}
    before = profiled(
        one(persons, primary_key=["id"]),
        one(visits, "visits", primary_key=["visit"], foreign_keys=[link]),
        one({"z": [1, 2]}, "old"),
    )
    after = profiled(
        one(persons),
        one(visits, "hospital_visits", primary_key=["visit"]),
        one({"q": ["a", "b"]}, "new"),
    )
    found = compare(before, after)
    assert [c.text for c in found if c.kind != "meaning"] == [
        "table 'old' is gone",
        "table 'new' is new",
        "the primary key of 'people' was id and is none",
        "table 'visits' is called 'hospital_visits' now",
        "hospital_visits.person does not link to 'people' any more",
    ]


def test_a_renamed_key_is_no_other_key():
    rows = {"id": list(range(300)), "age": [i % 80 for i in range(300)]}
    before = profiled(one(rows, primary_key=["id"]))
    after = profiled(one(renamed(rows, id="person_id"), primary_key=["person_id"]))
    assert [(c.kind, c.was) for c in compare(before, after)] == [("renamed", "id")]


def test_empty_and_tiny_tables_say_little_and_break_nothing():
    empty = {"a": pa.array([], pa.float64()), "b": pa.array([], pa.string())}
    nothing = {"a": pa.nulls(5, pa.float64()), "b": pa.nulls(5, pa.string())}
    few = {"a": [1.0, 2.0], "b": ["x", "y"]}
    for before in (empty, nothing, few):
        for after in (empty, nothing, few):
            assert {c.kind for c in changes(before, after)} <= {"missing", "meaning"}


def test_types_of_which_little_is_known_break_nothing():
    n = 120
    odd = {
        "bytes": [b"x"] * n,
        "largest": [1e308, -1e308] * (n // 2),
        "infinite": [float("inf"), float("nan")] * (n // 2),
        "small": pa.array(np.arange(n), pa.float16()),
        "unsigned": pa.array([2**63 + i for i in range(n)], pa.uint64()),
        "span": [datetime.timedelta(seconds=i) for i in range(n)],
    }
    for before in odd.values():
        for after in odd.values():
            changes({"c": before}, {"c": after})


@pytest.mark.parametrize(
    ("before", "after", "least"),
    [
        ("annualIncome", "annual_income", 1.0),
        ("income", "annual_income", 0.9),
        ("customer_id", "CustomerId", 1.0),
        ("cust_nm", "customer_name", 0.6),
    ],
)
def test_names_that_are_alike(before, after, least):
    assert name_likeness(before, after) >= least
    assert name_likeness(before, "zzz") < 0.3


def test_the_last_snapshot_is_kept_for_its_owner_alone(tmp_path, caplog):
    rows = {"id": list(range(50)), "age": [float(i) for i in range(50)], "sex": ["f", "m"] * 25}
    write_people(tmp_path / "a", rows)
    state = tmp_path / "state"
    assert report_drift(tmp_path / "a", "people", state) == []
    folder = state / "snapshots" / "people"
    assert stat.S_IMODE((folder / "profile.json").stat().st_mode) == 0o600
    write_people(tmp_path / "b", rows | {"age": [float(i) for i in range(0, 5_000, 100)]})
    (found,) = report_drift(tmp_path / "b", "people", state)
    assert (found.kind, found.column) == ("unit", "age")
    assert "since the last snapshot: people.age changed its unit: it is times 100" in caplog.text
    kept = json.loads((folder / "drift.json").read_text(encoding="utf-8"))
    assert [Change.model_validate(c) for c in kept] == [found]
    # What has not changed again stays readable.
    assert report_drift(tmp_path / "b", "people", state) == []
    assert (folder / "drift.json").exists()


def test_a_profile_that_cannot_be_read_is_no_obstacle(tmp_path, caplog):
    write_people(tmp_path / "a", {"id": [1, 2], "age": [1.0, 2.0], "sex": ["f", "m"]})
    folder = tmp_path / "state" / "snapshots" / "people"
    folder.mkdir(parents=True)
    (folder / "profile.json").write_text('{"kind": "old"}', encoding="utf-8")
    assert report_drift(tmp_path / "a", "people", tmp_path / "state") == []
    assert "the profile of the last snapshot cannot be used" in caplog.text
    assert last_profile(tmp_path / "state", "people") is not None


def test_messages_name_what_a_column_is_called_now(tmp_path):
    rows = people()
    for name, columns in (("a", rows), ("b", renamed(rows, income="annual_income"))):
        table, content = one(columns)
        schema = with_meanings(
            DatasetSchema(kind="tabular", tables=(table,)), {"people": content}, {}
        )
        (tmp_path / name).mkdir()
        write_dataset(tmp_path / name, schema, {"people": content.to_batches()})
        report_drift(tmp_path / name, "people", tmp_path / "state")
    found = hint("expected the column 'income', found none", "people", tmp_path / "state")
    assert found.startswith("; 'income' is gone, and 'annual_income' looks like it (")
    assert hint("expected 'height'", "people", tmp_path / "state") == ""
    assert hint("expected 'income'", "others", tmp_path / "state") == ""


def test_a_pull_that_fails_for_a_missing_column_asks_what_it_is_called_now(tmp_path):
    rows = people(500)
    table, content = one(rows)
    schema = with_meanings(DatasetSchema(kind="tabular", tables=(table,)), {"people": content}, {})
    (tmp_path / "raw").mkdir()
    write_dataset(tmp_path / "raw", schema, {"people": content.to_batches()})
    state = tmp_path / "state"
    report_drift(tmp_path / "raw", "people", state)
    csv.write_csv(pa.table(renamed(rows, smoker="smokes")), tmp_path / "people.csv")
    params = dataset_params(target="smoker")
    with pytest.raises(SourceError, match="expected the target 'smoker'") as error:
        ingest(tmp_path / "raw", params, project=tmp_path)
    more = hint_of_source(str(error.value), params, tmp_path, "people", state)
    assert more.startswith("; 'smoker' is gone, and 'smokes' looks like it (")
    # A source that is gone altogether adds nothing to what is told already.
    (tmp_path / "people.csv").unlink()
    assert hint_of_source("'smoker'", params, tmp_path, "people", state) == ""


def test_the_command_line_tells_what_drifted(tmp_path, monkeypatch, capsys, caplog):
    rows = people(500)
    entry = dataset_params(target="town").model_dump(mode="json")
    entry["source"] = {"type": "files", "path": "people.csv"}
    (tmp_path / "params.yaml").write_text(json.dumps({"datasets": {"people": entry}}))
    git(tmp_path, "init")
    monkeypatch.chdir(tmp_path)
    csv.write_csv(pa.table(rows), tmp_path / "people.csv")
    assert main(["ingest", "people"]) == 0
    csv.write_csv(pa.table(renamed(rows, income="salary")), tmp_path / "people.csv")
    assert main(["ingest", "people"]) == 0
    assert "since the last snapshot: people.salary was called 'income' (" in caplog.text
    entry["clean"] = {"drop_columns": ["income"]}
    (tmp_path / "params.yaml").write_text(json.dumps({"datasets": {"people": entry}}))
    assert main(["clean", "people"]) == 2
    assert "'income' is gone, and 'salary' looks like it (" in capsys.readouterr().err
    csv.write_csv(pa.table(renamed(rows, town="city")), tmp_path / "people.csv")
    assert main(["ingest", "people"]) == 5
    assert "'town' is gone, and 'city' looks like it (" in capsys.readouterr().err
