"""The suite of a gate: a committed JSON file in the form of Great Expectations, read and checked.

    {"name": "adult_raw",
     "expectations": [{"type": "expect_column_values_to_not_be_null",
                       "kwargs": {"column": "age"},
                       "meta": {"table": "people"}}, ...]}

`meta.table` is for datasets of several tables; without it an expectation is about the main table.
`meta.points` names the gates at which it counts, where one suite serves two: the clean suite of
real data is the synthetic data's too, less what says ["clean"].
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

from tasks.errors import ParamsError
from tasks.storage import digest, read_json
from tasks.workspace import Gate

_ONE_COLUMN = ("column", "column_A", "column_B")
_ABOUT_NAMES = ("expect_table_column", "expect_column_to_exist")
"""Types, by how they begin, that look at the names of the columns and at no value."""


@dataclass(frozen=True)
class Expected:
    """One expectation.

    Attributes:
        type: snake_case, as in the gallery of Great Expectations.
        kwargs: its arguments.
        table: the table that it is about; None is the main one.
        words: what people read in place of our own description, if the suite says it.
        points: the gates at which it counts; None: at all that the suite is for.
    """

    type: str
    kwargs: dict[str, Any]
    table: str | None
    words: str | None
    points: tuple[str, ...] | None = None

    @property
    def target(self) -> str:
        """The column or columns that it is about; empty for the table as a whole."""
        if self.type.startswith("expect_table_"):
            return ""
        named = [self.kwargs[key] for key in _ONE_COLUMN if key in self.kwargs]
        return ", ".join(map(str, named or self.kwargs.get("column_list", [])))

    @property
    def named(self) -> set[str]:
        """The columns whose values it needs, as it names them."""
        if self.type.startswith(_ABOUT_NAMES):
            return set()
        named = {str(self.kwargs[key]) for key in _ONE_COLUMN if key in self.kwargs}
        return named | set(self.kwargs.get("column_list", []))

    def columns(self, known: Iterable[str]) -> set[str]:
        """Those of the `known` columns whose values it needs, those of its condition included."""
        condition = str(self.kwargs.get("row_condition", ""))
        return {name for name in known if name in self.named or name in condition}


@dataclass(frozen=True)
class Suite:
    """The expectations of one gate, in the order of the file."""

    name: str
    sha256: str
    expectations: tuple[Expected, ...]

    def of_table(self, table: str | None) -> tuple[Expected, ...]:
        """The expectations about one table."""
        return tuple(e for e in self.expectations if e.table == table)

    def at(self, gate: Gate) -> Self:
        """The suite less what does not count at a gate.

        Raises:
            ParamsError: nothing is left of it.
        """
        kept = tuple(e for e in self.expectations if e.points is None or gate in e.points)
        if not kept:
            raise ParamsError(f"suite {self.name!r} expects nothing at the gate {gate!r}")
        return dataclasses.replace(self, expectations=kept)

    @property
    def tables(self) -> list[str | None]:
        """The tables that they are about, in order of appearance."""
        return list(dict.fromkeys(e.table for e in self.expectations))


def load_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        DataError: the file is missing or is not JSON.
        ParamsError: it is no suite, or expects nothing.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("expectations"), list):
        raise ParamsError(f'expected {path} to be {{"name": …, "expectations": [ … ]}}')
    if content.get("name") != path.stem:
        raise ParamsError(f"{path} must be named {path.stem!r}, found {content.get('name')!r}")
    if not content["expectations"]:
        raise ParamsError(f"{path} expects nothing; write an expectation or remove the gate")
    expectations = tuple(
        _expected(entry, f"{path}, expectation {i}")
        for i, entry in enumerate(content["expectations"], start=1)
    )
    return Suite(path.stem, digest(path), expectations)


def _expected(entry: Any, where: str) -> Expected:
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        raise ParamsError(f'{where}: expected {{"type": …, "kwargs": {{…}}}}, found {entry!r}')
    known = {"type", "kwargs", "meta", "description", "id", "notes", "severity"}
    if unknown := sorted(set(entry) - known):
        raise ParamsError(f"{where}: unknown keys {unknown}; choose from: {sorted(known)}")
    kwargs, meta = entry.get("kwargs", {}), entry.get("meta") or {}
    if not isinstance(kwargs, dict) or not isinstance(meta, dict):
        raise ParamsError(f"{where}: expected `kwargs` and `meta` to be mappings")
    return Expected(
        entry["type"],
        kwargs,
        meta.get("table"),
        entry.get("description"),
        _points(meta.get("points"), where),
    )


def _points(points: Any, where: str) -> tuple[str, ...] | None:
    if points is None:
        return None
    known = get_args(Gate)
    if not isinstance(points, list) or not points or not set(points) <= set(known):
        raise ParamsError(
            f"{where}: expected meta.points to name some of {known}, found {points!r}"
        )
    return tuple(points)
