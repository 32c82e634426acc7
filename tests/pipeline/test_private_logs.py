"""What a task of Airflow logs, and why it says that it failed, hold no person of the data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks.worktrees import path_of
from tests.projects import REPOSITORY, copy_project

SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace
from proofmint_operators import StageOperator
task = StageOperator(task_id="ingest", stage="ingest", project=sys.argv[1], dataset="breast_cancer")
try:
    task._command({"run_id": "scheduled__1", "ti": SimpleNamespace(try_number=1)}, "tasks", "ingest", "breast_cancer")
except Exception as error:
    print(f"ENDED {type(error).__name__}: {error}")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose source has a line that is no object, with somebody in it."""
    monkeypatch.delenv("PROOFMINT_HOME", raising=False)
    project = copy_project(tmp_path / "project")
    root = path_of(project, "breast_cancer", "scheduled__1")
    root.parent.mkdir(parents=True)
    subprocess.run(["git", "worktree", "add", "-q", "--detach", str(root)], cwd=project, check=True)
    (root / ".dvc" / "tmp").mkdir(exist_ok=True)
    lines = [json.dumps({"name": "Ada", "age": 36}), '"Anna Meier, anna@example.org"']
    (project / "people.jsonl").write_text("\n".join(lines) + "\n")
    params = yaml.safe_load((root / "params.yaml").read_text())
    source = {"type": "files", "path": str(project / "people.jsonl")}
    params["datasets"]["breast_cancer"]["source"] = source
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return project


def told(project: Path, **environment: str) -> str:
    """Everything that an operator says about the stage that fails."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(project)],
        cwd=project,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{REPOSITORY / 'plugins'}{os.pathsep}{REPOSITORY}",
            "AIRFLOW_HOME": str(project.parent / "airflow"),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "ENDED AirflowFailException: SourceError" in done.stdout
    return done.stdout


def test_a_task_of_a_server_withholds_what_a_person_at_a_terminal_is_shown(project: Path) -> None:
    logged = told(project)
    assert "people.jsonl" in logged
    assert "(withheld)" in logged
    assert "anna" not in logged.lower()
    shown = told(project, PROOFMINT_PROGRESS_FILE=str(project / "progress"))
    assert "anna@example.org" in shown
