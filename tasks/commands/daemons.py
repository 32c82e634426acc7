"""Processes that outlive the command that starts them, and are found again by the next one.

A record file holds, for each, its process id and when it was born: an id alone may be anybody's
after a reboot. Its descendants are found by their session and by a variable in their environment,
also when the process itself was killed.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tasks.storage import read_json, write_json

FAMILY_VARIABLE = "PROOFMINT_SERVERS"
"""In the environment of every descendant; its value is the record file."""

STOP_SECONDS = 15
"""How long processes may take to end by themselves."""

Record = dict[str, dict[str, Any]]


def launch(
    record: Path, name: str, command: list[str], *, env: Mapping[str, str], cwd: Path, log: Path
) -> None:
    """Start a process that no terminal holds; the log of its last life becomes `*.log.1`."""
    if log.exists():
        os.replace(log, log.with_name(f"{log.name}.1"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**env, FAMILY_VARIABLE: str(record)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    born = _birth(process.pid)
    write_json(record, {**_read(record), name: {"pid": process.pid, "born": born}})


def living(record: Path) -> dict[str, psutil.Process]:
    """The recorded processes that still run, by name."""
    found = {}
    for name, entry in _read(record).items():
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(entry["pid"])
            if entry["born"] == _birth(process.pid) and not has_ended(process):
                found[name] = process
    return found


def family(record: Path) -> list[psutil.Process]:
    """The recorded processes and all their descendants; never the calling process and its own."""
    sessions = {
        entry["pid"]
        for entry in _read(record).values()
        # A session keeps its number as long as it has members, unless the machine was restarted.
        if _birth(entry["pid"]) in (entry["born"], None) and _same_boot(entry["born"])
    }
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if has_ended(process):
                continue
            if os.getsid(process.pid) in sessions or _is_marked(process, record):
                found.update([process, *process.children(recursive=True)])
    own = psutil.Process()
    return list(found - {own, *own.parents()})


def stop(record: Path) -> bool:
    """End the whole family, politely first; return whether there was one."""
    ended = _end(lambda: family(record))
    record.unlink(missing_ok=True)
    return ended


def stop_orphans(record: Path) -> None:
    """End what recorded processes left behind when they were killed."""

    def orphans() -> list[psutil.Process]:
        cared_for = set()
        for parent in living(record).values():
            with contextlib.suppress(psutil.NoSuchProcess):
                cared_for.update([parent, *parent.children(recursive=True)])
        return [process for process in family(record) if process not in cared_for]

    _end(orphans)


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is gone, or dead and only not yet mourned by its parent."""
    try:
        return bool(not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_ended(processes: Sequence[psutil.Process], seconds: float) -> bool:
    """Wait until all have ended; psutil would wait until their parents have noticed, too."""
    deadline = time.monotonic() + seconds
    while not all(map(has_ended, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def tail(log: Path, n_lines: int = 15) -> str:
    """The last lines of a log, indented."""
    if not log.exists():
        return "  (no log)"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(f"  {line}" for line in lines[-n_lines:])


def _end(members: Callable[[], list[psutil.Process]]) -> bool:
    """End processes, politely first; asked for again, because some start others while they end."""
    ended = False
    for way in (signal.SIGTERM, signal.SIGKILL):
        found = members()
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.send_signal(way)
        wait_ended(found, STOP_SECONDS)
        ended = ended or bool(found)
    return ended


def _read(record: Path) -> Record:
    content: Record = read_json(record) if record.exists() else {}
    return content


def _birth(pid: int) -> str | None:
    """What no other process ever has: the boot and the moment of its start; None if it is gone."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        if Path("/proc/self/stat").exists():
            # Field 22, counted behind the name, which may hold spaces. Unlike psutil's time it
            # does not move when somebody sets the clock.
            return f"{_boot()} {stat.read_text().rpartition(')')[2].split()[19]}"
        return f"{_boot()} {psutil.Process(pid).create_time()}"
    except (OSError, psutil.NoSuchProcess):
        return None


def _boot() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text().strip() if boot.exists() else "-"


def _same_boot(born: str) -> bool:
    return born.split(" ", maxsplit=1)[0] == _boot()


def _is_marked(process: psutil.Process, record: Path) -> bool:
    marker: str | None = process.environ().get(FAMILY_VARIABLE)
    return marker == str(record)
