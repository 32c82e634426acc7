"""Rows of a trained generator in numbered chunks, drawn by one thread or by several.

Chunk `i` has randomness of its own, derived from (seed, i), and starts at a row that is known before.
So it does not matter what was drawn before it, nor who drew it: any number of workers gives the
same rows. They are threads, because torch and Arrow leave Python free while they compute: threads
start at once and share the weights, which processes do not.
"""

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import torch

from tasks.schema import Kind
from tasks.seeding import derive_seed, rng_for
from tasks.training.model import Model

MAX_WORKERS = 8
"""Threads where params.yaml does not say; more of them wait for each other."""


class Chunk(NamedTuple):
    """Which rows to draw."""

    number: int
    n_rows: int
    first_row: int
    """Rows before it, from which new identifiers count on."""


_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Quota:
    """Values of one column in given shares, spread evenly over the rows.

    The value of row i is that on which the fractional part of (i + 1/2) times the golden ratio
    falls: of any stretch of rows each value has its share, to within a few rows.

    Attributes:
        column: its name.
        values: (K,) the values.
        shares: (K,) not negative, of any sum above 0.
    """

    column: str
    values: pa.Array
    shares: np.ndarray

    def of(self, chunk: Chunk) -> pa.Array:
        """The value of each row of a chunk."""
        rows = chunk.first_row + np.arange(chunk.n_rows) + 0.5
        ends = np.cumsum(self.shares) / self.shares.sum()
        places = np.searchsorted(ends, rows * _GOLDEN % 1, side="right")
        return self.values.take(pa.array(np.minimum(places, len(ends) - 1)))


@dataclass(frozen=True)
class Sampler:
    """Draws chunks of a model.

    Attributes:
        model: what to draw from.
        seed: of the dataset.
        device: of the model's weights.
        conditions: by column name, the value that every row has.
        quota: what the rows have in one more column; None: what the model draws.
    """

    model: Model
    seed: int
    device: torch.device
    conditions: Mapping[str, Any]
    quota: Quota | None = None

    @torch.inference_mode()
    def draw(self, chunk: Chunk) -> pa.RecordBatch:
        """The rows of one chunk.

        Raises:
            TrainingError: the model cannot hold a condition.
        """
        i, n, first_row = chunk
        held = dict(self.conditions)
        if self.quota is not None:
            held[self.quota.column] = self.quota.of(chunk)
        rng = torch.Generator(self.device).manual_seed(derive_seed(self.seed, "sample", i))
        encoded = self.model.generator.sample(n, rng, held or None)
        draws = rng_for(self.seed, "decode", i)
        return self.model.encoder.decode(encoded, draws, first_row, held)


class Workers:
    """Threads that draw chunks ahead of whoever takes them; use them in a `with` block."""

    def __init__(self, sampler: Sampler, n_workers: int) -> None:
        """Prepare `n_workers`; one draws in the thread that asks."""
        self._sampler = sampler
        self._n_workers = n_workers
        # How many threads torch computes with is a setting of each thread.
        threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(
            n_workers, "sampler", initializer=torch.set_num_threads, initargs=(threads,)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def draw(self, chunks: Iterable[Chunk]) -> Iterator[pa.RecordBatch]:
        """The rows of each chunk, in this order; of few at a time, so that memory is bounded."""
        if self._n_workers == 1:
            yield from map(self._sampler.draw, chunks)
            return
        coming = iter(chunks)
        ahead: deque[Future[pa.RecordBatch]] = deque()
        for chunk in itertools.islice(coming, 2 * self._n_workers):
            ahead.append(self._pool.submit(self._sampler.draw, chunk))
        while ahead:
            yield ahead.popleft().result()
            for chunk in itertools.islice(coming, 1):
                ahead.append(self._pool.submit(self._sampler.draw, chunk))


def threads_a_worker(kind: Kind, threads: int) -> int:
    """Of `threads`, how many one worker draws with.

    Networks of images and texts take many small steps, in which threads would mostly wait for each
    other: there workers use the cores instead.
    """
    return threads if kind == "tabular" else 1


def choose_workers(wanted: int | None, n_chunks: int, threads: int, device: torch.device) -> int:
    """How many workers to use: what params.yaml says, or what the cores allow; on a GPU, one."""
    if device.type == "cuda":
        return 1
    if wanted is None:
        cores = len(os.sched_getaffinity(0))
        wanted = min(MAX_WORKERS, max(1, cores // threads))
    return max(1, min(wanted, n_chunks))
