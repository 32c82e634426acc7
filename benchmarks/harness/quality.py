"""The same two scores by our metrics: `quality.py JOBS.json FOUND.json`; see `peers/phases.jobs`."""

import sys
from pathlib import Path

import pandas as pd

sys.path.append(str(Path(__file__).resolve().parents[1]))

from harness import scores
from peers import phases


def report(real: pd.DataFrame, other: pd.DataFrame, kinds: dict[str, str]) -> dict[str, float]:
    """Shape and trend errors, with the work of making arrays."""
    discrete = [name for name, kind in kinds.items() if kind in ("categorical", "boolean")]
    return scores.report(real, other, discrete)


if __name__ == "__main__":
    phases.jobs(report)
