"""`kill -9` at the worst moments, and then the very same weights and one clean MLflow run."""

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

from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.storage import digest, new_folder, write_dataset
from tasks.training.checkpoint import CHECKPOINT_FILE, Checkpoint

EPOCHS = 6
ROOT = Path(__file__).parents[2]
PARAMS = f"""
datasets:
  toy:
    kind: tabular
    schedule: null
    seed: 3
    target: group
    source: {{type: files, path: toy.csv}}
    constraints: []
    clean: {{}}
    split: {{}}
    balance: {{}}
    generator: autoregressive
    generator_params: {{}}
    train: {{epochs: {EPOCHS}, batch_size: 128, patience: {EPOCHS}, threads: 1, device: cpu}}
    sample: {{rows: 500}}
    evaluate: {{}}
    thresholds: {{shape_error: {{at_most: 10.0}}}}
    publish: {{title: Toy, description: Numbers, license: MIT}}
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one dataset, ready to train."""
    root = tmp_path_factory.mktemp("template")
    (root / "params.yaml").write_text(PARAMS, encoding="utf-8")
    for command in (
        ["init", "-q"],
        ["add", "params.yaml"],
        ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "toy"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    rng = np.random.default_rng(0)
    n = 40_000
    group = rng.choice(["a", "b", "c"], n)
    x = rng.normal(size=n) + 2 * (group == "a")
    rows = {"group": group, "x": x, "y": 2 * x + rng.normal(size=n), "k": rng.integers(0, 9, n)}
    columns = (
        Column(name="group", type="string", meaning="categorical"),
        Column(name="x", type="double", meaning="numeric"),
        Column(name="y", type="double", meaning="numeric"),
        Column(name="k", type="int64", meaning="numeric"),
    )
    tables = (TableSchema(name="toy", columns=columns),)
    schema = DatasetSchema(kind="tabular", tables=tables, target="group")
    with new_folder(root / "data" / "toy" / "balanced") as draft:
        write_dataset(draft, schema, {"toy": [pa.RecordBatch.from_pydict(rows)]})
    return root


# Run by the child's interpreter before anything else: an audit hook kills the process, as `kill -9`
# would, at the COUNT-th event that is named. A watcher from outside would come too late at times.
KILLER = """
import os, signal, sys, threading, time
seen = 0
def kill():
    time.sleep(DELAY)
    os.kill(os.getpid(), signal.SIGKILL)
def hook(event, arguments):
    global seen
    if event == "EVENT" and "PATH" in str(arguments[0]):
        seen += 1
        if seen == COUNT:
            threading.Thread(target=kill).start() if DELAY else kill()
sys.addaudithook(hook)
"""


def _start(root: Path, killer: Path | None = None) -> subprocess.Popen[bytes]:
    paths = [str(ROOT)] if killer is None else [str(killer), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    for name in ("MLFLOW_TRACKING_URI", "PROOFMINT_HOME"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "tasks", "train", "toy"]
    return subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE)


def _finish(process: subprocess.Popen[bytes]) -> str:
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors.decode()
    return errors.decode()


def _checkpoints(root: Path, name: str) -> list[Path]:
    return list((root / ".proofmint" / "checkpoints").glob(f"toy-*/{name}"))


def _position(root: Path) -> dict[str, Any]:
    """Where the newest checkpoint stands."""
    for path in _checkpoints(root, CHECKPOINT_FILE):
        if saved := Checkpoint(path.parent).load():
            return saved[1]
    return {"epoch": 0, "step": 0}


def _kill_at(root: Path, event: str, path: str, *, count: int = 1, delay: float = 0.0) -> None:
    """Train until the `count`-th audit event on a path that contains `path`, and die `delay` after."""
    killer = root / "killer"
    killer.mkdir(exist_ok=True)
    code = KILLER
    for name, value in {"DELAY": delay, "EVENT": event, "PATH": path, "COUNT": count}.items():
        code = code.replace(name, str(value))
    (killer / "sitecustomize.py").write_text(code, encoding="utf-8")
    process = _start(root, killer)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == -9, errors.decode()
    assert not (root / "data" / "toy" / "model").exists()


def _history(root: Path) -> tuple[Any, dict[str, list[tuple[int, float]]]]:
    """The one run of the project's MLflow store, and its metrics by step."""
    client = MlflowClient(f"sqlite:///{root}/.proofmint/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 1
    run = runs[0]
    metrics = {
        key: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    assert {Path(item.path).name for item in client.list_artifacts(run.info.run_id, "model")} == {
        "generator.safetensors",
        "encoder.safetensors",
        "model.json",
    }
    return run, metrics


@pytest.fixture(scope="module")
def undisturbed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed") / "project"
    shutil.copytree(template, root)
    _finish(_start(root))
    return root


def test_kill_9_changes_nothing(template: Path, undisturbed: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(template, root)

    draft = f".{CHECKPOINT_FILE}.draft"
    # Early: the run is open, nothing is saved yet.
    _kill_at(root, "open", "/run.key")
    assert _position(root)["step"] == 0
    # In the middle, some time after a checkpoint, so that steps must be made again.
    _kill_at(root, "os.rename", draft, delay=0.1)
    middle = _position(root)
    assert middle["step"] > 0
    assert middle["epoch"] < EPOCHS
    # When a later checkpoint is written, but not yet in place.
    _kill_at(root, "os.rename", draft)
    assert _position(root) == middle
    # At the very end: all steps are made, the model is written, but not yet in place.
    _kill_at(root, "os.rename", "/.model-")
    assert _position(root)["epoch"] == EPOCHS

    assert "continuing a training" in _finish(_start(root))
    assert digest(root / "data/toy/model") == digest(undisturbed / "data/toy/model")
    assert _checkpoints(root, "*") == []

    run, metrics = _history(root)
    other, expected = _history(undisturbed)
    assert run.info.status == "FINISHED"
    assert run.data.params == other.data.params
    for key, points in metrics.items():
        steps = [step for step, _ in points]
        assert len(steps) == len(set(steps)), f"{key} has a step twice"
    assert {k: sorted(v) for k, v in metrics.items()} == {k: sorted(v) for k, v in expected.items()}
    assert len(expected["validation_loss"]) == EPOCHS


def test_the_run_says_what_was_trained(undisturbed: Path) -> None:
    run, _ = _history(undisturbed)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=undisturbed, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert run.data.tags["git_commit"] == commit
    assert run.data.tags["dataset"] == "toy"
    assert run.data.tags["generator"] == "autoregressive"
    assert run.data.tags["proofmint.model_sha256"] == digest(undisturbed / "data/toy/model")
    assert run.data.params["train.epochs"] == str(EPOCHS)
    data = run.inputs.dataset_inputs[0].dataset
    assert digest(undisturbed / "data/toy/balanced").startswith(data.digest)
    assert len(data.digest) == 36
