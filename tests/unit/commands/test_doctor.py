"""The doctor names what is missing and what to do, and never what is secret."""

from pathlib import Path

import pytest

from tasks.commands import doctor
from tests.projects import copy_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("PROOFMINT_HOME", "PROOFMINT_DEMO", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    return copy_project(tmp_path / "project")


def lines(root: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in doctor.examine(root):
        found.setdefault(finding.subject, []).append(f"{finding.level}: {finding.text}")
    return found


def test_a_fresh_project_is_well_but_for_its_demo_source(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.doctor(project) == 0
    shown = capsys.readouterr().out
    assert "\033" not in shown  # no colours where it is no terminal
    assert "warning  breast_cancer  connection PROOFMINT_DEMO is set nowhere" in shown
    assert "warning  digits         source .proofmint/demo/digits does not exist" in shown
    assert shown.count("proofmint demo-source start") == 2
    for subject in ("Python", "git", "dvc", "disk", "PostgreSQL", "dvc.yaml", "params.yaml", "GPU"):
        assert f"ok       {subject}" in shown


def test_all_faults_are_found_in_one_go(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "great_expectations" / "expectations" / "digits_clean.json").unlink()
    (project / "dvc.yaml").write_text("stages: [", encoding="utf-8")
    monkeypatch.setenv("PROOFMINT_AIRFLOW_PORT", "no port")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    assert doctor.doctor(project) == 8
    shown = capsys.readouterr().out
    assert (
        "problem  digits         expected the suites great_expectations/expectations/digits_cl"
        in shown
    )
    assert "problem  dvc.yaml       cannot read" in shown
    assert "problem  airflow port   PROOFMINT_AIRFLOW_PORT asks for 'no port'" in shown
    assert "problem  MLflow         http://127.0.0.1:9 does not answer" in shown
    assert "4 of" in shown.splitlines()[-1]
    assert "hunter2" not in shown


def test_connections_are_named_and_wrong_params_told_in_the_words_of_params(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PROOFMINT_DEMO", "postgresql://me:hunter2@host/db")
    found = lines(project)["breast_cancer"]
    assert "ok: connection AIRFLOW_CONN_PROOFMINT_DEMO is set" in found
    assert not any("hunter2" in line for line in found)

    place = project / "params.yaml"
    place.write_text(place.read_text().replace("seed: 0", "sed: 0", 1), encoding="utf-8")
    (line,) = lines(project)["params.yaml"]
    assert line.startswith("problem:")
    assert "datasets.breast_cancer.sed: unknown key" in line


def test_outside_of_a_repository_it_says_so(tmp_path: Path) -> None:
    found = lines(tmp_path)
    assert found["repository"][0].endswith("is in no git repository; run `git init`")
