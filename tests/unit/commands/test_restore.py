import subprocess
import sys
from pathlib import Path

import pytest

from tasks.commands.backup import backup
from tasks.commands.restore import restore
from tasks.errors import WorkspaceError
from tasks.maintenance.archive import verify
from tasks.workspace import git


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project whose state is in another folder; its last commit is on no branch."""
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=root, check=True)
    (root / "params.yaml").write_text("first\n")
    for name, value in (("name", "test"), ("email", "test@localhost")):
        git(root, "config", f"user.{name}", value)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    git(root, "checkout", "-q", "--detach")
    (root / "params.yaml").write_text("second\n")
    git(root, "commit", "-qam", "second")
    (root / "params.yaml").write_text("third, not committed\n")
    monkeypatch.setenv("PROOFMINT_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "keys").mkdir(parents=True)
    (tmp_path / "home" / "keys" / "ed25519.pem").write_text("a key")
    return root


def test_the_folders_may_be_there_if_they_are_empty_as_volumes_are(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backup.tar"
    assert backup(project, file, everything=True) == 0
    into, home = tmp_path / "into", tmp_path / "other home"
    into.mkdir()
    home.mkdir()
    inodes = into.stat().st_ino, home.stat().st_ino
    monkeypatch.setenv("PROOFMINT_HOME", str(home))
    assert restore(file, into) == 0
    assert (into.stat().st_ino, home.stat().st_ino) == inodes
    assert (home / "keys" / "ed25519.pem").read_text() == "a key"
    assert not (into / ".proofmint").exists()
    assert git(into, "rev-parse", "HEAD", "main") == git(project, "rev-parse", "HEAD", "main")
    assert git(into, "config", "user.email") == "test@localhost"
    assert (into / "params.yaml").read_text() == "third, not committed\n"
    assert sorted(p.name for p in into.iterdir()) == [".dvc", ".dvcignore", ".git", "params.yaml"]
    with pytest.raises(WorkspaceError, match="new or empty"):
        restore(file, into)


def test_a_backup_is_no_part_of_the_next_one(project: Path, tmp_path: Path) -> None:
    for place in (project / "backup.tar", tmp_path / "home" / "backup.tar"):
        with pytest.raises(WorkspaceError, match="outside of"):
            backup(project, place, everything=False)
    with pytest.raises(WorkspaceError, match="make it first"):
        backup(project, tmp_path / "nowhere" / "backup.tar", everything=False)
    for name in ("one", "two"):
        assert backup(project, tmp_path / "home" / "backups" / f"{name}.tar", everything=True) == 0
    assert not [
        name for name in verify(tmp_path / "home" / "backups" / "two.tar")["files"] if "one" in name
    ]


def test_a_shallow_clone_is_restored_as_one(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROOFMINT_HOME")
    git(project, "checkout", "-q", "--force", "-B", "main")
    shallow = tmp_path / "shallow"
    git(project, "clone", "-q", "--depth", "1", f"file://{project}", str(shallow))
    assert backup(shallow, tmp_path / "backup.tar", everything=False) == 0
    assert restore(tmp_path / "backup.tar", tmp_path / "into") == 0
    assert git(tmp_path / "into", "log", "--format=%s") == "second"
    assert git(tmp_path / "into", "fsck") == ""
