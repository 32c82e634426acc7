"""Schema drift: what has changed in a source since its last snapshot, by two profiles of it.

Columns of one name are one column, unless two of them have each other's values. Of the others, one
that went and one that came are one column under another name where its values, or its distribution
and its name, say so; each is matched once, so that the sum of the confidences is largest.

Source: assignment by Kuhn 1955, as solved by Crouse 2016 (SciPy's `linear_sum_assignment`).
"""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.optimize import linear_sum_assignment

from tasks.profiling.likeness import Kept, Likeness, is_fine, name_likeness
from tasks.profiling.meanings import Kind, findings
from tasks.profiling.profile import ColumnProfile, DatasetProfile, TableProfile

CONFIDENT = 0.65
"""Confidence from which two names are taken for one column."""

_TOUCHED = 0.3
"""Content below which a column of the same name may hold another one's values."""


class Change(BaseModel):
    """One thing that is not as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(description="what has changed")
    table: str = Field(description="the table, by its present name")
    column: str | None = Field(default=None, description="the column, by its present name")
    was: str | None = Field(default=None, description="the name before, where it was another")
    confidence: float = Field(default=1.0, description="how sure the recognition is, 0 to 1")
    text: str = Field(description="a sentence for people")


def compare(before: DatasetProfile, after: DatasetProfile) -> list[Change]:
    """What has changed, table by table, in the order of the present columns."""
    changes: list[Change] = []
    pairs, gone, new = _matched_tables(before.tables, after.tables)
    names = {one.name: other.name for one, other in pairs}
    changes += [
        Change(kind="table removed", table=t.name, text=f"table {t.name!r} is gone") for t in gone
    ]
    changes += [
        Change(kind="table added", table=t.name, text=f"table {t.name!r} is new") for t in new
    ]
    for one, other in pairs:
        if one.name != other.name:
            text = f"table {one.name!r} is called {other.name!r} now"
            changes.append(Change(kind="table renamed", table=other.name, was=one.name, text=text))
        # Of numbers near the largest, differences and products are infinite, and like nothing.
        with np.errstate(all="ignore"):
            changes += _compare_tables(one, other, names)
    return changes


def _matched_tables(
    before: Sequence[TableProfile], after: Sequence[TableProfile]
) -> tuple[list[tuple[TableProfile, TableProfile]], list[TableProfile], list[TableProfile]]:
    """Tables that are one, tables that went and tables that came."""
    known = {table.name: table for table in before}
    pairs = [(known[table.name], table) for table in after if table.name in known]
    present = {table.name for table in after}
    gone = [table for table in before if table.name not in present]
    new = [table for table in after if table.name not in known]
    scores = np.array([[_table_likeness(one, other) for other in new] for one in gone])
    for i, j in _assigned(scores, CONFIDENT):
        pairs.append((gone[i], new[j]))
    matched = {table.name for pair in pairs for table in pair}
    return (
        pairs,
        [table for table in gone if table.name not in matched],
        [table for table in new if table.name not in matched],
    )


def _table_likeness(one: TableProfile, other: TableProfile) -> float:
    """Share of the columns that have one of the same name and type on the other side."""
    columns = [{(c.name.lower(), c.type) for c in table.columns} for table in (one, other)]
    shared = len(columns[0] & columns[1]) / max(1, len(columns[0] | columns[1]))
    return 1 - (1 - shared) * (1 - 0.3 * name_likeness(one.name, other.name))


def _assigned(scores: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Pairs of rows and columns, each at most once, with the largest sum of scores."""
    if scores.size == 0:
        return []
    # What is not good enough shall not push a good pair aside.
    rows, columns = linear_sum_assignment(np.where(scores >= least, scores, 0.0), maximize=True)
    return [(i, j) for i, j in zip(rows, columns, strict=True) if scores[i, j] >= least]


