"""A topic is read exactly between its offsets, and every fault is named with its place."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ParamsError, SourceChanged, SourceError, SourceUnavailable
from tasks.sources import kafka
from tasks.sources.kafka import KafkaSource
from tasks.sources.topics import topic
from tests import kafka as brokers
from tests.kafka import Broker

_numbers = itertools.count()


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with brokers.running() as broker:
        yield broker


@pytest.fixture
def name(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> str:
    """A topic of the test's own; the variable BROKER names the broker."""
    monkeypatch.setenv("BROKER", broker.url)
    return f"events-{next(_numbers)}"


def source(name: str, kind: Any = "tabular", target: str | None = None, **settings) -> KafkaSource:
    given = {"connection": "BROKER", "topic": name} | settings
    return KafkaSource(given, kind=kind, target=target, project=Path())


def rows(opened: KafkaSource) -> list[dict]:
    table = opened.schema().main
    return [
        row
        for part in opened.parts(table)
        for batch in opened.read_part(table, part)
        for row in batch.to_pylist()
    ]


def types(opened: KafkaSource) -> dict[str, tuple[str, bool]]:
    return {c.name: (c.type, c.nullable) for c in opened.schema().main.columns}


def test_messages_come_by_partition_and_offset_with_the_types_of_all(broker, name):
    broker.send(
        name, ['{"id": 1, "at": "2020-02-29T12:00:00"}', '{"id": 2, "x": 0.5}'], partition=1
    )
    broker.send(name, ['{"id": 9223372036854775807, "x": 2, "more": {"ok": true}}'])
    opened = source(name)
    assert types(opened) == {
        "id": ("int64", False),
        "x": ("double", True),
        "more.ok": ("bool", True),
        "at": ("timestamp[us]", True),
    }
    assert [(r["id"], r["x"], r["more.ok"]) for r in rows(opened)] == [
        (2**63 - 1, 2.0, True),
        (1, None, None),
        (2, 0.5, None),
    ]
    assert opened.end_of(opened.schema().main) is None


def test_metadata_and_tombstones(broker, name):
    broker.send(name, ["a", None, ""], key="k")
    broker.send(name, ["b"], partition=2)
    metadata = ["key", "partition", "offset", "timestamp"]
    opened = source(name, "text", format="text", metadata=metadata)
    found = rows(opened)
    assert [(r["text"], r["key"], r["partition"], r["offset"]) for r in found] == [
        ("a", "k", 0, 0),
        ("", "k", 0, 2),
        ("b", None, 2, 0),
    ]
    assert found[0]["timestamp"].year >= 2024
    assert opened.counts()["tombstones"] == 1
    table = opened.schema().main
    assert table.primary_key == ("partition", "offset")
    assert table.column("text").meaning == "text"


def test_values_that_are_always_missing_and_numbers_that_are_none(broker, name):
    broker.send(name, ['{"a": null, "b": NaN, "c": 12345678901234567890}', '{"b": 1}'])
    opened = source(name)
    assert types(opened) == {"a": ("string", True), "b": ("double", False), "c": ("string", True)}
    assert str(rows(opened)[0]) == "{'a': None, 'b': nan, 'c': '12345678901234567890'}"


def test_bytes(broker, name):
    broker.send(name, [b"\xff\0"])
    assert rows(source(name, format="bytes")) == [{"value": b"\xff\0"}]


def test_lines_of_csv(broker, name):
    broker.send(name, ['1;"a;b"', "2;", "NA;c"])
    opened = source(name, format="csv", column_names=["n", "text"], delimiter=";")
    assert types(opened) == {"n": ("int64", True), "text": ("string", True)}
    assert rows(opened) == [
        {"n": 1, "text": "a;b"},
        {"n": 2, "text": None},
        {"n": None, "text": "c"},
    ]
    declared = source(name, format="csv", columns={"n": "double", "text": "string"}, delimiter=";")
    assert rows(declared)[0] == {"n": 1.0, "text": "a;b"}


