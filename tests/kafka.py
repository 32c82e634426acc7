"""A Kafka broker for tests: librdkafka's mock cluster, which speaks the real protocol."""

import contextlib
from collections.abc import Iterable, Iterator

from confluent_kafka import Producer

Value = bytes | str | None


class Broker:
    """A broker of this process; its topics appear, with four partitions, when they are written to.

    Attributes:
        servers: where it listens, `host:port`.
    """

    def __init__(self, servers: str) -> None:
        """Connect a producer to it."""
        self.servers = servers
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 0, "log_level": 0})

    @property
    def url(self) -> str:
        """What a variable holds that names it as a connection."""
        return f"kafka://{self.servers}"

    def send(
        self, topic: str, values: Iterable[Value], *, partition: int = 0, key: Value = None
    ) -> None:
        """Append messages to one partition."""
        for value in values:
            self._producer.produce(topic, value=value, key=key, partition=partition)
        self._producer.flush(10)

    def send_in_transaction(self, topic: str, values: Iterable[Value]) -> None:
        """Append messages to partition 0, with the marker of a committed transaction behind them."""
        settings = {"bootstrap.servers": self.servers, "transactional.id": "test", "log_level": 0}
        producer = Producer(settings)
        producer.init_transactions(10)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value=value, partition=0)
        producer.commit_transaction(10)


@contextlib.contextmanager
def running() -> Iterator[Broker]:
    """A broker, for as long as the block lasts."""
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = cluster.list_topics(timeout=10).brokers.values()
    yield Broker(",".join(f"{broker.host}:{broker.port}" for broker in brokers))
    cluster.flush(1)
