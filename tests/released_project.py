"""A small project with releases, a withdrawn one and a refusal among them, for those who show them."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from tasks import versions
from tasks.commands.release import make_release
from tasks.commands.withdraw import withdraw
from tasks.storage import write_json
from tasks.versions import Version
from tasks.workspace import git, state_of
from tests.projects import REPOSITORY
from tests.small_project import DATASET, make_project, run_pipeline

MORE_STAGES = """\
  train:
    foreach: ${datasets}
    do:
      desc: Train the generator
      cmd: "true"
      outs:
        - data/${key}/model
  sample:
    foreach: ${datasets}
    do:
      desc: Draw synthetic rows
      cmd: "true"
      deps:
        - data/${key}/model
      outs:
        - data/${key}/synthetic
"""

OTHER = "visits"
"""A dataset of another team, without a release."""

HOSTILE = "<script>alert(1)</script> & 'Sons\""
"""Its title."""

REASON = "A column <b>held</b> addresses"
"""Why the first version is withdrawn."""


def make_releases(root: Path) -> list[Version]:
    """Two versions of one dataset and another one without any, with DAGs and plugins."""
    make_project(root)
    pipeline = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(pipeline.replace("stages:\n", "stages:\n" + MORE_STAGES))
    git(root, "commit", "-qam", "stages")
    for n_rows in (40, 50):
        run_pipeline(root, root, n_rows)
        git(root, "add", "-A")
        git(root, "commit", "-qm", f"{n_rows} rows")
        make_release(root, DATASET)
    withdraw(root, DATASET, "v1", REASON)
    _refuse(root)
    (root / "dags").mkdir()
    shutil.copy(REPOSITORY / "dags" / "dataset_factory.py", root / "dags")
    shutil.copytree(
        REPOSITORY / "plugins", root / "plugins", ignore=shutil.ignore_patterns("__pycache__")
    )
    set_access(root, {DATASET: {"roles": ["Team A"]}, OTHER: {"roles": ["Team B"]}})
    return versions.versions(root, DATASET)


def set_access(root: Path, access: dict[str, Any]) -> None:
    """Write who may see which dataset."""
    params = yaml.safe_load((root / "params.yaml").read_text())
    entries = params["datasets"]
    other = yaml.safe_load(yaml.safe_dump(entries[DATASET]))
    other["publish"]["title"] = HOSTILE
    entries.setdefault(OTHER, other)
    for name, given in access.items():
        entries[name]["access"] = given
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def _refuse(root: Path) -> None:
    """What the release gate leaves when it refuses."""
    place = state_of(root) / "refusals" / DATASET / "release.json"
    place.parent.mkdir(parents=True)
    check = {
        "type": "threshold",
        "target": "shape_error",
        "description": "Column shapes, error (%) must be at most 10",
        "passed": False,
        "observed": "12.5",
    }
    verdict = {"gate": "release", "dataset": DATASET, "passed": False, "n_expectations": 6}
    write_json(place, {**verdict, "n_failed": 1, "checks": [check]})
