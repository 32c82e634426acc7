"""A generator that returns training rows, or columns shuffled apart, never gets a release."""

import pytest

from tasks import versions
from tasks.errors import GateRefused
from tasks.storage import digest
from tests.e2e.conftest import THRESHOLDS, Project

pytestmark = pytest.mark.usefixtures("first_runs", "environment")

FORGERIES = {
    "training rows": ({}, "exact_copies"),
    "shuffled columns": ({"shuffle": True}, "trend_error"),
}


@pytest.mark.parametrize(("settings", "metric"), FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forgery_is_refused_at_the_release_gate(
    project: Project, settings: dict[str, bool], metric: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = versions.versions(project.root, "breast_cancer")
    standing = digest(project.root / "releases" / "breast_cancer")
    with pytest.raises(GateRefused) as caught:
        project.run_dag("breast_cancer", generator="forger", generator_params=settings, epochs=1)
    said = str(caught.value)
    assert metric in said
    assert f"{THRESHOLDS['breast_cancer'][metric]['at_most']:g}" in said
    assert "real holdout" in said
    assert "validate_release" in capsys.readouterr().out
    assert versions.versions(project.root, "breast_cancer") == before
    assert digest(project.root / "releases" / "breast_cancer") == standing
