"""One process that `benchmarks/growth.py` measures: `growth_stage.py fit|sample FOLDER`."""

import sys
from pathlib import Path

from tasks.params import DatasetParams, parse


def run_stage(stage: str, folder: Path) -> None:
    """One of the processes that are measured."""
    if stage == "fit":
        from tasks.stages.train import train
        from tasks.tracking import open_tracker

        train(
            folder / "train",
            folder / "model",
            settings(),
            "growth",
            checkpoints=folder / "checkpoints",
            tracker=open_tracker(None, folder / "mlflow"),
        )
    else:
        from tasks.stages.sample import sample

        sample(folder / "model", folder / "synthetic", settings())


def settings() -> DatasetParams:
    """The defaults, on one thread."""
    entry = {
        "kind": "tabular",
        "schedule": None,
        "seed": 0,
        "target": None,
        "constraints": [],
        "source": {"type": "files"},
        "clean": {},
        "split": {},
        "balance": {},
        "generator": "autoregressive",
        "generator_params": {},
        "train": {"threads": 1, "device": "cpu"},
        "sample": {},
        "evaluate": {},
        "thresholds": {"shape_error": {"at_most": 100.0}},
        "publish": {"title": "Growth", "description": "Growth", "license": "CC-BY-4.0"},
    }
    return parse({"datasets": {"growth": entry}}, __file__).datasets["growth"]


if __name__ == "__main__":
    run_stage(sys.argv[1], Path(sys.argv[2]))
