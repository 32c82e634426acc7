"""Stage: measure how faithful, useful and diverse the synthetic data is."""

from pathlib import Path

from tasks.evaluation import base, comparison
from tasks.metrics import Family, write_measurements
from tasks.params import DatasetParams
from tasks.storage import new_folder


def evaluate(split: Path, synthetic: Path, out: Path, params: DatasetParams) -> None:
    """Measure fidelity, utility and diversity, each beside the real holdout.

    Reads:
        split: the datasets `train` and `holdout`.
        synthetic: a dataset.

    Writes:
        out: `metrics.json`, and `plots.json` with what the report draws.

    Raises:
        ParamsError: `evaluate.metrics` names an unknown metric.
        DataError: the synthetic data cannot be compared with the real.
    """
    families: list[Family] = ["fidelity", "utility", "diversity"]
    metrics = base.choose(params.kind, params.evaluate.metrics, families)
    data = comparison.load(split, synthetic, params.seed)
    measurements, plots = base.measure(metrics, data)
    with new_folder(out) as draft:
        write_measurements(draft, measurements, plots=plots)
