"""Processes of stages: begun in a group and ended as one, one at a time for each task, and what they tell."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

KILL_AFTER_SECONDS = 15
"""How long a stopped stage may take to end by itself."""


@contextlib.contextmanager
def only_one(root: Path, task: str) -> Iterator[Any]:
    """Let no process of an earlier try of this task live on beside this one.

    The command inherits the locked file, so the lock is held as long as it lives, even where its
    operator was killed. The file names its machine and its process group: one that lives on
    another machine is waited for, as nobody can end it from here.
    """
    place = root / ".dvc" / "tmp" / f"{task}.leader"
    place.parent.mkdir(exist_ok=True)
    with place.open("a+") as leader:
        try:
            fcntl.flock(leader, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            leader.seek(0)
            where, _, group = leader.read().rpartition(" ")
            if where == machine() and group:
                end_group(int(group))
            fcntl.flock(leader, fcntl.LOCK_EX)
        leader.truncate(0)
        yield leader


def start(command: Sequence[str], folder: Path, **options: Any) -> subprocess.Popen[str]:
    """Start a command in a process group of its own; its output, errors too, is lines to read.

    Args:
        command: with its arguments.
        folder: in which it works.
        options: of `subprocess.Popen`, such as `env`.
    """
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        **options,
    )


def environment() -> dict[str, str]:
    """What a command inherits; Airflow's own settings hold passwords that are not its business."""
    from tasks.workspace import stage_environment

    return {k: v for k, v in stage_environment().items() if not k.startswith("AIRFLOW_")}


def machine() -> str:
    """What process ids are counted in: a boot of a machine, or a container on it."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    pids = Path("/proc/self/ns/pid")
    known = boot.exists() and pids.exists()
    return f"{boot.read_text().strip()} {pids.readlink()}" if known else socket.gethostname()


def end_group(group: int, reap: Callable[[], object] = lambda: None) -> None:
    """End a process group; `reap` collects a leader that is our own child, or it never goes."""
    deadline = time.monotonic() + KILL_AFTER_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < deadline:
            reap()
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)


def told(fault: Path, status: int) -> dict[str, Any]:
    """What the command wrote about its failure; a killed one could not write."""
    if fault.exists():
        content: dict[str, Any] = json.loads(fault.read_text(encoding="utf-8"))
        return content
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    message = f"ended with {how} and without a word; its output is in the log"
    return {"type": "ProofmintError", "message": message, "retryable": True}
