"""Which objects of DVC's cache the versions of a project need."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import WorkspaceError
from tasks.workspace import git

LOCK_FILE = "dvc.lock"

_DIRECTORY = ".dir"
"""Behind the digest of an object that lists the files of a folder."""


def locks_of(project: Path) -> Iterator[str]:
    """The text of every dvc.lock: of all branches and tags, and of the project's folder."""
    references = git(
        project, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags"
    ).splitlines()
    for reference in references:
        try:
            yield git(project, "show", f"{reference}:{LOCK_FILE}")
        except WorkspaceError:
            continue  # a branch without one
    if (project / LOCK_FILE).exists():
        yield (project / LOCK_FILE).read_text(encoding="utf-8")


def objects_of(cache: Path, locks: Iterable[str]) -> tuple[list[str], int]:
    """Names of the objects of a cache that outputs in these texts are made of.

    Returns:
        Paths below the cache, sorted, and how many objects are not there.
    """
    wanted = {md5 for text in locks for md5 in _outputs(text)}
    found, missing = set(), 0
    for md5 in sorted(wanted):
        place = _place(md5)
        if not (cache / place).exists():
            missing += 1
            continue
        found.add(place)
        if md5.endswith(_DIRECTORY):
            entries = json.loads((cache / place).read_text(encoding="utf-8"))
            parts = {_place(entry["md5"]) for entry in entries}
            there = {part for part in parts if (cache / part).exists()}
            missing += len(parts - there)
            found |= there
    return sorted(found), missing


def _outputs(lock: str) -> Iterator[str]:
    stages: dict[str, Any] = (yaml.safe_load(lock) or {}).get("stages") or {}
    for stage in stages.values():
        for out in stage.get("outs", ()):
            if md5 := out.get("md5"):
                yield str(md5)


def _place(md5: str) -> str:
    return f"files/md5/{md5[:2]}/{md5[2:]}"
