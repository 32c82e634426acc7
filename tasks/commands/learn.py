"""`proofmint learn NAME`: profile a dataset's data and write the suites of its gates, for review."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from tasks.errors import DataError
from tasks.evaluation.base import choose
from tasks.gates.learn.files import (
    difference,
    is_untouched,
    release_text,
    suite_text,
    write_text,
)
from tasks.gates.learn.rows import learn_stored
from tasks.gates.learn.suite import LearnedTable
from tasks.gates.suites import Expected
from tasks.metrics import Family
from tasks.params import PARAMS_FILE, DatasetParams, load_dataset
from tasks.schema import SCHEMA_FILE, DatasetSchema
from tasks.seeding import rng_for
from tasks.workspace import Layout

_SHOWN_LINES = 20
_SHOWN_COLUMNS = 40
_WIDEST = 24

_HEADINGS = {
    "kind": "expect_column_kind_to_be",
    "missing": "expect_column_values_to_not_be_null",
    "range": "expect_column_values_to_be_between",
    "values": "expect_column_values_to_be_in_set",
    "shares": "expect_column_share_to_be_stable",
    "drift": "expect_column_distribution_to_be_stable",
    "pairs": "expect_column_pair_distribution_to_be_stable",
    "rules": "expect_multicolumn_rule_to_hold",
}
"""Headings of the table of what was learned, and the type that each one counts."""

_OF_DATES = ("expect_column_kind_to_be", "expect_column_values_to_not_be_null")
"""What is true of the column that rows are partitioned by, in each partition."""


def learn(root: Path, dataset: str, *, force: bool) -> int:
    """Learn the suites of the raw and, once it is there, the clean data; begin that of the release.

    The clean data is behind the gate of the raw data, so a new dataset is learned in two steps.

    Args:
        root: holds params.yaml, data/ and great_expectations/.
        dataset: an entry of params.yaml.
        force: replace suites that a person wrote or changed.

    Raises:
        ParamsError: the dataset is unknown.
        DataError: the raw data is not there yet, or too small to learn from.
    """
    params = load_dataset(root / PARAMS_FILE, dataset)
    at = Layout(root, dataset)
    if not (at.raw / SCHEMA_FILE).exists():
        raise DataError(
            f"expected the raw data of {dataset} in {at.raw}, found none; pull it with"
            f" `dvc repro ingest@{dataset}`"
        )
    _learn_suite("raw", at.raw, at, params, force=force)
    is_clean = (at.clean / SCHEMA_FILE).exists()
    if is_clean:
        _learn_suite("clean", at.clean, at, params, force=force)
    release = at.suite("release")
    if not release.exists():
        write_text(release, release_suite(release.stem, params))
        print(f"\nwrote {release.relative_to(root)}")
    print(
        "\nReview the suites as you would code (`git diff great_expectations`, docs/gates.md):"
        " ranges, lists of values, rules between columns."
        "\nA rule that generators shall keep belongs under `constraints` in params.yaml."
    )
    if not is_clean:
        print(
            f"\nThere is no clean data yet: run `dvc repro clean@{dataset}`, then `proofmint learn"
            f" {dataset}` again for the suite of the clean data."
        )
    return 0


def suite_of(
    point: Literal["raw", "clean"], folder: Path, name: str, params: DatasetParams
) -> tuple[str, dict[str, LearnedTable]]:
    """The text of the suite that is learned from stored data, and what was learned of each table.

    Args:
        point: of the gate.
        folder: the data.
        name: of the suite.
        params: of the dataset; the seed counts here.
    """
    schema = DatasetSchema.load(folder)
    learned = {
        table.name: learn_stored(folder, table, rng_for(params.seed, "learn", point, table.name))
        for table in schema.tables
    }
    if point == "raw":
        learned = {table: found.of_real_data() for table, found in learned.items()}
    if params.partition is not None:
        column = params.partition.column
        learned = {table: _of_each_partition(found, column) for table, found in learned.items()}
    tables = [
        (None if table == schema.main.name else table, found.expectations)
        for table, found in learned.items()
    ]
    return suite_text(name, tables, is_shared=point == "clean"), learned


def show_learned(learned: dict[str, LearnedTable]) -> None:
    """What was learned, a line a column."""
    for name, found in learned.items():
        _show(name, found.expectations, found.given_up)


def _of_each_partition(found: LearnedTable, column: str) -> LearnedTable:
    """Less what is true of all rows together only: how many there are, and how dates lie."""
    kept = tuple(
        e
        for e in found.expectations
        if e.type != "expect_table_row_count_to_be_between"
        and (column not in e.named or e.type in _OF_DATES)
    )
    return dataclasses.replace(found, expectations=kept)


def _learn_suite(
    point: Literal["raw", "clean"],
    folder: Path,
    at: Layout,
    params: DatasetParams,
    *,
    force: bool,
) -> None:
    """Learn one suite, write it, and show what it says of each table."""
    path = at.suite(point)
    text, learned = suite_of(point, folder, path.stem, params)
    if _write(path, text, at.root, force=force):
        show_learned(learned)


def _write(path: Path, text: str, root: Path, *, force: bool) -> bool:
    """Write a suite unless that would undo a person's work; then show what would change."""
    shown = path.relative_to(root)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        print(f"\n{shown} is as it was")
        return True
    if path.exists() and not force and not is_untouched(path):
        lines = difference(path, text)
        print(
            f"\nkept {shown}, which was written or changed by hand; copy what you want of what was"
            " learned, or replace all of it with --force:"
        )
        for line in lines[:_SHOWN_LINES]:
            print(f"  {line:.160}")
        if len(lines) > _SHOWN_LINES:
            print(f"  … and {len(lines) - _SHOWN_LINES} lines more")
        return False
    write_text(path, text)
    print(f"\nwrote {shown}")
    return True


def _show(table: str, expectations: Sequence[Expected], given_up: Sequence[Expected]) -> None:
    """A line a column: how many expectations of each kind are about it."""
    columns = list(dict.fromkeys(e.kwargs["column"] for e in expectations if "column" in e.kwargs))
    counts = {name: Counter[str]() for name in columns}
    for e in expectations:
        for name in e.named & counts.keys() if not e.type.startswith("expect_table_") else ():
            counts[name][e.type] += 1
    print(f"{table}: {len(expectations)} expectations")
    width = min(_WIDEST, max(map(len, columns), default=0))
    print(f"  {'column':{width}}  " + "  ".join(f"{heading:>7}" for heading in _HEADINGS))
    for name in columns[:_SHOWN_COLUMNS]:
        cells = "  ".join(f"{counts[name][kind] or '·':>7}" for kind in _HEADINGS.values())
        print(f"  {name[:width]:{width}}  {cells}")
    if len(columns) > _SHOWN_COLUMNS:
        print(f"  … and {len(columns) - _SHOWN_COLUMNS} columns more")
    for e in given_up:
        kind = e.type.removeprefix("expect_").replace("_", " ")
        print(f"  left out, as some rows would break it: {e.target or 'the table'}: {kind}")


def release_suite(name: str, params: DatasetParams) -> str:
    """The text of a new suite of the release: the metrics that judge it must be there.

    They are those that decide where params.yaml does not say otherwise.
    """
    families = [f for f in get_args(Family) if f != "utility" or params.target is not None]
    chosen = choose(params.kind, params.evaluate.metrics, families)
    return release_text(name, [m.name for m in chosen if m.threshold is not None and m.decisive])
