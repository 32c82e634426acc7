"""Twenty datasets with three runs each at the same time on the servers of `up`: nothing is mixed up.

Airflow, DVC, git and the releases are real; the stages' own work is made up, in seconds: first with one
stage a dataset, in which everything meets at the release, then with the graph of dvc.yaml.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import versions
from tasks.commands.server_settings import servers_of
from tasks.publishing.verification import verify_release
from tests.airflow_rest import ENDED, Airflow, wait_for
from tests.made_up import make_project

pytestmark = pytest.mark.slow

DATASETS = tuple(f"made_{number:02}" for number in range(20))
RUNS = 3

LOCK_ERRORS = re.compile(
    r"database is locked|[Uu]nable to acquire lock|LockError|index\.lock|cannot lock ref"
    r"|Another git process|deadlock detected|could not serialize access"
)


@pytest.fixture(scope="module", params=[False, True], ids=["one stage", "whole graph"])
def project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("load")
    root = make_project(folder / "p", {}, DATASETS, whole_graph=request.param)
    env = {
        k: v for k, v in os.environ.items() if k not in ("PROOFMINT_HOME", "MLFLOW_TRACKING_URI")
    }
    env["PYTHONPATH"] = str(root)
    command = [sys.executable, "-m", "tasks"]
    try:
        subprocess.run([*command, "up"], cwd=root, env=env, check=True)
        yield root
    finally:
        subprocess.run([*command, "down"], cwd=root, env=env, check=False)


def rows_of(dataset: str, run: int) -> int:
    """Other rows for every run of every dataset, so that each release tells which run made it."""
    return 100 + RUNS * DATASETS.index(dataset) + run


@pytest.mark.timeout(3 * 3600)
def test_twenty_datasets_with_three_runs_each_at_once(project: Path) -> None:
    airflow = Airflow.of(servers_of(project))
    for dataset in DATASETS:
        airflow.unpause(dataset)
    runs = {
        (dataset, number): airflow.trigger(dataset, rows=rows_of(dataset, number))
        for number in range(RUNS)
        for dataset in DATASETS
    }

    def all_ended() -> bool:
        listed = airflow.api("dags/~/dagRuns?limit=100")["dag_runs"]
        return len(listed) == len(runs) and all(run["state"] in ENDED for run in listed)

    wait_for("end of all runs", all_ended, seconds=3 * 3600)
    assert {airflow.state_of(dataset, run) for (dataset, _), run in runs.items()} == {"success"}

    for (dataset, number), run in runs.items():
        outcome = airflow.result_of(dataset, run, "release")
        found = {version.name: version for version in versions.versions(project, dataset)}
        assert set(found) == {"v1", "v2", "v3"}
        version = found[outcome["version"]]
        assert (version.rows, version.digest) == (rows_of(dataset, number), outcome["digest"])
    for dataset in DATASETS:
        newest = versions.newest(project, dataset)
        verified = verify_release(project / "releases" / dataset)
        assert newest is not None
        assert verified.attestation.manifest_sha256 == newest.digest

    logs = [place for place in (project / ".proofmint" / "logs").rglob("*") if place.is_file()]
    assert len(logs) > len(runs)
    errors = [
        f"{place.name}: {line}"
        for place in logs
        for line in place.read_text(errors="replace").splitlines()
        if LOCK_ERRORS.search(line)
    ]
    assert errors == []
    worktrees = subprocess.run(
        ["git", "worktree", "list"], cwd=project, capture_output=True, text=True, check=True
    )
    assert len(worktrees.stdout.splitlines()) == 1
