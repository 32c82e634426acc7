"""Where the model that a training starts from is found: in folders, and in releases by git and DVC."""

import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from tasks import versions
from tasks.errors import DataError, ParamsError
from tasks.params import DatasetParams
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.storage import StoredRows, digest, new_folder, read_json, write_dataset
from tasks.training.checkpoint import Checkpoint
from tasks.training.loop import fit
from tasks.training.model import generator_class, save_model
from tasks.training.parents import find_parent, parent_has_changed
from tasks.versions import Version
from tasks.workspace import Layout, git
from tests.datasets import dataset_params

TRAIN = {"epochs": 1, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the model of `people`, which is also its release v1."""
    root = tmp_path_factory.mktemp("project").resolve()
    for command in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        git(root, "-c", "user.name=t", "-c", "user.email=t@localhost", *command)
    columns = (
        Column(name="sex", type="string", meaning="categorical", nullable=False),
        Column(name="age", type="double", meaning="numeric", nullable=False),
    )
    table = TableSchema(name="people", columns=columns)
    rng = np.random.default_rng(0)
    rows = pa.RecordBatch.from_pydict(
        {"sex": rng.choice(["f", "m"], 80), "age": rng.integers(20, 60, 80).astype(float)}
    )
    schema = DatasetSchema(kind="tabular", tables=(table,), target="sex")
    balanced = Layout(root, "people").balanced
    balanced.mkdir(parents=True)
    write_dataset(balanced, schema, {"people": [rows]})
    _train(root, _params())
    return root


def _params(init_from: str | None = None, **train: Any) -> DatasetParams:
    return dataset_params(train={**TRAIN, "init_from": init_from, **train})


def _train(root: Path, params: DatasetParams) -> Path:
    """What the stage `train` does, without MLflow."""
    at = Layout(root, "people")
    cls = generator_class("tabular", params.generator)
    shutil.rmtree(root / "work", ignore_errors=True)
    (root / "work").mkdir()
    fitted = fit(
        *(cls, cls.Params(), DatasetSchema.load(at.balanced), StoredRows(at.balanced, "people")),
        params.train,
        seed=0,
        checkpoint=Checkpoint(root / "work"),
        parent=find_parent(params, root),
    )
    with new_folder(at.model) as draft:
        save_model(draft, "tabular", params.generator, cls.Params(), fitted)
    return at.model


def _dvc(root: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    subprocess.run(command, cwd=root, check=True, capture_output=True)


def _release(root: Path) -> str:
    """Let the model that stands there be that of a release; its tag."""
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    stage = {"foreach": ["people"], "do": {"cmd": "true", "outs": ["data/people/model"]}}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    _dvc(root, "commit", "-q", "--force")
    files = {name: (root / name).read_text() for name in ("dvc.yaml", "dvc.lock", ".dvc/config")}
    commit = versions.commit_files(root, "HEAD", ["HEAD"], files, "release\n")
    version = Version("people", 1, commit, "0" * 32, "0" * 64, 80, "passed", "")
    versions.publish_version(root, version, None)
    return version.tag


def test_a_model_in_a_folder(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    sha256 = digest(project / "data/people/model")
    for place in (
        "people",
        "models/people",
        "data/people/model",
        str(project / "data/people/model"),
    ):
        with caplog.at_level(logging.WARNING):
            parent = find_parent(_params(place), project)
        assert parent is not None
        assert (parent.place, parent.sha256) == (place, sha256)
        # It says what to write instead.
        assert f"write {place}#{sha256[:12]} to name this one" in caplog.text
        caplog.clear()
        assert find_parent(_params(f"{place}#{sha256[:12]}"), project) is not None
        assert not caplog.records
    assert find_parent(_params(), project) is None


def test_a_model_that_is_another_one(project: Path) -> None:
    with pytest.raises(ParamsError, match="expected a model whose sha256 begins with 00000000"):
        find_parent(_params("people#00000000"), project)


@pytest.mark.parametrize(
    "place", ["nobody", "no/folder", "releases/people2", "people@v0", "#", "."]
)
def test_no_such_model(project: Path, place: str) -> None:
    with pytest.raises(ParamsError, match=r"no model at .*: expected a release \(digits@v3\)"):
        find_parent(_params(place), project)


def test_a_damaged_checkpoint(project: Path) -> None:
    (project / "damaged").mkdir()
    (project / "damaged" / "checkpoint.safetensors").write_bytes(b"xx")
    with pytest.raises(DataError, match=r"the checkpoint in .*damaged is damaged"):
        find_parent(_params("damaged"), project)


def test_a_training_from_a_checkpoint_names_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "is_due", lambda _: True)
    before = shutil.copytree(project / "data/people/model", tmp_path / "before")
    _train(project, _params(epochs=2))
    kept = (project / "work").rename(project / "kept")
    model = _train(project, _params("kept"))
    told = read_json(model / "model.json")["training"]["parent"]
    assert (told["from"], told["new_weights"]) == ("kept", [])
    assert told["sha256"] == digest(kept / "checkpoint.safetensors")
    shutil.rmtree(model)
    shutil.copytree(before, model)


def test_another_parent_is_noticed(project: Path, tmp_path: Path) -> None:
    at = Layout(project, "people")
    before = shutil.copytree(at.model, tmp_path / "before")
    place = project / "parent"
    shutil.copytree(at.model, place)
    params = _params("parent")
    assert not parent_has_changed(params, at)  # the model that stands there has no parent
    model = _train(project, params)
    assert not parent_has_changed(params, at)
    shutil.rmtree(place)
    shutil.copytree(model, place)
    assert parent_has_changed(params, at)
    assert not parent_has_changed(_params(), at)
    shutil.rmtree(at.model)
    shutil.copytree(before, at.model)


def test_a_model_of_a_release(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    sha256 = digest(project / "data/people/model")
    with pytest.raises(
        ParamsError, match="expected a release people@v1, found no release of 'people'"
    ):
        find_parent(_params("people@v1"), project)
    assert _release(project) == "people@v1"
    shutil.rmtree(project / "data/people/model")  # it is in DVC's cache
    with caplog.at_level(logging.WARNING):
        parent = find_parent(_params("releases/people@v1"), project)
    assert parent is not None
    assert parent.sha256 == sha256
    assert not caplog.records
    with pytest.raises(ParamsError, match="expected a release people@v7, found people@v1"):
        find_parent(_params("people@v7"), project)
    worktree = project / "worktree"
    git(project, "worktree", "add", "--detach", str(worktree), "people@v1")
    with pytest.raises(ParamsError, match="would not be noticed by DVC; write people@v1 to name"):
        find_parent(_params("releases/people"), worktree)
