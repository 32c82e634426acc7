"""Stage: look for training rows in the synthetic data."""

from pathlib import Path

from tasks.evaluation import base, comparison
from tasks.metrics import write_measurements
from tasks.params import DatasetParams
from tasks.storage import new_folder


def audit(split: Path, synthetic: Path, out: Path, params: DatasetParams) -> None:
    """Measure privacy: what the synthetic data tells about the rows that its generator saw.

    Reads:
        split: the datasets `train` and `holdout`.
        synthetic: a dataset.

    Writes:
        out: `metrics.json`, and `plots.json` with what the report draws.

    Raises:
        ParamsError: `evaluate.metrics` names an unknown metric.
        DataError: the synthetic data cannot be compared with the real.
    """
    metrics = base.choose(params.kind, params.evaluate.metrics, ["privacy"])
    data = comparison.load(split, synthetic, params.seed)
    measurements, plots = base.measure(metrics, data)
    with new_folder(out) as draft:
        write_measurements(draft, measurements, plots=plots)
