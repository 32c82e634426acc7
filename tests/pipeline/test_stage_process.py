"""A try of a task never works beside a process that an earlier try left behind."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.projects import REPOSITORY

TRY = """
import subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import proofmint_stage_process as processes
if len(sys.argv) > 4:
    processes.machine = lambda: sys.argv[4]
with processes.only_one(Path(sys.argv[2]), "train") as leader:
    quiet = {"stdout": subprocess.DEVNULL, "start_new_session": True}
    stage = subprocess.Popen(["sleep", sys.argv[3]], pass_fds=[leader.fileno()], **quiet)
    leader.write(f"{processes.machine()} {stage.pid}")
    leader.flush()
    print(stage.pid, flush=True)
    stage.wait()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    return tmp_path


def begin(root: Path, seconds: float, *machine: str) -> subprocess.Popen[str]:
    """A try whose stage takes some seconds."""
    return subprocess.Popen(
        [sys.executable, "-c", TRY, str(REPOSITORY / "plugins"), str(root), str(seconds), *machine],
        stdout=subprocess.PIPE,
        text=True,
    )


def stage_of(operator: subprocess.Popen[str]) -> int:
    """The process id of the stage, as soon as it is begun."""
    assert operator.stdout is not None
    return int(operator.stdout.readline())


def kill(operator: subprocess.Popen[str]) -> None:
    operator.kill()
    operator.communicate()


def test_what_a_killed_operator_left_is_ended_by_the_next_try(root: Path) -> None:
    first = begin(root, 600)
    left = psutil.Process(stage_of(first))
    kill(first)
    assert left.is_running()
    second = begin(root, 0)
    stage_of(second)
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert second.wait(60) == 0
    second.communicate()


def test_what_lives_on_another_machine_is_waited_for(root: Path) -> None:
    first = begin(root, 3, "another machine")
    left = psutil.Process(stage_of(first))
    kill(first)
    second = begin(root, 0)
    stage_of(second)  # comes when the other has ended by itself
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert second.wait(60) == 0
    second.communicate()
