"""Where torch computes, and what makes it give the same numbers every time."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from tasks.errors import TrainingError
from tasks.generators.precision import multiplies_in_bfloat16
from tasks.schema import Kind

FEW_PIXELS = 256
"""Of an image, below which one thread is enough."""


def choose_device(wanted: Literal["auto", "cpu", "cuda"], number: int = 0) -> torch.device:
    """The device that params.yaml asks for; `auto` takes the GPU where there is one.

    Args:
        wanted: `train.device`.
        number: of the GPU among those of this machine.

    Raises:
        TrainingError: a GPU is asked for and torch sees none.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise TrainingError(
            "train.device is 'cuda', but torch sees no GPU; write 'auto' or 'cpu', or run where"
            " there is one"
        )
    if not available or wanted == "cpu":
        return torch.device("cpu")
    if number >= torch.cuda.device_count():
        raise TrainingError(
            f"expected a GPU for each process, found {torch.cuda.device_count()} for process"
            f" {number} of this machine: start fewer processes"
        )
    return torch.device("cuda", number)


@contextlib.contextmanager
def reproducible(device: torch.device, threads: int) -> Iterator[None]:
    """Fixed threads, deterministic kernels and a random state of its own for the block.

    torch keeps all three per process; they are as before when the block ends. Sums of floats
    depend on how they are cut into threads, so the number of threads is part of the settings.
    """
    before = torch.get_num_threads()
    mode = torch.get_deterministic_debug_mode()
    # Settings on a module, which its stubs do not know.
    filling: Any = torch.utils.deterministic
    fill = filling.fill_uninitialized_memory
    # cuBLAS reads it when its first handle is made; without it torch refuses to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            torch.set_num_threads(threads)
            # Not `use_deterministic_algorithms`, which imports the compiler: seconds.
            torch.set_deterministic_debug_mode("error")
            # Filling every new tensor only helps code that reads memory it never wrote.
            filling.fill_uninitialized_memory = False
            yield
        finally:
            torch.set_num_threads(before)
            torch.set_deterministic_debug_mode(mode)
            filling.fill_uninitialized_memory = fill


def gainful_threads(threads: int, kind: Kind, rows: Mapping[str, Tensor]) -> int:
    """How many of `threads` a training on these encoded rows of this kind gains from.

    Products of small images and of texts are done in microseconds, after which threads wait for each
    other in a loop. Where other programs hold a core, that wait is a time slice long: `vae` on 8 x 8
    pixels took 372 s of processor time on two threads of a busy machine, and 28 s on one.
    """
    if kind in ("tabular", "image"):
        pixels = (t.shape[-2] * t.shape[-1] for name, t in rows.items() if name == "pixels")
        return 1 if any(n < FEW_PIXELS for n in pixels) else threads
    return 1


@contextlib.contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """Multiply matrices of float32 faster than exactly, where the hardware was made for it.

    Processors with AMX multiply in bfloat16, NVIDIA's GPUs in TF32; both add in float32. On others
    nothing changes. Weights stay in float32, and the noise of the gradients is much larger than
    what is rounded away: validation losses of the tables in benchmarks/ were the same, in a quarter
    of the time of a product. Not for sums whose exactness is promised, as in differential privacy.
    """
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    elif multiplies_in_bfloat16(device):
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed what torch draws on the CPU and on `device`, such as dropout.

    `torch.manual_seed` does the same for every kind of device there is, and formats a traceback at
    each call, which is dear once a step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
