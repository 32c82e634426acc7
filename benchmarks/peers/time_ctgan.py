"""Rows per second of CTGAN's training; run by gpu_training.py in CTGAN's own environment.

Two trainings of different lengths: their difference leaves out what is done once before the first
epoch.
"""

import importlib.metadata
import json
import sys
import time

import ctgan
import pandas as pd

EPOCHS = (1, 11)


def main() -> None:
    """Print the version and the rows per second as JSON."""
    path, discrete, device = sys.argv[1:]
    columns = json.loads(discrete)
    rows = pd.read_csv(path, dtype=dict.fromkeys(columns, str))
    seconds = []
    for epochs in EPOCHS:
        model = ctgan.CTGAN(epochs=epochs, enable_gpu=device == "cuda")
        start = time.perf_counter()
        model.fit(rows, columns)
        seconds.append(time.perf_counter() - start)
    if seconds[1] <= seconds[0]:
        raise SystemExit(f"expected the longer training to take longer, found {seconds}: more rows")
    speed = (EPOCHS[1] - EPOCHS[0]) * len(rows) / (seconds[1] - seconds[0])
    print(json.dumps({"version": importlib.metadata.version("ctgan"), "rows_per_second": speed}))


if __name__ == "__main__":
    main()
