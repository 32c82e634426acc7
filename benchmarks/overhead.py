"""What do Airflow, DVC and Proofmint add to a stage, and what does a run cost in which nothing has changed?

A project with the graph of dvc.yaml and made-up, quick stages is run on the servers of `proofmint up`:
once with every stage new, once with nothing changed. The overhead of a stage is the time from the
end of the tasks before it to its own end, less what its command takes by itself.

    python benchmarks/overhead.py              about five minutes; prints a table
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests' projects

from tasks.commands.server_settings import servers_of
from tasks.pipeline import Dataset, load_dataset
from tests.airflow_rest import Airflow
from tests.made_up import DATASET, make_project

GOAL_OF_A_STAGE_SECONDS, GOAL_OF_A_RUN_SECONDS = 5, 60


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        root = make_project(Path(folder) / "p", {}, whole_graph=True)
        env = {**os.environ, "PYTHONPATH": str(root)}
        command = [sys.executable, "-m", "tasks"]
        try:
            subprocess.run([*command, "up"], cwd=root, env=env, check=True, capture_output=True)
            airflow = Airflow.of(servers_of(root))
            airflow.unpause(DATASET)
            new, unchanged = (_run(airflow) for _ in range(2))
        finally:
            subprocess.run([*command, "down"], cwd=root, env=env, check=False, capture_output=True)
        dataset = load_dataset(root, DATASET)
        _print(dataset, new, unchanged, _own_work(root, dataset, env))
    return 0


def _run(airflow: Airflow) -> dict[str, dict[str, Any]]:
    """The tasks of one run, after it has ended well."""
    run_id = airflow.trigger(DATASET)
    state = airflow.end_of(DATASET, run_id)
    if state != "success":
        raise SystemExit(f"the run ended as {state}: nothing to measure")
    return airflow.tasks_of(DATASET, run_id)


def _own_work(root: Path, dataset: Dataset, env: dict[str, str]) -> dict[str, float]:
    """Seconds that the command of each stage takes by itself."""
    seconds = {}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for stage in dataset.stages:
        started = time.monotonic()
        subprocess.run(
            stage.command.split(),
            cwd=root,
            env={**env, "PATH": path},
            check=True,
            capture_output=True,
        )
        seconds[stage.name] = time.monotonic() - started
    return seconds


def _spans(dataset: Dataset, tasks: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Seconds from the end of what a stage waits for to its own end: queue, start, work and all."""
    ends = {name: datetime.fromisoformat(str(task["end_date"])) for name, task in tasks.items()}
    before: dict[str, list[str]] = {stage.name: ["open_worktree"] for stage in dataset.stages}
    for earlier, later in dataset.edges():
        before[later].append(earlier)
    return {
        name: (ends[name] - max(ends[other] for other in others)).total_seconds()
        for name, others in before.items()
    }


def _print(
    dataset: Dataset,
    new: dict[str, dict[str, Any]],
    unchanged: dict[str, dict[str, Any]],
    own: dict[str, float],
) -> None:
    spans, cached = _spans(dataset, new), _spans(dataset, unchanged)
    print(f"{'stage':<20}{'new':>8}{'own work':>10}{'overhead':>10}{'unchanged':>11}   seconds")
    for name, span in spans.items():
        overhead = span - own[name]
        print(f"{name:<20}{span:>8.1f}{own[name]:>10.1f}{overhead:>10.1f}{cached[name]:>11.1f}")
    for name in ("open_worktree", "release", "close_worktree"):
        durations = (tasks[name]["duration"] for tasks in (new, unchanged))
        print("{:<20}{:>8.1f}{:>31.1f}".format(name, *durations))
    starts, ends = (
        [datetime.fromisoformat(str(t[key])) for t in unchanged.values() if t[key]]
        for key in ("queued_when", "end_date")
    )
    worst = max(span - own[name] for name, span in spans.items())
    wall = (max(ends) - min(starts)).total_seconds()
    print(f"\nworst overhead of a stage {worst:.1f} s; goal: {GOAL_OF_A_STAGE_SECONDS} s")
    print(f"a run without a change {wall:.1f} s; goal: {GOAL_OF_A_RUN_SECONDS} s")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    sys.exit(main())
