"""Stage: measure how faithful, useful and diverse the synthetic data is."""

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from tasks.evaluation import base, comparison
from tasks.metrics import Family, write_measurements
from tasks.params import DatasetParams
from tasks.schema import DatasetSchema
from tasks.seeding import rng_for
from tasks.splits.record import BalanceRecord
from tasks.splits.view import rows_in_shares
from tasks.storage import new_folder, read_batches, read_table, write_dataset

logger = logging.getLogger(__name__)


def evaluate(
    split: Path,
    synthetic: Path,
    out: Path,
    params: DatasetParams,
    balanced: Path | None = None,
) -> None:
    """Measure fidelity, utility and diversity, each beside the real holdout.

    Reads:
        split: the datasets `train` and `holdout`.
        synthetic: a dataset.
        balanced: tells the shares of classes that were wanted; None: those of the real data.

    Writes:
        out: `metrics.json`, and `plots.json` with what the report draws.

    Raises:
        ParamsError: `evaluate.metrics` names an unknown metric.
        DataError: the synthetic data cannot be compared with the real.
    """
    families: list[Family] = ["fidelity", "utility", "diversity"]
    metrics = base.choose(params.kind, params.evaluate.metrics, families)
    record = None if balanced is None else BalanceRecord.load(balanced)
    with _in_shares(split, record, params.seed, out.parent) as real:
        data = comparison.load(real, synthetic, params.seed)
        measurements, plots = base.measure(metrics, data)
    with new_folder(out) as draft:
        write_measurements(draft, measurements, plots=plots)


@contextlib.contextmanager
def _in_shares(
    split: Path, record: BalanceRecord | None, seed: int, scratch: Path
) -> Iterator[Path]:
    """The real rows in the shares that were wanted, in a folder that vanishes with the block."""
    if record is None or record.target is None:
        yield split
        return
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".in-shares-", dir=scratch))
    try:
        for part in ("train", "holdout"):
            schema = DatasetSchema.load(split / part)
            table = schema.main.name
            target = read_table(split / part, table, [record.target])[record.target]
            rng = rng_for(seed, "evaluate", f"shares of {part}")
            kept = rows_in_shares(target.cast(pa.string()).to_pylist(), record, rng)
            (folder / part).mkdir()
            rows = {t.name: read_batches(split / part, t.name) for t in schema.tables}
            rows[table] = _filtered(rows[table], pa.array(kept))
            write_dataset(folder / part, schema, rows)
            logger.info(
                "%s: compared with %s of %s rows, which have the classes in the shares wanted",
                *(part, f"{kept.sum():,}", f"{len(kept):,}"),
            )
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _filtered(batches: Iterator[pa.RecordBatch], kept: pa.Array) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in batches:
        yield batch.filter(kept.slice(start, batch.num_rows))
        start += batch.num_rows
