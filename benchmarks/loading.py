"""How quickly, and in how much memory, does a table become Parquet, beside other ways and the limit?

    python benchmarks/loading.py                            1,000,000 rows: minutes
    python benchmarks/loading.py --rows 10000000            the figures that count: half an hour
    python benchmarks/loading.py --rows 100000000 --systems proofmint copy --sources postgresql

From PostgreSQL, CSV and MariaDB (where it is installed): ours (the stage `ingest`, at its defaults), pandas (`read_sql`,
`read_csv`, `to_parquet`; all rows at once, as people write it), ConnectorX, DuckDB, and
`COPY … TO STDOUT` into nothing, which is the limit: a server cannot give its rows sooner. All on the
same rows of the same machine, one after the other, each a whole process; medians of several runs.
The processor time of the server is counted apart, by what its connections took.

What was measured is kept in .proofmint/benchmarks/results, and not measured again.
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from harness.loaded import Mariadb, Postgres, mariadb_running, postgres_running, tree_bytes
from harness.measured import measure
from harness.systems import HOME, ROOT, RUNNERS, System

OURS = "proofmint"
LIMIT = "copy"

_PYARROW = "pyarrow==25.0.1"
SYSTEMS = {
    OURS: System(OURS, "Proofmint `ingest`", ""),
    "pandas": System(
        "pandas",
        "pandas",
        "load_table.py",
        (
            "pandas==3.1.1",
            _PYARROW,
            "SQLAlchemy==2.1.9",
            "psycopg2-binary==2.9.13",
            "pymysql==1.2.4",
        ),
    ),
    "connectorx": System(
        "connectorx", "ConnectorX", "load_table.py", ("connectorx==0.4.6", _PYARROW)
    ),
    "duckdb": System("duckdb", "DuckDB", "load_table.py", ("duckdb==2.0.0",)),
    LIMIT: System(LIMIT, "`COPY … TO STDOUT` into nothing", "load_table.py"),
}
SOURCES = {
    "postgresql": tuple(SYSTEMS),
    "csv": (OURS, "pandas", "duckdb"),
    "mariadb": (OURS, "pandas", "connectorx", LIMIT),
}

PLACE = HOME / "loading"
"""The server, the files and what is written."""

_STAGE = Path(__file__).parent / "harness" / "loading_stage.py"

Run = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Measure what is asked for and not known yet, and print it."""
    options = _options(arguments)
    with postgres_running(PLACE) as postgres, mariadb_running(postgres) as mariadb:
        for source in options.sources:
            server = mariadb if source == "mariadb" else postgres
            if server is None:
                print("\nmariadb: skipped, it is not installed (Debian: mariadb-server)")
                continue
            systems = [name for name in SOURCES[source] if name in options.systems]
            runs: dict[str, list[Run]] = {name: [] for name in systems}
            for repeat in range(options.repeats):
                for name in systems:
                    print(f"{source}: {name}, run {repeat}", file=sys.stderr)
                    runs[name].append(_known(server, source, name, repeat, options))
            print(f"\n## {source}, {options.rows:,} rows x 12 columns\n\n{_table(runs)}\n")
            if source == "postgresql":
                print(*_bars(runs, postgres.text_bytes(options.rows)), sep="\n")
            else:
                print(*_ratios(runs), sep="\n")
    return 0


