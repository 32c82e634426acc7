"""Rules between columns that hold in all rows, or all but a few: order, sums, dependencies."""

from collections.abc import Iterator, Mapping
from itertools import combinations, permutations

import numpy as np
import pandas as pd

from tasks.gates.learn.columns import REAL_ONLY, chance
from tasks.gates.learn.ranges import is_floor
from tasks.gates.learn.rounding import count_told
from tasks.gates.measures import Rule, breaking, is_close, kind_of, measured
from tasks.gates.suites import Expected
from tasks.schema import Column

_EXCEPTIONS = 0.001
"""Share of rows that may break what is learned as a rule."""

_BY_CHANCE = 0.02
"""A rule says something if at least this share of rows would break it, were columns independent."""

_FEWEST = 100
"""Rows that must speak for a rule."""

_SEARCH_ROWS = 20_000
_PROBE_ROWS = 256
_MOST_ORDERS = 2
"""Inequalities that are kept, per column of the table: those that say most."""


def learn_rules(frame: pd.DataFrame, columns: list[Column]) -> list[Expected]:
    """Expectations about several columns; `alpha` is to be filled in.

    Args:
        frame: stands for all rows.
        columns: what the schema says of its columns.
    """
    kinds = {c.name: kind_of(frame[c.name]) for c in columns if c.meaning != "image"}
    numbers = [c.name for c in columns if kinds.get(c.name) in ("number", "whole number")]
    numbers = [n for n in numbers if frame[n].nunique() > 2]
    moments = [name for name, kind in kinds.items() if kind == "moment"]
    found: list[tuple[list[str], Rule]] = [
        *_orders(frame, moments, len(columns)),
        *_orders(frame, numbers, len(columns)),
        *_formulas(frame, numbers),
        *_dependencies(frame, columns, kinds),
        *_missing_together(frame, list(kinds)),
    ]
    return [e for names, rule in found if (e := _expected(frame, names, rule)) is not None]


def _expected(frame: pd.DataFrame, names: list[str], rule: Rule) -> Expected | None:
    """A rule with the rows that break it, if there are few."""
    kind, kwargs = "expect_multicolumn_rule_to_hold", {"column_list": names, "rule": rule}
    count, n_rows = breaking(frame, names, rule)
    if n_rows < _FEWEST or count > _EXCEPTIONS * n_rows:
        return None
    if count == 0 and _is_strict(frame, names, rule):
        return Expected(kind, kwargs, None, None, REAL_ONLY)
    return chance(kind, n_rows, {**kwargs, "count": count_told(count, n_rows)})


def _is_strict(frame: pd.DataFrame, names: list[str], rule: Rule) -> bool:
    """Whether not one row may break it.

    Sums, and moments that are in order although they come close: numbers that measure different
    things may be in order by chance.
    """
    if rule in ("equal", "sum", "product"):
        return True
    if rule != "at most" or kind_of(frame[names[0]]) != "moment":
        return False
    known = frame[names].dropna()
    first, second = (measured(known[name], "value").astype(np.int64) for name in names)
    return is_floor((second - first).astype(np.float64))


