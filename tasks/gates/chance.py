"""Learned expectations that allow for chance: is this what fresh rows of the same source look like?

Pure functions of a frame and the arguments that stand in the suite; tasks/gates/custom.py tells
Great Expectations of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.gates.measures import (
    breaking,
    cells_of,
    edges_as,
    flagged,
    kind_of,
    measured,
    n_cells,
)
from tasks.gates.tolerance import (
    is_fewer,
    is_more,
    ks_distance,
    ks_limit,
    psi,
    psi_limit,
    repeats_limit,
)

_TESTS_OF_VALUES = 100
"""How many values may by chance become the commonest one; `alpha` is divided among them."""


@dataclass(frozen=True)
class Verdict:
    """What became of one learned expectation.

    Attributes:
        passed: whether it was met.
        observed: what was found, without any value of the data.
        dispersion: the distance over what chance alone is allowed; 0 where nothing is measured.
    """

    passed: bool
    observed: str
    dispersion: float = 0.0


def judge(kind: str, frame: pd.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    """Hold a frame against one learned expectation.

    Args:
        kind: the type that stands in the suite, one of `JUDGES`.
        frame: with the columns that it is about.
        kwargs: its arguments.
    """
    return JUDGES[kind](frame, kwargs)


def _kind(frame: pd.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    found = kind_of(frame[kwargs["column"]])
    if not len(frame[kwargs["column"]].dropna()):
        return Verdict(True, "no values")
    return Verdict(found == kwargs["kind"], found)


def _share(frame: pd.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    values = frame[kwargs["column"]]
    n_rows = len(values) if kwargs["of"] == "missing" else int(values.notna().sum())
    return _counted(int(flagged(values, kwargs["of"], kwargs).sum()), n_rows, kwargs)


def _most_common(frame: pd.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    counts = frame[kwargs["column"]].value_counts(sort=False)
    found = int(counts.max()) if len(counts) else 0
    alpha = kwargs["alpha"] / _TESTS_OF_VALUES
    return _counted(found, int(counts.sum()), {**kwargs, "alpha": alpha})


def _rule(frame: pd.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    found, n_rows = breaking(frame, kwargs["column_list"], kwargs["rule"])
    return _counted(found, n_rows, kwargs)


def _counted(found: int, n_rows: int, kwargs: Mapping[str, Any]) -> Verdict:
    """Rows that are flagged against those that were; without `alpha` there may be none."""
    learned, n_learned, alpha = kwargs.get("count", 0), kwargs.get("rows", 0), kwargs.get("alpha")
    observed = f"{found:,} of {n_rows:,} rows"
    if alpha is None:
        return Verdict(found == 0, observed)
    is_off = is_more(found, n_rows, learned, n_learned, alpha)
    if kwargs.get("fewer", False):
        is_off = is_off or is_fewer(found, n_rows, learned, n_learned, alpha)
    return Verdict(not is_off, f"{observed}; learned from {learned:,} of {n_learned:,}")


def _distribution(frame: pd.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    found = measured(frame[kwargs["column"]], kwargs["of"])
    if not len(found):
        return Verdict(True, "no values")
    shares, n_learned, alpha = np.asarray(kwargs["shares"]), kwargs["rows"], kwargs["alpha"]
    dispersion = kwargs.get("dispersion", 1.0)
    if kwargs.get("edges") is not None:
        edges = edges_as(found, kwargs["edges"])
        distance = ks_distance(
            found.astype(np.int64 if edges.dtype.kind == "M" else float),
            edges.astype(np.int64 if edges.dtype.kind == "M" else float),
            shares,
        )
        return _distance("KS", distance, ks_limit(len(found), n_learned, alpha), kwargs, dispersion)
    places = pd.Index(kwargs["value_set"]).get_indexer(pd.Index(found))
    counts = np.bincount(np.where(places < 0, len(shares), places), minlength=len(shares) + 1)
    rest = max(0.0, 1.0 - float(shares.sum()))
    index, k = psi(counts, np.append(shares, rest), n_learned)
    return _distance("PSI", index, psi_limit(k, len(found), n_learned, alpha), kwargs, dispersion)


def _pair_distribution(frame: pd.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    if not len(frame):
        return Verdict(True, "no rows")
    cells = (kwargs["cells_A"], kwargs["cells_B"])
    n_b = n_cells(cells[1])
    place = cells_of(frame[kwargs["column_A"]], cells[0]) * n_b + cells_of(
        frame[kwargs["column_B"]], cells[1]
    )
    counts = np.bincount(place, minlength=n_cells(cells[0]) * n_b)
    shares = np.asarray(kwargs["shares"], dtype=np.float64).ravel()
    # Cells that had too few rows to be told are one: `rest`.
    is_told = shares > 0
    counts = np.append(counts[is_told], counts[~is_told].sum())
    shares = np.append(shares[is_told], max(0.0, 1.0 - float(shares[is_told].sum())))
    n_learned = kwargs["rows"]
    index, k = psi(counts, shares, n_learned)
    limit = psi_limit(k, len(frame), n_learned, kwargs["alpha"])
    return _distance("PSI", index, limit, kwargs, kwargs.get("dispersion", 1.0))


def _distance(
    name: str, distance: float, limit: float, kwargs: Mapping[str, Any], dispersion: float
) -> Verdict:
    margin = kwargs.get("margin", 0.0)
    allowed = margin + dispersion * limit
    observed = f"{name} {distance:.4f}, allowed {allowed:.4f} for so many rows"
    excess = max(0.0, distance - margin) / limit if limit > 0 else 0.0
    return Verdict(distance <= allowed, observed, excess)


def _repeats(frame: pd.DataFrame, kwargs: Mapping[str, Any]) -> Verdict:
    found = repeated_rows(frame, kwargs["column_list"])[0]
    allowed = repeats_limit(len(frame), kwargs["pairs"], kwargs["rows"], kwargs["alpha"])
    return Verdict(found <= allowed, f"{found:,} of {len(frame):,} rows, allowed {allowed:,}")


def repeated_rows(frame: pd.DataFrame, columns: list[str]) -> tuple[int, float]:
    """How many rows equal an earlier one, and how many pairs of rows are equal."""
    if not len(frame):
        return 0, 0.0
    keys = pd.util.hash_pandas_object(frame[columns], index=False)
    counts = np.unique(keys.to_numpy(), return_counts=True)[1].astype(np.float64)
    return int((counts - 1).sum()), float((counts * (counts - 1) / 2).sum())


JUDGES: dict[str, Callable[[pd.DataFrame, Mapping[str, Any]], Verdict]] = {
    "expect_column_kind_to_be": _kind,
    "expect_column_share_to_be_stable": _share,
    "expect_column_most_common_share_to_be_stable": _most_common,
    "expect_column_distribution_to_be_stable": _distribution,
    "expect_column_pair_distribution_to_be_stable": _pair_distribution,
    "expect_multicolumn_rule_to_hold": _rule,
    "expect_table_rows_to_repeat_as_before": _repeats,
}
"""By the types that stand in suites."""
