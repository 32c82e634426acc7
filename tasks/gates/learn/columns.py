"""What is learned of one column at a time."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tasks.gates.chance import repeated_rows
from tasks.gates.learn.patterns import learn_pattern
from tasks.gates.learn.ranges import learn_bounds
from tasks.gates.learn.rounding import (
    FEW,
    NAMED_ROWS,
    count_told,
    rounded,
    rows_told,
    share_told,
    step_of,
)
from tasks.gates.measures import Of, flagged, kind_of, measured
from tasks.gates.suites import Expected
from tasks.schema import Column

REAL_ONLY = ("clean",)
"""At the gate of synthetic data chance is not judged: its metrics say how it differs from real data."""

MARGIN = 0.005
"""A drift (KS or PSI) that would not matter were it known exactly."""

MAX_LISTED = 100
"""Values that are listed of a column at most, the commonest ones."""

_QUANTILES = np.linspace(0.05, 0.95, 19)
_CLOSED_SHARE, _CLOSED_ROWS = 0.05, 400
"""Share that the rarest value must have, and rows that there must be, for the list to be complete.

Of fewer rows a category that one in a hundred has may be absent by chance, and every fresh row of it
would be refused; how many are not in the list is then counted.
"""

_FEWEST = 20
"""Rows with which a column is learned at all, and missing rows that may become too few."""

REPEATED = 0.2
"""Share of repeated rows from which on repeats say nothing."""

_DENSE = 20
"""Numbers per row that identifiers may span if they count up."""

HUGE = 1e150
"""Numbers from here on, infinity among them, have no ranges: their differences overflow."""

_DAY = 86_400


def learn_column(values: pd.Series, column: Column) -> list[Expected]:
    """Expectations of one column; `alpha` is to be filled in.

    Args:
        values: the column of a frame that stands for all rows.
        column: what the schema says of it.
    """
    name, known = column.name, values.dropna()
    learned = [_missing(values, name)]
    kind = kind_of(values)
    if len(known) < _FEWEST or kind == "other":
        return learned
    learned.append(Expected("expect_column_kind_to_be", {"column": name, "kind": kind}, None, None))
    is_hidden = column.personal or column.meaning in ("identifier", "text")
    if column.meaning == "identifier":
        learned += _identity(known, name, kind)
    match kind:
        case "text":
            learned += _text(known, name, column, is_hidden=is_hidden)
        case "moment" if not is_hidden:
            learned += _moments(known, name)
        case "boolean" if not is_hidden:
            learned += _listed(known, name, [True, False])
        case "number" | "whole number" if not is_hidden:
            learned += _numbers(known, name, kind)
    return learned


def listed_values(known: pd.Series) -> list[Any]:
    """The values that enough rows have, commonest first; of equals the first in order."""
    counts = known.value_counts()
    common = counts[counts >= NAMED_ROWS]
    ordered = sorted(common.items(), key=lambda item: (-item[1], str(item[0])))[:MAX_LISTED]
    return [value.item() if hasattr(value, "item") else value for value, _ in ordered]


def is_coded(known: pd.Series) -> bool:
    """Whether few values take most rows, so that they can be listed."""
    found = listed_values(known)
    return bool(found) and float(known.isin(found).mean()) >= 0.5


def chance(kind: str, known: int, kwargs: Mapping[str, Any]) -> Expected:
    """An expectation that allows for chance, learned from so many rows; real data only."""
    told = {**kwargs, "rows": rows_told(known), "alpha": 0.0}
    return Expected(kind, told, None, None, REAL_ONLY)


def quantile_edges(found: np.ndarray, quantiles: np.ndarray = _QUANTILES) -> list[float]:
    """Rounded edges at quantiles of the values, and of those that are not the commonest one."""
    values, counts = np.unique(found, return_counts=True)
    others = found[found != values[counts.argmax()]]
    places = np.quantile(found, quantiles)
    if counts.max() > 0.1 * len(found) and len(others) >= 2 * NAMED_ROWS:
        places = np.append(places, np.quantile(others, quantiles[1::2]))
    return rounded(places, step_of(float(places.max() - places.min()), digits=3))


def moment_edges(found: np.ndarray, quantiles: np.ndarray = _QUANTILES) -> list[str]:
    """Edges of moments as ISO texts, at full hours or, over more than a month, days."""
    seconds = found.astype("datetime64[s]").astype(np.int64)
    step = _DAY if np.ptp(seconds) > 30 * _DAY else 3600
    edges = np.unique(np.round(np.quantile(seconds, quantiles) / step).astype(np.int64) * step)
    return [str(edge) for edge in edges.astype("datetime64[s]")]


def _missing(values: pd.Series, name: str) -> Expected:
    count = int(values.isna().sum())
    if count == 0:
        return Expected("expect_column_values_to_not_be_null", {"column": name}, None, None)
    return _share(values, name, "missing", fewer=count >= _FEWEST)


def _identity(known: pd.Series, name: str, kind: str) -> list[Expected]:
    """Numbers that count up are never equal; other identifiers may be, as often as they were."""
    repeated, pairs = repeated_rows(known.to_frame(), [name])
    if repeated > REPEATED * len(known):
        return []
    if repeated == 0 and kind == "whole number":
        numbers = known.astype("int64")
        if int(numbers.max()) - int(numbers.min()) < _DENSE * len(known):
            kwargs = {"column": name}
            unique = "expect_column_values_to_be_unique"
            return [Expected(unique, kwargs, None, None, REAL_ONLY)]
    return [repeats(len(known), [name], pairs)]


def repeats(n_rows: int, columns: list[str], pairs: float) -> Expected:
    """That rows repeat no more often in some columns than so many equal pairs say."""
    told = pairs * (rows_told(n_rows) / max(1, n_rows)) ** 2
    kwargs = {"column_list": columns, "pairs": float(math.ceil(told / FEW) * FEW)}
    return chance("expect_table_rows_to_repeat_as_before", n_rows, kwargs)


def _share(
    values: pd.Series, name: str, flag: Any, *, fewer: bool = False, **given: Any
) -> Expected:
    n_rows = len(values)
    count = count_told(int(flagged(values, flag, given).sum()), n_rows)
    kwargs = {"column": name, "of": flag, **given, "count": count}
    if fewer and count > FEW:
        kwargs["fewer"] = True
    return chance("expect_column_share_to_be_stable", n_rows, kwargs)


def _most_common(known: pd.Series, name: str) -> Expected:
    count = count_told(int(known.value_counts(sort=False).max()), len(known))
    kwargs = {"column": name, "count": count}
    return chance("expect_column_most_common_share_to_be_stable", len(known), kwargs)


def _numbers(known: pd.Series, name: str, kind: str) -> list[Expected]:
    found = measured(known, "value")
    if not (np.abs(found) < HUGE).all():
        # Ranges and edges of such numbers cannot be computed.
        return [_share(known, name, "zero", fewer=True), _most_common(known, name)]
    if found.min() == found.max():
        # What all rows have is not about one of them.
        only = {"column": name, "min_value": float(found[0]), "max_value": float(found[0])}
        always = Expected("expect_column_values_to_be_between", only, None, None)
        return [always, *_listed(known, name, listed_values(known)[:1])]
    bounds = learn_bounds(found)
    bound = {"column": name, "min_value": bounds.low, "max_value": bounds.high}
    learned = [
        Expected("expect_column_values_to_be_between", bound, None, None),
        _share(known, name, "zero", fewer=True),
        _most_common(known, name),
        _by_edges(found, name, "value", quantile_edges(found)),
    ]
    near: dict[str, Any] = {"min_value": bounds.near_low, "max_value": bounds.near_high}
    learned.append(_share(known, name, "outside", **near))
    if is_coded(known) and known.nunique() <= MAX_LISTED:
        learned += _listed(known, name, listed_values(known))
    if kind == "number":
        learned += _by_values(known, name, "decimals")
    return learned


def _moments(known: pd.Series, name: str) -> list[Expected]:
    found = measured(known, "value")
    seconds = found.astype(np.int64)
    spread = int(np.ptp(seconds))
    step = _DAY if spread > _DAY else 3600
    margin = max(spread // 4, step)
    ends = [(seconds.min() - margin) // step * step, -((-seconds.max() - margin) // step) * step]
    low, high = (str(np.datetime64(int(end), "s")) for end in ends)
    strict = {"column": name, "of": "outside", "min_value": low, "max_value": high}
    learned = [
        Expected("expect_column_share_to_be_stable", strict, None, None, REAL_ONLY),
        _most_common(known, name),
        *([_by_edges(found, name, "value", moment_edges(found))] if spread else []),
        *_by_values(known, name, "hour"),
    ]
    if spread > 14 * _DAY:
        learned += _by_values(known, name, "weekday")
    if spread > 60 * _DAY:
        learned += _by_values(known, name, "day")
    if spread > 365 * _DAY:
        learned += _by_values(known, name, "month")
    return learned


def _text(known: pd.Series, name: str, column: Column, *, is_hidden: bool) -> list[Expected]:
    known = known.astype(str)
    listed = [] if is_hidden else listed_values(known)
    counts = known.value_counts()
    has_all = len(listed) == len(counts) and counts.min() >= _CLOSED_SHARE * len(known)
    if has_all and len(known) >= _CLOSED_ROWS:
        kwargs = {"column": name, "value_set": sorted(listed)}
        closed = Expected("expect_column_values_to_be_in_set", kwargs, None, None)
        return [closed, *_listed(known, name, listed)]
    lengths = measured(known, "length")
    learned = [
        _share(known, name, flag) for flag in ("untrimmed", "empty", "placeholder", "damaged")
    ]
    learned.append(_share(known, name, "not ASCII", fewer=True))
    if lengths.min() < lengths.max():
        learned.append(_by_edges(lengths, name, "length", quantile_edges(lengths)))
    learned += _by_values(known, name, "length")
    if listed and float(known.isin(listed).mean()) >= 0.5:
        learned.append(_share(known, name, "unlisted", value_set=sorted(listed)))
        learned += _listed(known, name, listed)
        return learned
    learned.append(_most_common(known, name))
    if column.meaning != "text" and (regex := learn_pattern(known)):
        learned.append(_share(known, name, "unmatched", regex=regex))
    return learned


def _listed(known: pd.Series, name: str, values: list[Any]) -> list[Expected]:
    if not values:
        return []
    counts = known.value_counts()
    shares = [share_told(int(counts.get(value, 0)), len(known)) for value in values]
    kwargs = {"column": name, "of": "value", "value_set": values, "shares": shares}
    return [_distribution(len(known), kwargs)]


def _by_values(known: pd.Series, name: str, of: Of) -> list[Expected]:
    """The shares of whole numbers that are measured: lengths, decimals, hours."""
    found = pd.Series(measured(known, of))
    values = sorted(listed_values(found))
    if not values or found.isin(values).mean() < 0.5:
        return []
    counts = found.value_counts()
    shares = [share_told(int(counts[value]), len(found)) for value in values]
    whole = [int(value) for value in values]
    kwargs = {"column": name, "of": of, "value_set": whole, "shares": shares}
    return [_distribution(len(found), kwargs)]


def _by_edges(found: np.ndarray, name: str, of: Of, edges: list[Any]) -> Expected:
    places = np.asarray(edges, dtype=found.dtype)
    below = np.searchsorted(np.sort(found), places, side="right")
    shares = [share_told(int(count), len(found)) for count in below]
    kwargs = {"column": name, "of": of, "edges": edges, "shares": shares}
    return _distribution(len(found), kwargs)


def _distribution(n_rows: int, kwargs: Mapping[str, Any]) -> Expected:
    kind = "expect_column_distribution_to_be_stable"
    return chance(kind, n_rows, {**kwargs, "margin": MARGIN})
