"""Runs at the same time never mix: each has its files, its settings and its version."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tasks import versions
from tasks.publishing.verification import verify_release
from tasks.schema import DatasetSchema
from tasks.storage import count_rows
from tasks.workspace import Layout
from tests.e2e.conftest import Project

pytestmark = pytest.mark.usefixtures("first_runs", "environment")


def test_two_runs_of_a_dataset_with_other_settings(project: Project, tmp_path: Path) -> None:
    before = {v.number for v in versions.versions(project.root, "digits")}
    asked = [{"rows": 40}, {"rows": 70, "seed": 5, "epochs": 1}]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(project.run_dag, "digits", **settings) for settings in asked]
    for run in runs:
        assert run.result()[-1]["release"]["new"]
    new = [v for v in versions.versions(project.root, "digits") if v.number not in before]
    assert sorted(v.rows for v in new) == [40, 70]
    for version in new:
        settings = asked[0] if version.rows == 40 else asked[1]
        text = versions.read_at(project.root, version.commit, "params.yaml")
        (entry,) = yaml.safe_load(text)["datasets"].values()
        assert entry["sample"] == {"rows": settings["rows"]}
        assert entry["seed"] == settings.get("seed", 0)
        assert entry["train"]["epochs"] == settings.get("epochs", 2)
        clone = project.clone(tmp_path / version.name, version, share_cache=True)
        clone.dvc("checkout", "-q")
        at = Layout(clone.root, "digits")
        assert verify_release(at.release).attestation.facts["version"] == version.name
        assert (
            count_rows(at.synthetic, DatasetSchema.load(at.synthetic).main.name) == settings["rows"]
        )
    standing = verify_release(Layout(project.root, "digits").release)
    assert standing.attestation.facts["version"] == project.newest("digits").name


def test_the_branch_of_a_dataset_holds_its_versions_in_order(project: Project) -> None:
    tags = [v.tag for v in versions.versions(project.root, "digits")]
    log = project.git("log", "--first-parent", "--format=%s", "datasets/digits").splitlines()
    assert [line.split(":")[0] for line in log if line.endswith("attestation")] == tags[::-1]
