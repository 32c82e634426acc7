"""Keys of partitions, their days and their names, by the calendar."""

import re
from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.params import NAME_PATTERN
from tasks.partitions import (
    KEY_FORMATS,
    PartitionError,
    base_of,
    containing,
    from_to,
    key_of,
    last_whole,
    parse,
    run_again,
)


@pytest.mark.parametrize(
    ("key", "by", "start", "end", "name"),
    [
        ("2024-02-28", "day", "2024-02-28", "2024-02-29", "sales__2024_02_28"),
        ("2024-02-29", "day", "2024-02-29", "2024-03-01", "sales__2024_02_29"),
        ("2024-02", "month", "2024-02-01", "2024-03-01", "sales__2024_02"),
        ("2025-02", "month", "2025-02-01", "2025-03-01", "sales__2025_02"),
        ("2025-12", "month", "2025-12-01", "2026-01-01", "sales__2025_12"),
        ("2024", "year", "2024-01-01", "2025-01-01", "sales__2024"),
        ("2026-W10", "week", "2026-03-02", "2026-03-09", "sales__2026_w10"),
        ("2026-W53", "week", "2026-12-28", "2027-01-04", "sales__2026_w53"),
        ("2025-W01", "week", "2024-12-30", "2025-01-06", "sales__2025_w01"),
    ],
)
def test_a_key_names_its_days(key: str, by: str, start: str, end: str, name: str) -> None:
    partition = parse(key, by)
    assert (partition.start.isoformat(), partition.end.isoformat()) == (start, end)
    assert partition.key == key
    assert partition.name("sales") == name
    assert (base_of(name), key_of(name)) == ("sales", key)


@pytest.mark.parametrize(
    ("key", "by"),
    [
        ("2025-02-29", "day"),
        ("2026-3-7", "day"),
        ("2026-03", "day"),
        ("2026-13", "month"),
        ("2026-03-01", "month"),
        ("2026-W54", "week"),
        ("2025-W53", "week"),
        ("0000", "year"),
        ("9999", "year"),
        ("", "year"),
        ("２０２６", "year"),
        ("2026\n", "year"),
        ("../..", "month"),
        ("2026-03", "decade"),
    ],
)
def test_what_is_no_key_is_refused(key: str, by: str) -> None:
    with pytest.raises(PartitionError):
        parse(key, by)


@given(st.dates(date(1000, 1, 10), date(9000, 1, 1)), st.sampled_from(sorted(KEY_FORMATS)))
def test_every_moment_is_in_one_partition_whose_key_airflow_writes_alike(
    day: date, by: str
) -> None:
    moment = datetime.combine(day, time(), UTC)
    partition = containing(moment, by, "UTC")
    assert partition.start <= day < partition.end
    assert parse(partition.key, by) == partition
    assert partition.key == moment.strftime(KEY_FORMATS[by])
    before = last_whole(moment, by, "UTC")
    assert before.end == partition.start
    assert key_of(partition.name("a_b")) == partition.key


@pytest.mark.parametrize(
    ("moment", "by", "timezone", "key"),
    [
        ("2026-03-31T22:30+00:00", "month", "UTC", "2026-03"),
        ("2026-03-31T22:30+00:00", "month", "Europe/Berlin", "2026-04"),  # summer: two hours ahead
        ("2026-10-31T22:30+00:00", "month", "Europe/Berlin", "2026-10"),  # winter: one
        ("2026-03-29T00:30+01:00", "day", "Europe/Berlin", "2026-03-29"),  # it has 23 hours
        ("2026-01-01T04:00+00:00", "year", "America/New_York", "2025"),
        ("2026-03-08T23:59+00:00", "week", "Pacific/Auckland", "2026-W11"),
    ],
)
def test_days_begin_in_the_time_zone(moment: str, by: str, timezone: str, key: str) -> None:
    assert containing(datetime.fromisoformat(moment), by, timezone).key == key


def test_the_last_whole_partition_has_ended() -> None:
    assert last_whole(datetime(2026, 4, 1, tzinfo=UTC), "month", "UTC").key == "2026-03"
    assert last_whole(datetime(2026, 3, 31, 23, tzinfo=UTC), "month", "UTC").key == "2026-02"
    assert last_whole(datetime(2026, 1, 1, tzinfo=UTC), "day", "UTC").key == "2025-12-31"
    assert last_whole(datetime(2026, 1, 5, tzinfo=UTC), "week", "UTC").key == "2026-W01"


def test_a_range_has_both_ends() -> None:
    assert [p.key for p in from_to("2025-11", "2026-02", "month")] == [
        *("2025-11", "2025-12", "2026-01", "2026-02")
    ]
    assert [p.key for p in from_to("2026-W52", "2027-W01", "week")] == [
        *("2026-W52", "2026-W53", "2027-W01")
    ]
    assert [p.start for p in from_to("2024-02-28", "2024-03-01", "day")] == [
        *(date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1))
    ]
    with pytest.raises(PartitionError, match="before"):
        list(from_to("2026-02", "2026-01", "month"))


@pytest.mark.parametrize("name", ["sales", "a__b", "sales__x2026", "sales_2026", "__2026", "a__26"])
def test_other_names_are_of_no_partition(name: str) -> None:
    assert (base_of(name), key_of(name)) == (name, None)


def test_the_name_of_a_partition_is_one_of_a_dataset() -> None:
    assert re.match(NAME_PATTERN, parse("2026-W10", "week").name("sales"))
    with pytest.raises(PartitionError, match="shorten"):
        parse("2026-03-07", "day").name("s" * 60)


def test_what_was_interrupted_is_run_again_by_its_own_command() -> None:
    assert run_again("sales") == "proofmint release sales"
    assert run_again("sales__2026_w10") == "proofmint run sales --partition 2026-W10"
