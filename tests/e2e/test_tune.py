"""`proofmint tune`: a search that is killed goes on, its trials are runs below one run, its patch applies."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tasks.cli import main
from tasks.params import load_dataset
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.storage import write_dataset
from tasks.tracking import open_tracker
from tasks.training.model import generator_class, generator_params
from tests.projects import REPOSITORY

PARAMS = """\
datasets:
  toy: # the one and only
    kind: tabular
    schedule: null
    seed: 3
    target: group
    source: {type: files, path: toy.csv}
    constraints: []
    clean: {}
    split: {}
    balance: {}
    generator: autoregressive
    generator_params: {hidden_units: 4}
    train: {epochs: 1, batch_size: 32, learning_rate: 0.00001, threads: 1, device: cpu}
    sample: {}
    evaluate: {}
    thresholds: {shape_error: {at_most: 10.0}}
    publish: {title: Toy, description: Numbers, license: MIT}
"""
SPACE = ["--search", "learning_rate=0.001..0.05", "--search", "layers=1,2"]
KILLED = ["tune", "toy", "--trials", "4", "--metric", "shape_error", *SPACE]
N_ROWS = 240

# Run by the child's interpreter before anything else: an audit hook kills the process, as `kill -9`
# would, when it first moves a file whose path contains PATH into place.
KILLER = """
import os, signal, sys
def hook(event, arguments):
    if event == "os.rename" and "PATH" in str(arguments[0]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose dataset is ready to train, and whose holdout nobody could read."""
    root = tmp_path_factory.mktemp("template")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    (root / "params.yaml").write_text(PARAMS, encoding="utf-8")
    rng = np.random.default_rng(0)
    group = rng.choice(["a", "b"], N_ROWS)
    x = rng.normal(size=N_ROWS) + 2 * (group == "a")
    columns = (
        Column(name="group", type="string", meaning="categorical"),
        Column(name="x", type="double", meaning="numeric"),
    )
    schema = DatasetSchema(
        kind="tabular", tables=(TableSchema(name="toy", columns=columns),), target="group"
    )
    balanced = root / "data" / "toy" / "balanced"
    balanced.mkdir(parents=True)
    write_dataset(balanced, schema, {"toy": [pa.RecordBatch.from_pydict({"group": group, "x": x})]})
    holdout = root / "data" / "toy" / "split" / "holdout"
    holdout.mkdir(parents=True)
    (holdout / "schema.json").write_text("not for a search", encoding="utf-8")
    # An empty store of MLflow, because to make one takes seconds.
    open_tracker(None, root / ".proofmint" / "mlflow")
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shutil.copytree(template, tmp_path / "project")
    monkeypatch.chdir(root)
    for name in ("MLFLOW_TRACKING_URI", "PROOFMINT_HOME"):
        monkeypatch.delenv(name, raising=False)
    return root


def _trials(root: Path) -> list[dict[str, Any]]:
    files = sorted((root / ".proofmint" / "tune" / "toy").glob("*/trials/*.json"))
    return [json.loads(file.read_text()) for file in files]


def _outcomes(root: Path) -> list[dict[str, Any]]:
    """What a search found, without what differs between two runs of it."""
    return [
        {name: value for name, value in trial.items() if name not in ("run_id", "seconds")}
        for trial in _trials(root)
    ]


def _runs(root: Path) -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(f"sqlite:///{root}/.proofmint/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    return client, client.search_runs([experiment.experiment_id])


def _kill_when_moving(root: Path, path: str) -> None:
    killer = root.parent / "killer"
    killer.mkdir(exist_ok=True)
    (killer / "sitecustomize.py").write_text(KILLER.replace("PATH", path), encoding="utf-8")
    paths = os.pathsep.join([str(killer), str(REPOSITORY)])
    command = [sys.executable, "-m", "tasks", *KILLED]
    done = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == -9, done.stderr.decode()


def test_a_search_that_is_killed_goes_on(
    project: Path,
    template: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # In the middle of trial 2: it is trained, but not measured.
    _kill_when_moving(project, "trial-00002/.model-")
    before = _trials(project)
    assert [trial["number"] for trial in before] == [0, 1]

    assert main(KILLED) == 0
    shown = capsys.readouterr().out
    assert _trials(project)[:2] == before, "a finished trial was run again"
    assert not list((project / ".proofmint" / "tune" / "toy").glob("*/work"))

    _, runs = _runs(project)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {run.data.tags["trial"]: run for run in runs if run is not parent}
    assert sorted(children) == ["0", "1", "2", "3"]
    for trial in _trials(project):
        run = children[str(trial["number"])]
        assert run.info.run_id == trial["run_id"]
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.metrics["objective.shape_error"] == trial["value"]
        assert trial["run_id"] in shown

    undisturbed = shutil.copytree(template, project.parent / "undisturbed")
    monkeypatch.chdir(undisturbed)
    assert main(KILLED) == 0
    assert _outcomes(undisturbed) == _outcomes(project)


def test_the_patch_applies(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "params.yaml").read_text()
    # Trial 0 has a learning rate that teaches nothing in an epoch, so it cannot win.
    command = ["tune", "toy", "--trials", "4", "--metric", "validation_loss", *SPACE]
    assert main(command) == 0
    assert (project / "params.yaml").read_text() == text
    shown = capsys.readouterr().out
    assert "git apply .proofmint/tune/toy/params.patch" in shown

    subprocess.run(["git", "apply", ".proofmint/tune/toy/params.patch"], cwd=project, check=True)
    params = load_dataset(project / "params.yaml", "toy")
    generator_params(generator_class("tabular", "autoregressive"), params.generator_params, "")
    assert "# the one and only" in (project / "params.yaml").read_text()
    best = min(_trials(project), key=lambda trial: trial["value"])
    found = {
        "train.learning_rate": params.train.learning_rate,
        "generator_params.layers": params.generator_params["layers"],
    }
    assert found == best["settings"]

    client, runs = _runs(project)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    files = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert files == {"history.png", "params.patch"}
    history = client.get_metric_history(parent.info.run_id, "validation_loss")
    assert [(m.step, m.value) for m in history] == [
        (trial["number"], trial["value"]) for trial in _trials(project)
    ]

    # The same command again does nothing anew; asking for one more trial makes one more.
    (project / "params.yaml").write_text(text)
    before = _trials(project)
    assert main(command) == 0
    assert _trials(project) == before
    command[3] = "5"
    assert main(command) == 0
    assert _trials(project)[:4] == before
    assert len(_trials(project)) == 5


def test_trials_are_pruned_by_their_losses(project: Path) -> None:
    text = (project / "params.yaml").read_text().replace("epochs: 1", "epochs: 12")
    (project / "params.yaml").write_text(text)
    # Rates that teach nothing in so few steps come last, when the median rule knows four others.
    space = ["--search", "learning_rate=0.001,0.5,0.6,0.002,0.8,0.9,0.003"]
    command = ["tune", "toy", "--sampler", "grid", "--metric", "validation_loss", *space]
    assert main(command) == 0
    trials = _trials(project)
    assert len(trials) == 8  # the present settings and the grid
    pruned = [trial for trial in trials if trial["state"] == "pruned"]
    assert pruned
    assert all(trial["value"] is None for trial in pruned)
    # One may also be hopeless after its last epoch.
    assert min(len(trial["validation_losses"]) for trial in pruned) < 12
    _, runs = _runs(project)
    states = {run.info.run_id: run.data.tags.get("trial.state") for run in runs}
    assert all(states[trial["run_id"]] == trial["state"] for trial in trials)


def test_what_is_not_there_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status, message in (
        (["nope"], 2, "has no dataset 'nope'; it has: toy"),
        (["toy", "--metric", "fid"], 2, "'fid' is unknown for kind tabular; choose of: validation"),
        (["toy", "--trials", "1"], 2, "--trials to be at least 2"),
        (["toy", "--timeout", "0"], 2, "--timeout above 0"),
        (["toy", "--search", "depth=1,2"], 2, "choose of: train.epochs"),
    ):
        assert main(["tune", *arguments]) == status
        assert message in capsys.readouterr().err
    (project / "data" / "toy" / "balanced").rename(project / "elsewhere")
    assert main(["tune", "toy"]) == 4
    assert "dvc repro balance@toy" in capsys.readouterr().err


def test_private_rows_are_not_searched(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(
        text.replace("train: {", "train: {privacy: {epsilon: 1.0}, ")
    )
    assert main(["tune", "toy"]) == 2
    assert "train.privacy is set" in capsys.readouterr().err


def test_a_search_in_which_all_fails_says_why(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("device: cpu", "validation_fraction: 0.999"))
    command = ["tune", "toy", "--trials", "2", "--metric", "validation_loss", *SPACE]
    assert main(command) == 6
    error = capsys.readouterr().err
    assert "all 2 trials failed; trial 0 with:\nexpected at least 2 rows to train on" in error
    _, runs = _runs(project)
    assert [run.info.status for run in runs] == ["FAILED"] * 3


def test_time_that_is_over_ends_the_search(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", "toy", "--trials", "3", "--timeout", "0.001", *SPACE]) == 6
    assert "the time was over before a trial was complete" in capsys.readouterr().err
    assert _trials(project) == []
