"""Branches and tags moved together in a repository of this machine, also after a power loss.

Git locks every ref, then renames them one by one: a machine that stops in between leaves locks that
nobody holds, and the first refs moved but not the others. So what decides comes first (the tag of a
version; its branch follows, `versions.mend_branch`), and locks whose owner is dead are removed.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.errors import WorkspaceError
from tasks.workspace import git

LOCK_SECONDS = 5.0
"""How long a lock must have stood still to be a dead one's; a living git holds it for milliseconds."""


def move_refs(root: Path, updates: Mapping[str, tuple[str, str]]) -> None:
    """Move refs in one transaction, in this order; the objects that they name are on the disk then.

    Args:
        root: any folder of the repository.
        updates: by full name of the ref the object that it must have now (empty: it must not exist)
            and the one that it gets.

    Raises:
        WorkspaceError: a ref is not what it must be, or another git works on it; none has moved.
    """
    moves = [
        f"update {ref} {new} {old}" if old else f"create {ref} {new}"
        for ref, (old, new) in updates.items()
    ]
    transaction = "\n".join(["start", *moves, "prepare", "commit", ""])
    # Neither git nor DVC waits until what it wrote is on the disk. A version that outlives a power
    # loss must not name data, objects or a key that did not.
    os.sync()
    command = ("-c", "core.fsync=reference", "update-ref", "--stdin")
    try:
        git(root, *command, stdin=transaction)
    except WorkspaceError:
        if not _remove_dead_locks(root, list(updates)):
            raise
        git(root, *command, stdin=transaction)


def _remove_dead_locks(root: Path, refs: Sequence[str]) -> bool:
    """Remove locks of these refs that stand still; whether there were any."""
    folder = Path(git(root, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    before = _locks(folder, refs)
    if not before:
        return False
    time.sleep(LOCK_SECONDS)
    dead = [place for place, born in _locks(folder, refs).items() if before.get(place) == born]
    for place in dead:
        place.unlink(missing_ok=True)
    return bool(dead)


def _locks(folder: Path, refs: Sequence[str]) -> dict[Path, tuple[int, int]]:
    """The locks of refs, and what tells each from a later one of the same name."""
    found = {}
    for ref in refs:
        place = folder / f"{ref}.lock"
        if place.exists():
            found[place] = (place.stat().st_ino, place.stat().st_mtime_ns)
    return found