def benchmark(server: Postgres | Mariadb, source: str, name: str, n_rows: int, out: Path) -> Run:
    """What one system took, the server's part included."""
    table = server.table(n_rows)
    url = server.url
    if name == OURS:
        settings = {"type": "sql", "connection": "LOADING", "table": table}
        if isinstance(server, Postgres) and source == "csv":
            settings = {"type": "files", "path": str(server.csv(n_rows))}
        described = PLACE / "source.json"
        described.write_text(json.dumps(settings))
        command: list[str | Path] = [sys.executable, _STAGE, described, out]
    else:
        system = SYSTEMS[name]
        system.install()
        origin = ["database", url, table]
        if isinstance(server, Postgres) and source == "csv":
            origin = ["csv", str(server.csv(n_rows)), "-"]
        command = [system.python, RUNNERS / system.runner, name, *origin, out]
    before = server.cpu_seconds()
    # Python keeps what it compiled, as it does for users.
    environment = {"LOADING": url, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    usage = measure(command, environment=environment)
    found = {**asdict(usage), "server_cpu_seconds": server.cpu_seconds() - before}
    found["stored_bytes"] = tree_bytes(out) if out.exists() else 0
    return found


def _known(
    server: Postgres | Mariadb, source: str, name: str, repeat: int, options: argparse.Namespace
) -> Run:
    """What is known of a run; measured now if nothing is."""
    folder = HOME / "results" / "loading" / f"{source}-{options.rows}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{SYSTEMS[name].version}-{repeat}.json"
    if path.exists() and not options.fresh:
        known: Run = json.loads(path.read_text())
        return known
    out = PLACE / "out"
    _remove(out)
    found = benchmark(server, source, name, options.rows, out)
    _remove(out)
    if found["exit_status"] == 0:
        path.write_text(json.dumps(found, indent=1) + "\n")
    else:
        print(f"{name} did not end well:\n{found['output']}", file=sys.stderr)
    return found


def _table(runs: dict[str, list[Run]]) -> str:
    lines = [
        "| | wall s | CPU s | server's CPU s | peak MB | stored MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, all_runs in runs.items():
        well = [run for run in all_runs if run["exit_status"] == 0]
        label = SYSTEMS[name].label
        if not well:
            reason = all_runs[0]["output"].strip().splitlines()[-1:] or ["no message"]
            lines.append(f"| {label} | did not end well: {reason[0][:120]} | | | | |")
            continue
        seconds = (_median(well, f"{key}_seconds") for key in ("wall", "cpu", "server_cpu"))
        sizes = (_median(well, f"{key}_bytes") / 1e6 for key in ("peak", "stored"))
        cells = [*(f"{s:.1f}" for s in seconds), *(f"{size:.0f}" for size in sizes)]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _bars(runs: dict[str, list[Run]], n_bytes: int) -> list[str]:
    """The ratios that are promised."""
    lines = []
    if {OURS, LIMIT} <= runs.keys():
        ours, limit = runs[OURS], runs[LIMIT]
        per_core = [
            n_bytes / 1e6 / (_median(side, "cpu_seconds") + _median(side, "server_cpu_seconds"))
            for side in (ours, limit)
        ]
        walls = [n_bytes / 1e6 / _median(side, "wall_seconds") for side in (ours, limit)]
        alone = [
            n_bytes / 1e6 / seconds
            for seconds in (_median(ours, "cpu_seconds"), _median(limit, "server_cpu_seconds"))
        ]
        lines += [
            f"- the text of COPY has {n_bytes / 1e6:,.0f} MB",
            "- MB of it a second of processor time, client and server together: "
            + _beside(*per_core),
            "- MB of it a second of our processor time, beside one of the server's for COPY: "
            + _beside(*alone),
            "- MB of it a second on the wall: " + _beside(*walls),
        ]
    return lines + _ratios(runs)


def _ratios(runs: dict[str, list[Run]]) -> list[str]:
    """The time on the wall beside that of each peer that ended well."""
    seconds = {
        name: _median(all_runs, "wall_seconds")
        for name, all_runs in runs.items()
        if name != LIMIT and any(run["exit_status"] == 0 for run in all_runs)
    }
    ours = seconds.pop(OURS, None)
    if ours is None:
        return []
    return [
        f"- {SYSTEMS[name].label} takes {theirs / ours:.2f} times as long as ours, ours"
        f" {ours / theirs:.2f} times as long as it"
        for name, theirs in seconds.items()
    ]


def _beside(ours: float, limit: float) -> str:
    return f"ours {ours:.0f}, COPY {limit:.0f}, ratio {ours / limit:.2f}"


def _median(runs: list[Run], key: str) -> float:
    return float(median(run[key] for run in runs if run["exit_status"] == 0))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _options(arguments: list[str]) -> argparse.Namespace:
    summary, _, rest = str(__doc__).partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", type=int, default=1_000_000, help="of the table (default: 1,000,000)")
    add("--sources", nargs="+", choices=list(SOURCES), default=list(SOURCES), help="default: all")
    add("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), help="default: all")
    add("--repeats", type=int, default=3, help="medians of so many runs are shown (default: 3)")
    add("--fresh", action="store_true", help="measure again what is known")
    options = parser.parse_args(arguments)
    if options.rows < 1 or options.repeats < 1:
        parser.error("expected --rows and --repeats to be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
