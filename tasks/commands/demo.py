"""`make demo`: two real datasets from their sources to verified releases, through Airflow."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tasks import versions
from tasks.commands import demo_source, embedded_airflow
from tasks.commands.releases import print_table
from tasks.commands.run import run_dag
from tasks.errors import ProofmintError
from tasks.metrics import Family, Measurement, read_measurements
from tasks.publishing.evidence import EVIDENCE_FOLDER
from tasks.publishing.verification import verify_release
from tasks.workspace import Layout

DATASETS = ("breast_cancer", "digits")

FAMILIES: tuple[Family, ...] = ("fidelity", "utility", "privacy")


def demo(project: Path) -> int:
    """Run the DAGs of both demo datasets at the same time and show what they released.

    Raises:
        ProofmintError: a run failed, or a release is not what its attestation says.
    """
    started = time.monotonic()
    print("starting the demo's sources: PostgreSQL and a folder of images", flush=True)
    demo_source.provide(project)
    embedded_airflow.prepare(project)
    print(f"running the Airflow DAGs of {' and '.join(DATASETS)}\n", flush=True)
    events = _run_all(project)
    print()
    _show(project)
    executed = {
        dataset: [event["task"] for event in own if event.get("executed")]
        for dataset, own in events.items()
    }
    print()
    for dataset, own in events.items():
        ran = ", ".join(executed[dataset]) or "nothing"
        n_cached = sum(event.get("executed") is False for event in own)
        print(f"{dataset}: executed {ran}; {n_cached} stages came from the cache")
    if all(tasks == ["ingest"] for tasks in executed.values()):
        print("Nothing has changed at the sources, so there is nothing new to release.")
    print(
        f"\n{time.monotonic() - started:.0f} s. Open a report in a browser, or run the demo again."
    )
    return 0


def _run_all(project: Path) -> dict[str, list[dict[str, Any]]]:
    """What the tasks of each dataset reported; a failure waits until all runs have ended."""

    def report(line: str) -> None:
        print(line, flush=True)

    with ThreadPoolExecutor(len(DATASETS)) as pool:
        runs = {name: pool.submit(run_dag, project, name, report=report) for name in DATASETS}
    failed = [f"{name}: {run.exception()}" for name, run in runs.items() if run.exception()]
    if failed:
        raise ProofmintError("\n".join(failed))
    return {name: run.result() for name, run in runs.items()}


def _show(project: Path) -> None:
    rows = []
    for dataset in DATASETS:
        place = Layout(project, dataset).release
        verified = verify_release(place)
        name = verified.attestation.facts["version"]
        version = next(v for v in versions.versions(project, dataset) if v.name == name)
        measured = read_measurements(place / EVIDENCE_FOLDER)
        rows.append(
            (
                dataset,
                version.name,
                f"{version.rows:,}",
                *(_headline(measured, family) for family in FAMILIES),
                "verified, passed" if verified.verdict_passed else "verified, REFUSED",
                str((place / "report.html").relative_to(project)),
            )
        )
    head = ("dataset", "version", "rows", "fidelity", "utility", "privacy", "verdict", "report")
    print_table(head, rows)


def _headline(measured: list[Measurement], family: Family) -> str:
    """The first deciding metric of a family, beside the same metric of the real holdout."""
    for metric in measured:
        if metric.family == family and metric.threshold and metric.value is not None:
            reference = "" if metric.reference is None else f" (real {metric.reference:.3g})"
            return f"{metric.name} {metric.value:.3g}{reference}"
    return "not measured"
