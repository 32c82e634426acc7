"""Run a command as a process of its own and measure the whole of it: time, processor, memory.

The command is started by a small process, not by the one that asks: what Linux reports as a
process's peak memory includes that of the process it was forked from.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ONE_THREAD = dict.fromkeys(
    [
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "LOKY_MAX_CPU_COUNT",
    ],
    "1",
)
"""What keeps numerical libraries to one thread."""


@dataclass(frozen=True)
class Usage:
    """What a command took, the processes that it started included.

    Attributes:
        wall_seconds: from start to end.
        cpu_seconds: user and system time of all its processes.
        peak_bytes: the most resident memory that one of its processes had.
        exit_status: as of a shell: 128 + the number of the signal that ended it.
        output: the last characters of what it wrote.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    exit_status: int
    output: str


_TAIL = 4_000


def measure(
    command: Sequence[str | Path],
    *,
    core: int | None = None,
    max_cpu_seconds: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Usage:
    """Run `command` with one thread and wait for it.

    Args:
        command: program and arguments.
        core: the one processor that it may run on (Linux); None: wherever there is room.
        max_cpu_seconds: processor time after which a process of it is ended.
        environment: variables to add.
    """
    job = {"command": [str(part) for part in command], "core": core, "limit": max_cpu_seconds}
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__],
        input=json.dumps(job),
        env={**os.environ, **ONE_THREAD, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    return Usage(**json.loads(done.stdout))


def _main() -> None:
    """The small process: a job on its standard input, a usage on its standard output."""
    job = json.load(sys.stdin)
    if job["core"] is not None:
        os.sched_setaffinity(0, {job["core"]})
    if job["limit"] is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (job["limit"], job["limit"] + 5))
    started = time.monotonic()
    done = subprocess.run(
        job["command"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024
    usage = {
        "wall_seconds": time.monotonic() - started,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * unit,
        "exit_status": done.returncode if done.returncode >= 0 else 128 - done.returncode,
        "output": done.stdout[-_TAIL:],
    }
    json.dump(usage, sys.stdout)


if __name__ == "__main__":
    _main()
