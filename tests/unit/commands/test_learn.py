"""`proofmint learn`: what it writes, what it leaves alone, and what it says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from tasks.commands.learn import learn
from tasks.errors import DataError, ParamsError
from tasks.gates.run import examine, to_frame
from tasks.gates.suites import load_suite
from tasks.schema import DatasetSchema, arrow_schema
from tasks.storage import write_dataset, write_table
from tests.visits import VISITS, visits

ROOT = Path(__file__).parents[3]
TABLE = VISITS.model_copy(update={"columns": VISITS.columns[:9]})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with the raw data of one dataset of 200 rows."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    entry = params["datasets"]["breast_cancer"] | {"target": "sex", "clean": {}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"datasets": {"visits": entry}}))
    write(tmp_path, "raw", 200)
    return tmp_path


def rows_of(n_rows: int) -> pa.Table:
    frame = visits(n_rows, np.random.default_rng(0))[TABLE.column_names]
    return pa.Table.from_pandas(frame, preserve_index=False).cast(arrow_schema(TABLE))


def write(root: Path, point: str, n_rows: int) -> None:
    folder = root / "data" / "visits" / point
    folder.mkdir(parents=True)
    schema = DatasetSchema(kind="tabular", tables=(TABLE,), target="sex")
    write_dataset(folder, schema, {"visits": rows_of(n_rows).to_batches()})


def suite(root: Path, point: str) -> Path:
    return root / "great_expectations" / "expectations" / f"visits_{point}.json"


def test_two_steps_from_raw_data_to_three_suites(root, capsys):
    assert learn(root, "visits", force=False) == 0
    said = capsys.readouterr().out
    assert "wrote great_expectations/expectations/visits_raw.json" in said
    assert "wrote great_expectations/expectations/visits_release.json" in said
    assert "run `dvc repro clean@visits`" in said
    assert not suite(root, "clean").exists()

    write(root, "clean", 200)
    first = suite(root, "raw").read_bytes()
    learn(root, "visits", force=False)
    said = capsys.readouterr().out
    assert "visits_raw.json is as it was" in said
    assert "wrote great_expectations/expectations/visits_clean.json" in said
    assert suite(root, "raw").read_bytes() == first

    raw, clean = load_suite(suite(root, "raw")), load_suite(suite(root, "clean"))
    assert raw.at("raw") == raw
    assert {e.points for e in raw.expectations} == {None}
    assert {e.points for e in clean.expectations} == {None, ("clean",), ("synthetic",)}
    synthetic = {e.type for e in clean.at("synthetic").expectations}
    assert synthetic == {
        "expect_table_columns_to_match_ordered_list",
        "expect_column_kind_to_be",
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_in_set",
    }
    release = load_suite(suite(root, "release"))
    (wanted,) = [e for e in release.expectations if "contain_set" in e.type]
    assert "shape_error" in wanted.kwargs["value_set"]


def test_numbers_that_are_none_are_learned_as_missing_values(root):
    suites = []
    for wrong in ([None] * 3, [np.nan, np.inf, -np.inf]):
        rows = rows_of(200)
        heights = pa.array([*wrong, *rows["height_cm"].to_pylist()[3:]], pa.float64())
        rows = rows.set_column(rows.column_names.index("height_cm"), "height_cm", heights)
        shutil.rmtree(root / "data" / "visits" / "raw" / "visits")
        write_table(root / "data" / "visits" / "raw", TABLE, rows.to_batches())
        learn(root, "visits", force=True)
        suites.append(suite(root, "raw").read_bytes())
    assert suites[0] == suites[1]


def test_what_is_written_is_what_great_expectations_reads(root):
    learn(root, "visits", force=False)
    expectations = load_suite(suite(root, "raw")).expectations
    checks = examine("visits", to_frame(rows_of(200)), expectations, frozenset()).checks
    assert [check for check in checks if not check.passed] == []
    assert all(check.description and "{" not in check.observed for check in checks)


def test_a_suite_that_a_person_changed_is_kept_unless_forced(root, capsys):
    learn(root, "visits", force=False)
    path = suite(root, "raw")
    learned = path.read_text()
    content = json.loads(learned)
    content["expectations"].pop()
    path.write_text(json.dumps(content))
    changed = path.read_text()
    capsys.readouterr()

    learn(root, "visits", force=False)
    assert path.read_text() == changed
    assert "kept great_expectations/expectations/visits_raw.json" in capsys.readouterr().out
    learn(root, "visits", force=True)
    assert path.read_text() == learned


def test_errors_say_what_to_do(root):
    with pytest.raises(ParamsError, match="nothing"):
        learn(root, "nothing", force=False)
    (root / "data" / "visits" / "raw" / "schema.json").unlink()
    with pytest.raises(DataError, match="dvc repro ingest@visits"):
        learn(root, "visits", force=False)


@pytest.mark.parametrize("n_rows", [0, 19])
def test_too_few_rows_to_learn_from(root, n_rows):
    write(root, "clean", n_rows)
    with pytest.raises(DataError, match=f"at least 20 rows of 'visits' .* found {n_rows}"):
        learn(root, "visits", force=False)
