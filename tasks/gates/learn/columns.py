"""What is learned of one column at a time."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tasks.gates.chance import repeated_rows
from tasks.gates.learn.edges import DAY, moment_edges, moment_range, quantile_edges
from tasks.gates.learn.patterns import learn_pattern
from tasks.gates.learn.ranges import far_above, learn_bounds
from tasks.gates.learn.rounding import (
    FEW,
    NAMED_ROWS,
    count_told,
    rows_told,
    share_told,
)
from tasks.gates.measures import Of, flagged, kind_of, measured
from tasks.gates.suites import Expected
from tasks.schema import Column

REAL_ONLY = ("clean",)
"""At the gate of synthetic data chance is not judged: its metrics say how it differs from real data."""

SYNTHETIC_ONLY = ("synthetic",)
"""What held in all rows, but in too few for it to be asked of every real one that comes."""

ENOUGH = 400
"""Rows from which on what none of them did (be missing, be another value) is asked of every one.

Of fewer rows what one in a hundred does may be absent by chance; it is counted then.
"""

MARGIN = 0.005
"""A drift (KS or PSI) that would not matter were it known exactly."""

MAX_LISTED = 100
"""Values that are listed of a column at most, the commonest ones."""

_CLOSED_SHARE = 0.05
"""Share that the rarest of all values must have for the list to be complete."""

_TELLING = 200
"""Rows without the commonest value from which on no real number may lie beyond the far range."""

_FEWEST = 20
"""Rows with which a column is learned at all, and missing rows that may become too few."""

REPEATED = 0.2
"""Share of repeated rows from which on repeats say nothing."""

_DENSE = 20
"""Numbers per row that identifiers may span if they count up."""

HUGE = 1e150
"""Numbers from here on, infinity among them, have no ranges: their differences overflow."""

_BETWEEN = "expect_column_values_to_be_between"


def learn_column(values: pd.Series, column: Column) -> list[Expected]:
    """Expectations of one column; `alpha` is to be filled in.

    Args:
        values: the column of a frame that stands for all rows.
        column: what the schema says of it.
    """
    name, known = column.name, values.dropna()
    learned = _missing(values, name)
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


def always(kind: str, kwargs: Mapping[str, Any], *, is_sure: bool) -> Expected:
    """What held in every row: asked of every one of synthetic data, and if sure of real data too."""
    return Expected(kind, dict(kwargs), None, None, None if is_sure else SYNTHETIC_ONLY)


def _missing(values: pd.Series, name: str) -> list[Expected]:
    count = int(values.isna().sum())
    if count == 0:
        never = "expect_column_values_to_not_be_null"
        learned = always(never, {"column": name}, is_sure=len(values) >= ENOUGH)
        return [learned, *([] if learned.points is None else [_share(values, name, "missing")])]
    return [_share(values, name, "missing", fewer=count >= _FEWEST)]


def _identity(known: pd.Series, name: str, kind: str) -> list[Expected]:
    """Numbers that count up are never equal; other identifiers may be, as often as they were."""
    repeated, pairs = repeated_rows(known.to_frame(), [name])
    if repeated > REPEATED * len(known):
        return []
    if repeated == 0 and kind == "whole number" and len(known) >= ENOUGH:
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
        # What all rows have is not about one of them; what is rarer than one of them may come.
        only: dict[str, Any] = {"min_value": float(found[0]), "max_value": float(found[0])}
        return [
            always(_BETWEEN, {"column": name, **only}, is_sure=False),
            _share(known, name, "outside", **only),
            *_listed(known, name, listed_values(known)[:1]),
        ]
    bounds = learn_bounds(found)
    bound = {"column": name, "min_value": bounds.low, "max_value": bounds.high}
    learned = [
        always(_BETWEEN, bound, is_sure=_telling(found) >= _TELLING),
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


def _telling(found: np.ndarray) -> int:
    """Rows that tell how far numbers reach: not those with the commonest value."""
    return len(found) - int(np.unique(found, return_counts=True)[1].max())


def _moments(known: pd.Series, name: str) -> list[Expected]:
    found = measured(known, "value")
    seconds = found.astype(np.int64)
    spread = int(np.ptp(seconds))
    margin = max(spread // 4, DAY if spread > DAY else 3600)
    near: dict[str, Any] = moment_range(seconds.min() - margin, seconds.max() + margin)
    learned = [
        *(_far_moments(seconds, name, margin) if len(known) >= ENOUGH else []),
        _share(known, name, "outside", **near),
        _most_common(known, name),
        *([_by_edges(found, name, "value", moment_edges(found))] if spread else []),
        *_by_values(known, name, "hour"),
    ]
    if spread > 14 * DAY:
        learned += _by_values(known, name, "weekday")
    if spread > 60 * DAY:
        learned += _by_values(known, name, "day")
    if spread > 365 * DAY:
        learned += _by_values(known, name, "month")
    return learned


def _far_moments(seconds: np.ndarray, name: str, margin: int) -> list[Expected]:
    """A range that no moment may leave: for years that cannot be, not for drift."""
    middle = float(np.median(seconds))
    low, high = middle - far_above(middle - seconds), middle + far_above(seconds - middle)
    far = {"column": name, "of": "outside", **moment_range(low - margin, high + margin)}
    return [Expected("expect_column_share_to_be_stable", far, None, None, REAL_ONLY)]


def _text(known: pd.Series, name: str, column: Column, *, is_hidden: bool) -> list[Expected]:
    known = known.astype(str)
    listed = [] if is_hidden else listed_values(known)
    counts = known.value_counts()
    learned = []
    if len(listed) == len(counts) and counts.min() >= _CLOSED_SHARE * len(known):
        kwargs = {"column": name, "value_set": sorted(listed)}
        # Of a column with one value, another one may be as rare as it likes.
        is_sure = len(known) >= ENOUGH and len(listed) > 1
        learned = [always("expect_column_values_to_be_in_set", kwargs, is_sure=is_sure)]
        if is_sure:
            return learned + _listed(known, name, listed)
    lengths = measured(known, "length")
    learned += [
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
