"""Draw synthetic rows from a trained generator."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import torch
from tqdm import tqdm

from tasks.params import DatasetParams
from tasks.schema import Kind
from tasks.seeding import derive_seed, rng_for
from tasks.storage import new_folder, write_dataset
from tasks.training.device import choose_device, reproducible
from tasks.training.model import Model, load_model

CHUNK_ROWS: dict[Kind, int] = {"tabular": 8_192, "image": 512, "text": 512}
"""Rows drawn at a time: what bounds the memory. Other numbers give other rows."""

_log = logging.getLogger(__name__)


def sample(model: Path, synthetic: Path, params: DatasetParams) -> None:
    """Draw as many rows as `sample.rows` says, or as the training data had.

    Reads:
        model: the folder that `train` wrote.
    Writes:
        synthetic: a dataset with the schema of the training data.

    Raises:
        DataError: the model is damaged.
        TrainingError: the device that is asked for is missing.
    """
    device = choose_device(params.train.device)
    with reproducible(device, params.train.threads):
        trained = load_model(model, device)
        schema = trained.encoder.schema
        n_rows = params.sample.rows or trained.n_rows
        rows = draw(trained, n_rows, params.seed, device)
        with new_folder(synthetic) as draft:
            write_dataset(draft, schema, {schema.main.name: rows})
    _log.info("drew %d rows of %s", n_rows, schema.main.name)


@torch.inference_mode()
def draw(model: Model, n_rows: int, seed: int, device: torch.device) -> Iterator[pa.RecordBatch]:
    """Batches of `n_rows` synthetic rows.

    Chunk `i` has randomness of its own, derived from (seed, i), so it does not matter what was
    drawn before it.
    """
    chunk_rows = CHUNK_ROWS[model.encoder.schema.kind]
    starts = range(0, n_rows, chunk_rows)
    for i, start in enumerate(tqdm(starts, unit="chunk", disable=None)):
        n = min(chunk_rows, n_rows - start)
        rng = torch.Generator(device).manual_seed(derive_seed(seed, "sample", i))
        encoded = model.generator.sample(n, rng)
        yield model.encoder.decode(encoded, rng_for(seed, "decode", i), first_row=start)
