"""Metrics of our own beside Airflow's, sent wherever Airflow sends its (StatsD, OpenTelemetry).

Without `[metrics]` in Airflow's settings nothing is sent.
"""


def measure_stage(dataset: str, stage: str, seconds: float, *, executed: bool) -> None:
    """A stage has ended well: how long it took, and whether it ran or was taken from the cache.

    Args:
        dataset: which one.
        stage: of dvc.yaml.
        seconds: of the task, our own overhead included.
        executed: False: it was cached.
    """
    from airflow.sdk.observability import stats

    tags = {"dataset": dataset, "stage": stage}
    stats.timing("proofmint.stage.duration", seconds * 1000, tags=tags)
    stats.incr("proofmint.stage.executed" if executed else "proofmint.stage.cached", tags=tags)


def count_fault(dataset: str, task: str, kind: str) -> None:
    """A task has failed; `GateRefused` is counted apart: it is the answer no, not a fault."""
    from airflow.sdk.observability import stats

    name = "proofmint.gate.refused" if kind == "GateRefused" else "proofmint.task.failed"
    stats.incr(name, tags={"dataset": dataset, "stage": task, "error": kind})


def count_release(dataset: str, *, new: bool) -> None:
    """A run has reached its end: a new version, or the same as before."""
    from airflow.sdk.observability import stats

    name = "proofmint.release.made" if new else "proofmint.release.unchanged"
    stats.incr(name, tags={"dataset": dataset})
