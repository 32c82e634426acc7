"""Copies of this project for tests that commit, start servers or write `.proofmint`."""

import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def copy_project(to: Path) -> Path:
    """The working tree as it is, without what git ignores, as one commit of a repository at `to`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.split("\0"):
        source = REPOSITORY / name
        if name and source.is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to / name)
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "copy"]):
        subprocess.run(["git", *identity, *arguments], cwd=to, check=True)
    return to


def commit_all(root: Path, message: str) -> None:
    """Commit everything in a copy of the project."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["add", "-A"], ["commit", "-q", "-m", message]):
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True)
