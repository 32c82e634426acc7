"""Where torch computes, and what makes it give the same numbers every time."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Literal

import torch

from tasks.errors import TrainingError


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device that params.yaml asks for; `auto` takes the GPU where there is one.

    Raises:
        TrainingError: a GPU is asked for and torch sees none.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise TrainingError(
            "train.device is 'cuda', but torch sees no GPU; write 'auto' or 'cpu', or run where"
            " there is one"
        )
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


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


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed what torch draws on the CPU and on `device`, such as dropout.

    `torch.manual_seed` does the same for every kind of device there is, and formats a traceback at
    each call, which is dear once a step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
