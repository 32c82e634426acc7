"""A release opens with the readers that people use: pandas, datasets, mlcroissant, frictionless."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.stages.publish import publish
from tasks.storage import digest
from tests.releases import Case, image_inputs, relational_inputs, tabular_inputs

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tabular(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(tabular_inputs, tmp_path_factory)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(image_inputs, tmp_path_factory)


@pytest.fixture(scope="module")
def relational(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(relational_inputs, tmp_path_factory)


def published(inputs: Callable[[Path], Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = inputs(tmp_path_factory.mktemp("release"))
    publish(case.at, case.params)
    return case.at.release


def loaded(release: Path, code: str, cache: Path) -> Any:
    """What `code` prints as JSON, run by a stranger: no network, none of our code, own caches."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(cache),
        "CROISSANT_CACHE": str(cache),
        "no_proxy": "",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import json, os\nfolder = os.getcwd()\n{code}"],
        cwd=release,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_pandas_reads_the_folder_of_a_table(tabular: Path) -> None:
    frame = pd.read_parquet(tabular / "data" / "patients")
    assert len(frame) == 300
    assert set(frame["ill"]) == {"yes", "no"}


def test_datasets_loads_a_table_with_its_types(tabular: Path, tmp_path: Path) -> None:
    code = """
import datasets
rows = datasets.load_dataset(folder, split="train")
print(json.dumps([rows.num_rows, str(rows.features["born"].dtype), rows[0]["ill"], rows[0]["age"]]))
"""
    n_rows, born, _, age = loaded(tabular, code, tmp_path)
    assert (n_rows, born, age) == (300, "date32", None)


def test_datasets_loads_images_as_images(images: Path, tmp_path: Path) -> None:
    code = """
import datasets
rows = datasets.load_dataset(folder, split="train")
alone = datasets.load_dataset("parquet", data_files="data/shapes/*.parquet", split="train")
print(json.dumps([rows.num_rows, rows[0]["image"].size, alone[0]["image"].size]))
"""
    assert loaded(images, code, tmp_path) == [36, [8, 8], [8, 8]]


def test_datasets_loads_every_table(relational: Path, tmp_path: Path) -> None:
    code = """
import datasets
names = datasets.get_dataset_config_names(folder)
print(json.dumps({name: datasets.load_dataset(folder, name, split="train").num_rows for name in names}))
"""
    assert loaded(relational, code, tmp_path) == {"our_customers": 3, "orders_2024": 4}


CROISSANT = """
import mlcroissant
dataset = mlcroissant.Dataset("croissant.json")
assert not dataset.metadata.ctx.issues.errors
records = {r.id: list(dataset.records(r.id)) for r in dataset.metadata.record_sets}
print(json.dumps([dataset.metadata.conforms_to, {n: len(r) for n, r in records.items()},
                  [sorted(map(str, r[0].values())) for r in records.values()]]))
"""


def test_croissant_is_valid_and_its_records_load(tabular: Path, tmp_path: Path) -> None:
    version, counts, _ = loaded(tabular, CROISSANT, tmp_path)
    assert "1.1" in str(version)
    assert counts == {"patients": 300}


def test_croissant_loads_images(images: Path, tmp_path: Path) -> None:
    _, counts, (first,) = loaded(images, CROISSANT, tmp_path)
    assert counts == {"shapes": 36}
    assert any("PngImageFile" in value for value in first)


def test_croissant_loads_tables_with_keys(relational: Path, tmp_path: Path) -> None:
    _, counts, (_, order) = loaded(relational, CROISSANT, tmp_path)
    assert counts == {"our%20customers": 3, "orders%3D2024": 4}
    assert order == ["1", "7", "9.5"]


@pytest.mark.parametrize("kind", ["tabular", "images", "relational"])
def test_frictionless_validates_every_cell(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    release: Path = request.getfixturevalue(kind)
    code = """
import frictionless
report = frictionless.validate("datapackage.json")
print(json.dumps([report.valid, report.flatten(["fieldName", "type", "note"])[:5],
                  [task.stats["rows"] for task in report.tasks]]))
"""
    valid, errors, counts = loaded(release, code, tmp_path)
    assert valid, errors
    assert sum(counts) == {"tabular": 300, "images": 36, "relational": 7}[kind]


def test_frictionless_really_looks_at_the_rows(relational: Path, tmp_path: Path) -> None:
    release = shutil.copytree(relational, tmp_path / "shop")
    orders = release / "data" / "orders_2024" / "part-00000.parquet"
    table = pq.ParquetFile(orders).read()
    stray = pa.table({"id": [7, 7, 9, 10], "customer": [1, 1, 3, 99], "amount": [1.0] * 4})
    pq.write_table(stray.cast(table.schema), orders)
    code = """
import frictionless
report = frictionless.validate("datapackage.json")
print(json.dumps(report.flatten(["type"])))
"""
    assert loaded(release, code, tmp_path) == [["primary-key"], ["foreign-key"]]


def test_reading_a_release_changes_nothing_in_it(
    tabular: Path, images: Path, relational: Path
) -> None:
    names = {"README.md", "croissant.json", "data", "datapackage.json", "evidence", "report.html"}
    for release in (tabular, images, relational):
        assert {path.name for path in release.iterdir()} == names


def test_the_order_of_sets_decides_nothing(tabular: Path, tmp_path: Path) -> None:
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
    assert digest(tmp_path / "releases" / "patients") == digest(tabular)
