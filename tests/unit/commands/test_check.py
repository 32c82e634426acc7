import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.commands.check import check
from tasks.errors import ParamsError
from tests.projects import REPOSITORY


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / "great_expectations", tmp_path / "great_expectations")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def _change(project: Path, **changes: Any) -> None:
    path = project / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["datasets"]["breast_cancer"] |= changes
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.mark.parametrize("dataset", ["breast_cancer", "digits"])
def test_the_demo_is_fine(dataset: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(project, dataset) == 0
    assert capsys.readouterr().out == "ok\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"balance": {"method": "augment", "augment": {"rotate_degrees": 5}}},
            r"datasets.breast_cancer.balance.augment.*\n.*rotate_degrees.*noise, resample",
        ),
        ({"generator": "gpt"}, r"datasets.breast_cancer.generator: expected one of .*autoreg"),
        ({"generator_params": {"depth": 1}}, r"breast_cancer.generator_params(.|\n)*depth: unk"),
        ({"source": {"type": "ftp"}}, r"datasets.breast_cancer.source.type: .*found 'ftp'"),
        ({"source": {"type": "sql", "tabel": "x"}}, r"tabel: unknown key"),
        (
            {"generator": "ctgan", "train": {"privacy": {"epsilon": 3.0}}},
            r"datasets\.breast_cancer\.train\.privacy: Ctgan cannot be trained with differential",
        ),
        (
            {"balance": {"method": "undersample"}, "train": {"privacy": {"epsilon": 3.0}}},
            r"balance\.method: expected none together with train\.privacy",
        ),
        ({"train": {"privacy": {"epsilon": 0.0}}}, r"train\.privacy\.epsilon: .*greater than 0"),
        ({"clean": {"drop_dups": True}}, r"breast_cancer\.clean: unknown keys \['drop_dups'\]"),
        ({"clean": {"units": {"a": {"from": "in", "to": "kg"}}}}, r"a: expected units of one qua"),
        ({"clean": {"types": {"a": "integer"}}}, r"breast_cancer\.clean\.types(.|\n)*unknown type"),
        ({"schedule": "@nightly"}, r"breast_cancer\.schedule: expected a cron expression"),
        ({"schedule": "61 * * * *"}, r"schedule: .*found '61 \* \* \* \*': .*out of range"),
        ({"schedule": "0 0 30 2 *"}, r"schedule: .*times that come"),
        ({"schedule": "@continuous"}, r"schedule: .*found '@continuous'"),
        ({"alerts": {"deadline_minutes": 10**13}}, r"deadline_minutes: .*less than or equal"),
        ({"seed": -1}, r"datasets.breast_cancer.seed: .*found -1"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], message: str, project: Path) -> None:
    _change(project, **changes)
    with pytest.raises(ParamsError, match=message):
        check(project, "breast_cancer")


def test_a_name_of_a_partition_is_no_name_of_a_dataset(project: Path) -> None:
    content = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    content["datasets"]["bills__2026"] = content["datasets"]["breast_cancer"]
    (project / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ParamsError, match="is that of a partition of 'bills'"):
        check(project, "bills__2026")


@pytest.mark.parametrize(
    "schedule", ["@quarterly", "@daily", "0 3 * * 1-5", "0 0 29 2 *", "@once", None]
)
def test_a_schedule_that_airflow_keeps_is_fine(schedule: str | None, project: Path) -> None:
    _change(project, schedule=schedule)
    assert check(project, "breast_cancer") == 0


def test_a_missing_suite_is_named(project: Path) -> None:
    (project / "great_expectations/expectations/digits_raw.json").unlink()
    with pytest.raises(ParamsError, match=r"found no .*digits_raw\.json"):
        check(project, "digits")


def test_a_schema_must_have_room_for_the_key_of_a_partition(project: Path) -> None:
    content = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    to = [{"type": "postgres", "connection": "WAREHOUSE", "schema": "s" * 50}]
    publish = {**content["datasets"]["breast_cancer"]["publish"], "to": to}
    _change(project, publish=publish)
    assert check(project, "breast_cancer") == 0
    _change(project, partition={"column": "mean radius", "by": "day"})
    with pytest.raises(ParamsError, match=r"expected a shorter `schema`.*s__2026_03_07"):
        check(project, "breast_cancer")
