"""A DAG run ends with a release that anyone can make again, byte for byte, with DVC alone."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tasks import pipeline
from tasks.publishing.verification import verify_release
from tasks.storage import digest
from tasks.workspace import Layout
from tests.e2e.conftest import Project

pytestmark = pytest.mark.usefixtures("first_runs", "environment")
DATASETS = ("breast_cancer", "digits")


def outputs(root: Path, dataset: str) -> dict[str, str]:
    stages = pipeline.load(root)[dataset].stages
    return {out: digest(root / out) for stage in stages for out in stage.outs}


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_newest_release_stands_in_the_project_and_is_verified(
    project: Project, dataset: str
) -> None:
    version = project.newest(dataset)
    verified = verify_release(Layout(project.root, dataset).release)
    assert verified.verdict_passed
    facts = verified.attestation.facts
    assert (facts["version"], facts["dvc_revision"]) == (version.name, version.revision)
    assert verified.attestation.manifest_sha256 == version.digest
    assert facts["mlflow_run"]
    # The attested commit is the one that reproduces the release: the tagged one without the proof.
    assert project.git("rev-parse", f"{version.commit}^").strip() == facts["git_commit"]


def test_every_stage_was_executed_and_told_so(
    first_runs: dict[str, list[dict[str, Any]]], project: Project
) -> None:
    for dataset, events in first_runs.items():
        stages = [stage.name for stage in pipeline.load(project.root)[dataset].stages]
        assert {event["task"] for event in events if event.get("executed")} == set(stages)
        assert events[-1]["release"]["new"]


def test_a_second_run_takes_everything_but_the_ingest_from_the_cache(project: Project) -> None:
    before = project.newest("digits")
    events = project.run_dag("digits")
    assert [event["task"] for event in events if event.get("executed")] == ["ingest"]
    assert events[-1]["release"] | {"new": False} == events[-1]["release"]
    assert project.newest("digits") == before


def test_runs_leave_the_users_folder_alone(project: Project) -> None:
    assert project.git("status", "--porcelain") == ""
    assert project.git("symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert len(project.git("worktree", "list").splitlines()) == 1


@pytest.mark.parametrize("dataset", DATASETS)
def test_nothing_has_changed_in_a_checkout_of_the_tag(
    project: Project, dataset: str, tmp_path: Path
) -> None:
    clone = project.clone(tmp_path / "clone", project.newest(dataset), share_cache=True)
    clone.dvc("checkout", "-q")
    assert json.loads(clone.dvc("status", "--json")) == {f"ingest@{dataset}": ["always changed"]}
    assert digest(clone.root / "releases" / dataset) == digest(project.root / "releases" / dataset)


def test_repro_from_a_fresh_clone_with_an_empty_cache_gives_the_same_bytes(
    project: Project, tmp_path: Path
) -> None:
    def reproduce(dataset: str) -> tuple[dict[str, str], dict[str, str]]:
        version = project.newest(dataset)
        original = project.clone(tmp_path / f"{dataset}-original", version, share_cache=True)
        original.dvc("checkout", "-q")
        again = project.clone(tmp_path / f"{dataset}-again", version)
        pictures = project.root / ".proofmint" / "demo"
        (again.root / ".proofmint").mkdir()
        (again.root / ".proofmint" / "demo").symlink_to(pictures)
        again.dvc("repro")
        assert again.git("status", "--porcelain") == ""  # dvc.lock has the very same text
        return outputs(again.root, dataset), outputs(original.root, dataset)

    with ThreadPoolExecutor(2) as pool:
        for again, original in pool.map(reproduce, DATASETS):
            assert again == original
            assert len(again) == 13


def test_the_release_is_registered_in_mlflow(project: Project) -> None:
    from tasks.tracking import ALIAS, open_tracker

    client = open_tracker(None, project.root / ".proofmint" / "mlflow")._client
    for dataset in DATASETS:
        version = project.newest(dataset)
        model = client.get_model_version_by_alias(dataset, ALIAS)
        assert model.tags["release"] == version.name
        metrics = client.get_run(model.run_id).data.metrics
        assert any(name.startswith("release.") for name in metrics)


def test_openlineage_is_told_what_every_task_read_and_made(
    first_runs: dict[str, list[dict[str, Any]]], project: Project
) -> None:
    place = project.root / ".proofmint" / "lineage" / "events.jsonl"
    text = place.read_text()
    source = urlsplit(project.env["PROOFMINT_DEMO"])
    assert f"{source.username}@" not in text
    ended: dict[str, dict[str, Any]] = {}
    for line in text.splitlines():  # those of the first runs come first
        event = json.loads(line)
        assert event["schemaURL"].endswith("OpenLineage.json#/$defs/RunEvent")
        if event["eventType"] == "COMPLETE":
            ended.setdefault(event["job"]["name"], event)
    for dataset, reports in first_runs.items():
        tasks = {f"{dataset}.{report['task']}" for report in reports}
        assert tasks <= ended.keys()
        assert {ended[task]["run"]["facets"]["parent"]["job"]["name"] for task in tasks} == {
            dataset
        }
    ingest = ended["breast_cancer.ingest"]
    (read,), (made,) = ingest["inputs"], ingest["outputs"]
    assert (read["namespace"], read["name"]) == (
        "postgres://localhost:5432",
        "demo.public.breast_cancer",
    )
    assert made["name"] == "data/breast_cancer/raw"
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 569
    assert {field["name"] for field in made["facets"]["schema"]["fields"]} >= {"id", "diagnosis"}
    (judged, *_) = ended["breast_cancer.validate_raw"]["inputs"]
    assert judged["facets"]["version"] == made["facets"]["version"]
    assertions = judged["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert len(assertions) > 10
    assert all(check["success"] and not check.get("actual") for check in assertions)
    (released,) = ended["breast_cancer.release"]["outputs"]
    assert (released["name"], released["facets"]["version"]["datasetVersion"]) == (
        "breast_cancer",
        "v1",
    )


def test_the_list_of_releases_shows_them(project: Project) -> None:
    ended = project.proofmint("releases")
    assert ended.status == 0
    for dataset in DATASETS:
        version = project.newest(dataset)
        first = [dataset, version.name]
        (line,) = [line for line in ended.output.splitlines() if line.split()[:2] == first]
        assert version.digest[:12] in line
