"""Partitions of a dataset by date: their keys, their days and the names that they go by.

    by     key         days                         dataset of the partition
    day    2026-03-07  7 March 2026                 sales__2026_03_07
    week   2026-W10    2 to 8 March 2026, ISO 8601  sales__2026_w10
    month  2026-03     March 2026                   sales__2026_03
    year   2026        2026                         sales__2026

A partition is an ordinary dataset of one run: `tasks.worktrees.narrow` makes it from the entry of
the partitioned one. Whoever has a name at hand learns here which entry, and which DAG, it comes
from. DAG files import this module: the standard library only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

SEPARATOR = "__"
"""Between the name of a dataset and that of its partition."""

KEY_FORMATS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "year": "%Y"}
"""How the key of a partition is written, by what the dataset is partitioned by."""

MAX_NAME_LENGTH = 63
"""Of the name of a partition, as of every dataset."""

EXAMPLES = {"day": "2026-03-07", "week": "2026-W10", "month": "2026-03", "year": "2026"}

PATTERNS = {
    "day": "([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
    "week": "([0-9]{4})-W(0[1-9]|[1-4][0-9]|5[0-3])",
    "month": "([0-9]{4})-(0[1-9]|1[0-2])",
    "year": "([0-9]{4})",
}
"""The form of a key, for whoever wants it before there is one, such as a form."""

_NAME = re.compile(r"(.+?)__(\d{4}(?:_w\d{2}|(?:_\d{2}){1,2})?)", re.ASCII)


class PartitionError(ValueError):
    """A key that names no partition; plain, so that DAG files need no more of us."""


@dataclass(frozen=True)
class Partition:
    """The days of one partition.

    Attributes:
        by: day, week, month or year.
        start: its first day.
        end: the day after its last one.
    """

    by: str
    start: date
    end: date

    @property
    def key(self) -> str:
        """How people and Airflow call it: `2026-03`."""
        if self.by == "week":
            year, week, _ = self.start.isocalendar()
            return f"{year:04d}-W{week:02d}"
        return self.start.isoformat()[: {"day": 10, "month": 7, "year": 4}[self.by]]

    def name(self, dataset: str) -> str:
        """The name of its dataset: `sales__2026_03`.

        Raises:
            PartitionError: it is too long.
        """
        name = f"{dataset}{SEPARATOR}{self.key.lower().replace('-', '_')}"
        if len(name) > MAX_NAME_LENGTH:
            raise PartitionError(
                f"expected names of partitions of at most {MAX_NAME_LENGTH} letters, found {name!r};"
                f" shorten the name {dataset!r}"
            )
        return name


def parse(key: str, by: str) -> Partition:
    """The partition of a key.

    Raises:
        PartitionError: it is not the key of a day, week, month or year, as `by` asks.
    """
    if by not in PATTERNS:
        raise PartitionError(f"expected partitions by one of {', '.join(PATTERNS)}; found {by!r}")
    match = re.fullmatch(PATTERNS[by], key)
    try:
        if match is None:
            raise ValueError(f"there is no such {by}")
        year, *rest = (int(part) for part in match.groups())
        if by == "week":
            return _from(date.fromisocalendar(year, rest[0], 1), by)
        month, day = [*rest, 1, 1][:2]
        return _from(date(year, month, day), by)
    except (ValueError, OverflowError) as error:
        raise PartitionError(
            f"expected the key of a {by}, such as {EXAMPLES[by]}; found {key!r}: {error}"
        ) from None


def containing(moment: datetime, by: str, timezone: str) -> Partition:
    """The partition of a moment, by the calendar of a time zone."""
    day = moment.astimezone(ZoneInfo(timezone)).date()
    if by == "week":
        return _from(day - timedelta(days=day.weekday()), by)
    if by == "month":
        day = day.replace(day=1)
    elif by == "year":
        day = day.replace(month=1, day=1)
    return _from(day, by)


def last_whole(moment: datetime, by: str, timezone: str) -> Partition:
    """The newest partition that has ended by a moment."""
    midnight = containing(moment, by, timezone).start
    return _from(_start_before(midnight, by), by)


def from_to(first: str, last: str, by: str) -> Iterator[Partition]:
    """The partitions from one key to another, both included, oldest first.

    Raises:
        PartitionError: a key is wrong, or the last one is before the first.
    """
    current, final = parse(first, by), parse(last, by)
    if final.start < current.start:
        raise PartitionError(f"expected the first partition before the last: {first}, {last}")
    while current.start < final.start:
        yield current
        current = _from(current.end, by)
    yield current


def base_of(name: str) -> str:
    """The dataset, and DAG, that a name is a partition of; the name itself where it is of none."""
    match = _NAME.fullmatch(name)
    return match[1] if match else name


def key_of(name: str) -> str | None:
    """The key in the name of a partition: `2026-03`; None: it is no such name."""
    match = _NAME.fullmatch(name)
    return match[2].replace("_", "-").upper() if match else None


def run_again(name: str) -> str:
    """The command that brings the release of a dataset, or of a partition, to its end."""
    key = key_of(name)
    return (
        f"proofmint release {name}"
        if key is None
        else f"proofmint run {base_of(name)} --partition {key}"
    )


def _from(start: date, by: str) -> Partition:
    if by == "day":
        end = start + timedelta(days=1)
    elif by == "week":
        end = start + timedelta(days=7)
    elif by == "month":
        end = (start + timedelta(days=31)).replace(day=1)
    else:
        end = start.replace(year=start.year + 1)
    return Partition(by, start, end)


def _start_before(start: date, by: str) -> date:
    if by == "week":
        return start - timedelta(days=7)
    before = start - timedelta(days=1)
    if by == "day":
        return before
    return before.replace(day=1) if by == "month" else before.replace(month=1, day=1)
