import subprocess
from pathlib import Path

import pytest

from tasks.errors import WorkspaceError
from tasks.workspace import Layout, git, project_of, state_of


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "my project"
    root.mkdir()
    git(root, "init", "-q")
    identity = {
        f"GIT_{role}_{key}": "t@t" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")
    }
    git(root, "commit", "-q", "--allow-empty", "-m", "first", env=identity)
    return root


def test_a_worktree_knows_its_project(project: Path, tmp_path: Path) -> None:
    git(project, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    assert project_of(tmp_path / "tree") == project == project_of(project)


def test_outside_of_git_the_message_is_gits(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="not a git repository"):
        project_of(tmp_path)
    with pytest.raises(WorkspaceError, match="expected git and the folder"):
        project_of(tmp_path / "nowhere")


def test_state_belongs_to_its_owner_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROOFMINT_HOME", raising=False)
    assert state_of(project) == project / ".proofmint"
    assert state_of(project).stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("PROOFMINT_HOME", str(project / "elsewhere"))
    assert state_of(project) == project / "elsewhere"


def test_synthetic_data_is_held_at_the_clean_gate() -> None:
    at = Layout(Path("/p"), "adult")
    assert at.suite("synthetic") == at.suite("clean")
    assert at.verdict("synthetic") != at.verdict("clean")
    assert at.attestation.parent == at.release.parent


def test_a_command_without_a_repository_fails_in_words(tmp_path: Path) -> None:
    done = subprocess.run(
        ["proofmint", "releases"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == WorkspaceError.exit_code
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
