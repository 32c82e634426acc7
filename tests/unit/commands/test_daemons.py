"""Processes that outlive their command: found again, told from strangers, ended with their kin."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tasks.commands import daemons
from tasks.storage import read_json, write_json

PARENT = """
import subprocess, sys, time
# A child in a session of its own, as the process of a stage is.
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "record.json"
    yield place
    daemons.stop(place)


# Popen warns that a process still runs, which is what a daemon is for.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def launch(record: Path, name: str = "parent", script: str = PARENT) -> Path:
    log = record.with_name(f"{name}.log")
    command = [sys.executable, "-c", script]
    daemons.launch(record, name, command, env=dict(os.environ), cwd=record.parent, log=log)
    return log


def test_a_process_is_found_again_by_its_record(record: Path) -> None:
    launch(record)
    found = daemons.living(record)
    assert list(found) == ["parent"]
    assert found["parent"].environ()[daemons.FAMILY_VARIABLE] == str(record)
    assert os.getsid(found["parent"].pid) == found["parent"].pid


def test_somebody_elses_process_with_the_same_id_is_not_taken_for_it(record: Path) -> None:
    launch(record)
    process = daemons.living(record)["parent"]
    entry = read_json(record)
    boot, start = entry["parent"]["born"].split()
    for born in (f"{boot} {int(start) - 1}", f"another-boot {start}"):
        write_json(record, {"parent": {"pid": os.getpid(), "born": born}})
        assert daemons.living(record) == {}
        # Whoever carries the variable is family all the same; this process never is.
        assert os.getpid() not in {member.pid for member in daemons.family(record)}
    write_json(record, entry)
    assert daemons.living(record) == {"parent": process}


def test_stopping_ends_children_in_sessions_of_their_own(record: Path) -> None:
    log = launch(record)
    until(log.read_text)
    child = psutil.Process(int(log.read_text()))
    parent = daemons.living(record)["parent"]
    assert daemons.stop(record)
    assert daemons.wait_ended([parent, child], 20)
    assert not daemons.stop(record)
    assert not record.exists()


def test_what_a_killed_process_left_is_ended_and_the_others_live_on(record: Path) -> None:
    log = launch(record)
    other = launch(record, "other")
    until(log.read_text)
    until(other.read_text)
    orphan, cared_for = (psutil.Process(int(place.read_text())) for place in (log, other))
    os.kill(daemons.living(record)["parent"].pid, signal.SIGKILL)
    until(lambda: list(daemons.living(record)) == ["other"])
    daemons.stop_orphans(record)
    assert daemons.wait_ended([orphan], 20)
    assert not daemons.has_ended(cared_for)
    assert list(daemons.living(record)) == ["other"]


def test_a_process_that_ignores_being_asked_is_killed(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "STOP_SECONDS", 0.5)
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        " print('deaf', flush=True); time.sleep(600)"
    )
    log = launch(record, script=script)
    until(log.read_text)
    process = daemons.living(record)["parent"]
    daemons.stop(record)
    assert daemons.wait_ended([process], 20)


def test_the_log_of_the_last_life_is_kept(record: Path) -> None:
    launch(record, script="print('first')")
    until(lambda: not daemons.living(record))
    log = launch(record, script="print('second')")
    until(lambda: not daemons.living(record))
    assert log.read_text() == "second\n"
    assert log.with_name(f"{log.name}.1").read_text() == "first\n"
    assert daemons.tail(log) == "  second"
    assert daemons.tail(log.with_name("none")) == "  (no log)"
