"""Are our shape and trend errors those of SDMetrics, how much sooner, and how do they grow?

    python benchmarks/evaluation.py                          all of the following: an hour
    python benchmarks/evaluation.py --parts agreement        beside the real package
    python benchmarks/evaluation.py --parts growth           ours alone, 1 to 10 million rows x 20
    python benchmarks/evaluation.py --parts whole            evaluate and audit as a whole

Agreement: SDMetrics' quality report in an environment of its own, with both thresholds 0 and all
rows, beside ours, on the tables of shared/data and on random ones (`harness/random_tables.py`): the
largest absolute difference of each score in percent, and the processor seconds of both on one core,
medians of repeats, from data frames in memory to the two scores. Prints Markdown.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from harness import made_up, random_tables
from harness.measured import Usage, measure
from harness.systems import HOME, ROOT, RUNNERS, SDMETRICS
from harness.tables import DATA

from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.storage import new_folder, write_dataset

REAL_TABLES = ("adult", "magic")
N_RANDOM = 40
REPEATS = 5
GROWTH_ROWS = (1_000_000, 3_000_000, 10_000_000)
GROWTH_COLUMNS = 20
WHOLE = (1_000_000, 100)

_HARNESS = Path(__file__).parent / "harness"
_SCORES = ("shape_error", "trend_error")
_HOLDOUT_SHARE = 0.2


def main(arguments: list[str]) -> int:
    """Do the parts that are asked for."""
    parts = {"agreement": agreement, "growth": growth, "whole": whole}
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--core", type=int, default=0, help="the one processor of comparisons")
    parser.add_argument("--max-rows", type=int, default=GROWTH_ROWS[-1], help="of growth")
    options = parser.parse_args(arguments)
    HOME.mkdir(parents=True, exist_ok=True)
    for name in options.parts:
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=HOME) as folder:
            print(f"\n{parts[name](Path(folder), options)}")
    return 0


def agreement(folder: Path, options: argparse.Namespace) -> str:
    """Both reports of the same files; a row for each real table, and one for all random ones."""
    SDMETRICS.install()
    jobs = {name: job for table in REAL_TABLES for name, job in _real_jobs(folder, table)}
    jobs |= {f"random {seed}": _random_job(folder, seed) for seed in range(N_RANDOM)}
    (folder / "jobs.json").write_text(json.dumps(list(jobs.values())))
    commands = {
        "theirs": [SDMETRICS.python, RUNNERS / "quality_sdmetrics.py"],
        "ours": [sys.executable, _HARNESS / "quality.py"],
    }
    found = {}
    for side, command in commands.items():
        out = folder / f"{side}.json"
        _ended_well(measure([*command, folder / "jobs.json", out], core=options.core))
        found[side] = dict(zip(jobs, json.loads(out.read_text()), strict=True))
    lines = [
        [
            "rows compared",
            *(f"{name}, largest difference" for name in ("shapes", "pairs")),
            *("SDMetrics, CPU s", "ours, CPU s", "ratio"),
        ],
        ["---", *["---:"] * 5],
    ]
    groups = {name: [name] for name in jobs if not name.startswith("random")}
    groups[f"{N_RANDOM} random pairs of tables"] = [n for n in jobs if n.startswith("random")]
    for label, names in groups.items():
        differences = [
            max(_difference(found["theirs"][n][score], found["ours"][n][score]) for n in names)
            for score in _SCORES
        ]
        slow, quick = (
            sum(median(found[side][n]["cpu_seconds"]) for n in names) for side in commands
        )
        cells = [f"{slow:.2f}", f"{quick:.3f}", f"{slow / quick:.1f}"]
        lines.append([label, *(f"{d:.1e}" for d in differences), *cells])
    return _markdown(lines)


def growth(folder: Path, options: argparse.Namespace) -> str:
    """Shapes, pairs and three-way tables of longer and longer made-up tables, every row."""
    lines = [
        ["rows", "columns", "load, CPU s", "shapes", "pairs", "three-way", "in all", "peak MiB"],
        ["---:"] * 8,
    ]
    for n_rows in GROWTH_ROWS:
        if n_rows > options.max_rows:
            continue
        _made_up(folder / "data", n_rows, GROWTH_COLUMNS)
        usage = _stage("fidelity", folder / "data", cores=1)
        took = json.loads((folder / "data" / "fidelity.json").read_text())
        shapes = took["shape_error"] + took["worst_shape_error"]
        pairs = took["trend_error"] + took["trend_error_real_bins"]
        parts = (took["load"], shapes, pairs, took["three_way_error"], usage.cpu_seconds)
        peak = f"{usage.peak_bytes / 2**20:.0f}"
        lines.append([f"{n_rows:,}", f"{GROWTH_COLUMNS}", *(f"{s:.1f}" for s in parts), peak])
        shutil.rmtree(folder / "data")
    return _markdown(lines)


def whole(folder: Path, _: argparse.Namespace) -> str:
    """All metrics of both stages; and which of them take longest."""
    lines = [
        ["data", "cores", "stage", "wall s", "CPU s", "peak MiB", "slowest metrics, CPU s"],
        ["---", "---:", "---", "---:", "---:", "---:", "---"],
    ]
    tables = {f"{WHOLE[0]:,} x {WHOLE[1]}": 2}
    if (DATA / "adult").exists():
        tables = {"adult": 1, **tables}
    for label, cores in tables.items():
        if label == "adult":
            _adult(folder / label)
        else:
            _made_up(folder / label, *WHOLE)
        for stage in ("evaluate", "audit"):
            usage = _stage(stage, folder / label, cores=cores)
            took = json.loads((folder / label / f"{stage}.json").read_text())
            slowest = sorted(took.items(), key=lambda item: -item[1])[:5]
            figures = (usage.wall_seconds, usage.cpu_seconds, usage.peak_bytes / 2**20)
            names = ", ".join(f"{name} {seconds:.0f}" for name, seconds in slowest)
            lines.append([label, f"{cores}", stage, *(f"{one:.0f}" for one in figures), names])
    return _markdown(lines)


def _stage(stage: str, folder: Path, cores: int) -> Usage:
    """A process that may use the first so many processors."""
    allowed = ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[:cores])
    command = ["taskset", "-c", allowed, sys.executable, _HARNESS / "evaluation_stage.py"]
    return _ended_well(measure([*command, stage, folder], environment={"PYTHONPATH": str(ROOT)}))


def _ended_well(usage: Usage) -> Usage:
    if usage.exit_status != 0:
        raise SystemExit(f"a process that was measured failed:\n{usage.output}")
    return usage


def _real_jobs(folder: Path, table: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A real table beside its test rows, a bootstrap of itself and itself with columns shuffled."""
    if not (DATA / table).exists():
        print(f"{table}: skipped, there is no {DATA.name}/{table} beside the repository")
        return
    kinds = _kinds(table)
    train, test = (_read(DATA / table / f"{part}.csv", kinds) for part in ("train", "test"))
    rng = np.random.default_rng(0)
    others = {
        "test rows": test,
        "bootstrap": train.sample(frac=1.0, replace=True, random_state=rng),
        "columns shuffled": pd.DataFrame({c: rng.permutation(train[c]) for c in train}),
    }
    for label, other in others.items():
        yield f"{table}, {label}", _job(folder / f"{table} {label}", (train, other), kinds, REPEATS)


