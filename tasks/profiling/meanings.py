"""What has become of a column that kept its place: type, unit, coding, format, gaps."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from tasks.profiling.likeness import Likeness
from tasks.profiling.profile import ColumnProfile

Kind = Literal[
    "table added",
    "table removed",
    "table renamed",
    "added",
    "removed",
    "renamed",
    "swapped",
    "retyped",
    "meaning",
    "unit",
    "time zone",
    "coding",
    "format",
    "content",
    "missing",
    "personal",
    "key",
]

KNOWN_FACTORS = {
    10.0: "a power of ten, such as mm and cm",
    100.0: "cents, per cent or cm and m",
    1_000.0: "thousands, such as g and kg or m and km",
    1_000_000.0: "millions",
    60.0: "seconds and minutes or minutes and hours",
    3_600.0: "seconds and hours",
    86_400.0: "seconds and days",
    24.0: "hours and days",
    7.0: "days and weeks",
    12.0: "months and years",
    365.25: "days and years",
    2.54: "inches and cm",
    0.3048: "feet and m",
    1.609344: "miles and km",
    0.45359237: "pounds and kg",
    28.349523: "ounces and g",
    3.785411784: "gallons and litres",
}

_CLOSE = 0.02
"""Relative error up to which quantiles are in one proportion."""

_EVEN = 0.05
"""Distance of quantiles from a line, as a share of their range, up to which they are on it."""

_MANY = 100
"""Rows from which it means something that none of the values is there any more."""

_MISSING = 0.1
"""Growth of the share of missing values that is told."""


class Finding(NamedTuple):
    """One change of one column: what it is, and how it reads after the column's name."""

    kind: Kind
    text: str


def findings(alike: Likeness) -> Iterator[Finding]:
    """What has changed in a column that is the same one before and after."""
    before, after = alike.before, alike.after
    if before.type.removeprefix("large_") != after.type.removeprefix("large_"):
        yield Finding("retyped", f"was {before.type} and is {after.type}")
    if before.meaning != after.meaning:
        yield Finding("meaning", f"was {before.meaning} and is {after.meaning}")
    if before.personal != after.personal:
        words = [kind or "no personal data" for kind in (before.personal, after.personal)]
        yield Finding("personal", f"held {words[0]} and holds {words[1]}")
    if before.top and after.top:
        finding = _unit(alike) or _coding(alike) or _format(alike) or _content(alike)
        if finding:
            yield finding
    yield from _missing(before, after)


def _unit(alike: Likeness) -> Finding | None:
    """Another scale, offset or time zone: all quantiles moved by one rule."""
    # The ends are single values, which come and go.
    one, other = (np.array(c.quantiles)[1:-1] for c in (alike.before, alike.after))
    if alike.is_untouched or not len(one) or not len(other):
        return None
    whole = np.array(alike.before.quantiles), np.array(alike.after.quantiles)
    is_moment = alike.before.meaning == alike.after.meaning == "datetime"
    # Counters and clocks run on: what is longer or later then is no other unit.
    runs_on = not alike.rows_stay and _is_even(one) and _is_even(other)
    if runs_on and (is_moment or _exact_factor(*whole) is None):
        return None
    return _shift(one, other) if is_moment else _offset(one, other) or _factor(*whole)


def _is_even(quantiles: np.ndarray) -> bool:
    """Whether values are spread evenly, as those of counters and of measurements by the clock."""
    line = np.linspace(quantiles[0], quantiles[-1], len(quantiles))
    return bool(np.abs(quantiles - line).max() <= _EVEN * np.ptp(quantiles))


def _offset(one: np.ndarray, other: np.ndarray) -> Finding | None:
    """Degrees, whose zero moves with the unit."""
    width = float(np.ptp(one))
    if len(np.unique(one)) < 3:
        return None
    centred = one - one.mean()
    slope = float(centred @ (other - other.mean()) / (centred @ centred))
    offset = float(other.mean() - slope * one.mean())
    if slope == 0:
        return None
    fits = np.abs(other - (slope * one + offset)).max() <= _CLOSE * abs(slope) * width
    for a, b, words in ((1.8, 32.0, "°C to °F"), (1 / 1.8, -32 / 1.8, "°F to °C")):
        if fits and abs(slope / a - 1) < _CLOSE and abs(offset - b) < _CLOSE * abs(b) + 0.05 * a:
            return Finding("unit", f"changed its unit: {words}")
    for kelvin in (273.15, -273.15):
        if fits and abs(slope - 1) < _CLOSE and abs(offset / kelvin - 1) < _CLOSE:
            return Finding("unit", f"changed its unit: all of it moved by {kelvin} (kelvin)")
    return None


def _shift(one: np.ndarray, other: np.ndarray) -> Finding | None:
    """Whole quarters of an hour, of 14 hours at most: a time zone."""
    shift = float(np.median(other - one))
    quarters = round(shift / 900)
    steady = np.abs(other - one - quarters * 900).max() < 60
    if steady and 0 < abs(quarters) <= 56:
        return Finding("time zone", f"moved by {quarters / 4:+g} hours: another time zone")
    return None


