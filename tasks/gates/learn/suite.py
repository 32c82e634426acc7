"""A suite from the rows of a table: what is learned, tried on halves of the rows, put in order."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from tasks.gates.chance import JUDGES, judge, repeated_rows
from tasks.gates.learn.columns import (
    REAL_ONLY,
    REPEATED,
    SYNTHETIC_ONLY,
    learn_column,
    repeats,
)
from tasks.gates.learn.pairs import learn_pairs
from tasks.gates.learn.rounding import rows_told
from tasks.gates.learn.rules import learn_rules
from tasks.gates.suites import Expected
from tasks.schema import TableSchema

FALSE_ALARMS = 0.001
"""Chance that a suite refuses fresh rows of the same source, divided among its expectations."""

_TRIALS, _TRIALS_OF_MANY, _MANY = 10, 3, 20_000
"""Halvings that a suite is tried on; fewer where there are many rows."""

_LEAST_ROWS, _MOST_ROWS = 0.6, 10
"""Rows, as a multiple of those learned from, at which a table counts as truncated or blown up."""


@dataclass(frozen=True)
class LearnedTable:
    """What was learned of one table.

    Attributes:
        expectations: with everything filled in.
        given_up: what held in all rows, but not in a half of them by what the other half taught.
    """

    expectations: tuple[Expected, ...]
    given_up: tuple[Expected, ...]

    def of_real_data(self) -> Self:
        """Less what is asked of synthetic data only."""
        kept = tuple(e for e in self.expectations if e.points != SYNTHETIC_ONLY)
        return dataclasses.replace(self, expectations=kept)


def learn_table(
    frame: pd.DataFrame, table: TableSchema, n_rows: int, rng: np.random.Generator
) -> LearnedTable:
    """Learn the expectations of one table.

    Args:
        frame: all of its rows, or as many as stand for them, drawn at random.
        table: its schema.
        n_rows: how many rows it has.
        rng: draws the halves.
    """
    learned = list(_learned(frame, table))
    broken, dispersions = _tried(frame, table, rng)
    given_up = [e for e in learned if _key(e) in broken and _key(e) not in dispersions]
    kept = [_widened(e, dispersions.get(_key(e), 0.0)) for e in learned if e not in given_up]
    kept = [*_of_table(table, n_rows), *kept]
    return LearnedTable(tuple(with_alpha(kept)), tuple(given_up))


def with_alpha(expectations: Iterable[Expected]) -> Iterator[Expected]:
    """Divide the chance of a false alarm among those that allow for one."""
    expectations = list(expectations)
    n_chances = sum("alpha" in e.kwargs for e in expectations)
    share = FALSE_ALARMS / max(1, n_chances)
    alpha = float(f"{share * (1 - 1e-9):.0e}")
    for e in expectations:
        if "alpha" in e.kwargs:
            e = dataclasses.replace(e, kwargs={**e.kwargs, "alpha": alpha})
        yield e


def breaks(expected: Expected, frame: pd.DataFrame) -> bool:
    """Whether rows do not meet an expectation of `learn_table`; what Great Expectations finds too."""
    kwargs = expected.kwargs
    if expected.type in JUDGES:
        if not expected.named <= set(frame.columns):
            return True
        try:
            return not judge(expected.type, frame, kwargs).passed
        except (TypeError, ValueError, AttributeError):
            return True
    if expected.type == "expect_table_columns_to_match_ordered_list":
        return bool(list(frame.columns) != kwargs["column_list"])
    if expected.type == "expect_table_row_count_to_be_between":
        return len(frame) not in range(kwargs["min_value"], kwargs["max_value"] + 1)
    return kwargs["column"] not in frame or _breaks_strictly(expected, frame[kwargs["column"]])


def _breaks_strictly(expected: Expected, values: pd.Series) -> bool:
    """Whether a value does not meet an expectation of the library that is about every one."""
    known = values.dropna()
    match expected.type:
        case "expect_column_values_to_not_be_null":
            return bool(values.isna().any())
        case "expect_column_values_to_be_unique":
            return bool(known.duplicated().any())
        case "expect_column_values_to_be_in_set":
            return not known.isin(expected.kwargs["value_set"]).all()
        case "expect_column_values_to_be_between":
            low, high = expected.kwargs["min_value"], expected.kwargs["max_value"]
            return not pd.api.types.is_numeric_dtype(known) or not known.between(low, high).all()
        case _:
            raise ValueError(f"expected a type that is learned, found {expected.type!r}")


def _of_table(table: TableSchema, n_rows: int) -> list[Expected]:
    names = {"column_list": table.column_names}
    low, high = max(1, rows_told(int(n_rows * _LEAST_ROWS))), rows_told(n_rows) * _MOST_ROWS
    rows = {"min_value": low, "max_value": high}
    return [
        Expected("expect_table_columns_to_match_ordered_list", names, None, None),
        Expected("expect_table_row_count_to_be_between", rows, None, None, REAL_ONLY),
    ]


def _learned(frame: pd.DataFrame, table: TableSchema) -> Iterator[Expected]:
    columns = [c for c in table.columns if c.meaning != "image"]
    for column in columns:
        yield from learn_column(frame[column.name], column)
    yield from learn_rules(frame, columns)
    yield from learn_pairs(frame, columns)
    told = [c.name for c in columns if c.meaning != "identifier"]
    # Images differ where labels and sizes do not.
    if told and len(columns) == len(table.columns):
        repeated, pairs = repeated_rows(frame, told)
        if repeated <= REPEATED * len(frame):
            yield repeats(len(frame), told, pairs)


def _tried(
    frame: pd.DataFrame, table: TableSchema, rng: np.random.Generator
) -> tuple[set[Any], dict[Any, float]]:
    """Learn from halves of the rows and hold the other halves against it.

    Returns:
        The keys of what was broken, and how large distances were over what chance is allowed.
    """
    n_trials = _TRIALS if len(frame) <= _MANY else _TRIALS_OF_MANY
    broken: set[Any] = set()
    dispersions: dict[Any, float] = {}
    for _ in range(n_trials):
        order = rng.permutation(len(frame))[: 2 * _MANY]
        half = len(order) // 2
        learned = frame.iloc[order[:half]].reset_index(drop=True)
        fresh = frame.iloc[order[half:]].reset_index(drop=True)
        for e in with_alpha(_learned(learned, table)):
            if e.type in JUDGES and "margin" in e.kwargs:
                found = judge(e.type, fresh, e.kwargs).dispersion
                dispersions[_key(e)] = max(found, dispersions.get(_key(e), 0.0))
            elif breaks(e, fresh):
                broken.add(_key(e))
    return broken, dispersions


def _key(expected: Expected) -> tuple[str, str, str, str]:
    """What stays the same when it is learned from other rows."""
    kwargs = expected.kwargs
    kind = "edges" if kwargs.get("edges") is not None else ""
    return expected.type, expected.target, str(kwargs.get("of", kwargs.get("rule"))), kind


def _widened(expected: Expected, dispersion: float) -> Expected:
    """Distances that were larger than chance among halves are allowed to be so, and a quarter more."""
    if dispersion <= 1:
        return expected
    kwargs = {**expected.kwargs, "dispersion": math.ceil(12.5 * dispersion) / 10}
    return dataclasses.replace(expected, kwargs=kwargs)
