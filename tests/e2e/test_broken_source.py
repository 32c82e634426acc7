"""A broken source stops the run where it breaks, by its name; the next good run works."""

import uuid

import pytest
import sqlalchemy as sa

from tasks.commands import demo_source
from tasks.commands.postgres import PostgresServer
from tasks.errors import SourceError, SourceUnavailable
from tests.conftest import DemoSource
from tests.e2e.conftest import Project

pytestmark = pytest.mark.usefixtures("first_runs", "environment")

FAULTS = {
    "table missing": ("DROP TABLE breast_cancer", "ingest", "breast_cancer"),
    "column renamed": (
        "ALTER TABLE breast_cancer RENAME COLUMN mean_area TO area",
        "validate_raw",
        "mean_area",
    ),
    "null": (
        """ALTER TABLE breast_cancer ALTER COLUMN mean_area DROP NOT NULL;
        UPDATE breast_cancer SET mean_area = NULL WHERE id = 17""",
        "validate_raw",
        "mean_area",
    ),
    "empty": ("DELETE FROM breast_cancer", "ingest", "breast_cancer"),
}


@pytest.fixture
def broken(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, demo_sources: DemoSource
) -> str:
    """The URL of a copy of the demo's database on which the statement was executed."""
    name = f"broken_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(postgres_server.url("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {demo_source.DATABASE}"))
    engine.dispose()
    with postgres_server.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute(request.param)
    return postgres_server.url(name)


@pytest.mark.parametrize(
    ("broken", "stage", "named"), FAULTS.values(), ids=FAULTS.keys(), indirect=["broken"]
)
def test_the_run_stops_and_names_the_fault(
    project: Project, broken: str, stage: str, named: str
) -> None:
    before = project.newest("breast_cancer")
    ended = project.proofmint("run", "breast_cancer", env={"PROOFMINT_DEMO": broken})
    assert ended.status in (3, 4, 5)
    last = [line for line in ended.output.splitlines() if line.startswith("Running stage")][-1]
    assert last == f"Running stage '{stage}@breast_cancer':"
    assert named in ended.errors
    assert "Traceback" not in ended.errors
    assert project.newest("breast_cancer") == before
    assert (project.root / "releases" / "breast_cancer" / "README.md").exists()


def test_a_database_that_is_down_is_tried_again_then_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = project.newest("breast_cancer")
    monkeypatch.setenv("PROOFMINT_DEMO", "postgresql://reader:hush@127.0.0.1:1/demo")
    with pytest.raises(SourceUnavailable) as caught:
        project.run_dag("breast_cancer")
    assert "hush" not in str(caught.value)
    printed = capsys.readouterr().out
    assert printed.count("failed, will be tried again") == 1
    assert printed.count("FAILED") == 1
    assert "hush" not in printed
    assert project.newest("breast_cancer") == before


def test_a_fault_of_the_settings_is_not_tried_again(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PROOFMINT_DEMO", "nonsense")
    with pytest.raises(SourceError, match="PROOFMINT_DEMO"):
        project.run_dag("breast_cancer")
    assert "will be tried again" not in capsys.readouterr().out


def test_the_next_good_run_works(project: Project) -> None:
    ended = project.proofmint("run", "breast_cancer")
    assert ended.status == 0, ended.errors
    assert "unchanged, still v1" in ended.output
    assert project.git("status", "--porcelain") in ("", "?? dvc.lock\n")
