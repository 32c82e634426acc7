"""One topic of Kafka, read between offsets; nothing is committed and no group is joined."""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tasks.errors import SourceChanged, SourceError, SourceUnavailable
from tasks.sources.topics.connection import client_settings, explained, unusable

ANSWER_SECONDS = 10.0
"""How long a question about the topic may take."""

STALL_SECONDS = 60.0
"""How long messages that must be there may fail to come."""

_POLL_SECONDS = 0.1
_MESSAGES_AT_ONCE = 10_000

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """What a partition has.

    Attributes:
        first: the oldest offset that is still there.
        end: one past the last offset that may be read.
    """

    first: int
    end: int


class Topic:
    """A topic of a broker; may be used by several threads at once."""

    def __init__(self, connection: str, name: str, memory_bytes: int) -> None:
        """Open nothing yet.

        Args:
            connection: name of the variable that holds the connection.
            name: of the topic.
            memory_bytes: that messages on their way may take, for each reader.
        """
        self.name = name
        self._connection = connection
        self._memory_bytes = memory_bytes

    def bounds(self) -> dict[int, Bounds]:
        """The oldest offset and the end of each partition, as they are now.

        The end is where committed transactions end; an open transaction is beyond it.

        Raises:
            SourceError: there is no such topic, it may not be read, or the login is refused.
            SourceUnavailable: no broker answers.
        """
        with self._consumer() as (consumer, heard):
            try:
                found = consumer.list_topics(self.name, timeout=ANSWER_SECONDS).topics[self.name]
                if found.error is None:
                    return {
                        number: self._bounds(consumer, number)
                        for number in sorted(found.partitions)
                    }
            except KafkaException as error:
                consumer.poll(0)  # lets the client tell what it has heard
                raise explained(error.args[0], self._failure, heard) from error
            if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise SourceError(
                    f"expected a topic {self.name!r} on the broker of {self._connection!r}, found"
                    " none of this name"
                )
            raise explained(found.error, self._failure, heard)

    def messages(self, partition: int, start: int, end: int) -> Iterator[list[Message]]:
        """The messages with offsets from `start` to before `end`, some at a time.

        Offsets may be missing: markers of transactions have one, and compaction removes messages.

        Raises:
            SourceChanged: messages from `start` on have been removed, or there are fewer than
                there were.
            SourceUnavailable: the broker stopped answering.
            SourceError: a message is damaged, or may not be read.
        """
        with self._consumer() as (consumer, heard):
            consumer.assign([TopicPartition(self.name, partition, start)])
            next_offset = start
            stalled_at = time.monotonic() + STALL_SECONDS
            while next_offset < end:
                n = min(end - next_offset, _MESSAGES_AT_ONCE)
                found = consumer.consume(n, timeout=_POLL_SECONDS)
                good, next_offset = self._sorted_out(found, next_offset, end, heard)
                if good:
                    stalled_at = time.monotonic() + STALL_SECONDS
                    yield good
                elif time.monotonic() > stalled_at:
                    raise self._stalled(partition, next_offset, end, heard)

    def place(self, message: Message) -> str:
        """Where a message is, for messages to people."""
        return f"topic {self.name!r}, partition {message.partition()}, offset {message.offset()}"

    @property
    def _failure(self) -> str:
        return f"the topic {self.name!r} (connection {self._connection}) cannot be read"

    @contextlib.contextmanager
    def _consumer(self) -> Iterator[tuple[Consumer, list[KafkaError]]]:
        heard: list[KafkaError] = []
        own = {
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "queued.max.messages.kbytes": max(1024, self._memory_bytes // 1024),
            "fetch.wait.max.ms": 100,
            "error_cb": heard.append,
            "log_level": 0,
        }
        given: dict[str, Any] = {"group.id": "proofmint", "check.crcs": True}
        given |= client_settings(self._connection)
        try:
            consumer = Consumer(given | own)
        except KafkaException as error:
            raise unusable(error, self._connection) from None
        try:
            yield consumer, heard
        finally:
            consumer.close()

    def _bounds(self, consumer: Consumer, partition: int) -> Bounds:
        place = TopicPartition(self.name, partition)
        found = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
        if found is None:
            raise SourceUnavailable(f"{self._failure}: no answer for partition {partition}")
        return Bounds(*found)

    def _sorted_out(
        self, found: list[Message], next_offset: int, end: int, heard: list[KafkaError]
    ) -> tuple[list[Message], int]:
        """The messages before `end`, and the offset up to which all is known."""
        good = []
        for message in found:
            error = message.error()
            if error is None:
                offset = message.offset() or 0
                if next_offset <= offset < end:
                    good.append(message)
                next_offset = max(next_offset, offset + 1)
            elif error.code() == KafkaError._PARTITION_EOF:
                next_offset = max(next_offset, message.offset() or 0)
            else:
                raise self._broken(message, error, next_offset, heard)
        return good, next_offset

    def _broken(
        self, message: Message, error: KafkaError, next_offset: int, heard: list[KafkaError]
    ) -> SourceError:
        where = f"topic {self.name!r}, partition {message.partition()}"
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            return SourceChanged(
                f"{where}: the messages from offset {next_offset} on are gone, removed by retention"
                " or with the topic, since reading began"
            )
        if error.code() == KafkaError._BAD_MSG:
            return SourceError(
                f"{where}, offset {next_offset}: the message is damaged: {error.str()}"
            )
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return SourceChanged(f"{where} is gone since reading began")
        return explained(error, self._failure, heard)

    def _stalled(
        self, partition: int, next_offset: int, end: int, heard: list[KafkaError]
    ) -> SourceError:
        what = (
            f"topic {self.name!r}, partition {partition}: expected messages up to offset {end},"
            f" none came from {next_offset} on for {STALL_SECONDS:g} s"
        )
        return explained(heard[-1], what, heard) if heard else SourceUnavailable(what)
