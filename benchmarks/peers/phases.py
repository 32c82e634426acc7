"""What the runners share: their arguments, and the clock that tells fit from sample.

A runner is started by the Python of its own environment as

    python run_<system>.py TRAIN.csv SYNTHETIC.csv SEED DISCRETE.json FACTS.json

reads the training rows, fits its system at that system's defaults, writes as many synthetic rows
and leaves the times of both phases in FACTS.json. Standard library and pandas only.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # one runner has no use for it, and should not pay for its import
    import pandas as pd

Fit = Callable[["pd.DataFrame", list[str], int], Any]
"""Training rows, names of the columns that are not numbers, seed; returns a model."""

Sample = Callable[[Any, int], "pd.DataFrame"]
"""A model and a number of rows; returns synthetic rows."""


def run(package: str, fit: Fit, sample: Sample) -> None:
    """Fit and sample as the command line says, and write down what each took."""
    train, synthetic, seed, discrete, facts = sys.argv[1:]
    columns = json.loads(Path(discrete).read_text())
    rows = read(Path(train), columns)
    started = clocks()
    model = fit(rows, columns, int(seed))
    fitted = clocks()
    drawn = sample(model, len(rows))
    drawn.to_csv(synthetic, index=False)
    sampled = clocks()
    write_facts(Path(facts), package, started, fitted, sampled)


def read(path: Path, discrete: list[str]) -> "pd.DataFrame":
    """Numbers as numbers, everything else as the text that is in the file."""
    import pandas as pd

    names = pd.read_csv(path, nrows=0).columns
    empty_is_missing = {name: [""] for name in names if name not in discrete}
    return pd.read_csv(
        path, dtype=dict.fromkeys(discrete, str), keep_default_na=False, na_values=empty_is_missing
    )


def write_facts(
    path: Path,
    package: str,
    started: tuple[float, float],
    fitted: tuple[float, float],
    sampled: tuple[float, float],
) -> None:
    """The version of the system, and seconds on the wall and on the processor of each phase."""
    phases = {"fit": (started, fitted), "sample": (fitted, sampled)}
    found: dict[str, Any] = {"version": version(package)}
    for phase, (before, after) in phases.items():
        found[f"{phase}_wall_seconds"] = after[0] - before[0]
        found[f"{phase}_cpu_seconds"] = after[1] - before[1]
    path.write_text(json.dumps(found, indent=1) + "\n")


def clocks() -> tuple[float, float]:
    """Seconds on the wall, and on the processor with all processes that have ended."""
    spent = os.times()
    return time.monotonic(), sum(spent[:4])
