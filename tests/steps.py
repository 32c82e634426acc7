"""Every state in which a command that dies leaves a folder: what a power loss at any step leaves.

Python tells an audit hook of each file that is opened, moved or removed and of each process that
is started, and SQLAlchemy tells of each statement: before each of them the folder is copied. A file
that is opened for writing is also shown empty, as it is before its first byte reaches the disk.
"""

import contextlib
import hashlib
import io
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tasks import cli

_EVENTS = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "subprocess.Popen",
    "socket.connect",
}
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@contextlib.contextmanager
def processes() -> Iterator[ProcessPoolExecutor]:
    """Fresh processes that need not import everything anew; each runs one command."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tasks.commands.release", "mlflow", "tests.steps"])
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        yield pool


def run(cwd: Path, command: list[str]) -> int:
    """Run a command as the command line does; return its status."""
    os.chdir(cwd)
    return cli.main(command)


def said(cwd: Path, command: list[str]) -> tuple[int, str]:
    """As `run`, with what the command says of its failure."""
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        return run(cwd, command), errors.getvalue()


def record(cwd: Path, command: list[str], folder: Path, into: Path) -> int:
    """Run a command and keep a copy of `folder` for each step, as `into/<number>`."""

    def keep(opened: Path | None) -> None:
        _copy(folder, into)
        if opened is not None and opened.is_relative_to(folder):
            copied = _copy(folder, into)
            place = copied / opened.relative_to(folder)
            if place.parent.is_dir() and not place.is_dir():
                place.write_bytes(b"")

    end = _at_each_step(keep)
    status = run(cwd, command)
    end()
    _copy(folder, into)
    return status


def kill_at(cwd: Path, command: list[str], step: int) -> int:
    """Run a command and be killed at a step; end with its status if it has no such step."""
    left = step

    def count(_: Path | None) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _at_each_step(count)
    return run(cwd, command)


def distinct(states: Path, alike: str = "") -> list[Path]:
    """The states that differ from the one before, in order.

    Args:
        states: where `record` left them.
        alike: what lies in a folder whose name begins so is not compared, but whether it is there.
    """
    found, before = [], ""
    for state in sorted(states.iterdir(), key=lambda path: int(path.name)):
        now = _content(state, alike)
        if now != before:
            found.append(state)
        before = now
    return found


def restore(state: Path, folder: Path) -> None:
    """Let `folder` be as it was."""
    shutil.rmtree(folder)
    shutil.copytree(state, folder, symlinks=True)


def _at_each_step(act: Callable[[Path | None], None]) -> Callable[[], None]:
    """Call `act` before each step of this thread, with the file that it empties; return the end."""
    main, acting = threading.get_ident(), False

    def step(opened: Path | None = None) -> None:
        nonlocal acting
        if not acting and threading.get_ident() == main:
            acting = True
            try:
                act(opened)
            finally:
                acting = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _CHANGES and isinstance(path, (str, Path)):
                empties = flags & os.O_TRUNC or (flags & os.O_CREAT and not Path(path).exists())
                step(Path(path).absolute() if empties else None)
        elif event in _EVENTS:
            step()

    sys.addaudithook(hook)
    sa.event.listen(sa.Engine, "before_cursor_execute", lambda *_: step())
    sa.event.listen(sa.Engine, "commit", lambda _: step())

    def end() -> None:  # an audit hook stays as long as its process
        nonlocal acting
        acting = True

    return end


def _copy(folder: Path, into: Path) -> Path:
    copied = into / str(len(list(into.iterdir())))
    shutil.copytree(folder, copied, symlinks=True)
    return copied


def _content(folder: Path, alike: str) -> str:
    """What differs between states: names and bytes, not times."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if alike and any(name.startswith(alike) for name in path.relative_to(folder).parts[:-1]):
            continue
        total.update(f"{path.relative_to(folder)}\0".encode())
        if path.is_file() and not path.is_symlink():
            total.update(path.read_bytes())
    return total.hexdigest()
