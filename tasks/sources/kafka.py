"""Messages of a Kafka topic, between the offsets that it has when reading begins."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message
from pydantic import Field, model_validator

from tasks.errors import ParamsError, SourceError
from tasks.schema import DatasetSchema, TableSchema, arrow_schema
from tasks.sources._records import decoded
from tasks.sources._rows import BATCH_ROWS, PartCounts
from tasks.sources.base import ColumnNames, Part, Source, SourceSettings, column, table_schema
from tasks.sources.topics.topic import Bounds, Topic
from tasks.sources.topics.values import (
    DECLARABLE,
    Bytes,
    CsvRecords,
    JsonRecords,
    Texts,
    Values,
)

PART_MESSAGES = 250_000
"""Offsets of a part at most."""

Metadata = Literal["key", "partition", "offset", "timestamp"]

_METADATA_TYPES: dict[Metadata, pa.DataType] = {
    "key": pa.string(),
    "partition": pa.int32(),
    "offset": pa.int64(),
    "timestamp": pa.timestamp("ms", tz="UTC"),
}

_logger = logging.getLogger(__name__)


class KafkaSettings(SourceSettings):
    """Settings of `source: {type: kafka}`."""

    connection: str = Field(
        min_length=1,
        description="name of the environment variable, or of the Airflow connection, with"
        " kafka://user:password@host:9092,host2:9092?security.protocol=SASL_SSL; its query may hold"
        " any setting of librdkafka",
    )
    topic: str = Field(min_length=1, description="name of the topic")
    format: Literal["json", "csv", "text", "bytes"] = Field(
        default="json",
        description="what a value is: an object of JSON, a line of delimited text, a text, or bytes",
    )
    columns: dict[str, str] | None = Field(
        default=None,
        min_length=1,
        description=f"type by column of json and csv, one of {', '.join(DECLARABLE)}; null: found out"
        " from all messages, which are all read again by every run",
    )
    column_names: ColumnNames | None = Field(
        default=None, description="names of the values of csv; null: as in `columns`"
    )
    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="between values of csv"
    )
    metadata: list[Metadata] = Field(
        default=[],
        description="what of a message comes along as a column: key (text in UTF-8), partition,"
        " offset, timestamp; partition and offset together are the primary key",
    )
    until: dict[int, int] | None = Field(
        default=None,
        description="by partition, the offset before which reading ends; a partition that is not"
        " named is not read; null: the end of each partition when reading begins",
    )
    allow_gaps: bool = Field(
        default=False,
        description="count the messages that retention has removed since the last run, instead of"
        " failing",
    )

    @model_validator(mode="after")
    def _fits_the_format(self) -> "KafkaSettings":
        if self.format == "csv" and not (self.column_names or self.columns):
            raise ValueError("csv needs `column_names`, or `columns` with their types")
        if self.columns is not None and self.format not in ("json", "csv"):
            raise ValueError(f"`columns` is for json and csv, found format {self.format}")
        if wrong := sorted(set((self.columns or {}).values()) - set(DECLARABLE)):
            raise ValueError(f"unknown types {wrong}; choose from: {', '.join(DECLARABLE)}")
        return self


class KafkaSource(Source):
    """A topic as a table, by partition and offset.

    A later run reads only what came since (`end_of`), where the columns do not depend on the
    messages: `columns` are given, or the format is text or bytes.
    """

    Settings = KafkaSettings

    _is_observed = False
    _n_removed = 0
    _n_lost = 0

    def schema(self) -> DatasetSchema:
        """One table; without `columns`, all messages of json and csv are read for it."""
        if not self._values.is_fixed and not self._is_observed:
            self._observe()
            self._is_observed = True
        values = self._values.columns()
        if not values:
            raise SourceError(f"expected messages in the topic {self.settings.topic!r}, found none")
        metadata = [
            column(name, _METADATA_TYPES[name], nullable=name in ("key", "timestamp"))
            for name in self.settings.metadata
        ]
        if taken := {c.name for c in values} & {c.name for c in metadata}:
            raise ParamsError(
                f"source.metadata: the messages have values named {sorted(taken)} themselves; leave"
                " these out of `metadata`"
            )
        key = [name for name in ("partition", "offset") if name in self.settings.metadata]
        columns = [*values, *metadata]
        return self.dataset(
            table_schema(self.settings.topic, columns, primary_key=key if len(key) == 2 else ())
        )

    def parts(self, table: TableSchema) -> Sequence[Part]:
        """Ranges of offsets, partition by partition."""
        after = self.after.get(table.name, {})
        known = self._values.known()
        parts = []
        self._n_removed = self._n_lost = 0
        for partition, bounds in self._bounds.items():
            start = self._start(partition, bounds, after.get(str(partition)))
            parts += [
                Part(
                    {
                        "partition": partition,
                        "start": at,
                        "end": min(at + PART_MESSAGES, bounds.end),
                        "known": known,
                    }
                )
                for at in range(start, bounds.end, PART_MESSAGES)
            ]
        return parts

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The messages between two offsets that have a value, in their order."""
        schema = arrow_schema(table)
        counts = self._left_out.of(part)
        place = part.place
        for messages in self._messages(place["partition"], place["start"], place["end"]):
            present = [m for m in messages if m.value() is not None]
            counts["tombstones"] += len(messages) - len(present)
            if present:
                values = self._values.batch(present, place["known"], counts)
                arrays = [*values.columns, *(self._metadata(n, present) for n in self._names)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def end_of(self, table: TableSchema) -> dict[str, Any] | None:
        """The end of each partition; None where the columns depend on the messages."""
        del table
        if not self._values.is_fixed:
            return None
        return {str(partition): bounds.end for partition, bounds in self._bounds.items()}

    def counts(self) -> dict[str, int]:
        """Messages without a value, values that no column was declared for, and what is gone."""
        found = self._left_out.total()
        return {
            "tombstones": found["tombstones"],
            "undeclared_values": found["undeclared_values"],
            "removed_before_first_read": self._n_removed,
            "lost_between_reads": self._n_lost,
        }

    @cached_property
    def _left_out(self) -> PartCounts:
        return PartCounts()

    @property
    def _names(self) -> list[Metadata]:
        names: list[Metadata] = self.settings.metadata
        return names

    @cached_property
    def _topic(self) -> Topic:
        settings = self.settings
        return Topic(settings.connection, settings.topic, self.batch_bytes())

    @cached_property
    def _values(self) -> Values:
        settings, place = self.settings, self._topic.place
        if settings.format == "text":
            return Texts(place)
        if settings.format == "bytes":
            return Bytes(place)
        if settings.format == "json":
            return JsonRecords(place, settings.columns)
        names = settings.column_names or list(settings.columns)
        return CsvRecords(place, settings.columns, names, settings.delimiter)

    @cached_property
    def _bounds(self) -> Mapping[int, Bounds]:
        """Where each partition begins and where reading ends, as the topic was when first asked."""
        found = self._topic.bounds()
        until: dict[int, int] | None = self.settings.until
        if until is None:
            return found
        bounds = {}
        for partition, end in sorted(until.items()):
            if partition not in found or not 0 <= end <= found[partition].end:
                shown = ", ".join(f"{p}: {b.end}" for p, b in found.items())
                raise SourceError(
                    f"source.until asks for offset {end} of partition {partition}, but the topic"
                    f" {self.settings.topic!r} ends at {{{shown}}}"
                )
            bounds[partition] = Bounds(min(found[partition].first, end), end)
        return bounds

    def _start(self, partition: int, bounds: Bounds, after: int | None) -> int:
        """The first offset to read; what is gone before it is counted, or refused."""
        if after is None:
            self._n_removed += bounds.first
            return bounds.first
        where = f"topic {self.settings.topic!r}, partition {partition}"
        if after > bounds.end:
            raise SourceError(
                f"{where}: the last run read up to offset {after}, but it ends at {bounds.end}: was"
                " the topic made anew? Remove .proofmint/cache/snapshots to read all of it"
            )
        if after < bounds.first:
            n_lost = bounds.first - after
            if not self.settings.allow_gaps:
                raise SourceError(
                    f"{where}: the last run read up to offset {after}, but the oldest message now has"
                    f" {bounds.first}: retention removed {n_lost} offsets unread; run more often,"
                    " keep messages longer, or set `allow_gaps: true` to count them"
                )
            self._n_lost += n_lost
            _logger.warning("%s: %s offsets were removed unread", where, f"{n_lost:,}")
        return max(after, bounds.first)

    def _observe(self) -> None:
        for partition, bounds in self._bounds.items():
            for messages in self._messages(partition, bounds.first, bounds.end):
                if present := [m for m in messages if m.value() is not None]:
                    self._values.look(present)

    def _messages(self, partition: int, start: int, end: int) -> Iterator[list[Message]]:
        """Messages in groups of the size of a batch, whose cut only the messages decide."""
        waiting: list[Message] = []
        n_bytes = 0
        for messages in self._topic.messages(partition, start, end):
            for message in messages:
                waiting.append(message)
                n_bytes += len(message)
                if n_bytes >= self.batch_bytes() or len(waiting) == BATCH_ROWS:
                    yield waiting
                    waiting, n_bytes = [], 0
        if waiting:
            yield waiting

    def _metadata(self, name: Metadata, messages: Sequence[Message]) -> pa.Array:
        values: list[Any]
        if name == "key":
            values = [self._key(m) for m in messages]
        elif name == "timestamp":
            times = [m.timestamp() for m in messages]
            values = [t if kind != TIMESTAMP_NOT_AVAILABLE else None for kind, t in times]
        else:
            values = [m.partition() if name == "partition" else m.offset() for m in messages]
        return pa.array(values, _METADATA_TYPES[name])

    def _key(self, message: Message) -> str | None:
        key = message.key()
        if key is None:
            return None
        content = key.encode() if isinstance(key, str) else key
        return decoded(content, "the key", lambda: self._topic.place(message))
