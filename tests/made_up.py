"""Projects whose pipelines take seconds: their releases are real, only the rows are made up.

    python -m tests.made_up publish patients    a stage: leaves what dvc.yaml says it leaves

For tests of what happens around a pipeline: in Airflow, at an approval, under load. The graph is
that of dvc.yaml, or one stage alone; how many rows there are is a setting of each run.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.projects import copy_project

DATASET = "patients"
REFUSED_ROWS = 13
"""So many rows are refused by a gate."""

REFUSAL = "the gate of the raw data refuses: expected no missing values in age, found 3"

_MADE = "patients"
"""What tests/releases.py calls its dataset."""

_STANDS_IN = {"raw": "split/train", "clean": "split/train", "balanced": "split/train"}
"""Folders that are not made up, and what is taken for them."""


def make_project(
    root: Path,
    settings: dict[str, Any],
    datasets: Sequence[str] = (DATASET,),
    *,
    whole_graph: bool = False,
) -> Path:
    """A copy of this project with made-up datasets alone, committed.

    Args:
        root: of the new project.
        settings: of each dataset, in place of its own: approval, alerts …
        datasets: their names.
        whole_graph: all stages of dvc.yaml; False: `publish` alone, which leaves everything.
    """
    copy_project(root)
    made = _make_up(root / "made-up", 40)
    expectations = root / "great_expectations" / "expectations"
    shutil.rmtree(expectations)
    expectations.mkdir()
    for suite in (root / "made-up" / "great_expectations" / "expectations").iterdir():
        for name in datasets:
            shutil.copy(suite, expectations / suite.name.replace(_MADE, name))
    shutil.rmtree(root / "made-up")
    entry = made.params.model_dump(mode="json", exclude_defaults=True)
    for section in ("train", "sample", "source", "publish"):
        entry.setdefault(section, {})
    thresholds = {name: entry["thresholds"][name] for name in ("shape_error", "dcr_share")}
    entry |= {"generator_params": {}, "thresholds": thresholds, **settings}
    content = {"datasets": dict.fromkeys(datasets, entry)}
    (root / "params.yaml").write_text(
        json.dumps(content, indent=1)
    )  # JSON is YAML, without anchors
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text())
    stages = {
        name: _light(name, stage) for name, stage in pipeline["stages"].items() if whole_graph
    }
    text = yaml.safe_dump({"stages": stages or {"publish": _alone()}}, sort_keys=False)
    (root / "dvc.yaml").write_text(text)
    for command in (
        ("config", "user.name", "Ada Lovelace"),
        ("config", "user.email", "ada@example.org"),
        ("add", "-A"),
        ("commit", "-q", "-m", "made up"),
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def _light(name: str, stage: dict[str, Any]) -> dict[str, Any]:
    """A stage with its place in the graph, and none of its work."""
    body = stage["do"]
    data = [dep for dep in body.get("deps", ()) if dep.startswith(("data/", "releases/"))]
    return {
        **stage,
        "do": {
            **body,
            "cmd": f"python -m tests.made_up {name} ${{key}}",
            "deps": [*data, "tests/made_up.py"],
            "params": ["datasets.${key}"],
        },
    }


def _alone() -> dict[str, Any]:
    body = {
        "desc": "Make a release of made-up rows",
        "cmd": "python -m tests.made_up publish ${key}",
        "deps": ["tests/made_up.py"],
        "params": ["datasets.${key}"],
        "outs": ["data/${key}", "releases/${key}"],
        "meta": {"airflow": {"retries": 1, "timeout_minutes": 5}},
    }
    return {"foreach": "${datasets}", "do": body}


def _make_up(root: Path, n_rows: int) -> Any:
    from tests.releases import tabular_inputs

    return tabular_inputs(root, n_rows)


def _run(root: Path, name: str, dataset: str) -> None:
    """The stage of a dataset: each of its outputs, as of so many rows."""
    from tasks.params import load_dataset
    from tasks.pipeline import load
    from tasks.stages.publish import publish
    from tasks.workspace import Layout

    params = load_dataset(root / "params.yaml", dataset)
    n_rows = params.sample.rows or 40
    if n_rows == REFUSED_ROWS:
        fault = {"type": "GateRefused", "message": REFUSAL, "retryable": False}
        Path(os.environ["PROOFMINT_FAULT_FILE"]).write_text(json.dumps(fault))
        sys.exit(3)
    (stage,) = [one for one in load(root)[dataset].stages if one.name == name]
    with tempfile.TemporaryDirectory() as folder:
        _make_up(Path(folder), n_rows)
        made = Path(folder) / "data" / _MADE
        for left, source in _STANDS_IN.items():
            shutil.copytree(made / source, made / left)
        for out in stage.outs:
            if out.startswith("data/"):
                source = made / Path(out).relative_to(f"data/{dataset}")
                (root / out).parent.mkdir(parents=True, exist_ok=True)
                if source.is_file():
                    shutil.copyfile(source, root / out)
                else:
                    shutil.copytree(source, root / out, dirs_exist_ok=True)
    if f"releases/{dataset}" in stage.outs:
        publish(Layout(root, dataset), params)


if __name__ == "__main__":
    _run(Path.cwd(), *sys.argv[1:])