def _orders(frame: pd.DataFrame, names: list[str], n_columns: int) -> list[tuple[list[str], Rule]]:
    """Inequalities without exception that independent columns would break."""
    rows = frame[names].head(_SEARCH_ROWS)
    values = {name: _as_numbers(rows[name]) for name in names}
    found: list[tuple[float, list[str]]] = []
    for low, high in permutations(names, 2):
        a, b = values[low], values[high]
        if np.any(a[:_PROBE_ROWS] > b[:_PROBE_ROWS]) or np.any(a > b):
            continue
        shifted = np.roll(b, 1 + len(b) // 3)
        known = np.isfinite(a) & np.isfinite(shifted)
        by_chance = float((a[known] > shifted[known]).mean()) if known.any() else 0.0
        if by_chance >= _BY_CHANCE and np.any(a != b):
            found.append((by_chance, [low, high]))
    found.sort(key=lambda item: (-item[0], item[1]))
    return [(pair, "at most") for _, pair in found[: _MOST_ORDERS * n_columns]]


def _formulas(frame: pd.DataFrame, names: list[str]) -> Iterator[tuple[list[str], Rule]]:
    """Equal columns, sums and products, found in a few rows that tell columns apart."""
    rows = frame[names].head(_SEARCH_ROWS).dropna()
    if len(rows) < _FEWEST or len(names) < 2:
        return
    probe = rows.drop_duplicates().tail(_PROBE_ROWS)
    values = np.stack([_as_numbers(probe[name]) for name in names])
    for i, j in combinations(range(len(names)), 2):
        a, b = values[i], values[j]
        if np.array_equal(a, b):
            yield [names[i], names[j]], "equal"
            continue
        others = np.array([k for k in range(len(names)) if k not in (i, j)], dtype=int)
        if not len(others) or not (_says(a) and _says(b)):
            continue
        for rule, expected in (("sum", a + b), ("product", a * b)):
            fits = is_close(expected, values[others]).mean(axis=1) >= 1 - _EXCEPTIONS
            for k in others[fits]:
                if np.ptp(values[k]) > 0 and not is_close(values[k], a).all():
                    triple = [names[i], names[j], names[int(k)]]
                    yield triple, "sum" if rule == "sum" else "product"


def _says(values: np.ndarray) -> bool:
    """Whether a term makes a difference: it varies, and is neither 0 nor 1 in most rows."""
    return bool(np.ptp(values) > 0 and ((values != 0) & (values != 1)).mean() >= 0.2)


def _dependencies(
    frame: pd.DataFrame, columns: list[Column], kinds: Mapping[str, str]
) -> Iterator[tuple[list[str], Rule]]:
    """Columns whose value tells that of another one."""
    rows = frame.head(_SEARCH_ROWS)
    codes = {}
    for column in columns:
        if kinds.get(column.name) not in ("text", "whole number", "boolean"):
            continue
        if column.meaning in ("text", "image"):
            continue
        code, values = pd.factorize(rows[column.name])
        if 2 <= len(values) <= len(rows) / 3:
            codes[column.name] = code.astype(np.int64)
    for first, second in permutations(codes, 2):
        a, b = codes[first], codes[second]
        known = (a >= 0) & (b >= 0)
        if known.sum() < _FEWEST or a.max() < b.max() // 2:
            continue
        a, b = a[known], b[known]
        if _exceptions(a[:_PROBE_ROWS], b[:_PROBE_ROWS]) > 0.02 * _PROBE_ROWS:
            continue
        by_chance = _exceptions(a, np.roll(b, 1 + len(b) // 3)) / len(a)
        if _exceptions(a, b) <= _EXCEPTIONS * len(a) and by_chance >= _BY_CHANCE:
            yield [first, second], "determines"


def _exceptions(a: np.ndarray, b: np.ndarray) -> int:
    """Rows that have not the commonest `b` among rows with their `a`."""
    pairs, counts = np.unique(a * (int(b.max()) + 1) + b, return_counts=True)
    largest = np.zeros(int(a.max()) + 1, dtype=np.int64)
    np.maximum.at(largest, pairs // (int(b.max()) + 1), counts)
    return len(a) - int(largest.sum())


def _missing_together(frame: pd.DataFrame, names: list[str]) -> Iterator[tuple[list[str], Rule]]:
    missing = {name: frame[name].isna().to_numpy(dtype=bool) for name in names}
    missing = {name: m for name, m in missing.items() if 20 <= m.sum() < 0.95 * len(m)}
    for first, second in permutations(missing, 2):
        a, b = missing[first], missing[second]
        if (a & ~b).sum() <= _EXCEPTIONS * len(a) and a.sum() * (~b).mean() >= 20:
            yield [first, second], "missing with"


def _as_numbers(values: pd.Series) -> np.ndarray:
    """(N,) float64, NaN where missing; moments in seconds."""
    if kind_of(values) != "moment":
        return values.astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
    result = np.full(len(values), np.nan)
    known = values.notna().to_numpy(dtype=bool)
    result[known] = measured(values, "value").astype(np.int64)
    return result