def _factor(before: np.ndarray, after: np.ndarray) -> Finding | None:
    factor = _exact_factor(before, after) or _common_factor(before, after)
    if factor is None:
        return None
    for known, words in KNOWN_FACTORS.items():
        for value, sign in ((known, "times"), (1 / known, "divided by")):
            if abs(factor / value - 1) <= _CLOSE:
                return Finding("unit", f"changed its unit: it is {sign} {known:g} ({words})")
    if not 0.5 < factor < 2:
        return Finding("unit", f"changed its unit: all of it is times {factor:.4g}")
    return None


def _exact_factor(one: np.ndarray, other: np.ndarray) -> float | None:
    """What all quantiles, the ends too, are multiplied by: those of the very same rows."""
    used = (one != 0) & (other != 0)
    ratios = other[used] / one[used]
    is_one = ((one == 0) == (other == 0)).all() and len(np.unique(ratios.round(6))) == 1
    return float(ratios[0]) if is_one and len(ratios) > 1 and np.ptp(one) > 0 else None


def _common_factor(one: np.ndarray, other: np.ndarray) -> float | None:
    """What about all quantiles are multiplied by; None: by different numbers."""
    # The ends are single values, which come and go.
    one, other = one[1:-1], other[1:-1]
    used = (one != 0) & (other != 0)
    if np.count_nonzero(used) < 5 or len(np.unique(one)) < 5:
        return None
    factor = float((one @ other) / (one @ one))
    misses = np.abs(other - factor * one)
    in_one_line = misses.max() <= _CLOSE * abs(factor) * np.ptp(one)
    ratios = other[used] / one[used]
    in_proportion = np.quantile(np.abs(ratios / np.median(ratios) - 1), 0.8) <= _CLOSE
    if factor > 0 and (in_one_line or in_proportion):
        return factor if in_one_line else float(np.median(ratios))
    return None


def _coding(alike: Likeness) -> Finding | None:
    """The same shares under other values, or under each other's."""
    if not alike.is_coded or min(len(c.top) for c in (alike.before, alike.after)) < 2:
        return None
    before, after = dict(alike.before.top), dict(alike.after.top)
    if alike.same_shares >= 0.9:
        return None
    same = len(before.keys() & after.keys()) / len(before.keys() | after.keys())
    ranked = [sorted(shares.values(), reverse=True) for shares in (before, after)]
    if len(before) == len(after) and _sum_of_differences(*ranked) < 0.1:
        if same == 1 and alike.same_shares < 0.8:
            return Finding("coding", "has the same values, but they changed places: another coding")
        if same <= 0.2:
            return Finding(
                "coding", f"has {len(after)} other values in the same shares: another coding"
            )
    gone = sorted(s for value, s in before.items() if value not in after and s >= 0.02)
    new = sorted(s for value, s in after.items() if value not in before and s >= 0.02)
    if gone and len(gone) == len(new) and np.allclose(gone, new, rtol=0.2):
        return Finding("coding", f"spells {len(gone)} of its values in another way")
    return None


def _sum_of_differences(one: list[float], other: list[float]) -> float:
    """Total variation distance of two lists of shares."""
    return float(np.abs(np.subtract(one, other)).sum() / 2)


def _format(alike: Likeness) -> Finding | None:
    """Text that is written in another way: a date, a number, a code."""
    before, after = alike.before.patterns, alike.after.patterns
    if not before or not after or alike.is_untouched:
        return None
    if before[0][1] < 0.5 or after[0][1] < 0.5 or before[0][0] == after[0][0]:
        return None
    return Finding("format", f"was written like {before[0][0]!r} and is now like {after[0][0]!r}")


def _content(alike: Likeness) -> Finding | None:
    """Nothing of what was there is there, though other columns kept theirs."""
    if alike.before.quantiles and alike.same_shape > 0.2:
        return None
    known = min(c.n_rows - c.n_missing for c in (alike.before, alike.after)) >= _MANY
    gone = max(alike.same_values, alike.same_shares) < 0.02
    if known and gone and alike.expected >= 0.5 and alike.before.n_distinct > 1:
        return Finding(
            "content", "has none of the values that it had, and other columns kept theirs"
        )
    return None


def _missing(before: ColumnProfile, after: ColumnProfile) -> Iterator[Finding]:
    shares = [c.n_missing / c.n_rows if c.n_rows else 0.0 for c in (before, after)]
    # Three standard deviations of what chance does to two samples of one source.
    both = (before.n_missing + after.n_missing) / max(1, before.n_rows + after.n_rows)
    chance = both * (1 - both) * sum(1 / max(1, c.n_rows) for c in (before, after))
    if abs(shares[1] - shares[0]) >= max(_MISSING, 3 * chance**0.5):
        yield Finding(
            "missing", f"was missing in {shares[0]:.1%} and is in {shares[1]:.1%} of rows"
        )
    elif not before.nullable and after.nullable:
        yield Finding("missing", "may be missing now")
