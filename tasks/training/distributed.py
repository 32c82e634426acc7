"""A training by several processes, each with a part of every batch.

    train.processes: 4                   four processes of our own, each on a GPU or CPU threads
    torchrun --nproc-per-node 4 ...      the same four, started from outside, also on several nodes

`train.processes` says into how many parts a batch is cut; fewer processes may share them (two of
two parts each). Every part has noise of its own, and gradients are added in the order of the
parts, so the number of processes that really run does not change a bit of the result.

Every process reads and encodes the rows itself, which needs no messages and gives all the same
rows, and all make the same step from the same gradient. The first one alone logs and writes.

Differs from torch's DistributedDataParallel: gradients are gathered and added in a fixed order
after the backward pass, in place of a ring that adds them as the network's topology has it while
the pass still runs. That is exact, works with objectives that move a part of the weights, and costs
(processes - 1) / 2 times the traffic, which is small for networks of some million weights.
"""

import contextlib
import multiprocessing
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed import FileStore  # type: ignore[attr-defined]

from tasks.errors import TrainingError

LAUNCHER_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Of the environment, by which torchrun tells a process its place."""


@dataclass(frozen=True)
class Group:
    """The processes of a training.

    Attributes:
        rank: of this process, from 0.
        size: their number.
        local_rank: of this process among those of its machine: the number of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that logs and writes."""
        return self.rank == 0

    def gather(self, tensor: Tensor) -> Sequence[Tensor]:
        """This tensor of every process, by rank."""
        if self.size == 1:
            return [tensor]
        gathered = [torch.empty_like(tensor) for _ in range(self.size)]
        distributed.all_gather(gathered, tensor)
        return gathered

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite these tensors with those of the first process."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()


def launched() -> Group | None:
    """The place that a launcher such as torchrun gave this process; None without one."""
    if not all(name in os.environ for name in LAUNCHER_VARIABLES):
        return None
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return Group(rank, size, int(os.environ.get("LOCAL_RANK", rank)))


def check_size(parts: int, size: int) -> None:
    """That `size` processes can share a batch of so many parts.

    Raises:
        TrainingError: they cannot.
    """
    if parts % size:
        raise TrainingError(
            f"train.processes is {parts}, but {size} processes were started: set train.processes to"
            f" {size} or a multiple of it, so that the result can be told from params.yaml"
        )


def affordable(parts: int, device: torch.device) -> int:
    """Processes to start for so many parts: all, or as many as there are GPUs or cores for."""
    places = torch.cuda.device_count() if device.type == "cuda" else len(os.sched_getaffinity(0))
    return max(n for n in range(1, parts + 1) if parts % n == 0 and (n <= places or n == 1))


@contextlib.contextmanager
def member(group: Group, device: torch.device, store: Path | None = None) -> Iterator[None]:
    """Be one of the processes for the block; they meet at `store`, or where the launcher says."""
    if group.size == 1:
        yield
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    place: dict[str, Any] = {"init_method": "env://"}
    if store is not None:
        place = {"store": FileStore(str(store), group.size)}
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group(backend, rank=group.rank, world_size=group.size, **place)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextlib.contextmanager
def helpers(size: int, work: Callable[..., object], *arguments: Any) -> Iterator[Path | None]:
    """Run `work(group, store, *arguments)` in `size - 1` more processes while the block runs.

    Yields:
        Where they wait for the first process, which is this one; None where there are none.

    Raises:
        TrainingError: one of them failed.
    """
    if size == 1:
        yield None
        return
    # Not fork: torch's threads and CUDA do not survive it.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        started = [
            context.Process(
                target=work, args=(Group(rank, size, rank), store, *arguments), daemon=True
            )
            for rank in range(1, size)
        ]
        try:
            for process in started:
                _start(process)
            yield store
            for process in started:
                process.join()
        except RuntimeError as error:
            # What gloo and nccl raise when another process is gone.
            for process in started:
                process.join(timeout=5)
            if failed := [p.exitcode for p in started if p.exitcode]:
                raise TrainingError(
                    f"a process of the training ended with exit code {failed[0]}: its message is"
                    " above; out of memory, if there is none"
                ) from error
            raise
        finally:
            for process in started:
                if process.pid is not None:
                    process.kill()
                    process.join()


def _start(process: BaseProcess) -> None:
    try:
        process.start()
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise TrainingError(
            f"expected work that can be sent to other processes, found {error}: give `fit` a"
            " generator class of a module and rows such as StoredRows, or set train.processes to 1"
        ) from error
