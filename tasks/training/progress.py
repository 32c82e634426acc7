"""What a person sees of a training: a bar on a terminal, elsewhere a line now and then."""

import logging
import math
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

LOG_SECONDS = 5.0
"""Between two lines at least, where there is no terminal for a bar."""

_log = logging.getLogger(__name__)


class Progress:
    """Shows the step and the losses of a training; use it in a `with` block."""

    def __init__(self, n_steps: int, done: int, *, shown: bool = True) -> None:
        """Start at step `done` of `n_steps`; of several processes, one is shown."""
        off = None if shown else True
        self._bar: tqdm[Any] = tqdm(total=n_steps, initial=done, unit="step", disable=off)
        self._n_steps = n_steps
        self._next_line = 0.0 if shown else math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def show(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        """Show where the training is; of `metrics`, what is called a loss."""
        losses = {
            name.replace("_", " "): f"{value:.4f}"
            for name, value in metrics.items()
            if name.endswith("loss")
        }
        if not self._bar.disable:
            self._bar.set_postfix({"epoch": epoch, **losses}, refresh=False)
            self._bar.update(step - self._bar.n)
        elif time.monotonic() >= self._next_line:
            shown = ", ".join(f"{name} {value}" for name, value in losses.items())
            _log.info("epoch %d, step %d of at most %d: %s", epoch, step, self._n_steps, shown)
            self._next_line = time.monotonic() + LOG_SECONDS
