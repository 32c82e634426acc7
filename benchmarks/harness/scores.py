"""How good and how private are the synthetic rows of a run? By our metrics and by SDMetrics'."""

import json
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from harness.measured import measure
from harness.systems import RUNNERS, SDMETRICS
from peers import phases

from tasks.evaluation import comparison
from tasks.evaluation.base import NotApplicable
from tasks.evaluation.closeness import dcr_share, exact_copies
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.jackknife import InMemory
from tasks.evaluation.fidelity.pairs import trend_errors
from tasks.evaluation.fidelity.shapes import shape_errors
from tasks.evaluation.fidelity.two_sample import c2st_auc
from tasks.evaluation.rows import Rows
from tasks.evaluation.utility.transfer import utility
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.storage import write_dataset

Frames = Sequence[pd.DataFrame]


@contextmanager
def compared(frames: Frames, discrete: Sequence[str], target: str | None) -> Iterator[Comparison]:
    """Training, holdout and synthetic rows as the stages compare them, in files for a while.

    Args:
        frames: the rows that a generator saw, other real rows, and what it made of them; cells
            that are no number where one belongs are missing.
        discrete: the columns that are not numbers; an empty cell of them is a category.
        target: the column to predict.
    """
    names = list(frames[0].columns)
    columns = tuple(
        Column(name=name, type="string", meaning="categorical")
        if name in discrete
        else Column(name=name, type="double", meaning="numeric")
        for name in names
    )
    tables = (TableSchema(name="rows", columns=columns),)
    schema = DatasetSchema(kind="tabular", tables=tables, target=target)
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, name) for name in ("train", "holdout", "synthetic")]
        for frame, place in zip(frames, places, strict=True):
            place.mkdir()
            arrays = [
                pa.array(frame[c.name], pa.string())
                if c.name in discrete
                else pa.array(pd.to_numeric(frame[c.name], errors="coerce"), pa.float64())
                for c in columns
            ]
            rows = pa.record_batch(arrays, names=names)
            write_dataset(place, schema, {"rows": [rows]})
        yield comparison.load(Path(folder), places[2], seed=0)


def columns_of(frames: Frames, discrete: Sequence[str]) -> tuple[list[InMemory], tuple[int, int]]:
    """Rows as arrays, and how many of their columns are numbers and how many are codes.

    Dates become seconds; missing values are those of the frames, and cells that are no number
    where one belongs.
    """
    numeric = [name for name in frames[0].columns if name not in discrete]
    coded = [_codes([frame[name] for frame in frames]) for name in discrete]
    found = []
    for place, frame in enumerate(frames):
        numbers = np.empty((len(frame), len(numeric)), order="F")
        for column, name in enumerate(numeric):
            numbers[:, column] = _numbers(frame[name])
        codes = np.empty((len(frame), len(discrete)), np.int32, order="F")
        for column, pieces in enumerate(coded):
            codes[:, column] = pieces[place]
        found.append(InMemory(Rows(numbers, codes, np.zeros(len(frame), np.uint64))))
    return found, (len(numeric), len(discrete))


def report(real: pd.DataFrame, other: pd.DataFrame, discrete: Sequence[str]) -> dict[str, float]:
    """Shape and trend errors, with the work of making arrays; NaN where there are none."""
    (ours, theirs), n_columns = columns_of([real, other], discrete)
    numeric = (values for name, values in real.items() if name not in discrete)
    dates = [i for i, v in enumerate(numeric) if pd.api.types.is_datetime64_any_dtype(v)]
    shapes = shape_errors(ours, theirs, n_columns)
    trends = trend_errors(ours, theirs, n_columns, dates=dates)
    return {
        name: float("nan") if np.isnan(errors).all() else float(np.nanmean(errors))
        for name, errors in (("shape_error", shapes), ("trend_error", trends))
    }


def scores(
    train: Path, test: Path, synthetic: Path, discrete: Sequence[str], target: str | None
) -> dict[str, float | None]:
    """The metrics of a run on all training rows; None where a metric does not apply.

    Keys: `trend_error_real_bins` (%), `c2st_lightgbm` (AUC, 5 folds, at most 25,000 rows of each),
    `mle` and `mle_real` (what LightGBM that learned from synthetic or from real rows reaches on
    the test rows: AUC of classes, RMSE of a number), `exact_copies` and `exact_copies_test` (shares
    of the synthetic and of the test rows that equal a training row), and `our_report_seconds`:
    shape and trend errors, with the work of making arrays of the tables.
    """
    frames = [phases.read(path, list(discrete)) for path in (train, test, synthetic)]
    began = time.process_time()
    report(frames[0], frames[2], discrete)
    took = time.process_time() - began
    (real, other), n_columns = columns_of([frames[0], frames[2]], discrete)
    with compared(frames, discrete, target) as against_test:
        copies = exact_copies(against_test)
        efficacy = _efficacy(against_test, target)
        # The reference, of the training rows against themselves, is not read.
        with compared([frames[0], frames[0], frames[2]], discrete, target) as full:
            apart = c2st_auc(full).value
    return {
        "trend_error_real_bins": float(np.nanmean(trend_errors(real, other, n_columns, "real"))),
        "c2st_lightgbm": apart,
        **efficacy,
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
    frames = [phases.read(path, list(discrete)) for path in (train_half, other_half, synthetic)]
    with compared(frames, discrete, None) as halves:
        return dcr_share(halves).value


def _codes(columns: Sequence[pd.Series]) -> list[np.ndarray]:
    """Shape: (N,) int32 each, the same code for the same value; -1 where missing."""
    arrays = [pa.chunked_array([pa.array(values)]) for values in columns]
    # A column without any value has no type of its own.
    kind = next((a.type for a in arrays if not pa.types.is_null(a.type)), pa.null())
    chunks = [chunk for array in arrays for chunk in array.cast(kind).chunks]
    encoded = pa.chunked_array(chunks, kind).dictionary_encode().combine_chunks()
    codes = pc.fill_null(encoded.indices, -1).to_numpy()
    return np.split(codes, np.cumsum([len(values) for values in columns])[:-1])


def _numbers(values: pd.Series) -> np.ndarray:
    """Shape: (N,) float64, NaN where missing."""
    if pd.api.types.is_datetime64_any_dtype(values):
        since = values.to_numpy(dtype="datetime64[ns]")
        return np.where(np.isnat(since), np.nan, since.astype(np.int64) / 1e9)
    return pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _efficacy(rows: Comparison, target: str | None) -> dict[str, float | None]:
    """Train on synthetic, test on real: AUC as it is, R2 as the RMSE that it stands for."""
    try:
        found = utility(rows)
    except NotApplicable:
        return {"mle": None, "mle_real": None}
    values = {"mle": found.value, "mle_real": found.reference}
    numeric = [column.name for column in rows.numeric]
    if target not in numeric:
        return values
    tested = rows.holdout.numbers[:, numeric.index(target)]
    spread = float(np.nanstd(tested))
    return {name: spread * math.sqrt(1 - r2) for name, r2 in values.items()}
