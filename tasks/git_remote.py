"""The git remote through which machines without a common disk share the versions of datasets.

`PROOFMINT_GIT_REMOTE` names it (`origin`); without it a clone is on its own and nothing here is
called. The remote is the arbiter: branch and tag of a version are pushed in one atomic step that
fails where another publisher was quicker, and only then appear in the clone.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tasks.errors import RemoteMoved, RemoteUnavailable, WorkspaceError
from tasks.workspace import git, locked

VARIABLE = "PROOFMINT_GIT_REMOTE"
"""Set on every worker that shares no disk with the others."""

_NEVER_ASK = {"GIT_TERMINAL_PROMPT": "0"}


def name() -> str | None:
    """The remote's name; None: this clone shares its disk with all workers, or is alone."""
    return os.environ.get(VARIABLE) or None


def fetch_versions(root: Path, dataset: str) -> None:
    """Bring branch and tags of a dataset from the remote; what is here gives way to it.

    Raises:
        RemoteUnavailable: it does not answer.
    """
    kinds = ("heads/datasets/{}*", "tags/{}@v*", "tags/withdrawn/{}@v*")
    refs = [f"refs/{kind.format(dataset)}" for kind in kinds]
    _fetch(root, *(f"+{ref}:{ref}" for ref in refs))


def provide_commit(root: Path, commit: str) -> None:
    """Have a commit in the clone, from the remote if need be.

    Raises:
        WorkspaceError: the remote has it on no branch either.
    """
    if _has(root, commit):
        return
    remote = name()
    if remote is None:
        raise WorkspaceError(f"{root} has no commit {commit}, which the run was started at")
    _fetch(root, f"+refs/heads/*:refs/remotes/{remote}/*")
    if not _has(root, commit):
        raise WorkspaceError(
            f"expected the commit of the run, {commit}, at the git remote {remote!r}; found it on"
            " none of its branches: push it there, then clear the failed task"
        )


def push(root: Path, updates: Mapping[str, tuple[str, str]]) -> None:
    """Move refs of the remote, all or none, and those of the clone with them.

    Args:
        root: any folder of the clone.
        updates: by full name of the ref the object that it must have now (empty: it must not
            exist) and the one that it gets.

    Raises:
        RemoteMoved: a ref is not what was expected.
        RemoteUnavailable: the remote does not answer or refused.
    """
    remote = name()
    leases = [f"--force-with-lease={ref}:{old}" for ref, (old, _) in updates.items()]
    moves = [f"{new}:{ref}" for ref, (_, new) in updates.items()]
    command = ["git", "push", "--porcelain", "--atomic", *leases, str(remote), *moves]
    done = subprocess.run(
        command, cwd=root, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and _is_stale(done.stdout + done.stderr):
        raise RemoteMoved(f"another publisher was quicker at the git remote {remote!r}")
    if done.returncode != 0:
        raise RemoteUnavailable(
            f"git push to {remote!r} failed: {done.stderr.strip()}; check the remote and the"
            " rights of this machine"
        )
    _fetch(root, *(f"+{ref}:{ref}" for ref in updates))


def _is_stale(answer: str) -> bool:
    """Whether a push failed because of what others had pushed, seen before it or only while it ran."""
    signs = ("stale info", "already exists", "fetch first", "non-fast-forward", "cannot lock ref")
    return any(sign in answer for sign in (*signs, "failed to update ref", "failed to lock"))


def _fetch(root: Path, *refs: str) -> None:
    remote = name()
    common = Path(git(root, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    try:
        with locked(common / "proofmint-fetch.lock"):  # two fetches take each other's locks of refs
            git(root, "fetch", "--quiet", "--no-tags", str(remote), *refs, env=_NEVER_ASK)
    except WorkspaceError as error:
        raise RemoteUnavailable(
            f"cannot fetch from the git remote {remote!r}, which {VARIABLE} names: {error}"
        ) from error


def _has(root: Path, commit: str) -> bool:
    try:
        git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except WorkspaceError:
        return False
    return True


def _environment() -> dict[str, str]:
    # The messages that tell a lost race from a lost line are looked for in English.
    return {**os.environ, **_NEVER_ASK, "LC_ALL": "C"}
