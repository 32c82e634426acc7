"""What SDMetrics and XGBoost say of a table beside the real one, in the environment of SDMetrics.

    python score_sdmetrics.py REAL.csv OTHER.csv DISCRETE.json SCORES.json

Writes the errors of the quality report with both thresholds 0 (all pairs count), as published
numbers have it, with the processor time that the report took; the score of LogisticDetection; and
the AUC of XGBoost (arXiv:1603.02754) in telling the rows apart, 5 folds, at its defaults.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import phases
from sdmetrics.reports import QualityReport
from sdmetrics.single_table import LogisticDetection
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from xgboost import XGBClassifier

_TABLE = "rows"


def main() -> None:
    """Compare two files."""
    real_path, other_path, discrete_path, scores = map(Path, sys.argv[1:])
    discrete = json.loads(discrete_path.read_text())
    real, other = (phases.read(path, discrete) for path in (real_path, other_path))
    np.random.seed(0)  # noqa: NPY002 - what LogisticDetection draws its folds from
    found = quality(real, other, discrete)
    found["lr_detection"] = detection(real, other, discrete)
    found["c2st_xgboost"] = two_sample_auc(real, other, discrete)
    scores.write_text(json.dumps(found, indent=1) + "\n")


def quality(real: pd.DataFrame, other: pd.DataFrame, discrete: list[str]) -> dict[str, Any]:
    """100 x (1 - score) of the properties, and what they took."""
    report = QualityReport()
    report.real_correlation_threshold = report.real_association_threshold = 0
    began = phases.clocks()
    report.generate({_TABLE: real}, {_TABLE: other}, metadata(real, discrete), verbose=False)
    properties = report.get_properties().set_index("Property")["Score"]
    return {
        "shape_error": 100 * (1 - float(properties["Column Shapes"])),
        "trend_error": 100 * (1 - float(properties["Column Pair Trends"])),
        "report_cpu_seconds": phases.clocks()[1] - began[1],
    }


def detection(real: pd.DataFrame, other: pd.DataFrame, discrete: list[str]) -> float | None:
    """1: a logistic regression cannot tell the rows apart; None where it cannot be computed."""
    try:
        return float(LogisticDetection.compute(real, other, metadata(real, discrete)))
    except ValueError as error:
        print(f"LogisticDetection: {error}", file=sys.stderr)
        return None


def two_sample_auc(real: pd.DataFrame, other: pd.DataFrame, discrete: list[str]) -> float:
    """The AUC over all rows, each scored by a model that did not see it."""
    both = pd.concat([real, other[real.columns]], ignore_index=True)
    both[discrete] = both[discrete].astype("category")
    is_other = np.repeat([0, 1], [len(real), len(other)])
    score = np.empty(len(both))
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
    for train, test in folds.split(both, is_other):
        model = XGBClassifier(enable_categorical=True, n_jobs=1, random_state=0)
        model.fit(both.iloc[train], is_other[train])
        score[test] = model.predict_proba(both.iloc[test])[:, 1]
    return float(roc_auc_score(is_other, score))


def metadata(real: pd.DataFrame, discrete: list[str]) -> dict[str, Any]:
    """As SDMetrics wants it."""
    kinds = {name: {"sdtype": "categorical" if name in discrete else "numerical"} for name in real}
    return {"tables": {_TABLE: {"columns": kinds}}}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
