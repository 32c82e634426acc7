"""Files that runs, servers and crashes leave behind, and that nobody will ask for again.

Each is told before it is removed, with its size. What a living process holds is never one: the lock
that it holds tells, not its age alone.
"""

import contextlib
import datetime
import fcntl
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tasks.cache import Cache
from tasks.workspace import git, locked


@dataclass(frozen=True)
class Leftover:
    """Something that may go.

    Attributes:
        kind: what it is: `worktrees`, `run records` ...
        name: which one.
        size_bytes: on disk, as far as known.
        remove: takes it away; does nothing where somebody has begun to use it since.
    """

    kind: str
    name: str
    size_bytes: int
    remove: Callable[[], object]


def find(project: Path, state: Path, before: float) -> list[Leftover]:
    """Everything below the state's folder that was last touched before a moment (`time.time()`)."""
    return [
        *_worktrees(project, state, before),
        *_records(state, before),
        *_work(state, before),
        *_homes(state, before),
        *_logs(state, before),
        *_drafts(project, state, before),
        *_crashes(before),
        *_cached(project, before),
    ]


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file or a folder."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(Path(folder) / name).st_size
    return total


def _worktrees(project: Path, state: Path, before: float) -> Iterator[Leftover]:
    """Of runs that ended without their last task: a cleared task opens its worktree again."""
    for place in sorted(state.glob("worktrees/*/*")):
        busy = any(is_held(leader) for leader in place.glob(".dvc/tmp/*.leader"))
        lock = state / "runs" / place.parent.name / place.name / "lock"
        if busy or is_held(lock) or _touched(place, ".dvc/tmp", "data/*") >= before:
            continue

        def remove(place: Path = place, lock: Path = lock) -> None:
            with locked(lock):
                if (place / "dvc.lock").exists():
                    shutil.copyfile(place / "dvc.lock", lock.with_name("dvc.lock"))
                shutil.rmtree(place, ignore_errors=True)
                git(project, "worktree", "prune")

        yield Leftover("worktrees", _named(place, state), size_of(place), remove)


def _records(state: Path, before: float) -> Iterator[Leftover]:
    """Of runs that no task will be cleared of any more."""
    for place in sorted(state.glob("runs/*/*")):
        open_there = (state / "worktrees" / place.parent.name / place.name).exists()
        if not open_there and not is_held(place / "lock") and _touched(place) < before:
            yield _folder("run records", place, state)


def _work(state: Path, before: float) -> Iterator[Leftover]:
    """Trainings and searches that were broken off and never went on; each is locked by its folder."""
    for kind, pattern in (("checkpoints", "checkpoints/*"), ("searches", "tune/*/*")):
        for place in sorted(state.glob(pattern)):
            if place.is_dir() and not is_held(place) and _touched(place) < before:
                yield _folder(kind, place, state)


def _homes(state: Path, before: float) -> Iterator[Leftover]:
    """Metadata databases of runs in process that were killed, and those of older Airflows."""
    current = f"template-{version('apache-airflow')}"
    for place in sorted(state.glob("airflow/*-*")):
        old = place.name.startswith("template-") or (place / "progress").exists()
        if old and place.is_dir() and place.name != current and _touched(place) < before:
            yield _folder("homes of Airflow", place, state)


def _logs(state: Path, before: float) -> Iterator[Leftover]:
    """Logs of tasks and of processes that ended, and lineage that was put aside."""
    for folder, kind in (("logs", "logs"), ("lineage", "lineage")):
        for place in sorted((state / folder).rglob("*")):
            if place.is_file() and place.stat().st_mtime < before:
                yield Leftover(
                    kind, _named(place, state), place.stat().st_size, _unlinking(place, state)
                )


def put_lineage_aside(state: Path) -> None:
    """Begin a new file of lineage events, so that the old one can get old and go."""
    place = state / "lineage" / "events.jsonl"
    if place.exists():
        day = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
        os.replace(place, place.with_name(f"events-{day}.jsonl"))


def _drafts(project: Path, state: Path, before: float) -> Iterator[Leftover]:
    """What a process that was killed while it wrote did not put in place."""
    patterns = ("data/*/.*-????????", "releases/.*-????????", "releases/.*.draft", ".dvc/tmp/*.tmp")
    found = [place for pattern in patterns for place in project.glob(pattern)]
    found += [p for p in state.rglob(".*.draft") if "worktrees" not in p.relative_to(state).parts]
    for place in sorted(found):
        if _touched(place) < before:
            root = state if place.is_relative_to(state) else project
            yield _folder("unfinished files", place, root)


def _crashes(before: float) -> Iterator[Leftover]:
    """Tracebacks of internal errors, which hold values."""
    folder = Path(tempfile.gettempdir())
    for place in sorted(folder.glob("proofmint-crash-*.log")):
        facts = place.lstat()
        if facts.st_uid == os.getuid() and facts.st_mtime < before:
            yield _folder("crash reports", place, folder)


def _cached(project: Path, before: float) -> Iterator[Leftover]:
    """Files and snapshots that no run has asked for; they can be had again."""
    cache = Cache.of(project)
    for place in sorted(cache.folder.glob("*/*")):
        entry = re.fullmatch(r"[0-9a-f]{64}", place.name)
        if entry and place.is_dir() and place.stat().st_mtime < before:
            remove = functools.partial(cache.evict, place)
            yield Leftover("cached files", _named(place, cache.folder), size_of(place), remove)


def _folder(kind: str, place: Path, root: Path) -> Leftover:
    def remove() -> None:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)

    return Leftover(kind, _named(place, root), size_of(place), remove)


def _unlinking(place: Path, state: Path) -> Callable[[], None]:
    """Remove a file, and the folders that it leaves empty."""

    def remove() -> None:
        place.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            for folder in place.parents:
                if state in (folder.parent, folder):
                    break
                folder.rmdir()

    return remove


def _named(place: Path, root: Path) -> str:
    return place.relative_to(root).as_posix()


def _touched(place: Path, *patterns: str) -> float:
    """When a folder, what lies in it, or what these patterns find was last changed."""
    times = [place.lstat().st_mtime]
    if place.is_dir() and not place.is_symlink():
        found = [*place.iterdir(), *(path for pattern in patterns for path in place.glob(pattern))]
        for path in found:
            with contextlib.suppress(FileNotFoundError):
                times.append(path.lstat().st_mtime)
    return max(times)
