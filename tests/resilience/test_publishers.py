"""Publishers on two machines that share a git remote and nothing else, at the same moment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import git_remote, versions
from tasks.publishing.keys import signing_key
from tasks.publishing.verification import verify_release
from tasks.workspace import Layout, dvc, git
from tests.small_project import DATASET, make_project, run_pipeline


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two clones of a project, each with a folder of its own for its state; they have one key."""
    monkeypatch.delenv("PROOFMINT_HOME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = make_project(tmp_path / "made")
    origin = tmp_path / "origin.git"
    git(tmp_path, "clone", "-q", "--bare", str(made), str(origin))
    clones = [tmp_path / "one", tmp_path / "two"]
    for clone in clones:
        git(tmp_path, "clone", "-q", str(origin), str(clone))
        dvc(clone, "remote", "add", "-q", "--local", "--default", "store", str(tmp_path / "store"))
    signing_key(clones[0] / ".proofmint")
    shutil.copytree(clones[0] / ".proofmint" / "keys", clones[1] / ".proofmint" / "keys")
    return clones


def release_at_once(machines: list[Path]) -> list[str]:
    """What `proofmint release` says on each machine."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tasks", "release", DATASET],
            cwd=machine,
            env={
                **os.environ,
                git_remote.VARIABLE: "origin",
                "PYTHONPATH": str(Path(__file__).parents[2]),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for machine in machines
    ]
    said = []
    for process in started:
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        said.append(output.strip().splitlines()[-1])
    return said


def test_each_gets_a_version_where_their_bytes_differ(machines: list[Path]) -> None:
    for n_rows, machine in enumerate(machines, start=40):
        run_pipeline(machine, machine, n_rows)
    said = release_at_once(machines)
    assert sorted(line.split(" at ")[0] for line in said) == [
        f"{DATASET}: released v1",
        f"{DATASET}: released v2",
    ]
    for line, machine in zip(said, machines, strict=True):
        git(machine, "fetch", "-q", "--tags", "origin")
        assert [v.number for v in versions.versions(machine, DATASET)] == [1, 2]
        standing = verify_release(Layout(machine, DATASET).release).attestation
        assert standing.facts["version"] in line
    log = git(machines[0], "ls-remote", "origin", f"refs/heads/datasets/{DATASET}")
    newest = versions.newest(machines[0], DATASET)
    assert newest is not None
    assert log.split()[0] == newest.commit


@pytest.mark.slow
def test_one_makes_the_version_where_their_bytes_are_the_same(machines: list[Path]) -> None:
    for machine in machines:
        run_pipeline(machine, machine, 40)
    said = release_at_once(machines)
    assert sorted(line.split(" at ")[0] for line in said) == [
        f"{DATASET}: released v1",
        f"{DATASET}: unchanged, still v1",
    ]
    for machine in machines:
        (version,) = versions.versions(machine, DATASET)
        verified = verify_release(Layout(machine, DATASET).release)
        assert verified.attestation.manifest_sha256 == version.digest
