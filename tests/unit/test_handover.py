"""What tasks of a run hand each other by text, with the project's own dvc.yaml."""

from pathlib import Path

import pytest
import yaml

from tasks.errors import WorkspaceError
from tasks.handover import begin, entry, merged, to_pull
from tasks.workspace import git
from tests.projects import REPOSITORY

DATASET = "breast_cancer"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    return tmp_path


def stage(name: str, deps: dict[str, str], outs: dict[str, str]) -> str:
    def listed(files: dict[str, str]) -> list[dict[str, str]]:
        return [{"path": path, "md5": md5} for path, md5 in files.items()]

    body = {"cmd": f"python -m tasks {name}", "deps": listed(deps), "outs": listed(outs)}
    return yaml.safe_dump({"schema": "2.0", "stages": {f"{name}@{DATASET}": body}})


RAW, GATE, CLEAN = (f"data/{DATASET}/{name}" for name in ("raw", "gates/raw.json", "clean"))
INGEST = stage("ingest", {}, {RAW: "raw1"})
VALIDATE = stage("validate_raw", {RAW: "raw1"}, {GATE: "gate1"})
CLEANED = stage("clean", {RAW: "raw1", GATE: "gate1"}, {CLEAN: "clean1"})


def test_later_entries_take_the_place_of_earlier_ones() -> None:
    newer = stage("ingest", {}, {RAW: "raw2"})
    stages = yaml.safe_load(merged(merged("", [INGEST, None, VALIDATE]), [newer]))["stages"]
    assert list(stages) == [f"ingest@{DATASET}", f"validate_raw@{DATASET}"]
    assert stages[f"ingest@{DATASET}"]["outs"] == [{"path": RAW, "md5": "raw2"}]
    assert merged("", [None]) == ""


def test_a_stage_pulls_its_inputs(root: Path) -> None:
    assert to_pull(root, DATASET, "ingest") == []
    (root / "dvc.lock").write_text(merged("", [INGEST, VALIDATE]))
    assert to_pull(root, DATASET, "clean") == [RAW, GATE]


def test_a_stage_pulls_its_output_too_where_its_inputs_are_those_that_made_it(root: Path) -> None:
    (root / "dvc.lock").write_text(merged("", [INGEST, VALIDATE, CLEANED]))
    assert to_pull(root, DATASET, "clean") == [RAW, GATE, CLEAN]
    moved = stage("ingest", {}, {RAW: "raw2"})
    (root / "dvc.lock").write_text(merged("", [moved, VALIDATE, CLEANED]))
    assert to_pull(root, DATASET, "clean") == [RAW, GATE]


def test_the_entry_of_a_stage_is_handed_on_alone(root: Path) -> None:
    (root / "dvc.lock").write_text(merged("", [INGEST, VALIDATE]))
    alone = entry(root, f"ingest@{DATASET}")
    assert list(yaml.safe_load(alone)["stages"]) == [f"ingest@{DATASET}"]
    with pytest.raises(WorkspaceError, match="expected clean@breast_cancer"):
        entry(root, f"clean@{DATASET}")


def test_a_run_that_could_hand_no_data_on_does_not_begin(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOFMINT_GIT_REMOTE", "origin")
    git(root, "init", "-q")
    with pytest.raises(WorkspaceError, match="dvc remote add --default"):
        begin(root, DATASET, {})
