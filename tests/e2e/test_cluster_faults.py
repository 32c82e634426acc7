"""`kill -9` of each service during a training: the run ends well, once, and nothing is left behind.

The workers share the project's folder, as docker-compose.yml has it. What dies is started again, as
`restart: unless-stopped` does.
"""

import shutil
from collections.abc import Iterator

import psutil
import pytest

from tasks import versions
from tasks.publishing.verification import verify_release
from tasks.training.checkpoint import CHECKPOINT_FILE
from tasks.workspace import Layout, git
from tests.airflow_rest import wait_for
from tests.cluster import Cluster
from tests.clustered import DATASET, make_project
from tests.e2e.test_cluster import QUICK

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("redis-server") is None, reason="needs redis-server (Debian: redis-server)"
    ),
]
VICTIMS = ("api-server", "scheduler", "postgres", "redis", "worker-gpu", "dag-processor")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("faults")
    checkout = make_project(root / "checkout", epochs=1, patience=1_000, batch_size=32)
    # Longer than a server takes to come back on a busy machine; 300 where people use it.
    settings = {"*": QUICK | {"AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60"}}
    with Cluster(root / "volumes", checkout, settings).running() as cluster:
        yield cluster


def trainings(cluster: Cluster) -> int:
    """How many processes train now."""
    found = 0
    for member in cluster.members("worker-gpu"):
        try:
            found += member.cmdline()[1:4] == ["-m", "tasks", "train"]
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_service_that_is_killed_during_a_training_costs_no_release(
    cluster: Cluster, victim: str
) -> None:
    project, run_id = cluster.project_of("worker-gpu"), f"killed-{victim}"
    before = versions.versions(project, DATASET)
    # Another number of epochs for each, so that every run trains.
    cluster.airflow.trigger(DATASET, run_id, epochs=8 + VICTIMS.index(victim))
    checkpoints = project / ".proofmint" / "checkpoints"
    wait_for(
        "checkpoint",
        lambda: any(checkpoints.glob(f"{DATASET}-*/{CHECKPOINT_FILE}")),
        cluster.explain,
    )
    assert trainings(cluster) == 1

    assert cluster.kill(victim)
    at_once = []
    wait_for(
        f"end of {run_id}",
        lambda: (
            at_once.append(trainings(cluster))
            or cluster.airflow.state_of(DATASET, run_id) in ("success", "failed")
        ),
        cluster.explain,
        seconds=500,
    )
    tasks = cluster.airflow.finish(DATASET, run_id)

    assert max(at_once) <= 1
    assert trainings(cluster) == 0
    dies_with_it = victim == "worker-gpu"
    assert tasks["train"]["try_number"] == (2 if dies_with_it else 1)
    if dies_with_it:
        log = cluster.task_log("worker-gpu", DATASET, run_id, "train", 2)
        assert "continuing a training" in log
    assert not list(checkpoints.glob(f"{DATASET}-*/{CHECKPOINT_FILE}"))
    after = versions.versions(project, DATASET)
    assert len(after) == len(before) + 1
    release = Layout(project, DATASET).release
    assert verify_release(release).attestation.facts["version"] == after[-1].name
    assert len(git(project, "worktree", "list").splitlines()) == 1
