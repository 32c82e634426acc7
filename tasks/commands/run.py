"""`proofmint run`: a dataset from its source to a release, by DVC or by its Airflow DAG."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tasks import errors
from tasks.commands import embedded_airflow
from tasks.commands.check import check_settings
from tasks.commands.release import check_committed, release
from tasks.errors import ParamsError, ProofmintError
from tasks.params import PARAMS_FILE
from tasks.params import load_dataset as load_params
from tasks.pipeline import PipelineError, load_dataset
from tasks.workspace import Layout, locked, stage_environment, state_of


def run(project: Path, dataset: str, *, airflow: bool) -> int:
    """Run all stages of a dataset that need it, and release the result.

    Args:
        project: the project's own folder.
        dataset: which one.
        airflow: run its DAG, in a worktree of the commit; False: `dvc repro` in the folder.

    Raises:
        ProofmintError: the fault that stopped it.
    """
    try:
        stages = load_dataset(project, dataset).stages
    except PipelineError as error:
        raise ParamsError(str(error)) from error
    if load_params(project / PARAMS_FILE, dataset).partition is not None:
        raise ParamsError(
            f"{dataset} is partitioned, and a run is of one partition: say --partition KEY, or --from"
            " KEY --to KEY"
        )
    if airflow:
        run_dag(project, dataset, report=print)
        return 0
    from tasks.training.parents import parent_has_changed  # it brings torch

    check_settings(project, dataset)
    check_committed(project, dataset)
    with locked(state_of(project) / "locks" / f"run-{dataset}"):
        at = Layout(project, dataset)
        if parent_has_changed(load_params(project / PARAMS_FILE, dataset), at):
            print(f"{dataset}: the model that it starts from has changed; training again")
            repro(project, ["--force", "--single-item", f"train@{dataset}"])
        repro(project, [stage.address for stage in stages])
        return release(project, dataset)


def run_dag(
    project: Path,
    dataset: str,
    settings: Mapping[str, Any] | None = None,
    report: Callable[[str], object] = print,
) -> list[dict[str, Any]]:
    """Run the DAG of a dataset in a process of its own; `report` gets a line as each task ends.

    Returns:
        What the tasks reported; the last one is the release, or why there is nothing to release.

    Raises:
        ProofmintError: the fault that stopped the run.
    """
    started = embedded_airflow.start(project, dataset, settings)
    events: list[dict[str, Any]] = []
    try:
        for event in started.events():
            events.append(event)
            report(_line(dataset, event))
    finally:
        succeeded = started.close()
    if succeeded and events and not events[-1].keys().isdisjoint(("release", "skipped")):
        return events
    report(f"{dataset:<16} failed; the whole log is {started.log}")
    faults = [event["fault"] for event in events if "fault" in event and not event["again"]]
    if faults:
        raise fault_of(faults[0])
    raise ProofmintError(f"the DAG {dataset} failed in Airflow itself; see {started.log}")


def fault_of(told: Mapping[str, Any]) -> ProofmintError:
    """The error that a command of ours wrote down for its runner (see tasks/cli.py)."""
    kind = getattr(errors, str(told["type"]), ProofmintError)
    error: ProofmintError = kind(told["message"])
    return error


def _line(dataset: str, event: Mapping[str, Any]) -> str:
    task = f"{dataset:<16} {event['task']:<20}"
    if "fault" in event:
        then = "failed, will be tried again" if event["again"] else "FAILED"
        return f"{task} {then}: {event['fault']['message'].splitlines()[0]}"
    if "skipped" in event:
        return f"{task} skipped: {event['skipped']}"
    if "release" in event:
        outcome = event["release"]
        return f"{task} {'new:' if outcome['new'] else 'unchanged, still'} {outcome['version']}"
    return f"{task} {'executed' if event['executed'] else 'cached':<9}{event['seconds']:>7.1f} s"


def repro(project: Path, arguments: list[str]) -> None:
    """`dvc repro` on this terminal.

    Args:
        project: a folder that has dvc.yaml: the project's, or a worktree of it.
        arguments: addresses of stages, and options.

    Raises:
        ProofmintError: the fault of the stage that failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        fault = Path(folder) / "fault.json"
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *arguments],
            cwd=project,
            env={**stage_environment(), "PROOFMINT_FAULT_FILE": str(fault)},
            check=False,
        )
        if fault.exists():
            told = json.loads(fault.read_text(encoding="utf-8"))
            raise fault_of({**told, "message": "the pipeline stopped; the reason is above"})
    if done.returncode != 0:
        raise ProofmintError("`dvc repro` failed; what it says is above")
