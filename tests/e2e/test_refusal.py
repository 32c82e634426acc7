"""A generator that returns training rows, or columns shuffled apart, never gets a release."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks import versions
from tasks.errors import GateRefused
from tasks.storage import digest
from tests.e2e.conftest import Project

pytestmark = pytest.mark.usefixtures("first_runs", "environment")

FORGERIES = {"exact_copies": {"shuffle": False}, "trend_error_real_bins": {"shuffle": True}}
"""Settings of the forger, by the metric that gives it away."""


@pytest.fixture(scope="module")
def refusals(
    project: Project, first_runs: object
) -> dict[str, tuple[BaseException | None, list[str]]]:
    """How the runs of both forgeries ended, and what they printed."""
    with ThreadPoolExecutor(2) as pool, pytest.MonkeyPatch.context() as patch:
        project.set_environment(patch)
        lines: dict[str, list[str]] = {metric: [] for metric in FORGERIES}
        runs = {
            metric: pool.submit(
                project.run_dag,
                "breast_cancer",
                lines[metric].append,
                generator="forger",
                generator_params=settings,
                epochs=1,
            )
            for metric, settings in FORGERIES.items()
        }
        return {metric: (run.exception(), lines[metric]) for metric, run in runs.items()}


@pytest.mark.parametrize("metric", FORGERIES)
def test_a_forgery_is_refused_at_the_release_gate(
    refusals: dict[str, tuple[BaseException | None, list[str]]], metric: str
) -> None:
    refusal, lines = refusals[metric]
    assert isinstance(refusal, GateRefused)
    number = r"-?[\d.]+(?:e-\d+)?"
    said = re.search(
        rf"{metric}: expected: .*?{number}.*; found: {number} \(real holdout: {number}\)",
        str(refusal),
    )
    assert said, str(refusal)
    failed = [line for line in lines if "FAILED" in line]
    assert [line.split()[:2] for line in failed] == [["breast_cancer", "validate_release"]]


def test_the_release_before_stays_in_its_place(
    refusals: dict[str, tuple[BaseException | None, list[str]]], project: Project
) -> None:
    assert [v.name for v in versions.versions(project.root, "breast_cancer")] == ["v1"]
    place = project.root / "releases" / "breast_cancer"
    assert digest(place / "evidence" / "manifest.json") == project.newest("breast_cancer").digest
    assert project.proofmint("verify", str(place)).status == 0