def test_declared_columns_need_no_pass_and_count_what_is_not_declared(broker, name):
    broker.send(name, ['{"id": 1, "old": null}', '{"id": null, "new": 5, "day": "2020-02-29"}'])
    opened = source(name, columns={"id": "int64", "day": "date32[day]"})
    assert [(r["id"], str(r["day"])) for r in rows(opened)] == [(1, "None"), (None, "2020-02-29")]
    assert opened.counts()["undeclared_values"] == 1
    broker.send(name, ['{"id": 3}', '{"id": "x4"}'], partition=3)
    message = r"partition 3, offset 1: expected int64 in 'id', as `columns` says, found 'x4'"
    with pytest.raises(SourceError, match=message):
        rows(source(name, columns={"id": "int64"}))


def test_reading_ends_where_the_topic_ended_when_it_began(broker, name):
    broker.send(name, ["1", "2"])
    opened = source(name, format="text")
    table = opened.schema().main
    (part,) = opened.parts(table)
    broker.send(name, ["3"])
    for _ in range(2):  # a part can be read again, and elsewhere
        (batch,) = source(name, format="text").read_part(table, part)
        assert batch["text"].to_pylist() == ["1", "2"]
    assert opened.end_of(table) == {"0": 2, "1": 0, "2": 0, "3": 0}


def test_a_later_run_reads_what_came_since(broker, name):
    broker.send(name, ["1", "2"])
    first = source(name, format="text")
    assert len(rows(first)) == 2
    table = first.schema().main
    broker.send(name, ["3"])
    broker.send(name, ["4"], partition=1)
    second = source(name, format="text")
    second.after = {name: first.end_of(table)}
    assert rows(second) == [{"text": "3"}, {"text": "4"}]
    third = source(name, format="text")
    third.after = {name: second.end_of(table)}
    assert rows(third) == []


def test_offsets_of_transaction_markers_do_not_hold_it_up(broker, name, monkeypatch):
    # The markers of the mock have no checksum.
    monkeypatch.setenv("BROKER", f"{broker.url}?check.crcs=false")
    broker.send_in_transaction(name, ["1", "2"])
    opened = source(name, format="text", metadata=["offset"])
    assert rows(opened) == [{"text": "1", "offset": 0}, {"text": "2", "offset": 1}]
    assert opened.end_of(opened.schema().main)["0"] == 3  # the marker has an offset
    broker.send(name, ["3"])
    assert [r["offset"] for r in rows(source(name, format="text", metadata=["offset"]))] == [
        0,
        1,
        3,
    ]
    assert rows(source(name, format="text", until={0: 3})) == [{"text": "1"}, {"text": "2"}]


def test_parts_are_ranges_of_offsets(broker, name, monkeypatch):
    monkeypatch.setattr(kafka, "PART_MESSAGES", 2)
    broker.send(name, [str(i) for i in range(5)])
    opened = source(name, format="text", until={0: 5})
    table = opened.schema().main
    places = [(p.place["start"], p.place["end"]) for p in opened.parts(table)]
    assert places == [(0, 2), (2, 4), (4, 5)]
    json.dumps([dict(p.place) for p in opened.parts(table)])
    assert [r["text"] for r in rows(opened)] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("until", [{0: 2}, {9: 0}])
def test_an_end_beyond_the_topic_is_refused(broker, name, until):
    broker.send(name, ["1"])
    with pytest.raises(SourceError, match=r"source\.until asks for offset .* ends at {0: 1, 1: 0"):
        rows(source(name, format="text", until=until))


def test_batches_are_bounded(broker, name):
    broker.send(name, ["x" * 300_000] * 8)
    opened = source(name, format="text", memory_mib=16, workers=4)  # batches of 1 MiB
    table = opened.schema().main
    (part,) = opened.parts(table)
    assert [batch.num_rows for batch in opened.read_part(table, part)] == [4, 4]