def _compare_tables(
    before: TableProfile, after: TableProfile, tables: dict[str, str]
) -> list[Change]:
    known = {c.name: c for c in before.columns}
    kept = _kept(before, after)
    same = {c.name: Likeness(known[c.name], c, kept) for c in after.columns if c.name in known}
    swapped = _swapped(list(same.values()), kept)
    present = {c.name for c in after.columns}
    gone = [c for c in before.columns if c.name not in present]
    new = [c for c in after.columns if c.name not in known]
    renamed = _renamed(gone, new, kept)
    taken = {alike.before.name for alike in renamed.values()}
    changes = []
    for column in after.columns:
        where = {"table": after.name, "column": column.name}
        shown = f"{after.name}.{column.name}"
        alike = swapped.get(column.name) or renamed.get(column.name) or same.get(column.name)
        if alike is None:
            text = f"{shown} is new: {column.type}, {column.meaning}"
            changes.append(Change(kind="added", text=text, **where))
            continue
        if alike.before.name != column.name:
            kind: Kind = "swapped" if column.name in swapped else "renamed"
            sure = round(alike.confidence, 2)
            text = f"{shown} was called {alike.before.name!r} ({sure:.2f})"
            if kind == "swapped":
                text = f"{shown} has the values that {alike.before.name!r} had ({sure:.2f})"
            changes.append(
                Change(kind=kind, was=alike.before.name, confidence=sure, text=text, **where)
            )
        changes += [Change(kind=f.kind, text=f"{shown} {f.text}", **where) for f in findings(alike)]
    changes += [
        Change(
            kind="removed", table=after.name, column=c.name, text=f"{after.name}.{c.name} is gone"
        )
        for c in gone
        if c.name not in taken
    ]
    columns = {alike.before.name: name for name, alike in renamed.items()}
    return changes + _compare_keys(before, after, columns, tables)


def _kept(before: TableProfile, after: TableProfile) -> Kept:
    """The share of their values that columns of one name have kept.

    Where no column tells rows apart, nobody knows whether they are the same rows: then none may be.
    """
    known = {c.name: c for c in before.columns}
    shares: dict[bool, list[float]] = {True: [], False: []}
    for column in after.columns:
        if column.name in known and column.n_distinct:
            alike = Likeness(known[column.name], column)
            shares[is_fine(known[column.name])].append(alike.same_values)
    # The median: a few columns that were touched say nothing about the rows.
    fine, coarse = shares[True] or [0.0], shares[False] or [1.0]
    return Kept(float(np.median(fine)), float(np.median(coarse)))


def _renamed(
    gone: Sequence[ColumnProfile], new: Sequence[ColumnProfile], kept: Kept
) -> dict[str, Likeness]:
    """By present name, columns that had another name."""
    alike = [[Likeness(one, other, kept) for other in new] for one in gone]
    scores = np.array([[a.confidence for a in row] for row in alike])
    return {new[j].name: alike[i][j] for i, j in _assigned(scores, CONFIDENT)}


def _swapped(same: Sequence[Likeness], kept: Kept) -> dict[str, Likeness]:
    """By name, columns that hold what another one held, which holds what a third one held, and so on."""
    touched = [alike for alike in same if alike.content < _TOUCHED]
    alike = [[Likeness(a.before, b.after, kept) for b in touched] for a in touched]
    scores = np.array([[a.content for a in row] for row in alike])
    found = {i: j for i, j in _assigned(scores, 0.8) if i != j}
    circles = {i: j for i, j in found.items() if i in found.values() and j in found}
    return {touched[j].after.name: alike[i][j] for i, j in circles.items()}


def _compare_keys(
    before: TableProfile, after: TableProfile, columns: dict[str, str], tables: dict[str, str]
) -> list[Change]:
    """Keys, by the present names of what they are made of."""
    changes = []
    primary = tuple(columns.get(name, name) for name in before.primary_key)
    if primary != after.primary_key:
        was, now = (", ".join(key) or "none" for key in (before.primary_key, after.primary_key))
        text = f"the primary key of {after.name!r} was {was} and is {now}"
        changes.append(Change(kind="key", table=after.name, text=text))
    links = [
        {
            (
                tuple(names.get(c, c) for c in key.columns),
                renames.get(key.references, key.references),
            )
            for key in table.foreign_keys
        }
        for table, names, renames in ((before, columns, tables), (after, {}, {}))
    ]
    for found, verb, end in (
        (links[0] - links[1], "does not link", " any more"),
        (links[1] - links[0], "links", " now"),
    ):
        for own, other in sorted(found):
            text = f"{after.name}.{', '.join(own)} {verb} to {other!r}{end}"
            changes.append(Change(kind="key", table=after.name, column=own[0], text=text))
    return changes
