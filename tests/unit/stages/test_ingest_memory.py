"""Ten times the rows take the same memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

PEAK = """
import resource, sys
from pathlib import Path
from tasks.stages.ingest import ingest
from tests.datasets import dataset_params

folder, name = Path(sys.argv[1]), sys.argv[2]
source = {"type": "files", "path": name, "memory_mib": 64, "workers": 2}
ingest(folder / f"{name}.raw", dataset_params(source=source, target=None), project=folder)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def block(n_rows: int) -> pa.Table:
    rng = np.random.default_rng(0)
    columns = {f"f{i}": rng.normal(size=n_rows).round(4) for i in range(4)}
    columns |= {f"n{i}": rng.integers(0, 10**9, n_rows) for i in range(3)}
    words = np.array([f"word {i}" for i in range(1_000)])
    return pa.table(columns | {"s": words[rng.integers(0, 1_000, n_rows)]})


def write(path: Path, rows: pa.Table, times: int) -> None:
    """The same rows several times."""
    if path.suffix == ".csv":
        with pa.csv.CSVWriter(path, rows.schema) as writer:
            for _ in range(times):
                writer.write_table(rows)
    else:
        with pq.ParquetWriter(path, rows.schema) as writer:
            for _ in range(times):
                writer.write_table(rows, row_group_size=100_000)


def peak_mb(folder: Path, name: str) -> float:
    """Memory that a process took at most while it ingested a file."""
    environment = {**os.environ, "MIMALLOC_PURGE_DELAY": "10"}  # as `python -m tasks` does
    command = [sys.executable, "-c", PEAK, str(folder), name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1_000


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_ten_times_the_rows_take_the_same_memory(tmp_path, suffix):
    rows = block(500_000)
    write(tmp_path / f"one.{suffix}", rows, 2)
    write(tmp_path / f"ten.{suffix}", rows, 20)
    one, ten = (peak_mb(tmp_path, f"{name}.{suffix}") for name in ("one", "ten"))
    # The rows themselves are 560 MB more.
    assert ten < one + 150, (one, ten)
    assert ten < 500, (one, ten)


def test_nothing_that_only_drift_needs_lies_beside_the_rows():
    code = """
import sys
import tasks.cli, tasks.engines.local, tasks.sources.files, tasks.sources.sql, tasks.stages.ingest
print({"pandas", "sklearn", "torch"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