@pytest.mark.parametrize(
    ("value", "settings", "message"),
    [
        (
            "{'a': 1}",
            {},
            "partition 0, offset 1: expected an object of JSON, found .* property name",
        ),
        ("[1]", {}, r"offset 1: expected an object of JSON, found '\[1\]'"),
        ('{"a": 1, "a": 2}', {}, "the name 'a' stands twice"),
        ("[" * 100_000, {}, "expected an object of JSON, .*(recursion|nested)"),
        (b"\xff", {}, "offset 1: expected the value to be text in UTF-8, found the byte 0xFF"),
        (b"\xff", {"format": "text"}, "offset 1: expected the value to be text"),
        ("1,2,3", {"format": "csv", "column_names": ["a", "b"]}, "offset [01]: expected 2 values"),
        ('"1', {"format": "csv", "column_names": ["a"]}, "offset 1: .* is no line of values"),
    ],
)
def test_a_malformed_message_is_named(broker, name, value, settings, message):
    good = "1,2" if "b" in settings.get("column_names", ()) else '{"a": 1}'
    broker.send(name, [good, value])
    with pytest.raises(SourceError, match=f"topic '{name}', .*{message}"):
        rows(source(name, **settings))


def test_a_key_that_is_no_text_is_named(broker, name):
    broker.send(name, ["1"], key=b"\xff")
    with pytest.raises(SourceError, match="offset 0: expected the key to be text in UTF-8"):
        rows(source(name, format="text", metadata=["key"]))


def fill(broker: Broker, name: str) -> None:
    """Send more than the broker keeps of a partition, 5 MB."""
    broker.send(name, ["x" * 900_000] * 7)


def test_messages_that_are_gone_are_never_passed_over_silently(broker, name):
    broker.send(name, ["0", "1"])
    fill(broker, name)
    fresh = source(name, format="text", metadata=["offset"])
    first = rows(fresh)[0]["offset"]
    assert first > 2
    assert fresh.counts()["removed_before_first_read"] == first
    after = {name: {"0": first - 2, "1": 0, "2": 0, "3": 0}}
    later = source(name, format="text")
    later.after = after
    with pytest.raises(SourceError, match=r"partition 0: .* retention removed 2 offsets unread"):
        rows(later)
    lenient = source(name, format="text", allow_gaps=True)
    lenient.after = after
    assert len(rows(lenient)) == len(rows(fresh))
    assert lenient.counts()["lost_between_reads"] == 2
    anew = source(name, format="text")
    anew.after = {name: {"0": 50}}
    with pytest.raises(SourceError, match="was the topic made anew"):
        rows(anew)


def test_messages_that_go_while_they_are_read_ask_for_all_to_be_read_again(broker, name):
    broker.send(name, ["0", "1"])
    opened = source(name, format="text")
    table = opened.schema().main
    (part,) = opened.parts(table)
    fill(broker, name)
    with pytest.raises(SourceChanged, match="partition 0: the messages from offset 0 on are gone"):
        list(opened.read_part(table, part))


def test_messages_that_do_not_come_end_the_reading(broker, name, monkeypatch):
    monkeypatch.setattr(topic, "STALL_SECONDS", 0.3)
    broker.send(name, ["1"])
    opened = source(name, format="text")
    table = opened.schema().main
    (part,) = opened.parts(table)
    more = kafka.Part({**part.place, "end": 9})
    with pytest.raises(SourceUnavailable, match=r"up to offset 9, none came from 1 on for 0\.3 s"):
        list(opened.read_part(table, more))


def test_a_topic_that_is_not_there_or_empty_is_named(broker, name):
    with pytest.raises(SourceError, match=f"expected a topic '{name}' on the broker of 'BROKER'"):
        source(name).schema()
    broker.send(name, [None])
    with pytest.raises(SourceError, match="expected messages in the topic"):
        source(name).schema()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "csv"}, "csv needs `column_names`"),
        ({"format": "text", "columns": {"a": "int64"}}, "`columns` is for json and csv"),
        ({"columns": {"a": "integer"}}, r"unknown types \['integer'\]; choose from: string, bool"),
        ({"format": "avro"}, "format"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ParamsError, match=message):
        source("t", **settings)


def test_metadata_may_not_hide_a_value(broker, name):
    broker.send(name, ['{"offset": 1}'])
    with pytest.raises(ParamsError, match=r"values named \['offset'\] themselves"):
        source(name, metadata=["offset"]).schema()
