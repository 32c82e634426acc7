"""The rows of a training as tensors, encoded once: on the device where they fit, else mapped files.

Both ways give the same numbers, so that a model does not depend on how much memory there was. Rows
that are not on the device are fetched by a thread while the step before them is computed: from files
into memory, and for a GPU into pinned memory, from which it copies them itself.
"""

import math
import mmap
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tasks.encoding.base import Batches, Encoder, count
from tasks.errors import TrainingError

GIB = 2**30

DATA_SHARE = 0.5
"""Of the memory that a training may take, what its rows may take; the rest is for its steps."""

RELEASE_ROWS = 2_048
"""Rows after which the pages of files are given back: Linux maps up to 2 MiB around each that is read.
They are its own cache of the files, which it takes back by itself where memory is wanted."""


class Rows:
    """Encoded rows.

    Attributes:
        tensors: by name, all of the same length; on `home`.
        home: where the tensors are, and indices into them belong.
        device: where batches of them are wanted.
    """

    def __init__(self, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.tensors = tensors
        self.home = next(iter(tensors.values())).device
        self.device = device
        self._maps: list[mmap.mmap] = []
        self._fetcher: ThreadPoolExecutor | None = None
        self._coming: dict[tuple[int, int], _Coming] = {}
        self._n_read = 0

    @classmethod
    def encode(
        cls,
        encoder: Encoder,
        batches: Batches,
        device: torch.device,
        budget_bytes: float,
        scratch: Path | None = None,
    ) -> "Rows":
        """Encode all rows, batch by batch, into tensors that are made once.

        Args:
            encoder: fitted to the rows.
            batches: starts a pass over them.
            device: of the training.
            budget_bytes: what the rows may take of its memory; more than that is kept in files.
            scratch: folder of these files, which vanish with the process; None: a temporary one.

        Raises:
            TrainingError: there are no rows, or the folder has no room for them.
        """
        n_rows = count(batches)
        rows, end = None, 0
        for batch in batches():
            if batch.num_rows == 0:
                continue
            piece = encoder.encode(batch)
            if rows is None:
                n_bytes = sum(tensor.nbytes for tensor in piece.values()) / batch.num_rows * n_rows
                fits = n_bytes <= budget_bytes
                rows = cls._empty(piece, n_rows, device, None if fits else _folder(scratch))
            start, end = end, end + batch.num_rows
            for name, tensor in piece.items():
                rows.tensors[name][start:end] = tensor
            rows.release()
        if rows is None:
            raise TrainingError("expected rows to train on, found none")
        return rows

    @classmethod
    def _empty(
        cls, like: dict[str, Tensor], n_rows: int, device: torch.device, folder: Path | None
    ) -> "Rows":
        """Room for `n_rows` rows: on the device, or in files in `folder`."""
        shapes = {name: (n_rows, *tensor.shape[1:]) for name, tensor in like.items()}
        if folder is None:
            made = {
                n: torch.empty(s, dtype=like[n].dtype, device=device) for n, s in shapes.items()
            }
            return cls(made, device)
        maps, made = [], {}
        for name, shape in shapes.items():
            dtype, n_cells = like[name].dtype, math.prod(shape)
            # Nothing can be mapped to no bytes.
            mapped = _mapped(folder, max(1, n_cells) * dtype.itemsize)
            maps.append(mapped)
            made[name] = torch.frombuffer(mapped, dtype=dtype, count=max(1, n_cells))[
                :n_cells
            ].reshape(shape)
        rows = cls(made, device)
        rows._maps = maps
        return rows

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    @property
    def is_mapped(self) -> bool:
        """Whether the rows are in files."""
        return bool(self._maps)

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """The rows at `index`, which is on `home`; they are on `device`."""
        coming = self._coming.pop(_key(index), None)
        rows = coming.rows.result() if coming else self._gather(index)
        # Asynchronous from pinned memory alone.
        return {name: t.to(self.device, non_blocking=True) for name, t in rows.items()}

    def prepare(self, indices: Sequence[Tensor]) -> None:
        """Begin to fetch the rows at those of these indices that are not coming yet; forget others."""
        if self.home == self.device and not self.is_mapped:
            return
        if self._fetcher is None:
            # How many threads torch computes with is a setting of each thread.
            self._fetcher = ThreadPoolExecutor(
                1, "rows", initializer=torch.set_num_threads, initargs=(1,)
            )
        before, self._coming = self._coming, {}
        for index in indices:
            key = _key(index)
            self._coming[key] = before.get(key) or _Coming(
                index, self._fetcher.submit(self._gather, index)
            )

    def _gather(self, index: Tensor) -> dict[str, Tensor]:
        """The rows at `index`, on `home`: pinned, if a GPU is to copy them."""
        rows = {name: tensor[index] for name, tensor in self.tensors.items()}
        self._n_read += len(index)
        if self._n_read > RELEASE_ROWS:
            self.release()
        if self.device.type == "cuda" and self.home.type == "cpu":
            rows = {name: tensor.pin_memory() for name, tensor in rows.items()}
        return rows

    def release(self) -> None:
        """Give back the memory through which files were read and written; they keep the rows."""
        self._n_read = 0
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class _Coming:
    """Rows that are being fetched.

    Attributes:
        index: held, so that no other index can lie at its place in memory meanwhile.
        rows: what they will be.
    """

    index: Tensor
    rows: Future[dict[str, Tensor]]


def _key(index: Tensor) -> tuple[int, int]:
    """Tells indices apart as long as they are in memory."""
    return index.data_ptr(), len(index)


def budget_bytes(device: torch.device, memory_gib: float | None) -> float:
    """Bytes that the rows may take: a share of what params.yaml grants, or of what is free."""
    granted = _free_bytes(device) if memory_gib is None else memory_gib * GIB
    return DATA_SHARE * granted


def bytes_per_row(losses: Callable[[Tensor], Tensor], index: Tensor, held: list[Tensor]) -> float:
    """Bytes that a step needs for each of its rows: what its backward pass keeps, and as much again.

    Measured by a forward pass on the rows at `index`, so the same on every machine.

    Args:
        losses: gives the losses of the rows at an index.
        index: some rows.
        held: tensors that are there anyway, such as weights.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in held}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        # Alive until all is counted, so that no place in memory is counted twice.
        loss = losses(index)
    del loss
    return 2 * sum(kept.values()) / len(index)


def _mapped(folder: Path, n_bytes: int) -> mmap.mmap:
    """A new file without a name, which the kernel removes when its last user ends, in memory."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # Takes the room now: a hole that cannot be filled later would kill the process.
            os.posix_fallocate(file.fileno(), 0, n_bytes)
            return mmap.mmap(file.fileno(), n_bytes)
    except OSError as error:
        raise TrainingError(
            f"the encoded rows need {n_bytes / GIB:.2f} GiB in {folder}: {error}; make room there,"
            " or raise train.memory_gib to keep them in memory"
        ) from error


def _folder(scratch: Path | None) -> Path:
    return Path(tempfile.gettempdir()) if scratch is None else scratch


def _free_bytes(device: torch.device) -> float:
    """Memory of the device that nobody uses, within what this process may take."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    free = [float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))]
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = (line.split() for line in meminfo.read_text(encoding="utf-8").splitlines())
        free += [float(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"]
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    # "max" is no limit.
    if limit.exists() and used.exists() and (text := limit.read_text(encoding="utf-8")) != "max\n":
        free.append(float(text) - float(used.read_text(encoding="utf-8")))
    return min(free)
