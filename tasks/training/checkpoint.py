"""Checkpoints that survive `kill -9`: one safetensors file, replaced whole, in a folder per work.

The folder's name is the fingerprint of everything that determines the result, so a retry of the
same work finds its checkpoint and any other work does not. Checkpoints lie outside the outputs of
a stage: they are neither versioned nor part of a model.
"""

import ast
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save, save_file
from torch import Tensor

from tasks.encryption import SUFFIX, read_encrypted, write_encrypted
from tasks.errors import DataError
from tasks.generators.base import DataGenerator
from tasks.storage import digest, encrypted_path

CHECKPOINT_FILE = "checkpoint.safetensors"

MIN_SECONDS = 2.0
"""Between two checkpoints at least: what a killed process loses at most, beside the next."""

WRITE_SHARE = 0.05
"""Share of the time that writing checkpoints may take; large models are written less often."""

_log = logging.getLogger(__name__)


def fingerprint(facts: Mapping[str, Any]) -> str:
    """A sha256 that is equal for equal facts, in hexadecimal."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def code_digests(generator_class: type[DataGenerator]) -> dict[str, str]:
    """sha256 by module of the code that decides what a training computes.

    That is the generator, its encoder and the training loop, with all that they import from their
    own packages; of other packages only torch can change a result, and its version is a fact of
    its own.
    """
    waiting = [c.__module__ for c in (generator_class, generator_class.encoder_class)]
    waiting.append("tasks.training.loop")
    packages = tuple(name.partition(".")[0] for name in waiting)
    files: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        place = getattr(sys.modules.get(name), "__file__", None)
        if place and name not in files and name.partition(".")[0] in packages:
            files[name] = Path(place)
            waiting += _imports(files[name])
    return {name: digest(path) for name, path in sorted(files.items())}


class Checkpoint:
    """The newest state of one piece of work.

    Attributes:
        folder: holds the checkpoint and whatever else must live as long as it (a run's id).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._next = time.monotonic() + MIN_SECONDS

    @classmethod
    @contextlib.contextmanager
    def locked(cls, folder: Path) -> Iterator["Checkpoint"]:
        """The checkpoint in `folder`, ours alone until the block ends or the process dies.

        Two processes with the same work (two runs of one dataset) would log to the same run and
        remove each other's files; the second waits for the first instead.
        """
        handle = _lock(folder)
        try:
            yield cls(folder)
        finally:
            os.close(handle)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The tensors and the JSON that were saved last, or None where there is nothing usable."""
        path = self.folder / CHECKPOINT_FILE
        if encrypted_path(path).exists():
            path = encrypted_path(path)
        elif not path.exists():
            return None
        try:
            metadata, tensors = _read(path)
            if _digest(tensors, metadata["content"]) != metadata["sha256"]:
                raise ValueError("its digest is wrong")
            content = json.loads(metadata["content"])
        except (SafetensorError, DataError, OSError, KeyError, ValueError) as error:
            _log.warning("ignoring the damaged checkpoint %s: %s", path, error)
            return None
        return tensors, content

    def is_due(self) -> bool:
        """Whether enough time has passed since the last one."""
        return time.monotonic() >= self._next

    def save(
        self, tensors: Mapping[str, Tensor], content: Mapping[str, Any], *, encrypt: bool = False
    ) -> None:
        """Replace the checkpoint; after a crash at any moment the old or the new one is whole.

        Args:
            tensors: of the state.
            content: the rest of it, as JSON.
            encrypt: the rows that are learned from are stored encrypted.
        """
        began = time.monotonic()
        # A copy, because safetensors refuses tensors that share memory (tied weights).
        own = {
            name: tensor.detach().to("cpu", copy=True).contiguous()
            for name, tensor in tensors.items()
        }
        text = json.dumps(content)
        draft = self.folder / f".{CHECKPOINT_FILE}.draft"
        metadata = {"content": text, "sha256": _digest(own, text)}
        path = self.folder / CHECKPOINT_FILE
        if encrypt:
            write_encrypted(draft, save(own, metadata))
            path = encrypted_path(path)
        else:
            save_file(own, draft, metadata)
        _sync(draft)
        os.replace(draft, path)
        _sync(self.folder)
        now = time.monotonic()
        self._next = now + max(MIN_SECONDS, (now - began) / WRITE_SHARE)

    def remove(self) -> None:
        """Forget the work: its result is in place."""
        shutil.rmtree(self.folder)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What a file of safetensors says about itself, and its tensors."""
    if path.suffix == SUFFIX:
        data = read_encrypted(path)
        # The format: the length of a header in JSON, the header, the tensors.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return header["__metadata__"], load(data)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return file.metadata() or {}, tensors


def _imports(path: Path) -> list[str]:
    """The dotted names that the import statements of a file could mean as modules."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def _lock(folder: Path) -> int:
    """Lock the folder itself, so that no lock file is left behind; the kernel frees a dead one's."""
    waited = False
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waited:
                _log.info("another process does the same work; waiting for it")
            waited = True
            fcntl.flock(handle, fcntl.LOCK_EX)
        # Whoever held it before may have removed the folder: then this is a lock on nothing.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), folder.stat()):
                return handle
        os.close(handle)


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        total.update(name.encode())
        if tensors[name].numel():  # nothing has no memory to be looked at
            total.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
