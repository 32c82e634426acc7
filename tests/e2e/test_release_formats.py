"""A release opens with the readers that people use: pandas, datasets, mlcroissant, frictionless."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.stages.publish import publish
from tasks.storage import digest
from tests.releases import image_inputs, relational_inputs, tabular_inputs

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the releases `patients` (one table), `shapes` (images), `shop` (two tables)."""
    root = tmp_path_factory.mktemp("formats")
    for inputs in (tabular_inputs, image_inputs, relational_inputs):
        case = inputs(root)
        publish(case.at, case.params)
    return root / "releases"


def read_by_a_stranger(folder: Path, code: str, cache: Path) -> Any:
    """What `code` prints as JSON in a process without network and with caches of its own."""
    nowhere = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(cache),
        "CROISSANT_CACHE": str(cache),
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_pandas_reads_the_folder_of_a_table(releases: Path) -> None:
    frame = pd.read_parquet(releases / "patients" / "data" / "patients")
    assert len(frame) == 300
    assert set(frame["ill"]) == {"yes", "no"}


DATASETS = """
import json, os
import datasets

def load(name, *configuration):
    return datasets.load_dataset(os.path.abspath(name), *configuration, split="train")

patients, shapes = load("patients"), load("shapes")
files = datasets.load_dataset("parquet", data_files="shapes/data/shapes/*.parquet", split="train")
names = datasets.get_dataset_config_names(os.path.abspath("shop"))
print(json.dumps({
    "rows": patients.num_rows,
    "types": [patients.features[name].dtype for name in ("age", "smoker", "seen_at", "born")],
    "missing": patients[0]["age"],
    "images": [shapes.num_rows, shapes[0]["image"].size, files[0]["image"].size],
    "tables": {name: load("shop", name).num_rows for name in names},
}))
"""


def test_datasets_loads_tables_and_images_offline(releases: Path, tmp_path: Path) -> None:
    assert read_by_a_stranger(releases, DATASETS, tmp_path) == {
        "rows": 300,
        "types": ["int64", "bool", "timestamp[us]", "date32"],
        "missing": None,
        "images": [36, [8, 8], [8, 8]],
        "tables": {"our_customers": 3, "orders_2024": 4},
    }


CROISSANT = """
import json
import mlcroissant

found = {}
for name in ("patients", "shapes", "shop"):
    dataset = mlcroissant.Dataset(f"{name}/croissant.json")
    records = {r.id: list(dataset.records(r.id)) for r in dataset.metadata.record_sets}
    found[name] = {
        "errors": sorted(dataset.metadata.ctx.issues.errors),
        "version": dataset.metadata.ctx.conforms_to.value,
        "rows": {name: len(rows) for name, rows in records.items()},
        "first": [str(value) for value in list(records.values())[-1][0].values()],
    }
print(json.dumps(found))
"""


def test_croissant_is_valid_and_its_records_load(releases: Path, tmp_path: Path) -> None:
    found = read_by_a_stranger(releases, CROISSANT, tmp_path)
    for description in found.values():
        assert description["errors"] == []
        assert description["version"] == "http://mlcommons.org/croissant/1.1"
    assert found["patients"]["rows"] == {"patients": 300}
    assert found["shapes"]["rows"] == {"shapes": 36}
    assert "PngImageFile" in found["shapes"]["first"][0]
    assert found["shop"]["rows"] == {"our%20customers": 3, "orders%3D2024": 4}
    assert found["shop"]["first"] == ["7", "1", "9.5"]


FRICTIONLESS = """
import json, os
import frictionless

found = {}
for name in sorted(os.listdir(".")):
    report = frictionless.validate(f"{name}/datapackage.json")
    errors = report.flatten(["fieldName", "type", "note"])
    found[name] = [sum(task.stats["rows"] for task in report.tasks), errors]
print(json.dumps(found))
"""


def test_frictionless_validates_every_cell_and_key(releases: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(releases, tmp_path / "releases")
    broken = shutil.copytree(folder / "shop", folder / "shop_broken")
    orders = broken / "data" / "orders_2024" / "part-00000.parquet"
    stray = pa.table({"id": [7, 7, 9, 10], "customer": [1, 1, 3, 99], "amount": [1.0] * 4})
    pq.write_table(stray.cast(pq.read_schema(orders)), orders)
    found = read_by_a_stranger(folder, FRICTIONLESS, tmp_path)
    assert [found[name] for name in ("patients", "shapes", "shop")] == [
        [300, []],
        [36, []],
        [7, []],
    ]
    assert [kind for _, kind, _ in found["shop_broken"][1]] == ["primary-key", "foreign-key"]


def test_reading_a_release_changes_nothing_in_it(releases: Path) -> None:
    names = {"README.md", "croissant.json", "data", "datapackage.json", "evidence", "report.html"}
    for release in releases.iterdir():
        assert {path.name for path in release.iterdir()} == names


def test_hash_seed_time_zone_and_locale_decide_nothing(releases: Path, tmp_path: Path) -> None:
    code = """
import pathlib, sys
from tasks.stages.publish import publish
from tests.releases import tabular_inputs
case = tabular_inputs(pathlib.Path(sys.argv[1]))
publish(case.at, case.params)
"""
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        check=True,
    )
    assert digest(tmp_path / "releases" / "patients") == digest(releases / "patients")
