"""One process that `benchmarks/evaluation.py` measures.

    evaluation_stage.py fidelity FOLDER     shapes, pairs and three-way tables alone
    evaluation_stage.py evaluate FOLDER     the whole stage
    evaluation_stage.py audit FOLDER        the whole stage

FOLDER holds the datasets `split/train`, `split/holdout` and `synthetic`. The seconds of every metric
are left in FOLDER/<stage>.json.
"""

import json
import sys
import time
from pathlib import Path

from tasks.evaluation import base, comparison
from tasks.metrics import Family

FIDELITY = (
    "shape_error",
    "worst_shape_error",
    "trend_error",
    "trend_error_real_bins",
    "three_way_error",
)

_FAMILIES: dict[str, list[Family]] = {
    "fidelity": ["fidelity"],
    "evaluate": ["fidelity", "utility", "diversity"],
    "audit": ["privacy"],
}


def run_stage(stage: str, folder: Path) -> None:
    """Load the rows and measure, as `tasks.stages.evaluate` and `tasks.stages.audit` do."""
    names = list(FIDELITY) if stage == "fidelity" else None
    metrics = base.choose("tabular", names, _FAMILIES[stage])
    began = time.process_time()
    data = comparison.load(folder / "split", folder / "synthetic", seed=0)
    seconds = {"load": time.process_time() - began}
    for metric in metrics:
        began = time.process_time()
        base.measure([metric], data)
        seconds[metric.name] = time.process_time() - began
    (folder / f"{stage}.json").write_text(json.dumps(seconds, indent=1) + "\n")


if __name__ == "__main__":
    run_stage(sys.argv[1], Path(sys.argv[2]))
