"""The two scores of SDMetrics' quality report for pairs of tables, and what they took.

    python quality_sdmetrics.py JOBS.json FOUND.json

Runs in the environment of SDMetrics; both thresholds are 0 and all rows count. See `phases.jobs`.
"""

import warnings

import pandas as pd
import phases
from sdmetrics.reports import QualityReport

_TABLE = "rows"


def report(real: pd.DataFrame, other: pd.DataFrame, kinds: dict[str, str]) -> dict[str, float]:
    """100 x (1 - score) of both properties."""
    quality = QualityReport()
    quality.real_correlation_threshold = quality.real_association_threshold = 0
    quality.num_rows_subsample = None
    columns = {name: {"sdtype": kind} for name, kind in kinds.items()}
    metadata = {"tables": {_TABLE: {"columns": columns}}}
    quality.generate({_TABLE: real}, {_TABLE: other}, metadata, verbose=False)
    scores = quality.get_properties().set_index("Property")["Score"]
    return {
        "shape_error": 100 * (1 - float(scores["Column Shapes"])),
        "trend_error": 100 * (1 - float(scores["Column Pair Trends"])),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    phases.jobs(report)
