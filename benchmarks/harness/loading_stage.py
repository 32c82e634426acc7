"""One process that `benchmarks/loading.py` measures: our stage `ingest`, as `dvc repro` runs it.

    python loading_stage.py SOURCE.json OUT

SOURCE.json is what stands under `source:` in params.yaml.
"""

import json
import sys
from pathlib import Path

import tasks.__main__  # noqa: F401  what `python -m tasks` tells Arrow's allocator
from tasks.params import parse
from tasks.stages.ingest import ingest


def main(source: Path, out: Path) -> None:
    """Read the source into the folder `out`."""
    entry = {
        "kind": "tabular",
        "schedule": None,
        "seed": 0,
        "target": None,
        "constraints": [],
        "source": json.loads(source.read_text()),
        "clean": {},
        "split": {},
        "balance": {},
        "generator": "autoregressive",
        "generator_params": {},
        "train": {},
        "sample": {},
        "evaluate": {},
        "thresholds": {},
        "publish": {"title": "Loading", "description": "Loading", "license": "CC-BY-4.0"},
    }
    params = parse({"datasets": {"loading": entry}}, __file__).datasets["loading"]
    ingest(out, params, project=source.parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
