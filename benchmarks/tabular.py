"""How good, how private and how dear is the default generator, and how are its peers?

Every system runs on the same rows of the same machine, one after the other, as a whole process
with one thread in a Python environment of its own (made at the first run, see `systems.py`): on all
training rows and, for the share of rows closer to the training data than to other real rows, on a
random half of them. Real rows that no system saw, and a bootstrap of the training rows, are
measured in the same way: what an honest generator can reach.

    python benchmarks/tabular.py                        all tables and systems: hours at first
    python benchmarks/tabular.py --systems proofmint mostlyai --tables adult --core 3
    python benchmarks/tabular.py --csv my.csv --test my_test.csv --target price

What was measured is kept in .proofmint/benchmarks/results, by table, system, version and seed, and
not measured again: a benchmark that was interrupted is continued by the same command.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from harness import figures
from harness.scores import dcr, scores, sdmetrics_scores
from harness.systems import SYSTEMS, System, run
from harness.tables import BOOTSTRAP, DATA, Table

TABLES = ("adult", "magic")


def main(arguments: list[str]) -> int:
    """Measure what is asked for and not known yet, and print it."""
    options = _options(arguments)
    for table in _tables(options):
        table.prepare()
        runs: dict[str, list[figures.Run]] = {SYSTEMS[name].label: [] for name in options.systems}
        for seed in range(options.repeats):
            for name in options.systems:
                print(f"{table.name}: {name}, seed {seed}", file=sys.stderr)
                runs[SYSTEMS[name].label].append(benchmark(table, SYSTEMS[name], seed, options))
        references = reference_scores(table)
        print(f"\n## {table.name}\n\n{figures.quality(runs, references)}\n\n{figures.cost(runs)}\n")
        print(*figures.real_lines(references[BOOTSTRAP]), sep="\n")
        print(*figures.ratios(runs, SYSTEMS[figures.OURS].label), sep="\n")
    return 0


def benchmark(
    table: Table, system: System, seed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """What a system took and how good it is; measured now as far as it is not known."""
    folder = table.folder / f"{system.name}-{system.version}-seed{seed}"
    if options.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    whole, half = folder / "whole.csv", folder / "half.csv"
    fit_sample = partial(
        run,
        system,
        discrete=table.discrete_file,
        seed=seed,
        core=options.core,
        max_cpu_seconds=options.max_cpu_seconds,
    )
    found = _known(folder / "whole.json", lambda: fit_sample(table.train, whole))
    if found["exit_status"] != 0:
        print(f"{system.name} did not end well:\n{found['output']}", file=sys.stderr)
        return found
    quality = _known(folder / "scores.json", lambda: _all_scores(table, whole))
    on_half = _known(folder / "half.json", lambda: fit_sample(table.halves[0], half))
    if on_half["exit_status"] != 0:
        return {**found, **quality}
    privacy = _known(
        folder / "dcr.json", lambda: {"dcr_share": dcr(*table.halves, half, table.discrete)}
    )
    return {**found, **quality, **privacy}


def reference_scores(table: Table) -> dict[str, figures.Run]:
    """The metrics of real rows in place of synthetic ones."""
    found = {
        label: _known(table.folder / f"{label}.json", partial(_all_scores, table, path))
        for label, path in table.references.items()
    }
    for label, path in table.references.items():
        if path == table.test:
            share = partial(dcr, *table.halves, path, table.discrete)
            privacy = _known(
                table.folder / f"{label} dcr.json", lambda share=share: {"dcr_share": share()}
            )
            # Its model learned from the very rows that it is tested on.
            found[label] = {**found[label], **privacy, "mle": None}
    return found


def _tables(options: argparse.Namespace) -> list[Table]:
    """Those that are asked for; by default those of `TABLES` that are there."""
    if options.csv:
        return [Table.of_csv(options.csv, options.test, options.target)]
    if options.tables:
        return [Table.named(name) for name in options.tables]
    there = [name for name in TABLES if (DATA / name).exists()]
    for name in sorted(set(TABLES) - set(there)):
        print(f"{name}: skipped, there is no {DATA.name}/{name} beside the repository")
    return [Table.named(name) for name in there]


def _all_scores(table: Table, synthetic: Path) -> dict[str, Any]:
    theirs = sdmetrics_scores(table.train, synthetic, table.discrete_file)
    return {**theirs, **scores(table.train, table.test, synthetic, table.discrete, table.target)}


def _known(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `path` says; if it is not there, what `measure` returns, kept unless it failed."""
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text())
        return known
    found = measure()
    if found.get("exit_status", 0) == 0:
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(found, indent=1) + "\n")
        draft.replace(path)
    return found


def _options(arguments: list[str]) -> argparse.Namespace:
    summary, _, rest = str(__doc__).partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), help="default: all")
    add("--tables", nargs="+", help=f"folders of {DATA} (default: {' '.join(TABLES)})")
    add("--csv", type=Path, help="training rows of another table")
    add("--test", type=Path, help="rows of that table that no system sees")
    add("--target", help="column of that table that a model would predict")
    add("--repeats", type=int, default=1, help="seeds; medians are shown (default: 1)")
    add("--core", type=int, help="the one processor that systems run on")
    add("--max-cpu-seconds", type=int, help="processor time after which a system is given up")
    add("--fresh", action="store_true", help="measure again what is known")
    options = parser.parse_args(arguments)
    if (options.csv is None) != (options.test is None):
        parser.error("--csv and --test go together")
    if options.csv and options.tables:
        parser.error("--csv and --tables exclude each other")
    if options.target and not options.csv:
        parser.error("--target is for --csv; other tables name theirs")
    if options.repeats < 1:
        parser.error(f"expected --repeats to be at least 1, found {options.repeats}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
