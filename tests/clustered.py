"""A project for clusters: three stages on two queues, seconds long, with a training that is a real one.

    prepare (default)  ─►  train (gpu)  ─►  publish (default)

What the first stage leaves is made up (`tests.releases`); training, release and proof are real.
"""

from pathlib import Path

import yaml

from tasks.workspace import git
from tests.projects import commit_all, copy_project
from tests.releases import tabular_inputs

DATASET = "patients"

PIPELINE = """\
stages:
  prepare:
    foreach: ${datasets}
    do:
      desc: Make up what the stages before a training leave
      cmd: python prepare.py
      deps:
        - prepare.py
      params:
        - datasets.${key}.seed
      outs:
        - data/${key}/split
        - data/${key}/balanced
        - data/${key}/synthetic
        - data/${key}/gates
        - data/${key}/evaluation
        - data/${key}/audit
      meta:
        airflow: {retries: 1}
  train:
    foreach: ${datasets}
    do:
      desc: Train the generator
      cmd: python -m tasks train ${key}
      deps:
        - data/${key}/balanced
      params:
        - datasets.${key}.train
      outs:
        - data/${key}/model
      meta:
        airflow: {pool: gpu, queue: gpu, retries: 3}
  publish:
    foreach: ${datasets}
    do:
      desc: Assemble the release and its proof
      cmd: python -m tasks publish ${key}
      deps:
        - data/${key}/model
        - data/${key}/synthetic
        - data/${key}/split
        - data/${key}/gates
        - data/${key}/evaluation
        - data/${key}/audit
      params:
        - datasets.${key}
      outs:
        - releases/${key}
      meta:
        airflow: {retries: 1}
"""

PREPARE = """\
import shutil
from pathlib import Path

from tests.releases import tabular_inputs

at = tabular_inputs(Path.cwd(), 400).at
shutil.copytree(at.split / "train", at.balanced)
shutil.rmtree(at.model)
"""


def make_project(root: Path, **train: object) -> Path:
    """A repository with one dataset, nothing of which has run.

    Args:
        root: where it will be.
        train: settings of the training.
    """
    copy_project(root)
    case = tabular_inputs(root, 10)  # for its suites
    entry = case.params.model_dump(mode="json", exclude_defaults=True)
    for section in ("sample", "clean", "split", "balance", "evaluate"):
        entry.setdefault(section, {})
    entry |= {"constraints": [], "generator_params": {}, "train": train, "thresholds": {}}
    (root / "params.yaml").write_text(yaml.safe_dump({"datasets": {DATASET: entry}}))
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "prepare.py").write_text(PREPARE)
    commit_all(root, "a project for clusters")
    git(root, "clean", "-qfdX")
    return root
