"""What learned expectations look at in columns: lengths, decimals, hours, flagged rows, cells.

Values are never returned to anybody who shows them; rows are counted.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

Kind = Literal["whole number", "number", "boolean", "moment", "text", "other"]
Of = Literal["value", "length", "decimals", "hour", "weekday", "day", "month"]
Flag = Literal[
    "missing",
    "zero",
    "outside",
    "unlisted",
    "unmatched",
    "untrimmed",
    "empty",
    "placeholder",
    "not ASCII",
    "damaged",
]
Rule = Literal["at most", "equal", "sum", "product", "determines", "missing with"]

KINDS, MEASURES, FLAGS, RULES = (get_args(alias) for alias in (Kind, Of, Flag, Rule))

DECIMALS = 9
"""Decimals that are told apart; numbers with more are one cell."""

_PLACEHOLDER = r"(?i)null|none|nan|n/?a|nil|missing|unknown|undefined|\?+|-+|\.+|#n/a|tbd|xxx+"
_DAMAGED = "\ufffd|Ã[\u0080-\u00bf]|Ã.|Â[\u0080-\u00bf]|â€|Ð.Ð|ï»¿"
"""UTF-8 that was read as Latin-1 or Windows-1252, and what decoders put for bytes they cannot read."""

_RELATIVE = 1e-9
_HALF_CENT = 0.0051
"""What sums and products may be off by: relative to their size, and rounding to two decimals."""


def kind_of(values: pd.Series) -> Kind:
    """What a column of a frame holds, however it says that values are missing."""
    by_type: dict[Kind, Callable[[Any], bool]] = {
        "boolean": pd.api.types.is_bool_dtype,
        "whole number": pd.api.types.is_integer_dtype,
        "number": pd.api.types.is_float_dtype,
        "moment": pd.api.types.is_datetime64_any_dtype,
    }
    for kind, has in by_type.items():
        if has(values.dtype):
            return kind
    known = values.dropna()
    if len(known) and known.map(lambda v: isinstance(v, bool | np.bool_)).all():
        return "boolean"
    is_text = (
        isinstance(values.dtype, pd.StringDtype) or known.map(lambda v: isinstance(v, str)).all()
    )
    return "text" if is_text else "other"


def measured(values: pd.Series, of: Of) -> np.ndarray:
    """(N,) what is measured of each value that is not missing.

    Numbers are float64, moments datetime64[s] of UTC, texts and booleans stay what they are.
    """
    known = values.dropna()
    if of == "length":
        return known.astype(str).str.len().to_numpy(dtype=np.float64)
    if pd.api.types.is_datetime64_any_dtype(known.dtype):
        if getattr(known.dt, "tz", None) is not None:
            known = known.dt.tz_convert("UTC").dt.tz_localize(None)
        if of == "value":
            return known.to_numpy().astype("datetime64[s]")
        part = "day_of_week" if of == "weekday" else of
        return np.asarray(getattr(known.dt, part), dtype=np.float64)
    if pd.api.types.is_numeric_dtype(known.dtype) and not pd.api.types.is_bool_dtype(known.dtype):
        numbers = known.to_numpy(dtype=np.float64)
        return _decimals(numbers) if of == "decimals" else numbers
    if of != "value":
        raise TypeError(f"expected a column that has {of!r}, found {kind_of(values)}")
    return known.to_numpy(dtype=object)


def flagged(values: pd.Series, flag: Flag, given: Mapping[str, Any]) -> np.ndarray:
    """(N,) bool: the rows that a flag is about; of a missing value only `missing` is.

    Args:
        values: one column.
        flag: which.
        given: `min_value` and `max_value` of "outside", `value_set` of "unlisted", `regex` of
            "unmatched".
    """
    if flag == "missing":
        return values.isna().to_numpy(dtype=bool)
    result: np.ndarray = np.zeros(len(values), dtype=bool)
    is_known = values.notna().to_numpy(dtype=bool)
    result[is_known] = _flagged(values[is_known], flag, given)
    return result


def cells_of(values: pd.Series, cells: Mapping[str, Any]) -> np.ndarray:
    """(N,) the cell of each row, from 0 to `n_cells(cells)` - 1; the last one is of missing values.

    Args:
        values: one column.
        cells: `of`, and `edges` (ascending; a cell ends with its edge) or `value_set` (the cell
            after these is of all others).
    """
    is_known = values.notna().to_numpy(dtype=bool)
    result = np.full(len(values), n_cells(cells) - 1, dtype=np.int64)
    found = measured(values, cells.get("of", "value"))
    if "edges" in cells:
        result[is_known] = np.searchsorted(edges_as(found, cells["edges"]), found, side="left")
    else:
        places = pd.Index(cells["value_set"]).get_indexer(pd.Index(found))
        result[is_known] = np.where(places < 0, len(cells["value_set"]), places)
    return result


def n_cells(cells: Mapping[str, Any]) -> int:
    """How many cells there are, the one of missing values included."""
    return len(cells["edges" if "edges" in cells else "value_set"]) + 2


def edges_as(found: np.ndarray, edges: Sequence[Any]) -> np.ndarray:
    """Edges as they stand in a suite, in the type of the values: moments are ISO texts there."""
    is_moment = found.dtype.kind == "M"
    return np.asarray(edges, dtype="datetime64[s]" if is_moment else np.float64)


def breaking(frame: pd.DataFrame, columns: Sequence[str], rule: Rule) -> tuple[int, int]:
    """How many rows break a rule about columns, and of how many that it says something about.

    "at most": the first is no larger than the second; "sum", "product": the last is what the two
    before it give; "determines": rows with equal values in the first have equal ones
    in the second; "missing with": where the first is missing, so is the second.
    """
    if rule == "missing with":
        first, second = (frame[name].isna().to_numpy(dtype=bool) for name in columns)
        return int((first & ~second).sum()), len(frame)
    known = frame[list(columns)].dropna()
    if rule == "determines":
        return len(known) - _largest_groups(known, *columns), len(known)
    values = [measured(known[name], "value") for name in columns]
    if rule == "at most":
        return int((values[0] > values[1]).sum()), len(known)
    if rule == "equal":
        return int((values[0] != values[1]).sum()), len(known)
    operation = {"sum": np.add, "product": np.multiply}[rule]
    expected = operation(values[0], values[1])
    return int((~is_close(expected, values[2])).sum()), len(known)


def is_close(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Equal but for rounding to two decimals, and for what floats lose."""
    size = np.maximum(np.abs(expected), np.abs(found))
    # Small numbers would all be equal within half a cent.
    allowed = np.where(size > 1.0, _HALF_CENT, 0.0) + _RELATIVE * size
    return np.asarray(np.abs(expected - found) <= allowed)


