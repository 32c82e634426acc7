"""`proofmint profile SOURCE`: what a source holds, column by column, before anything is set up."""

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.commands.kinds import GENERATORS
from tasks.commands.origins import Origin, origin_of
from tasks.errors import ParamsError
from tasks.params import DatasetParams, parse
from tasks.profiling.profile import ColumnProfile, DatasetProfile, TableProfile, profile
from tasks.schema import DatasetSchema
from tasks.seeding import rng_for
from tasks.stages.ingest import ingest
from tasks.storage import read_batches
from tasks.workspace import state_of

_WIDEST_NAME = 28
_WIDEST_LOOKS = 44
_HIDDEN = ("identifier", "text", "image")


def profile_source(
    given: str,
    project: Path,
    *,
    tables: Sequence[str] = (),
    query: str | None = None,
    target: str | None = None,
    settings: Sequence[str] = (),
) -> int:
    """Read a source whole, and print what its tables and columns are.

    Args:
        given: see `origin_of`.
        project: folder from which relative paths count.
        tables: of a database.
        query: of a database.
        target: column to predict.
        settings: `KEY=VALUE` of the source.

    Raises:
        ParamsError: the arguments do not fit together.
        SourceError: there is no such source, or it cannot be read.
    """
    origin = origin_of(given, "profiled", project, tables=tables, query=query, settings=settings)
    params = params_of("profiled", origin, entry_of(origin, target))
    with draft_of(project) as draft, connected(origin):
        ingest(draft / "raw", params, project=project)
        print_profile(profile_of(draft / "raw", params))
    return 0


def entry_of(origin: Origin, target: str | None) -> dict[str, Any]:
    """The least entry of params.yaml for a source: everything else at its default."""
    return {
        "kind": origin.kind,
        "schedule": None,
        "seed": 0,
        "target": target or origin.target,
        "source": origin.source,
        "constraints": [],
        "clean": {},
        "split": {},
        "balance": {},
        "generator": GENERATORS[origin.kind],
        "generator_params": {},
        "train": {},
        "sample": {},
        "evaluate": {},
        "thresholds": {},
        "publish": {"title": "-", "description": "-", "license": "LicenseRef-unstated"},
    }


def params_of(name: str, origin: Origin, entry: dict[str, Any]) -> DatasetParams:
    """The entry as params.yaml would be read."""
    return parse({"datasets": {name: entry}}, f"the settings of {origin.source['type']}").datasets[
        name
    ]


def profile_of(raw: Path, params: DatasetParams) -> DatasetProfile:
    """The profile of a stored dataset."""
    schema = DatasetSchema.load(raw)
    rows = {table.name: read_batches(raw, table.name) for table in schema.tables}
    return profile(schema, rows, rng_for(params.seed, "profile"))


@contextlib.contextmanager
def draft_of(project: Path) -> Iterator[Path]:
    """A folder of our own for what is tried out, gone at the end; only the owner can read it."""
    folder = Path(tempfile.mkdtemp(prefix="draft-", dir=state_of(project)))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def connected(origin: Origin) -> Iterator[None]:
    """The connection's URL in this process's environment, and nowhere else."""
    if origin.connection is None:
        yield
        return
    variable, url = origin.connection
    if os.environ.get(variable, url) != url:
        raise ParamsError(
            f"the variable {variable} is set to another URL than the one given; name the variable in"
            " place of the URL, or unset it"
        )
    before = os.environ.get(variable)
    os.environ[variable] = url
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]


def print_profile(found: DatasetProfile) -> None:
    """Tables for people: a line a column."""
    for table in found.tables:
        _print_table(table, found.target)


def _print_table(table: TableProfile, target: str | None) -> None:
    key = f", key {', '.join(table.primary_key)}" if table.primary_key else ""
    print(f"\n{table.name}: {table.n_rows:,} rows, {len(table.columns)} columns{key}")
    for link in table.foreign_keys:
        there = f"{link.references} ({', '.join(link.referenced_columns)})"
        print(f"  {', '.join(link.columns)} -> {there}")
    rows: list[tuple[str, ...]] = [
        ("column", "type", "meaning", "missing", "different", "personal", "looks like")
    ]
    rows += [_cells(column, is_target=column.name == target) for column in table.columns]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        line = "  ".join(
            cell.rjust(width) if i in (3, 4) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print(f"  {line}".rstrip())


def _cells(column: ColumnProfile, *, is_target: bool) -> tuple[str, ...]:
    missing = column.n_missing / column.n_rows if column.n_rows else 0.0
    return (
        _short(column.name, _WIDEST_NAME) + (" *" if is_target else ""),
        column.type,
        column.meaning,
        f"{missing:.1%}" if missing else "·",
        f"{column.n_distinct:,}" if column.n_distinct or not column.n_rows else "·",
        column.personal or "·",
        _short(_looks(column), _WIDEST_LOOKS),
    )


def _looks(column: ColumnProfile) -> str:
    """A range, the commonest values, or, where values are nobody's business, their pattern."""
    if column.n_missing == column.n_rows:
        return "nothing but missing values"
    if column.n_distinct == 1:
        return "one value only"
    if column.personal or column.meaning in _HIDDEN:
        return ", ".join(pattern for pattern, _ in column.patterns[:2])
    if column.quantiles and column.meaning in ("numeric", "datetime"):
        ends = (
            column.quantiles[0],
            column.quantiles[len(column.quantiles) // 2],
            column.quantiles[-1],
        )
        spell = _moment if column.meaning == "datetime" else "{:.6g}".format
        return " … ".join(spell(q) for q in ends)
    return ", ".join(column.shown)


def _moment(seconds: float) -> str:
    try:
        return (
            datetime.fromtimestamp(math.floor(seconds), UTC)
            .strftime("%Y-%m-%d %H:%M")
            .removesuffix(" 00:00")
        )
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.6g} s"


def _short(text: str, width: int) -> str:
    plain = "".join(c if c.isprintable() else "·" for c in text)
    return plain if len(plain) <= width else plain[: width - 1] + "…"