def _random_job(folder: Path, seed: int) -> dict[str, Any]:
    real, other, kinds = random_tables.pair(seed)
    return _job(folder / f"random {seed}", (real, other), kinds, 1)


def _job(
    folder: Path,
    frames: tuple[pd.DataFrame, pd.DataFrame],
    kinds: random_tables.Kinds,
    repeats: int,
) -> dict[str, Any]:
    """Two tables as files; see `peers/phases.jobs`."""
    folder.mkdir()
    files = {"real": folder / "real.csv", "other": folder / "other.csv"}
    for path, frame in zip(files.values(), frames, strict=True):
        frame.to_csv(path, index=False)
    paths = {side: str(path) for side, path in files.items()}
    return {**paths, "kinds": kinds, "repeats": repeats}


def _kinds(table: str) -> random_tables.Kinds:
    about = json.loads((DATA / table / "schema.json").read_text())["columns"]
    return {
        name: "numerical" if kind == "numerical" else "categorical" for name, kind in about.items()
    }


def _read(path: Path, kinds: random_tables.Kinds) -> pd.DataFrame:
    texts = {name: str for name, kind in kinds.items() if kind != "numerical"}
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])[list(kinds)]


def _difference(one: float | None, other: float | None) -> float:
    """Of two scores; that one is there and the other is not is as different as can be."""
    if one is None or other is None:
        return 0.0 if one is other else 100.0
    return abs(one - other)


def _adult(folder: Path) -> None:
    """Real rows, and a bootstrap of the training rows in place of synthetic ones."""
    kinds = _kinds("adult")
    columns = tuple(
        Column(name=name, type="double", meaning="numeric")
        if kind == "numerical"
        else Column(name=name, type="string", meaning="categorical")
        for name, kind in kinds.items()
    )
    target = json.loads((DATA / "adult" / "schema.json").read_text())["target"]
    schema = DatasetSchema(
        kind="tabular", tables=(TableSchema(name="rows", columns=columns),), target=target
    )
    train, test = (_read(DATA / "adult" / f"{part}.csv", kinds) for part in ("train", "test"))
    made = train.sample(frac=1.0, replace=True, random_state=0)
    parts = {"split/train": train, "split/holdout": test, "synthetic": made}
    for place, frame in parts.items():
        rows = pa.Table.from_pandas(frame, preserve_index=False)
        with new_folder(folder / place) as draft:
            write_dataset(draft, schema, {"rows": rows.to_batches()})


def _made_up(folder: Path, n_rows: int, n_columns: int) -> None:
    """Training rows, a fifth of them as holdout, and as many other rows as if synthetic."""
    schema = made_up.schema_of(n_columns)
    target = schema.main.columns_of("boolean")[0].name
    schema = schema.model_copy(update={"target": target})
    n_holdout = int(n_rows * _HOLDOUT_SHARE)
    batches = _by_thousand(made_up.rows_of(schema, 2 * n_rows + n_holdout))
    for place, n in (("split/train", n_rows), ("split/holdout", n_holdout), ("synthetic", n_rows)):
        with new_folder(folder / place) as draft:
            write_dataset(draft, schema, {schema.main.name: islice(batches, n // 1000)})


def _by_thousand(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, 1000):
            yield batch.slice(start, 1000)


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