def _largest_groups(known: pd.DataFrame, first: str, second: str) -> int:
    """Rows that have the commonest value of the second column among equals in the first."""
    counts = known.groupby([first, second], observed=True, sort=False).size()
    return int(counts.groupby(level=0, sort=False).max().sum()) if len(counts) else 0


def _decimals(numbers: np.ndarray) -> np.ndarray:
    """(N,) float64: decimals of each number as it is written, `DECIMALS` + 1 if it has more."""
    result = np.full(len(numbers), DECIMALS + 1.0)
    waiting = np.isfinite(numbers)
    for decimals in range(DECIMALS + 1):
        places = np.flatnonzero(waiting)
        fits = np.round(numbers[places], decimals) == numbers[places]
        result[places[fits]] = decimals
        waiting[places[fits]] = False
    return result


def _flagged(known: pd.Series, flag: Flag, given: Mapping[str, Any]) -> np.ndarray:
    if flag == "zero":
        return np.asarray(measured(known, "value") == 0)
    if flag == "outside":
        found = measured(known, "value")
        low, high = (
            edges_as(found, [given[name]])[0] if given.get(name) is not None else None
            for name in ("min_value", "max_value")
        )
        outside = np.zeros(len(found), dtype=bool) if low is None else found < low
        return np.asarray(outside if high is None else outside | (found > high))
    if flag == "unlisted":
        return ~known.isin(given["value_set"]).to_numpy(dtype=bool)
    text = known.astype(str)
    bare = text.str.strip()
    tests: dict[str, Callable[[], Any]] = {
        "unmatched": lambda: ~text.str.fullmatch(given["regex"]),
        "untrimmed": lambda: text != bare,
        "empty": lambda: bare == "",
        "placeholder": lambda: bare.str.fullmatch(_PLACEHOLDER),
        "not ASCII": lambda: ~text.map(str.isascii),
        "damaged": lambda: text.str.contains(_DAMAGED, regex=True),
    }
    return np.asarray(tests[flag](), dtype=bool)
