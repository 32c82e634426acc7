"""docker-compose.yml as processes, with workers that share no disk; one of them dies on the way.

Celery, Redis, PostgreSQL and Airflow's own role-based access are real. All that the workers share
is a bare git repository and DVC's remote.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks import versions
from tasks.publishing.verification import verify_release
from tasks.training.checkpoint import CHECKPOINT_FILE
from tasks.workspace import Layout, git
from tests.airflow_rest import status_of, wait_for
from tests.cluster import Cluster
from tests.clustered import DATASET, make_project
from tests.e2e.conftest import Project

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="needs redis-server (Debian: redis-server)"
)
QUICK = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
    # A task whose worker is gone counts as dead after so many seconds; 300 where people use it.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("cluster")
    checkout = make_project(root / "checkout", epochs=60, patience=60, batch_size=32)
    settings = {"*": QUICK} | {
        worker: {"PROOFMINT_GIT_REMOTE": "origin"} for worker in ("worker-cpu", "worker-gpu")
    }
    with Cluster(root / "volumes", checkout, settings, separate=True).running() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def run(cluster: Cluster) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """A run whose worker is killed in the midst of a training: its tasks, and what was killed."""
    cluster.airflow.trigger(DATASET, "first")
    checkpoints = cluster.project_of("worker-gpu") / ".proofmint" / "checkpoints"
    wait_for(
        "checkpoint",
        lambda: any(checkpoints.glob(f"{DATASET}-*/{CHECKPOINT_FILE}")),
        cluster.explain,
    )
    commands = [" ".join(process.cmdline()) for process in cluster.members("worker-gpu")]
    killed = cluster.kill("worker-gpu")
    assert len(killed) >= len(commands)
    return cluster.airflow.finish(DATASET, "first"), commands


def test_a_killed_worker_delays_a_run_and_no_more(
    cluster: Cluster, run: tuple[dict[str, dict[str, Any]], list[str]]
) -> None:
    tasks, killed = run
    assert any(f"tasks train {DATASET}" in command for command in killed)
    assert {name: task["state"] for name, task in tasks.items()} == dict.fromkeys(tasks, "success")
    assert tasks["train"]["try_number"] == 2
    assert [name for name, task in tasks.items() if task["queue"] == "gpu"] == ["train"]
    log = cluster.task_log("worker-gpu", DATASET, "first", "train", 2)
    assert "continuing a training" in log


def test_no_process_of_a_stage_is_left(
    cluster: Cluster, run: tuple[dict[str, dict[str, Any]], list[str]]
) -> None:
    left = [" ".join(member.cmdline()) for member in cluster.members()]
    assert not [command for command in left if "-m tasks " in command or "-m dvc" in command]


def test_workers_share_no_folder_and_leave_no_worktree(
    cluster: Cluster, run: tuple[dict[str, dict[str, Any]], list[str]]
) -> None:
    for worker in ("worker-cpu", "worker-gpu"):
        project = cluster.project_of(worker)
        assert len(git(project, "worktree", "list").splitlines()) == 1
        assert not list((project / ".proofmint" / "worktrees").glob("*/*"))
    assert list(cluster.project_of("worker-gpu").glob(".proofmint/locks/release-*")) == []


def test_a_third_clone_finds_and_verifies_the_release(
    cluster: Cluster, run: tuple[dict[str, dict[str, Any]], list[str]], tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "-b", f"{DATASET}@v1", str(cluster.origin), str(clone))
    project = Project(clone)
    (clone / ".dvc" / "config.local").write_text(
        f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {cluster.root}/store/dvc\n"
    )
    project.dvc("pull", "-q")
    verified = verify_release(Layout(clone, DATASET).release)
    assert verified.attestation.facts["version"] == "v1"
    (version,) = versions.versions(clone, DATASET)
    assert verified.attestation.manifest_sha256 == version.digest
    status = project.dvc("status")
    assert "changed outs" not in status


@pytest.mark.slow
def test_a_run_without_a_change_takes_all_from_the_remote(
    cluster: Cluster, run: tuple[dict[str, dict[str, Any]], list[str]]
) -> None:
    cluster.airflow.trigger(DATASET, "second")
    tasks = cluster.airflow.finish(DATASET, "second")
    assert tasks["release"]["state"] == "skipped"
    for stage, worker in (("prepare", "cpu"), ("train", "gpu"), ("publish", "cpu")):
        log = cluster.task_log(f"worker-{worker}", DATASET, "second", stage, 1)
        assert f"{stage}@{DATASET} was cached" in log


@pytest.mark.parametrize(
    "path",
    ["/api/v2/dags", f"/api/v2/dags/{DATASET}/dagRuns", "/api/v2/connections", "/ui/config"],
)
def test_nobody_is_answered_without_a_login(cluster: Cluster, path: str) -> None:
    assert status_of(cluster.airflow.url + path) in (401, 403)


def test_everything_listens_on_the_loopback_interface(cluster: Cluster) -> None:
    listening = {
        connection.laddr.ip
        for member in cluster.members()
        for connection in member.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_redis_wants_a_password(cluster: Cluster) -> None:
    import redis

    refused = pytest.raises(redis.exceptions.AuthenticationError)
    with redis.Redis(port=cluster.ports["redis"]) as nobody, refused:
        nobody.ping()


def test_what_a_worker_knows_opens_no_database(cluster: Cluster) -> None:
    for member in cluster.members("worker-cpu"):
        known = member.environ()
        assert not [name for name in known if "SQL_ALCHEMY" in name or "FERNET" in name]
