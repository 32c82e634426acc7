"""How do time and memory of the default generator grow with rows and with columns?

Made-up tables of growing size, the columns of mixed kinds and all correlated, go through the stages
`train` and `sample`, each a process of its own with one thread. Doubling the rows or the columns
should at most double the time.

    python benchmarks/growth.py                                  10,000 rows to 10 million: hours
    python benchmarks/growth.py --max-rows 300000 --max-columns 80

Prints a table and draws the curves into .proofmint/benchmarks/growth, where what was measured is
kept: the same command continues a benchmark that was interrupted.
"""

import argparse
import json
import math
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import made_up
from harness.measured import measure
from harness.systems import HOME, SYSTEMS

from tasks.storage import new_folder, write_dataset
from tasks.training.model import MODEL_FILE

ROWS = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
COLUMNS = (10, 20, 40, 80, 160, 320, 500)
ROWS_OF_WIDE, COLUMNS_OF_LONG = 20_000, 20

_STAGE = Path(__file__).parent / "harness" / "growth_stage.py"


def main(arguments: list[str]) -> int:
    """Measure all sizes up to those asked for, as far as they are not known yet."""
    options = _options(arguments)
    results = HOME / "growth" / SYSTEMS["proofmint"].version
    results.mkdir(parents=True, exist_ok=True)
    curves = {
        "rows": [(n, COLUMNS_OF_LONG) for n in ROWS if n <= options.max_rows],
        "columns": [(ROWS_OF_WIDE, n) for n in COLUMNS if n <= options.max_columns],
    }
    found = {
        name: [_known(results, n_rows, n_columns, options.core) for n_rows, n_columns in sizes]
        for name, sizes in curves.items()
    }
    for name, points in found.items():
        print(f"\n{table(name, points)}")
    draw(found, results / "growth.png")
    print(f"\n{results / 'growth.png'}")
    return 0


def benchmark(n_rows: int, n_columns: int, core: int | None) -> dict[str, Any]:
    """What training and sampling a table of this size took."""
    found: dict[str, Any] = {"rows": n_rows, "columns": n_columns}
    with tempfile.TemporaryDirectory(prefix="growth-", dir=HOME) as name:
        folder = Path(name)
        schema = made_up.schema_of(n_columns)
        with new_folder(folder / "train") as draft:
            write_dataset(draft, schema, {schema.main.name: made_up.rows_of(schema, n_rows)})
        for stage in ("fit", "sample"):
            usage = measure([sys.executable, _STAGE, stage, folder], core=core)
            if usage.exit_status != 0:
                raise SystemExit(f"{stage} of {n_rows} x {n_columns} failed:\n{usage.output}")
            found[stage] = {key: v for key, v in asdict(usage).items() if key != "output"}
        about = json.loads((folder / "model" / MODEL_FILE).read_text())
        found["epochs"] = about["training"]["epochs"]
    return found


def table(axis: str, points: list[dict[str, Any]]) -> str:
    """Markdown; the last columns say how time and memory grow where the size doubles."""
    head = ["rows", "columns", "epochs"]
    head += [f"{stage}, {what}" for stage in ("fit", "sample") for what in ("CPU s", "MiB")]
    head += ["time per doubling", "memory per doubling"]
    lines = [head, ["---:"] * len(head)]
    for before, point in zip([None, *points], points, strict=False):
        cells = [f"{point['rows']:,}", f"{point['columns']}", f"{point['epochs']}"]
        for stage in ("fit", "sample"):
            cells.append(f"{point[stage]['cpu_seconds']:.1f}")
            cells.append(f"{point[stage]['peak_bytes'] / 2**20:.0f}")
        if before is None:
            cells += ["-", "-"]
        else:
            cells += [
                f"{per_doubling(before[axis], point[axis], _total(before, k), _total(point, k)):.2f}"
                for k in ("cpu_seconds", "peak_bytes")
            ]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def per_doubling(size: float, larger: float, cost: float, higher: float) -> float:
    """By how much a cost is multiplied where the size doubles, from two measured points.

    >>> per_doubling(10, 40, 1, 4)
    2.0
    """
    return 2 ** (math.log(higher / cost) / math.log(larger / size))


def draw(found: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Time and memory over size, both axes logarithmic, beside growth in proportion."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, len(found), squeeze=False)
    units = {"cpu_seconds": ("CPU seconds", 1), "peak_bytes": ("peak memory, MiB", 2**20)}
    for column, (axis, points) in enumerate(found.items()):
        sizes = [point[axis] for point in points]
        for row, (key, (label, unit)) in enumerate(units.items()):
            plot = axes[row, column]
            for stage in ("fit", "sample"):
                values = [point[stage][key] / unit for point in points]
                plot.plot(sizes, values, marker="o", label=stage)
                if stage == "fit" and key == "cpu_seconds" and points:
                    line = [values[0] * size / sizes[0] for size in sizes]
                    plot.plot(sizes, line, ":", color="grey", label="in proportion")
            plot.set(xscale="log", yscale="log", xlabel=axis, ylabel=label)
            plot.legend()
    figure.savefig(path, dpi=120)


def _total(point: dict[str, Any], key: str) -> float:
    """Of both stages: their times add up, their memory does not."""
    values = [float(point[stage][key]) for stage in ("fit", "sample")]
    return sum(values) if key == "cpu_seconds" else max(values)


def _known(results: Path, n_rows: int, n_columns: int, core: int | None) -> dict[str, Any]:
    path = results / f"{n_rows}x{n_columns}.json"
    if not path.exists():
        print(f"{n_rows:,} rows x {n_columns} columns", file=sys.stderr)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(benchmark(n_rows, n_columns, core), indent=1) + "\n")
        draft.replace(path)
    known: dict[str, Any] = json.loads(path.read_text())
    return known


def _options(arguments: list[str]) -> argparse.Namespace:
    summary, _, rest = str(__doc__).partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--max-rows", type=int, default=ROWS[-1], help="default: %(default)s")
    parser.add_argument("--max-columns", type=int, default=COLUMNS[-1], help="default: %(default)s")
    parser.add_argument("--core", type=int, help="the one processor that stages run on")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
