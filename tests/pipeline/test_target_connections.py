"""What the release task of a DAG is told of the targets that it publishes to."""

import runpy
import sys
from pathlib import Path

import pytest

from tasks.pipeline import load_dataset

ROOT = Path(__file__).resolve().parents[2]


def test_the_release_task_gets_the_connections_of_its_targets_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "plugins"), str(ROOT), *sys.path])
    factory = runpy.run_path(str(ROOT / "dags" / "dataset_factory.py"))
    dataset = load_dataset(ROOT, "breast_cancer")
    dataset.params["publish"]["to"] = [
        {"type": "s3", "url": "s3://bucket", "connection": "bucket"},
        {"type": "folder", "path": "/mnt"},
        {"type": "postgres", "connection": "WAREHOUSE"},
    ]
    dag = factory["dataset_dag"](dataset)
    assert dag.get_task("release").connections == ("bucket", "WAREHOUSE")
    assert dag.get_task("publish").connection is None
