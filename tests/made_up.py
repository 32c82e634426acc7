"""A pipeline of one stage that takes seconds: its release is real, only the rows are made up.

    python -m tests.made_up patients    the stage; it makes as many rows as params.yaml says

For tests of what happens around a pipeline: in Airflow, at a release, at an approval.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.projects import copy_project

DATASET = "patients"
REFUSED_ROWS, CRASHING_ROWS = 13, 14
"""So many rows are refused by a gate, and end the stage without a word."""

REFUSAL = "the gate of the raw data refuses: expected no missing values in age, found 3"

_PIPELINE = """\
stages:
  publish:
    foreach: ${datasets}
    do:
      desc: Make a release of made-up rows
      cmd: python -m tests.made_up ${key}
      deps:
        - tests/made_up.py
      params:
        - datasets.${key}
      outs:
        - data/${key}/model
        - data/${key}/synthetic
        - releases/${key}
      meta:
        airflow: {retries: 1, timeout_minutes: 5}
"""


def make_project(root: Path, settings: dict[str, Any]) -> Path:
    """A copy of this project with one made-up dataset.

    Args:
        root: of the new project.
        settings: of the dataset, in place of its own: approval, alerts …
    """
    from tests.releases import tabular_inputs

    copy_project(root)
    for folder in ("data", "great_expectations/expectations"):
        shutil.rmtree(root / folder, ignore_errors=True)
    made = tabular_inputs(root, 40)
    shutil.rmtree(root / "data")
    entry = made.params.model_dump(mode="json", exclude_defaults=True)
    for section in ("generator_params", "train", "sample", "source", "publish"):
        entry.setdefault(section, {})
    thresholds = {name: entry["thresholds"][name] for name in ("shape_error", "dcr_share")}
    entry |= {"generator_params": {}, "thresholds": thresholds, **settings}
    (root / "params.yaml").write_text(yaml.safe_dump({"datasets": {DATASET: entry}}))
    (root / "dvc.yaml").write_text(_PIPELINE)
    for command in (
        ("config", "user.name", "Ada Lovelace"),
        ("config", "user.email", "ada@example.org"),
        ("add", "-A"),
        ("commit", "-q", "-m", "made up"),
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def _stage(root: Path) -> None:
    from tasks.stages.publish import publish
    from tests.releases import tabular_inputs

    rows = yaml.safe_load((root / "params.yaml").read_text())["datasets"][DATASET]["sample"]
    n_rows = rows.get("rows") or 40
    if n_rows == REFUSED_ROWS:
        fault = {"type": "GateRefused", "message": REFUSAL, "retryable": False}
        Path(os.environ["PROOFMINT_FAULT_FILE"]).write_text(json.dumps(fault))
    if n_rows in (REFUSED_ROWS, CRASHING_ROWS):
        sys.exit(3)
    for folder in ("data", "great_expectations/expectations"):
        shutil.rmtree(root / folder, ignore_errors=True)
    case = tabular_inputs(root, n_rows)
    publish(case.at, case.params)


if __name__ == "__main__":
    _stage(Path.cwd())
