"""How much of a GPU does the training of a generator use, and how does CTGAN on the same GPU compare?

The rows are made up, with as many numbers as categories, so that they are the same everywhere. Of
a training as `proofmint` runs it, validation included, it tells steps and rows per second after the
first steps, and the share of the products that the device achieves: floating point operations of a
step, as torch counts them, against a large product of matrices in the same precision.

    python benchmarks/gpu_training.py
    python benchmarks/gpu_training.py --generator tabdiff --rows 1000000 --batch-size 8192
    python benchmarks/gpu_training.py --peer path/to/an/environment/with/ctgan/bin/python

The peer runs in an environment of its own (benchmarks/tabular.py makes one), with its defaults.
Without a GPU there is nothing to measure: the command says so and ends with 2; `--device cpu` is
there to try the benchmark itself.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import torch
from torch.utils.flop_counter import FlopCounterMode

from tasks.generators.base import DataGenerator
from tasks.params import TrainParams
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.seeding import rng_for
from tasks.storage import StoredRows, write_dataset
from tasks.training.device import reproducible
from tasks.training.loop import fit
from tasks.training.model import generator_class
from tasks.training.trainer import LOG_STEPS

PEER_PYTHON = Path(".proofmint/benchmarks/environments/ctgan/bin/python")
PEER_SCRIPT = Path(__file__).parent / "peers" / "time_ctgan.py"

WARM_UP_STEPS = 2 * LOG_STEPS
"""Steps before the clock starts: kernels are chosen and memory is taken in them."""

MATRIX_SIDE = 8_192
"""Of the product that tells what the device achieves."""

_ABOUT = """{device}, torch {torch}
{generator}: {parameters:,} parameters, {rows:,} rows of {columns} columns, batches of {batch_size:,}
  {steps_per_second:,.1f} steps/s   {rows_per_second:,.0f} rows/s
  {step_gflop:,.2f} GFLOP a step, {tflops:.3f} TFLOP/s: {share:.2%} of the {achievable:.1f} TFLOP/s \
that a product of matrices achieves"""


def main(arguments: list[str]) -> int:
    """Measure and print; 2 where there is no GPU."""
    options = _options(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no GPU: torch sees none, so there is nothing to measure here", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        schema = _make_rows(folder, options.rows, options.columns)
        ours = measure(StoredRows(folder, "rows"), schema, options)
        print(_ABOUT.format(**ours))
        if not options.peer.exists():
            print(f"ctgan: not measured, there is no {options.peer}")
            return 0
        theirs = _measure_peer(folder, schema, options)
    print(f"ctgan {theirs['version']}: {theirs['rows_per_second']:,.0f} rows/s")
    print(f"  ours / theirs: {ours['rows_per_second'] / theirs['rows_per_second']:.1f}")
    return 0


def measure(rows: StoredRows, schema: DatasetSchema, options: argparse.Namespace) -> dict[str, Any]:
    """What a training of our generator does in a second."""
    cls = generator_class("tabular", options.generator)
    moments: list[tuple[int, float]] = []

    def report(step: int, _: Mapping[str, float]) -> None:
        moments.append((step, time.perf_counter()))

    settings = TrainParams(
        epochs=options.epochs,
        batch_size=options.batch_size,
        patience=options.epochs,
        device=options.device,
        threads=1,
    )
    fitted = fit(cls, cls.Params(), schema, rows, settings, seed=0, report=report)
    batch_size = fitted.summary["recipe"]["batch_size"]
    warm = [moment for moment in moments if moment[0] >= WARM_UP_STEPS]
    if len(warm) < 2:
        raise SystemExit(f"expected more than {WARM_UP_STEPS + LOG_STEPS} steps: raise --epochs")
    steps_per_second = (warm[-1][0] - warm[0][0]) / (warm[-1][1] - warm[0][1])
    device = torch.device(options.device)
    batch = fitted.encoder.encode(next(rows()).slice(0, batch_size))
    flop = _step_flop(fitted.generator.to(device), {n: t.to(device) for n, t in batch.items()})
    achievable = _achievable(device)
    on_gpu = options.device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else "CPU, one thread",
        "torch": torch.__version__,
        "generator": options.generator,
        "parameters": fitted.summary["parameters"],
        "rows": options.rows,
        "columns": options.columns,
        "batch_size": batch_size,
        "steps_per_second": steps_per_second,
        "rows_per_second": steps_per_second * batch_size,
        "step_gflop": flop / 1e9,
        "tflops": flop * steps_per_second / 1e12,
        "achievable": achievable / 1e12,
        "share": flop * steps_per_second / achievable,
    }


def _make_rows(folder: Path, n_rows: int, n_columns: int) -> DatasetSchema:
    """Half numbers that depend on each other, half categories that depend on them."""
    rng = rng_for(0, "gpu_training")
    hidden = rng.normal(size=(n_rows, 4))
    cells, columns = {}, []
    for i in range(n_columns):
        seen = hidden @ rng.normal(size=4) + rng.normal(size=n_rows)
        is_number = i % 2 == 0
        name = f"number_{i}" if is_number else f"category_{i}"
        cells[name] = seen.round(3) if is_number else np.floor(seen).astype(int).astype(str)
        kind, meaning = ("double", "numeric") if is_number else ("string", "categorical")
        columns.append(Column(name=name, type=kind, meaning=meaning, nullable=False))
    table = TableSchema(name="rows", columns=tuple(columns))
    schema = DatasetSchema(kind="tabular", tables=(table,), target=None)
    write_dataset(folder, schema, {"rows": pa.table(cells).to_batches()})
    return schema


def _step_flop(generator: DataGenerator, batch: Mapping[str, torch.Tensor]) -> float:
    """Floating point operations of a step, forward and backward, of all objectives."""
    generator.requires_grad_(True).train()
    with FlopCounterMode(display=False) as counter:
        for objective in generator.objectives():
            for _ in range(objective.steps):
                generator(batch, objective.name).mean().backward()
    return float(counter.get_total_flops())


def _achievable(device: torch.device) -> float:
    """Floating point operations a second in a product of matrices, as precise as in training."""
    side = MATRIX_SIDE if device.type == "cuda" else MATRIX_SIDE // 8
    with reproducible(device, threads=1):
        a, b = (torch.randn(side, side, device=device) for _ in range(2))
        for _ in range(3):
            product = a @ b
        repeats = 20
        float(product[0, 0])  # waits for the device
        start = time.perf_counter()
        for _ in range(repeats):
            product = a @ b
        float(product[0, 0])
        return 2 * side**3 * repeats / (time.perf_counter() - start)


def _measure_peer(
    folder: Path, schema: DatasetSchema, options: argparse.Namespace
) -> dict[str, float]:
    table = pa.Table.from_batches(StoredRows(folder, "rows")())
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    discrete = [c.name for c in schema.main.columns if c.meaning == "categorical"]
    command = [options.peer, PEER_SCRIPT, folder / "rows.csv", json.dumps(discrete), options.device]
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--generator", default="autoregressive")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=None, help="default: the generator's own")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--peer", type=Path, default=PEER_PYTHON, help="Python that has ctgan")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
