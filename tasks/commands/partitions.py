"""`proofmint run NAME --partition KEY`, or `--from KEY --to KEY`: partitions on a laptop, one by one.

Each has its pipeline run by DVC in a worktree of the commit, as under Airflow, so a partition whose
rows are what they were costs its pull and no more, and nothing of it mixes with another one.
"""

import sys
from pathlib import Path

from tasks.commands.approve import approve
from tasks.commands.check import check_settings
from tasks.commands.release import check_committed, release
from tasks.commands.run import repro, run_dag
from tasks.errors import EmptyPartition, NotApproved, ParamsError, ProofmintError
from tasks.params import PARAMS_FILE, load_dataset
from tasks.partitions import Partition, PartitionError, from_to
from tasks.pipeline import load_dataset as load_pipeline
from tasks.workspace import locked, state_of
from tasks.worktrees import own_worktree, start_record, uncommitted


def run_partitions(project: Path, dataset: str, first: str, last: str, *, airflow: bool) -> int:
    """Run all stages that need it for each partition of a range, and release the results.

    A partition that fails does not stop the others; one without rows is told of and left out.

    Args:
        project: the project's own folder.
        dataset: which one; its entry says `partition:`.
        first: key of the first partition.
        last: key of the last one.
        airflow: run the dataset's DAG; False: `dvc repro` in a worktree.

    Raises:
        ProofmintError: the fault of the first partition that failed.
    """
    partitions = _asked(project, dataset, first, last)
    check_committed(project, dataset)
    if PARAMS_FILE in uncommitted(project, dataset):
        print(f"{dataset}: the runs use the commit; changes of {PARAMS_FILE} are not in it")
    faults: list[tuple[str, ProofmintError]] = []
    for partition in partitions:
        try:
            if airflow:
                run_dag(project, dataset, {"partition": partition.key}, report=print)
            else:
                _run(project, partition.name(dataset))
        except EmptyPartition:
            print(f"{partition.name(dataset)}: skipped, it has no rows")
        except ProofmintError as error:
            print(f"{partition.name(dataset)}: {error}", file=sys.stderr)
            faults.append((partition.key, error))
    if faults:
        keys = ", ".join(key for key, _ in faults)
        raise type(faults[0][1])(
            f"{dataset}: {len(faults)} of {len(partitions)} partitions failed: {keys}; the reasons"
            " are above, and the others stand"
        )
    return 0


def _asked(project: Path, dataset: str, first: str, last: str) -> list[Partition]:
    given = load_dataset(project / PARAMS_FILE, dataset).partition
    if given is None:
        raise ParamsError(
            f"expected datasets.{dataset} in {PARAMS_FILE} to say `partition:`, found none; write it,"
            f" or run the whole dataset: proofmint run {dataset}"
        )
    try:
        partitions = list(from_to(first, last, given.by))
        for partition in partitions:
            partition.name(dataset)
    except PartitionError as error:
        raise ParamsError(str(error)) from error
    return partitions


def _run(project: Path, name: str) -> None:
    record = start_record(project, name)
    with (
        locked(state_of(project) / "locks" / f"run-{name}"),
        own_worktree(project, name, "run", record) as root,
    ):
        check_settings(root, name)
        repro(root, [stage.address for stage in load_pipeline(root, name).stages])
        try:
            release(root, name)
        except NotApproved as error:
            if not sys.stdin.isatty():
                raise NotApproved(
                    f"{name}: a person must approve this release; run it at a terminal, which asks,"
                    " or in Airflow"
                ) from error
            approve(root, name, digest=None, comment="", show=False)
            release(root, name)
