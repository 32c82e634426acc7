"""Runs of a dataset that is partitioned by date: each run is of one partition.

The schedule's times are those of Airflow's partitions: a run at one of them is of the partition in
which the time before it lies, so a schedule that comes once a month, with `by: month`, makes the
month that has just ended. A backfill has one run for each time in its range.
"""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import CronPartitionTimetable, Param

from tasks.partitions import EXAMPLES, KEY_FORMATS, PATTERNS, Partition, last_whole, parse

FIELD = "partition"
"""Of the trigger form, and the name of the section in params.yaml."""


def schedule_of(params: Mapping[str, Any]) -> str | CronPartitionTimetable | None:
    """When the DAG of a dataset runs; that of a partitioned one gives each run its key."""
    given, cron = params.get(FIELD), params.get("schedule")
    if given is None or cron is None:
        return cron
    return CronPartitionTimetable(
        cron,
        timezone=given.get("timezone", "UTC"),
        run_offset=-1,
        key_format=KEY_FORMATS[given["by"]],
    )


def form_of(params: Mapping[str, Any]) -> dict[str, Param]:
    """The field of the trigger form that says which partition; none where there are no partitions."""
    if (given := params.get(FIELD)) is None:
        return {}
    by = given["by"]
    return {
        FIELD: Param(
            None,
            title="Partition",
            description=f"A {by}, such as {EXAMPLES[by]}; empty: the last one that has ended",
            type=["null", "string"],
            pattern=f"^{PATTERNS[by]}$(?!\\n)",  # before a line's end is `$`, too
        )
    }


def partition_of(given: Mapping[str, Any], context: Mapping[str, Any]) -> Partition:
    """The partition that a run is of: as the form says, the schedule or the backfill; else the last.

    Args:
        given: the section `partition` of the dataset.
        context: of a task of the run.

    Raises:
        PartitionError: what the run says names no partition.
    """
    by, run = given["by"], context["dag_run"]
    if key := context["params"].get(FIELD) or run.partition_key:
        return parse(key, by)
    return last_whole(run.run_after, by, given.get("timezone", "UTC"))
