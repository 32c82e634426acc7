"""Draw synthetic rows from a trained generator."""

import contextlib
import logging
import math
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from tasks.encoding.constraints.admission import Admission
from tasks.errors import ParamsError, TrainingError
from tasks.params import DatasetParams
from tasks.schema import DatasetSchema, Kind, arrow_type
from tasks.splits.record import BalanceRecord
from tasks.storage import new_folder, write_dataset
from tasks.training.device import choose_device, reproducible
from tasks.training.model import Model, load_model
from tasks.training.sampling import (
    Chunk,
    Quota,
    Sampler,
    Workers,
    choose_workers,
    threads_a_worker,
)

CHUNK_ROWS: dict[Kind, int] = {"tabular": 8_192, "image": 512, "text": 512, "multimodal": 512}
"""Rows drawn at a time: what bounds the memory. Other numbers give other rows."""

MAX_FURTHER = 10
"""How many times as many rows are drawn, at most, to make up for those that break a constraint."""

_log = logging.getLogger(__name__)


def sample(model: Path, synthetic: Path, params: DatasetParams) -> None:
    """Draw as many rows as `sample.rows` says, or as the training data had.

    Reads:
        model: the folder that `train` wrote.
    Writes:
        synthetic: a dataset with the schema of the training data.

    Raises:
        ParamsError: the target is both balanced and held at one value.
        DataError: the model is damaged.
        TrainingError: the device that is asked for is missing, the model cannot hold a condition,
            or the declared constraints leave too few of the drawn rows.
    """
    device = choose_device(params.train.device)
    trained = load_model(model, device)
    schema = trained.encoder.schema
    threads = threads_a_worker(schema.kind, params.train.threads)
    with reproducible(device, threads):
        n_rows = params.sample.rows or trained.n_rows
        n_chunks = math.ceil(n_rows / CHUNK_ROWS[schema.kind])
        n_workers = choose_workers(params.sample.workers, n_chunks, threads, device)
        rows = draw(
            trained,
            n_rows,
            params.seed,
            device,
            conditions=params.sample.conditions,
            quota=_quota(model, schema, params),
            n_workers=n_workers,
        )
        with new_folder(synthetic) as draft, contextlib.closing(rows):
            # Nothing of this is real: it is made to be published.
            plain = schema.stored(encrypted=False)
            write_dataset(draft, plain, {schema.main.name: rows})
    _log.info("drew %d rows of %s", n_rows, schema.main.name)


def _quota(model: Path, schema: DatasetSchema, params: DatasetParams) -> Quota | None:
    """The classes in the shares that `balance` wants, where generation is to balance them."""
    record = BalanceRecord.load(model)
    if record is None or record.target is None:
        return None
    if record.target in params.sample.conditions:
        raise ParamsError(
            f"sample.conditions holds {record.target!r} at one value, and balance.method 'generate'"
            " draws each of them: remove one of the two"
        )
    wanted = [c for c in record.classes if c.wanted]
    texts = pa.array([c.value for c in wanted], pa.string())
    values = texts.cast(arrow_type(schema.main.column(record.target)))
    return Quota(record.target, values, np.array([c.wanted for c in wanted]))


def draw(
    model: Model,
    n_rows: int,
    seed: int,
    device: torch.device,
    *,
    conditions: Mapping[str, Any] | None = None,
    quota: Quota | None = None,
    n_workers: int = 1,
) -> Generator[pa.RecordBatch]:
    """Batches of `n_rows` synthetic rows, the same for any number of workers.

    Rows that break a constraint, or that the encoder does not admit, are left out in the order of the
    chunks, and made up for by further chunks at the end.

    Args:
        model: what to draw from.
        n_rows: how many rows.
        seed: of the dataset.
        device: of the model's weights.
        conditions: by column name, the value that every row has.
        quota: shares of the values of one more column.
        n_workers: threads that draw; each computes with as many of torch as the caller's.

    Raises:
        TrainingError: the model cannot hold a condition, or too few rows satisfy the declared
            constraints.
    """
    chunk_rows = CHUNK_ROWS[model.encoder.schema.kind]
    encoder = model.encoder
    admission = Admission(encoder.schema.main, encoder.made_anew, encoder.admissible)
    starts = range(0, n_rows, chunk_rows)
    chunks = [Chunk(i, min(chunk_rows, n_rows - start), start) for i, start in enumerate(starts)]
    with Workers(Sampler(model, seed, device, conditions or {}, quota), n_workers) as workers:
        for batch in tqdm(workers.draw(chunks), total=len(chunks), unit="chunk", disable=None):
            yield admission.admit(batch)
        i, end = len(starts), n_rows
        while (n_missing := admission.n_left_out - (end - n_rows)) > 0:
            if end > n_rows + MAX_FURTHER * max(n_rows, chunk_rows):
                raise TrainingError(
                    f"expected {n_rows:,} rows that satisfy"
                    f" {admission.words or 'what their encoder demands'}; of {end:,} drawn rows,"
                    f" {end - admission.n_left_out:,} do: sample fewer rows, or relax `constraints`"
                )
            n = min(chunk_rows, max(2 * n_missing, 256))
            (further,) = workers.draw([Chunk(i, n, end)])
            i, end = i + 1, end + n
            yield admission.admit(further).slice(0, n_missing)
