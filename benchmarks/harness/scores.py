"""How good and how private are the synthetic rows of a run? By our metrics and by SDMetrics'."""

import json
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from harness.measured import measure
from harness.systems import RUNNERS, SDMETRICS
from peers import phases

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Comparison, Rows
from tasks.evaluation.fidelity.tabular import shape_errors, trend_errors
from tasks.evaluation.fidelity.two_sample import c2st_auc
from tasks.evaluation.privacy import dcr_share, exact_copies
from tasks.evaluation.utility import utility
from tasks.schema import Column


def compare(
    train: Path, holdout: Path, synthetic: Path, discrete: Sequence[str], target: str | None
) -> Comparison:
    """Three CSV files with the same columns.

    Args:
        train: the rows that a generator saw.
        holdout: other real rows.
        synthetic: what it made of them; cells that are no number where one belongs are missing.
        discrete: the columns that are not numbers; an empty cell of them is a category.
        target: the column to predict.
    """
    frames = [phases.read(path, list(discrete)) for path in (train, holdout, synthetic)]
    return of_frames(frames, discrete, target)


def of_frames(
    frames: Sequence[pd.DataFrame], discrete: Sequence[str], target: str | None
) -> Comparison:
    """As `compare`, of training, holdout and synthetic rows in memory."""
    numeric = [name for name in frames[0].columns if name not in discrete]
    both = pd.concat([frame[frames[0].columns] for frame in frames], ignore_index=True)
    numbers = np.column_stack(
        [np.zeros((len(both), 0)), *(pd.to_numeric(both[c], errors="coerce") for c in numeric)]
    )
    coded = [pd.factorize(both[name], sort=True) for name in discrete]
    codes = np.column_stack([np.zeros((len(both), 0)), *(codes for codes, _ in coded)])
    codes = codes.astype(np.int32)
    everything = np.where(np.isnan(numbers), np.nan, numbers + 0.0)
    content = np.ascontiguousarray(np.hstack([everything.view("u1"), codes.view("u1")]))
    identities = content.view(f"V{content.shape[1]}")[:, 0]
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    parts = zip(*(np.split(array, ends) for array in (numbers, codes, identities)), strict=True)
    rows = [Rows(*part) for part in parts]
    return Comparison(
        kind="tabular",
        numeric=tuple(Column(name=c, type="double", meaning="numeric") for c in numeric),
        discrete=tuple(Column(name=c, type="string", meaning="categorical") for c in discrete),
        categories=tuple([str(value) for value in values] for _, values in coded),
        target=target,
        train=rows[0],
        holdout=rows[1],
        synthetic=rows[2],
    )


def scores(
    train: Path, test: Path, synthetic: Path, discrete: Sequence[str], target: str | None
) -> dict[str, float | None]:
    """The metrics of a run on all training rows; None where a metric does not apply.

    Keys: `trend_error_real_bins` (%), `c2st_lightgbm` (AUC, 5 folds, all rows of both tables),
    `mle` and `mle_real` (what LightGBM that learned from synthetic or from real rows reaches on
    the test rows: AUC of classes, RMSE of a number), `exact_copies` and `exact_copies_test` (shares
    of the synthetic and of the test rows that equal a training row), and `our_report_seconds`:
    shape and trend errors, with the work of reading the tables into arrays.
    """
    frames = [phases.read(path, list(discrete)) for path in (train, test, synthetic)]
    began = time.process_time()
    pair = of_frames([frames[0], frames[0].head(0), frames[2]], discrete, target)
    shape_errors(pair.train, pair.synthetic)
    trend_errors(pair.train, pair.synthetic)
    took = time.process_time() - began
    real_bins = trend_errors(pair.train, pair.synthetic, real_bins=True)
    against_test = of_frames(frames, discrete, target)
    # The metric takes as many synthetic rows as there are holdout rows: here all. Its reference,
    # of the training rows against themselves, is not read.
    full = of_frames([frames[0], frames[0], frames[2]], discrete, target)
    copies = exact_copies(against_test)
    return {
        "trend_error_real_bins": float(np.nanmean(real_bins)),
        "c2st_lightgbm": c2st_auc(full).value,
        **_efficacy(against_test, target),
        "exact_copies": copies.value,
        "exact_copies_test": copies.reference,
        "our_report_seconds": took,
    }


def sdmetrics_scores(real: Path, other: Path, discrete: Path) -> dict[str, float | None]:
    """What `peers/score_sdmetrics.py` writes, in an environment of its own."""
    SDMETRICS.install()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "scores.json")
        script = RUNNERS / SDMETRICS.runner
        usage = measure([SDMETRICS.python, script, real, other, discrete, out])
        if usage.exit_status != 0:
            raise SystemExit(f"{script} failed:\n{usage.output}")
        found: dict[str, float | None] = json.loads(out.read_text())
        return found


def dcr(train_half: Path, other_half: Path, synthetic: Path, discrete: Sequence[str]) -> float:
    """The share of the rows closer to the half that their generator saw than to the other half."""
    return dcr_share(compare(train_half, other_half, synthetic, discrete, None)).value


def _efficacy(comparison: Comparison, target: str | None) -> dict[str, float | None]:
    """Train on synthetic, test on real: AUC as it is, R2 as the RMSE that it stands for."""
    try:
        found = utility(comparison)
    except NotApplicable:
        return {"mle": None, "mle_real": None}
    values = {"mle": found.value, "mle_real": found.reference}
    numeric = [column.name for column in comparison.numeric]
    if target not in numeric:
        return values
    tested = comparison.holdout.numbers[:, numeric.index(target)]
    spread = float(np.nanstd(tested))
    return {name: spread * math.sqrt(1 - r2) for name, r2 in values.items()}
