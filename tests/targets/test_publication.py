"""From `release` to targets, `withdraw` and `trace`, in a project of its own."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import versions
from tasks.commands.release import make_release, release
from tasks.commands.releases import releases
from tasks.commands.rotate_key import rotate_key
from tasks.commands.targets import targets
from tasks.commands.trace import trace
from tasks.commands.verify import verify
from tasks.commands.withdraw import withdraw
from tasks.errors import (
    GateRefused,
    ParamsError,
    TargetUnavailable,
    VerificationError,
    WorkspaceError,
)
from tasks.publishing.notices import notice_of
from tasks.publishing.targets.delta import DeltaTarget
from tasks.publishing.verification import attestation_of, verify_release
from tasks.tracking import ALIAS, open_tracker
from tasks.workspace import git, state_of
from tests.small_project import DATASET, make_project, run_pipeline

REASON = "Two rows are those of real people."


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two releases, at a folder beside it."""
    root = make_project(tmp_path_factory.mktemp("released") / "project")
    publish_to(root, {"type": "folder", "path": "../out"})
    with pytest.MonkeyPatch.context() as patch:
        patch_environment(patch)
        for n_rows in (40, 50):
            run_pipeline(root, root, n_rows)
            release(root, DATASET)
    return root.parent


@pytest.fixture
def project(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, for one test."""
    patch_environment(monkeypatch)
    shutil.copytree(released, tmp_path / "here", symlinks=True)
    return tmp_path / "here" / "project"


def patch_environment(patch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "PROOFMINT_HOME", "PROOFMINT_GIT_REMOTE"):
        patch.delenv(name, raising=False)


def publish_to(root: Path, *targets: dict[str, Any]) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["datasets"][DATASET]["publish"]["to"] = list(targets)
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    git(root, "commit", "-q", "-a", "-m", "other targets")


def version_of(folder: Path) -> str:
    return str(verify_release(folder).attestation.facts["version"])


def test_a_target_that_fails_stops_no_other_and_is_made_up_for(
    project: Path,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WAREHOUSE", "postgresql://nobody@127.0.0.1:1/none")
    publish_to(
        project,
        {"type": "postgres", "connection": "WAREHOUSE"},
        {"type": "folder", "path": "../other"},
    )
    run_pipeline(project, project, 60)
    with pytest.raises(TargetUnavailable, match=r"1 of 2 targets failed.*`proofmint release"):
        release(project, DATASET)
    assert version_of(project.parent / "other" / DATASET / "current") == "v3"
    newest = versions.newest(project, DATASET)
    assert newest is not None
    assert newest.name == "v3"
    monkeypatch.setenv("WAREHOUSE", database)
    assert make_release(project, DATASET).new  # for those who wait for new versions it still is
    assert not make_release(project, DATASET).new
    capsys.readouterr()
    assert targets(project, DATASET) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1].strip() for line in table[2:]] == ["v3", "v3", "v1, v2"]


def test_a_place_with_other_settings_is_the_same_place(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_to(project, {"type": "delta", "path": "../lake", "retention_hours": 1})
    run_pipeline(project, project, 60)
    release(project, DATASET)
    publish_to(project, {"type": "delta", "path": "../lake", "retention_hours": 2})
    capsys.readouterr()
    targets(project, DATASET)
    table = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0].rpartition("/h")[2] for line in table[2:]] == [
        f"ere/lake/{DATASET}",
        f"ere/out/{DATASET}",
    ]


def test_a_wrong_target_is_told_of_before_anything_is_released(project: Path) -> None:
    publish_to(project, {"type": "folder", "pfad": "../out"})
    run_pipeline(project, project, 60)
    with pytest.raises(ParamsError, match="pfad: unknown key"):
        release(project, DATASET)
    assert len(versions.versions(project, DATASET)) == 2


def test_withdrawn_is_said_everywhere(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_to(project)  # the place of the copies is no longer published to
    assert withdraw(project, DATASET, "v2", REASON) == 0
    assert withdraw(project, DATASET, "v2", REASON) == 0  # once more changes nothing
    assert version_of(project / "releases" / DATASET) == "v1"
    out = project.parent / "out" / DATASET
    assert version_of(out / "current") == "v1"
    assert not notice_of(project / "releases" / DATASET).exists()
    with pytest.raises(VerificationError, match=f"WITHDRAWN.*{REASON}"):
        verify(out / "v2")
    client = open_tracker(None, state_of(project) / "mlflow")._client
    one, two = sorted(client.search_model_versions(f"name = '{DATASET}'"), key=lambda m: m.version)
    assert (one.tags.get("withdrawn"), two.tags["withdrawn"]) == (None, "true")
    assert client.get_model_version_by_alias(DATASET, ALIAS).version == one.version
    capsys.readouterr()
    releases(project)
    assert "WITHDRAWN" in capsys.readouterr().out
    assert git(project, "cat-file", "-t", f"withdrawn/{DATASET}@v2") == "tag"

    # No version stands: what is left here says so itself.
    withdraw(project, DATASET, "v1", REASON)
    assert not (out / "current").is_symlink()
    with pytest.raises(VerificationError, match="WITHDRAWN"):
        verify(project / "releases" / DATASET)


def test_the_withdrawal_is_told_where_no_other_version_can_be_brought(project: Path) -> None:
    publish_to(project, {"type": "delta", "path": "../lake"}, {"type": "folder", "path": "../out"})
    release(project, DATASET)
    shutil.rmtree(project / ".dvc" / "cache" / "files")  # as in a clone
    with pytest.raises(WorkspaceError, match=rf"(?s)bytes of {DATASET}@v1 .*run the same command"):
        withdraw(project, DATASET, "v2", REASON)
    out = project.parent / "out" / DATASET
    assert version_of(out / "current") == "v1"
    for copy in (out / "v2", project / "releases" / DATASET):
        with pytest.raises(VerificationError, match="WITHDRAWN"):
            verify(copy)
    assert (project.parent / "lake" / DATASET / "v2.withdrawn.json").exists()


@pytest.mark.parametrize("fault", [ValueError("of ours"), OSError("of the disk")])
def test_a_fault_of_one_target_stops_no_other(
    project: Path, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_to(project, {"type": "delta", "path": "../lake"}, {"type": "folder", "path": "../out"})

    def fails(_: DeltaTarget) -> dict[int, str]:
        raise fault

    monkeypatch.setattr(DeltaTarget, "held", fails)
    with pytest.raises((ValueError, TargetUnavailable), match=r"of ours|OSError: of the disk"):
        withdraw(project, DATASET, "v2", REASON)
    assert version_of(project.parent / "out" / DATASET / "current") == "v1"
    assert version_of(project / "releases" / DATASET) == "v1"


def test_what_was_withdrawn_is_not_released_again(project: Path) -> None:
    withdraw(project, DATASET, "v2", REASON)
    run_pipeline(project, project, 50)
    with pytest.raises(GateRefused, match="byte for byte v2"):
        release(project, DATASET)
    run_pipeline(project, project, 40)
    outcome = make_release(project, DATASET)
    assert (outcome.version.name, outcome.new) == ("v1", False)
    run_pipeline(project, project, 60)
    outcome = make_release(project, DATASET)
    assert (outcome.version.name, outcome.new) == ("v3", True)
    assert verify(project / "releases" / DATASET) == 0


@pytest.mark.parametrize(
    ("name", "reason"), [("v7", REASON), ("v2", " \n"), ("v2", "x" * 1001), ("v2", "\x1b[2J")]
)
def test_a_withdrawal_needs_a_version_and_a_reason(project: Path, name: str, reason: str) -> None:
    with pytest.raises(ParamsError, match=r"expected a reason|has no version 'v7'; it has: v1, v2"):
        withdraw(project, DATASET, name, reason)
    assert all(v.withdrawn is None for v in versions.versions(project, DATASET))


def test_another_key_is_refused_until_it_is_announced(project: Path) -> None:
    keys = state_of(project) / "keys"
    public = project.parent / "first.pem"
    shutil.copy(keys / "ed25519.pub.pem", public)
    kept = (keys / "ed25519.pem").read_bytes()
    (keys / "ed25519.pem").unlink()
    run_pipeline(project, project, 60)
    with pytest.raises(WorkspaceError, match="which nobody has announced"):
        release(project, DATASET)
    assert len(versions.versions(project, DATASET)) == 2
    (keys / "ed25519.pem").write_bytes(kept)
    rotate_key(project, lost=False)
    release(project, DATASET)
    assert verify(project / "releases" / DATASET, public) == 0


def test_every_digest_leads_to_its_release(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, version = versions.versions(project, DATASET)
    here = project / "releases" / DATASET
    facts = verify_release(here).attestation.facts
    readme = hashlib.sha256((here / "README.md").read_bytes()).hexdigest()
    attestation = hashlib.sha256(attestation_of(here).read_bytes()).hexdigest()
    known = {
        version.digest: "release",
        f"sha256:{readme[:12]}": "file README.md",
        attestation[:8]: "attestation",
        version.commit: "commit of the version",
        facts["git_commit"].upper(): "commit of code",
        facts["mlflow_run"]: "MLflow run",
        version.revision: f"releases/{DATASET}, made by publish",
    }
    for digest, what in known.items():
        capsys.readouterr()
        trace(project, digest, as_json=False)
        said = capsys.readouterr().out
        assert said.startswith(what)
        assert f"of {DATASET} v2" in said.splitlines()[0]
        assert "current" in said
    trace(project, version.digest, as_json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert found["files"]["README.md"] == readme
    assert found["steps"][0]["command"] == "true"


def test_a_digest_of_several_releases_lists_them(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = verify_release(project / "releases" / DATASET).attestation.fingerprint
    trace(project, signer, as_json=False)
    said = capsys.readouterr().out
    assert "v1" in said
    assert "v2" in said
    for digest in ("12345678" * 4, "nothex!!", "abc"):
        with pytest.raises(ParamsError):
            trace(project, digest, as_json=False)
