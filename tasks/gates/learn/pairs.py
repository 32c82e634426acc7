"""How columns depend on each other: which pairs of cells go together, told by their shares."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tasks.gates.learn.columns import (
    HUGE,
    MARGIN,
    chance,
    is_coded,
    listed_values,
)
from tasks.gates.learn.edges import moment_edges, quantile_edges
from tasks.gates.learn.rounding import NAMED_ROWS, share_told
from tasks.gates.measures import cells_of, kind_of, measured, n_cells
from tasks.gates.suites import Expected
from tasks.schema import Column

_QUINTILES = np.array([0.2, 0.4, 0.6, 0.8])
_LISTED = 7
"""Values of a column that have a cell of their own in a pair."""

_SEARCH_ROWS = 20_000
_PARTNERS = 2
"""Columns that each column is held together with, those that it depends on most."""

_SIGNIFICANT = 1e-6


def learn_pairs(frame: pd.DataFrame, columns: list[Column]) -> list[Expected]:
    """Expectations of pairs, each column with those that it depends on most.

    Args:
        frame: stands for all rows.
        columns: what the schema says of its columns; those with hidden values are in no pair.
    """
    cells = {c.name: found for c in columns if (found := pair_cells(frame[c.name], c)) is not None}
    codes = {name: cells_of(frame[name], cells[name]) for name in cells}
    learned = []
    for first, second in _strongest(codes, cells):
        n_b = n_cells(cells[second])
        counts = np.bincount(
            codes[first] * n_b + codes[second], minlength=n_cells(cells[first]) * n_b
        )
        told = np.where(counts >= NAMED_ROWS, counts, 0)
        if told.sum() < 0.5 * len(frame) or (told > 0).sum() < 3:
            continue
        shares = [
            [share_told(int(count), len(frame)) for count in row] for row in told.reshape(-1, n_b)
        ]
        kwargs = {
            "column_A": first,
            "column_B": second,
            "cells_A": cells[first],
            "cells_B": cells[second],
            "shares": shares,
            "margin": 2 * MARGIN,
        }
        learned.append(chance("expect_column_pair_distribution_to_be_stable", len(frame), kwargs))
    return learned


def pair_cells(values: pd.Series, column: Column) -> dict[str, Any] | None:
    """The cells of one column, or None if it is in no pair."""
    known = values.dropna()
    is_hidden = column.personal or column.meaning in ("identifier", "image")
    if is_hidden or len(known) < 2 * NAMED_ROWS or known.nunique() < 2:
        return None
    match kind_of(values):
        case "moment":
            edges = moment_edges(measured(known, "value"), _QUINTILES)
            return {"of": "value", "edges": edges}
        case "boolean":
            return {"of": "value", "value_set": [True, False]}
        case "number" | "whole number":
            return _number_cells(known)
        case "text":
            return _text_cells(known, column)
        case _:
            return None


def _text_cells(known: pd.Series, column: Column) -> dict[str, Any] | None:
    if column.meaning != "text" and is_coded(known):
        return {"of": "value", "value_set": listed_values(known)[:_LISTED]}
    return _edges("length", measured(known, "length"))


def _number_cells(known: pd.Series) -> dict[str, Any] | None:
    if known.nunique() <= _LISTED and (listed := listed_values(known)):
        return {"of": "value", "value_set": sorted(listed)}
    found = measured(known, "value")
    return _edges("value", found) if (np.abs(found) < HUGE).all() else None


def _edges(of: str, found: np.ndarray) -> dict[str, Any] | None:
    edges = quantile_edges(found, _QUINTILES) if len(found) else []
    return {"of": of, "edges": edges} if edges else None


def _strongest(
    codes: Mapping[str, np.ndarray], cells: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Pairs that depend on each other beyond doubt, the strongest ones of each column.

    Source:
        The G-test, 2 N times the mutual information: R. Sokal and F. Rohlf, Biometry (1981).
    """
    strength: dict[tuple[str, str], float] = {}
    for a, b in combinations(codes, 2):
        n_a, n_b = n_cells(cells[a]), n_cells(cells[b])
        joint = np.bincount(
            codes[a][:_SEARCH_ROWS] * n_b + codes[b][:_SEARCH_ROWS], minlength=n_a * n_b
        ).reshape(n_a, n_b)
        joint = joint[joint.any(axis=1)][:, joint.any(axis=0)].astype(np.float64)
        freedom = (joint.shape[0] - 1) * (joint.shape[1] - 1)
        if freedom == 0:
            continue
        total = joint.sum()
        expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0) / total
        told = joint > 0
        g = 2 * float((joint[told] * np.log(joint[told] / expected[told])).sum())
        if g > stats.chi2.isf(_SIGNIFICANT, freedom):
            strength[a, b] = (g - freedom) / (2 * total)
    chosen: dict[tuple[str, str], None] = {}
    for name in codes:
        own = sorted((p for p in strength if name in p), key=lambda p: (-strength[p], p))
        chosen |= dict.fromkeys(own[:_PARTNERS])
    return [pair for pair in strength if pair in chosen]
