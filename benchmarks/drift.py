"""How often made-up changes of real tables are recognised, and how often something else is reported.

    python benchmarks/drift.py adult.csv magic.csv chinook/*.csv [--rounds 40]

Each round cuts a table's rows in two snapshots and changes the later one: columns are renamed (to
other words, or to names that say nothing), retyped, given another unit, another coding or each
other's values, taken away, or new. What `tasks.profiling.drift` reports is held against what was
done. Three ways of taking a snapshot: the same rows, a fifth of them exchanged, and all of them.
"""

import argparse
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.profiling.drift import compare
from tasks.profiling.profile import DatasetProfile, profile
from tasks.schema import DatasetSchema
from tasks.sources.base import column, table_schema, with_meanings

ROWS = 20_000
SNAPSHOTS = {"the same rows": 0.0, "a fifth exchanged": 0.2, "all exchanged": 1.0}
EXACT = ("key", "meaning", "personal", "missing")
"""What the schemas and the counts say is reported as it is, and does not count here."""

FACTORS = (0.01, 1_000.0, 2.54, 0.45359237)

Change = tuple[str, str, str | None]
"""Kind, present name and earlier name."""


def main() -> None:
    """Run all rounds and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    tables = [
        (path.stem if path.stem != "train" else path.parent.name, read(path))
        for path in options.files
    ]
    for words, exchanged in SNAPSHOTS.items():
        counts: Counter[tuple[str, str]] = Counter()
        for name, table in tables:
            for round_ in range(options.rounds):
                rng = np.random.default_rng([round_, len(name), int(10 * exchanged)])
                score(table, exchanged, rng, counts)
        show(words, counts)


def read(path: Path) -> pa.Table:
    """The first rows of a CSV file, without columns in which nothing is."""
    frame = pd.read_csv(path, nrows=ROWS, keep_default_na=True)
    table = pa.Table.from_pandas(frame.dropna(axis=1, how="all"), preserve_index=False)
    fields = [
        f.with_type(pa.string()) if pa.types.is_large_string(f.type) else f for f in table.schema
    ]
    return table.cast(pa.schema(fields)).replace_schema_metadata()


def score(
    table: pa.Table,
    exchanged: float,
    rng: np.random.Generator,
    counts: Counter[tuple[str, str]],
) -> None:
    """One round: change, compare, count."""
    n_shown = table.num_rows // 2 if exchanged else table.num_rows
    order = rng.permutation(table.num_rows)
    before = order[:n_shown]
    n_new = int(exchanged * n_shown)
    after = np.concatenate([before[n_new:], order[n_shown : n_shown + n_new]])
    hidden = rng.choice(table.column_names)  # a real column that may come as a new one
    earlier = table.drop([hidden]).take(pa.array(before))
    later, done = changed(table.take(pa.array(after)), str(hidden), rng)
    reported = {
        (c.kind, str(c.column), c.was)
        for c in compare(profiled(earlier), profiled(later))
        if c.kind not in EXACT
    }
    for kind in {k for k, _, _ in done | reported}:
        for group, n in (
            ("done", done),
            ("reported", reported),
            ("right", done & reported),
        ):
            counts[kind, group] += sum(k == kind for k, _, _ in n)


def changed(table: pa.Table, hidden: str, rng: np.random.Generator) -> tuple[pa.Table, set[Change]]:
    """A table with some changes, and what they are; the column `hidden` is new or stays away."""
    done: set[Change] = set()
    if rng.random() < 0.5:
        done.add(("added", hidden, None))
    else:
        table = table.drop([hidden])
    names = [str(n) for n in rng.permutation([n for n in table.column_names if n != hidden])]
    if len(names) > 3 and rng.random() < 0.7:
        gone = names.pop()
        table = table.drop([gone])
        done.add(("removed", gone, None))
    table, swapped = swap(table, names[max(1, len(names) // 3) :], rng)
    done |= swapped
    for i, name in enumerate(names[: max(1, len(names) // 3)]):
        kinds = ["rename", "rename", "retype", "scale", "recode"]
        table, change = apply(table, name, str(rng.choice(kinds)), rng, i)
        done |= change
    return table, done


def swap(
    table: pa.Table, names: list[str], rng: np.random.Generator
) -> tuple[pa.Table, set[Change]]:
    """In half of the rounds, two columns of one type with each other's values."""
    for one, other in itertools.combinations(names, 2):
        if rng.random() < 0.5 or table[one].type != table[other].type:
            continue
        if table[one].null_count == table[other].null_count == 0:
            places = [table.column_names.index(name) for name in (one, other)]
            values = table[one], table[other]
            table = table.set_column(places[0], one, values[1])
            table = table.set_column(places[1], other, values[0])
            return table, {("swapped", one, other), ("swapped", other, one)}
    return table, set()


def apply(
    table: pa.Table, name: str, kind: str, rng: np.random.Generator, i: int
) -> tuple[pa.Table, set[Change]]:
    """One change of one column, if it can have it."""
    values = table[name]
    at = table.column_names.index(name)
    number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    few = pc.count_distinct(values).as_py() <= 32
    if kind == "rename":
        words = [
            f"{name}_new",
            f"the{name.title()}",
            f"f{rng.integers(10**6)}_{i}",
            name.upper() + "_CD",
        ]
        other = str(rng.choice(words))
        return table.rename_columns({name: other}), {("renamed", other, name)}
    if kind == "retype" and number:
        kept = pc.cast(values, pa.string() if few else pa.float64())
        if kept.type == values.type:
            return table, set()
        return table.set_column(at, name, kept), {("retyped", name, None)}
    if kind == "scale" and number and not few:
        factor = float(rng.choice(FACTORS))
        kept = pc.multiply(pc.cast(values, pa.float64()), factor)
        found: set[Change] = {("unit", name, None)}
        if values.type != kept.type:
            found.add(("retyped", name, None))
        return table.set_column(at, name, kept), found
    if kind == "recode" and few and not number and pc.count_distinct(values).as_py() > 1:
        known = pc.unique(values).drop_null()
        codes = pa.array([f"c{j}" for j in range(len(known))])
        kept = codes.take(pc.index_in(values.combine_chunks(), known))
        return table.set_column(at, name, kept), {("coding", name, None)}
    return table, set()


def schema_of(table: pa.Table) -> DatasetSchema:
    """As a source would declare it."""
    plain = table_schema("t", [column(f.name, f.type) for f in table.schema])
    return with_meanings(DatasetSchema(kind="tabular", tables=(plain,)), {"t": table}, {})


def profiled(table: pa.Table) -> DatasetProfile:
    """What is kept of a snapshot."""
    return profile(schema_of(table), {"t": table.to_batches()}, np.random.default_rng(0))


def show(words: str, counts: Counter[tuple[str, str]]) -> None:
    """The figures of one way of taking snapshots."""
    print(f"\n{words}\n{'change':<12}{'done':>7}{'reported':>10}{'precision':>11}{'recall':>8}")
    for kind in sorted({kind for kind, _ in counts}):
        done, reported, right = (counts[kind, g] for g in ("done", "reported", "right"))
        precision = f"{right / reported:.3f}" if reported else "-"
        recall = f"{right / done:.3f}" if done else "-"
        print(f"{kind:<12}{done:>7}{reported:>10}{precision:>11}{recall:>8}")


if __name__ == "__main__":
    main()
