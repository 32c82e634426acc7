"""How good, how private and how dear is the default generator on real tables?

Trains on the training rows of each table beside the repository (shared/data), draws as many rows,
and prints every metric beside the same metric of the real test rows, with the processor time of
training and sampling. One thread, one process. Peers join this script in environments of their own.

    python benchmarks/tabular.py [adult magic ...]
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.csv as pa_csv

from tasks.metrics import read_measurements
from tasks.params import DatasetParams, parse
from tasks.schema import arrow_schema
from tasks.sources.files import open_csv
from tasks.stages.audit import audit
from tasks.stages.evaluate import evaluate
from tasks.stages.sample import sample
from tasks.stages.train import train
from tasks.storage import new_folder, write_dataset
from tasks.tracking import open_tracker

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def main(names: list[str]) -> int:
    """Benchmark the tables of these names; a table that is not there is said to be missing."""
    for name in names:
        if not (DATA / name / "train.csv").exists():
            print(f"{name}: skipped, there is no {DATA.name}/{name} beside the repository")
            continue
        with tempfile.TemporaryDirectory() as folder:
            benchmark(name, Path(folder))
    return 0


def benchmark(name: str, root: Path) -> None:
    """Print the table of one dataset."""
    params = settings(json.loads((DATA / name / "schema.json").read_text())["target"])
    prepare(name, params.target, root / "split")
    started = time.process_time()
    train(
        root / "split" / "train",
        root / "model",
        params,
        name,
        checkpoints=root / "checkpoints",
        tracker=open_tracker(None, root / "mlflow"),
    )
    trained = time.process_time()
    sample(root / "model", root / "synthetic", params)
    sampled = time.process_time()
    evaluate(root / "split", root / "synthetic", root / "evaluation", params)
    audit(root / "split", root / "synthetic", root / "audit", params)
    print(
        f"\n{name}: training {trained - started:.0f} CPU s, sampling {sampled - trained:.1f} CPU s"
    )
    print(f"{'metric':<24}{'synthetic':>12}{'real test':>12}  better")
    for m in [*read_measurements(root / "evaluation"), *read_measurements(root / "audit")]:
        shown = [f"{v:.4g}" if v is not None else "-" for v in (m.value, m.reference)]
        print(f"{m.name:<24}{shown[0]:>12}{shown[1]:>12}  {m.goal}")


def prepare(name: str, target: str | None, split: Path) -> None:
    """Training and test rows as datasets with one schema."""
    schema, batches = open_csv(DATA / name / "train.csv", target)
    types = arrow_schema(schema.main)
    options = pa_csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    test = pa_csv.read_csv(DATA / name / "test.csv", convert_options=options)
    for part, rows in (("train", batches), ("holdout", test.to_batches())):
        with new_folder(split / part) as draft:
            write_dataset(draft, schema, {schema.main.name: rows})


def settings(target: str | None) -> DatasetParams:
    """The defaults, on one thread."""
    entry = {
        "kind": "tabular",
        "schedule": None,
        "seed": 0,
        "target": target,
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
        "publish": {"title": "Benchmark", "description": "Benchmark", "license": "CC-BY-4.0"},
    }
    return parse({"datasets": {"benchmark": entry}}, "benchmarks/tabular.py").datasets["benchmark"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["adult", "magic"]))
