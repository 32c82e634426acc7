"""A project whose pipeline has run, made in seconds: what `release` needs, without the stages before it.

Its release, data, lock file, model in MLflow and repository are real; only the rows are made up.
"""

import json
import shutil
from pathlib import Path

import yaml

from tasks.stages.publish import publish
from tasks.storage import digest
from tasks.tracking import Training, open_tracker
from tasks.workspace import Layout, dvc, git, state_of
from tests.releases import tabular_inputs

DATASET = "patients"

PIPELINE = """\
stages:
  publish:
    foreach: ${datasets}
    do:
      desc: Assemble the release
      cmd: "true"
      deps:
        - data/${key}/synthetic
      outs:
        - releases/${key}
"""


def make_project(root: Path) -> Path:
    """A repository with one dataset, nothing of which has run."""
    root.mkdir(parents=True, exist_ok=True)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (root / ".gitignore").write_text("/data/\n/releases/\n/.proofmint/\n")
    (root / "dvc.yaml").write_text(PIPELINE)
    inputs = tabular_inputs(root / "made-up", 40)
    entry = inputs.params.model_dump(mode="json", exclude_defaults=True)
    for section in ("generator_params", "train", "sample", "publish", "source"):
        entry.setdefault(section, {})
    entry |= {"generator_params": {}, "train": {"epochs": 2}}
    content = {"datasets": {DATASET: entry}}
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    shutil.rmtree(root / "made-up")
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.name", "test")
    git(root, "config", "user.email", "test@localhost")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "a project")
    return root


def run_pipeline(root: Path, project: Path, n_rows: int) -> None:
    """Leave what the stages leave, with another release for each number of rows.

    Args:
        root: the project's folder or a worktree of it.
        project: whose MLflow store knows the run of the training.
        n_rows: of the synthetic table.
    """
    shutil.rmtree(root / "data", ignore_errors=True)
    (root / "great_expectations").exists() and shutil.rmtree(root / "great_expectations")
    shutil.rmtree(root / "releases" / DATASET, ignore_errors=True)
    case = tabular_inputs(root, n_rows)
    model = case.at.model / "model.json"
    model.write_text(json.dumps({**json.loads(model.read_text()), "rows": n_rows}))
    publish(case.at, case.params)
    shutil.rmtree(root / "great_expectations")
    dvc(root, "commit", "-q", "-f")
    tracker = open_tracker(None, state_of(project) / "mlflow")
    if tracker.find_run(digest(case.at.model)) is None:
        training = Training(DATASET, {}, "0" * 64, {"rows": n_rows}, {})
        with tracker.run(training, project / ".proofmint" / f"key-{n_rows}") as run:
            run.log_model(case.at.model, digest(case.at.model))


def at(root: Path) -> Layout:
    """Where the dataset's folders are."""
    return Layout(root, DATASET)
