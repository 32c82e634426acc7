"""A project of its own for the end-to-end tests, with quick settings and both first releases."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import versions
from tasks.commands import demo_source, embedded_airflow
from tasks.commands.run import run_dag
from tasks.versions import Version
from tests.conftest import DemoSource
from tests.e2e.generators import FORGER
from tests.projects import copy_project

LENIENT = {
    "breast_cancer": {
        "shape_error": {"at_most": 100.0},
        "trend_error_real_bins": {"at_most": 12.0},
        "c2st_auc": {"at_most": 1.0},
        "utility": {"at_least": 0.0},
        "coverage": {"at_least": 0.0},
    },
    "digits": {
        "frechet_distance": {"at_most": 100.0},
        "class_share_error": {"at_most": 100.0},
        "c2st_auc": {"at_most": 1.0},
        "utility": {"at_least": 0.0},
        "utility_worst_label": None,  # of few rows it does not apply
        "coverage": {"at_least": 0.0},
        "label_coverage": None,
        "label_variety": None,
        "precision": {"at_least": 0.0},
        "recall": {"at_least": 0.0},
    },
}
"""Thresholds that trainings of a few epochs reach; those of privacy stay as they are."""


@dataclass
class Project:
    """A project in a repository of its own; commands run in it as a user's would."""

    root: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def proofmint(self, *arguments: str, env: Mapping[str, str] | None = None) -> "Ended":
        """Run `proofmint …`."""
        done = subprocess.run(
            [sys.executable, "-m", "tasks", *arguments],
            cwd=self.root,
            env={**os.environ, **self.env, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def run_dag(
        self, dataset: str, report: Callable[[str], object] = print, /, **settings: Any
    ) -> list[dict[str, Any]]:
        """Run a DAG in process with what the trigger form would hold; return the tasks' reports."""
        return run_dag(self.root, dataset, settings, report)

    def set_environment(self, patch: pytest.MonkeyPatch) -> None:
        """What DAGs that this process starts inherit; nothing of the machine's own settings."""
        for name in ("PROOFMINT_HOME", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        for name, value in self.env.items():
            patch.setenv(name, value)

    def newest(self, dataset: str) -> Version:
        """The newest version, which must exist."""
        version = versions.newest(self.root, dataset)
        assert version is not None
        return version

    def git(self, *arguments: str) -> str:
        """What a git command prints."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, capture_output=True, text=True, check=True
        )
        return done.stdout

    def clone(self, to: Path, version: Version, *, share_cache: bool = False) -> "Project":
        """A clone at the tag of a version, with an empty cache or the project's."""
        self.git("-c", "advice.detachedHead=false", "clone", "-q", "-b", version.tag, ".", str(to))
        if share_cache:
            settings = f"[cache]\n    dir = {self.root / '.dvc' / 'cache'}\n"
            (to / ".dvc" / "config.local").write_text(settings)
        return Project(to, self.env)

    def dvc(self, *arguments: str) -> str:
        """What a DVC command prints."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.root,
            env={**os.environ, **self.env, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    output: str
    errors: str


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, demo_sources: DemoSource) -> Project:
    """A copy of this project that trains for a moment and knows a forger."""
    root = copy_project(tmp_path_factory.mktemp("project"))
    settings = yaml.safe_load((root / "params.yaml").read_text())
    for name, thresholds in LENIENT.items():
        settings["datasets"][name]["train"] = {"epochs": 2}
        settings["datasets"][name]["thresholds"] |= thresholds
    (root / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    (root / "tasks/generators/tabular/forger.py").write_text(FORGER)
    pipeline = (root / "dvc.yaml").read_text()
    assert "retries: 2, timeout_minutes: 120" in pipeline  # of ingest
    (root / "dvc.yaml").write_text(
        pipeline.replace("retries: 2, timeout_minutes: 120", "retries: 1, timeout_minutes: 120")
    )
    project = Project(root, {"PROOFMINT_DEMO": demo_sources.url, "PYTHONPATH": str(root)})
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    project.git("add", "-A")
    project.git(*identity, "commit", "-q", "-m", "quick settings")
    demo_source.write_digits(demo_source.digits_folder(root))
    return project


@pytest.fixture
def environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's environment, for one test."""
    project.set_environment(monkeypatch)


@pytest.fixture(scope="session")
def first_runs(project: Project) -> dict[str, list[dict[str, Any]]]:
    """Both DAGs run at the same time; what their tasks reported."""
    with pytest.MonkeyPatch.context() as patch:
        project.set_environment(patch)
        embedded_airflow.prepare(project.root)
        with ThreadPoolExecutor(2) as pool:
            runs = {name: pool.submit(project.run_dag, name) for name in LENIENT}
        return {name: run.result() for name, run in runs.items()}
