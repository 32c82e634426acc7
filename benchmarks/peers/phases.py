"""What the runners share: their arguments, and the clock that tells fit from sample.

A runner is started by the Python of its own environment as

    python run_<system>.py TRAIN.csv SYNTHETIC.csv SEED DISCRETE.json FACTS.json

reads the training rows, fits its system at that system's defaults, writes as many synthetic rows
and leaves the times of both phases in FACTS.json. Standard library and pandas only.
"""

import json
import math
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


def jobs(
    report: "Callable[[pd.DataFrame, pd.DataFrame, dict[str, str]], dict[str, float]]",
) -> None:
    """Do what JOBS.json lists and write to FOUND.json what it gave and took.

    A job names two CSV files, the kinds of their columns and how often to repeat the report; an
    empty cell is a missing value. Found are the errors, null where there are none, and the
    processor seconds of each repeat.
    """
    found = []
    for job in json.loads(Path(sys.argv[1]).read_text()):
        real, other = (read_kinds(Path(job[name]), job["kinds"]) for name in ("real", "other"))
        seconds = []
        for _ in range(job["repeats"]):
            began = time.process_time()
            errors = report(real, other, job["kinds"])
            seconds.append(time.process_time() - began)
        errors = {name: None if math.isnan(error) else error for name, error in errors.items()}
        found.append({**errors, "cpu_seconds": seconds})
    Path(sys.argv[2]).write_text(json.dumps(found, indent=1) + "\n")


def read_kinds(path: Path, kinds: dict[str, str]) -> "pd.DataFrame":
    """A table whose columns are numerical, categorical, boolean or datetime."""
    import pandas as pd

    texts = {name: str for name, kind in kinds.items() if kind != "numerical"}
    rows = pd.read_csv(
        path, dtype=texts, keep_default_na=False, na_values=[""], float_precision="round_trip"
    )
    for name, kind in kinds.items():
        if kind == "datetime":
            rows[name] = pd.to_datetime(rows[name])
        elif kind == "boolean":
            rows[name] = rows[name].astype(object).map({"True": True, "False": False})
    return rows[list(kinds)]


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
