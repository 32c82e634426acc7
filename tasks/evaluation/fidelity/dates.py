"""Dates and times: when in the week, the year and the day; how exact; how far apart."""

from collections.abc import Callable

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.leaving_out import (
    counts,
    groups,
    largest_gap,
    outcome,
    total_variation,
)

MAX_ROWS = 20_000
"""Rows of each set at most."""

_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60

_N_DEGREES = 8
"""Degrees of exactness: first days of years, of months, days, hours, minutes, s, ms, finer."""

_DAYS_BEFORE_MONDAY = 3
"""1970-01-01 was a Thursday."""

Moments = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of one column, seconds since 1970 of training, holdout and synthetic rows; NaN where missing."""

Profile = tuple[np.ndarray, int]
"""The cell of each moment, -1 where missing, and how many cells there are."""


@metric(
    label="Calendar of dates, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Share of the synthetic dates that would have to move so that weekdays, months and hours"
        " are as frequent as in the real rows, averaged over these and over columns."
    ),
    source="total variation distance between profiles, as SDMetrics 0.32 TVComplement",
)
def calendar_error(comparison: Comparison) -> Outcome:
    """Equal numbers of holdout and synthetic rows against the training rows; hours in UTC.

    A profile in which all training dates agree, such as the hour of plain dates, is left out.
    """
    return _profiles(comparison, _calendar, "all training dates share weekday, month and hour")


@metric(
    label="Exactness of dates, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Share of the synthetic dates and times that would have to be more or less exact to be as"
        " the real ones: dates stay dates, full hours full hours."
    ),
    source="total variation distance between degrees of exactness, as defined here",
)
def time_resolution_error(comparison: Comparison) -> Outcome:
    """A moment's degree is the coarsest of year, month, day, hour ... that it is the start of."""
    return _profiles(comparison, lambda seconds: [_exactness(seconds)], "")


@metric(
    label="Gaps between dates, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Largest difference between the real and the synthetic distribution of the time from one"
        " date to the next, all rows in order, averaged over columns."
    ),
    source="Kolmogorov-Smirnov distance, as SDMetrics 0.32 KSComplement, of ordered differences",
)
def time_gap_error(comparison: Comparison) -> Outcome:
    """All sets at one number of rows: twice as many rows are half as far apart.

    The interval leaves out gaps, not rows, which would change the gaps beside them.
    """
    rng = comparison.rng("time_gap_error")
    found = []
    for columns in _moments(comparison):
        present = [one[~np.isnan(one)] for one in columns]
        n_rows = min(len(one) for one in present)
        if n_rows < 2:
            continue
        real, unseen, made = (
            np.diff(np.sort(rng.choice(one, n_rows, replace=False))) for one in present
        )
        # Shuffled, so that a group of gaps is not a stretch of time.
        found.append(
            [
                100 * largest_gap(real, rng.permutation(one), groups(n_rows - 1))
                for one in (made, unseen)
            ]
        )
    if not found:
        raise NotApplicable("no column of dates has two of them in each set")
    return _mean(found)


def _moments(comparison: Comparison) -> list[Moments]:
    """The columns of dates with a training value."""
    places = [
        place
        for place, column in enumerate(comparison.numeric)
        if column.meaning == "datetime" and column.type.startswith(("date", "timestamp"))
    ]
    if not places:
        raise NotApplicable("there is no column of dates")
    train, holdout, synthetic = (
        rows.sample(MAX_ROWS, comparison.rng("dates")).numbers
        for rows in (comparison.train, *comparison.equal)
    )
    found = [(train[:, i], holdout[:, i], synthetic[:, i]) for i in places]
    if not (known := [one for one in found if not np.isnan(one[0]).all()]):
        raise NotApplicable("no column of dates has a training value")
    return known


def _profiles(
    comparison: Comparison,
    profiles: Callable[[np.ndarray], list[Profile]],
    none: str,
) -> Outcome:
    """The mean distance of profiles.

    Args:
        comparison: the rows.
        profiles: what is compared of seconds.
        none: why there is nothing to compare where all training dates agree; empty: there is.
    """
    found = []
    for columns in _moments(comparison):
        for real, unseen, made in zip(*map(profiles, columns), strict=True):
            known = np.bincount(real[0] + 1, minlength=real[1] + 1)[1:]
            if (known > 0).sum() > 1 or not none:
                found.append(
                    [
                        100 * total_variation(known, counts(one[0], one[1], groups(len(one[0]))))
                        for one in (made, unseen)
                    ]
                )
    if not found:
        raise NotApplicable(none)
    return _mean(found)


def _mean(found: list[list[np.ndarray]]) -> Outcome:
    """Over columns, of which some have fewer groups if they have fewer than 20 dates."""
    n_groups = min(len(one) for pair in found for one in pair)
    scores, references = np.mean([[one[:n_groups] for one in pair] for pair in found], axis=0)
    return outcome(scores, references)


def _calendar(seconds: np.ndarray) -> list[Profile]:
    """The weekday from Monday, the month and the hour."""
    days = np.floor(np.nan_to_num(seconds) / _DAY)
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    cells = [
        ((days + _DAYS_BEFORE_MONDAY) % 7, 7),
        (month, 12),
        (np.floor(np.nan_to_num(seconds) / _HOUR) % 24, 24),
    ]
    return [(np.where(np.isnan(seconds), -1, cell).astype(np.int64), n) for cell, n in cells]


def _exactness(seconds: np.ndarray) -> Profile:
    """From 0 for a first of January to finer than milliseconds."""
    moments = np.nan_to_num(seconds)
    days = np.floor(moments / _DAY).astype("datetime64[D]")
    # Seconds of this century are exact to half a microsecond as float64.
    in_ms = moments * 1e3
    is_start = [
        (moments % _DAY == 0) & (days == days.astype("datetime64[Y]").astype("datetime64[D]")),
        (moments % _DAY == 0) & (days == days.astype("datetime64[M]").astype("datetime64[D]")),
        *(moments % step == 0 for step in (_DAY, _HOUR, _MINUTE, 1)),
        np.abs(in_ms - np.rint(in_ms)) < 1e-3,
    ]
    degree = np.select(is_start, range(_N_DEGREES - 1), _N_DEGREES - 1)
    return np.where(np.isnan(seconds), -1, degree), _N_DEGREES
