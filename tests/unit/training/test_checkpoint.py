import base64
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from tasks.errors import WorkspaceError
from tasks.generators.base import DataGenerator
from tasks.training import checkpoint as module
from tasks.training.checkpoint import CHECKPOINT_FILE, Checkpoint, code_digests, fingerprint
from tests.fakes import NumbersGenerator

TENSORS = {"a/w": torch.arange(6.0).reshape(2, 3), "a/n": torch.tensor(7), "b": torch.empty(3, 0)}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path).load() is None
    Checkpoint(tmp_path).save(TENSORS, {"step": 3, "best": None, "loss": 0.1})
    loaded = Checkpoint(tmp_path).load()
    assert loaded is not None
    tensors, content = loaded
    assert content == {"step": 3, "best": None, "loss": 0.1}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_FILE]


def test_tied_weights_can_be_saved(tmp_path: Path) -> None:
    weight = torch.ones(3)
    Checkpoint(tmp_path).save({"one": weight, "other": weight}, {})
    assert Checkpoint(tmp_path).load() is not None


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "text"])
def test_a_damaged_checkpoint_is_ignored(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Checkpoint(tmp_path).save(TENSORS, {"step": 3})
    path = tmp_path / CHECKPOINT_FILE
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[-1] ^= 1
    damaged = {"cut": content[:-5], "bit": content, "empty": b"", "text": b"no checkpoint"}[damage]
    path.write_bytes(damaged)
    assert Checkpoint(tmp_path).load() is None
    assert "ignoring the damaged checkpoint" in caplog.text


def test_a_crash_while_writing_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save(TENSORS, {"step": 3})

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(TENSORS, {"step": 4})
    loaded = checkpoint.load()
    assert loaded is not None
    assert loaded[1] == {"step": 3}


def test_it_is_due_after_some_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    checkpoint = Checkpoint(tmp_path)
    assert not checkpoint.is_due()
    now[0] = 102.0
    assert checkpoint.is_due()
    checkpoint.save({}, {})
    assert not checkpoint.is_due()


def test_the_second_process_waits_for_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    events: list[str] = []

    def second() -> None:
        with Checkpoint.locked(folder) as checkpoint:
            events.append("second")
            assert checkpoint.folder.is_dir()

    with Checkpoint.locked(folder) as checkpoint:
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        events.append("first")
        # The second must notice that what it waits for is gone, and make it anew.
        checkpoint.remove()
    thread.join()
    assert events == ["first", "second"]


def test_a_dead_process_holds_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from tasks.training.checkpoint import Checkpoint\n"
        "with Checkpoint.locked(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "work")], check=False)
    assert done.returncode == -9
    with Checkpoint.locked(tmp_path / "work"):
        pass


def test_fingerprint_depends_on_the_facts_and_not_on_their_order() -> None:
    assert fingerprint({"a": 1, "b": {"c": 2}}) == fingerprint({"b": {"c": 2}, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_code_digests_cover_what_the_generator_imports() -> None:
    digests = code_digests(NumbersGenerator)
    assert {
        NumbersGenerator.__module__,
        DataGenerator.__module__,
        "tasks.encoding.base",
        "tasks.seeding",
        "tasks.training.loop",
        "tasks.training.state",
    } <= digests.keys()
    assert not any(name.startswith(("torch", "numpy")) for name in digests)


def test_a_checkpoint_of_encrypted_rows_is_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(bytes(range(32))).decode())
    Checkpoint(tmp_path).save(TENSORS, {"word": "marker"}, encrypt=True)
    (path,) = tmp_path.iterdir()
    assert path.name == "checkpoint.safetensors.enc"
    assert b"marker" not in path.read_bytes()
    loaded = Checkpoint(tmp_path).load()
    assert loaded is not None
    assert loaded[1] == {"word": "marker"}
    assert all(torch.equal(loaded[0][name], TENSORS[name]) for name in TENSORS)
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode())
    with pytest.raises(WorkspaceError, match="another key"):
        Checkpoint(tmp_path).load()
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(bytes(range(32))).decode())
    path.write_bytes(path.read_bytes()[:-1])
    assert Checkpoint(tmp_path).load() is None
