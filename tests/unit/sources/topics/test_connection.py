"""Connections to Kafka: how they are written, what does not work, and that nothing secret is said."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from confluent_kafka import KafkaError

from tasks.errors import SourceError, SourceUnavailable
from tasks.sources.topics import connection, topic
from tasks.sources.topics.topic import Topic
from tests import kafka
from tests.kafka import Broker


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with kafka.running() as broker:
        yield broker


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("kafka://127.0.0.1:1", SourceUnavailable, "does not answer: .*Connection refused"),
        ("kafka://host.invalid:9092", SourceUnavailable, "Failed to resolve"),
        ("{}?security.protocol=SSL", SourceUnavailable, "does not answer: ssl://"),
        (
            "kafka://me:s3cret@{}?security.protocol=SASL_PLAINTEXT",
            SourceError,
            "refused the login or the right to read",
        ),
        ("{}?security.protocol=s3cret", SourceError, "does not take its property 'security.pro"),
        ("{}?ssl.ca.pem=s3cret&security.protocol=SSL", SourceError, "a certificate or key in it"),
        ("{}?s3cret=1", SourceError, "does not take its property"),
        ("postgresql://me:s3cret@host/db", SourceError, "BROKER to hold a connection like"),
        ('{{"extra": "s3cret', SourceError, "BROKER to hold a connection like"),
        ("kafka://", SourceError, "BROKER to hold a connection like"),
    ],
)
def test_a_connection_that_does_not_work(broker, monkeypatch, url, error, message):
    monkeypatch.setattr(topic, "ANSWER_SECONDS", 0.5)
    place = broker.servers if "@" in url else broker.url
    monkeypatch.setenv("BROKER", url.format(place))
    with pytest.raises(error, match=message) as raised:
        Topic("BROKER", "t", 2**20).bounds()
    assert "s3cret" not in str(raised.value) or "s3cret=1" in url
    assert isinstance(raised.value, SourceUnavailable) == (error is SourceUnavailable)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("K", "kafka://me:p%40ss@a:1,b:2?security.protocol=SASL_SSL&sasl.mechanisms=PLAIN"),
        ("AIRFLOW_CONN_K", json.dumps({"host": "a:1,b:2", "login": "me", "password": "p@ss"})),
        (
            "AIRFLOW_CONN_K",
            json.dumps(
                {
                    "conn_type": "kafka",
                    "extra": json.dumps(
                        {
                            "bootstrap.servers": "a:1,b:2",
                            "sasl.username": "me",
                            "sasl.password": "p@ss",
                        }
                    ),
                }
            ),
        ),
        (
            "AIRFLOW_CONN_K",
            "kafka://?__extra__="
            + quote('{"bootstrap.servers":"a:1,b:2","sasl.username":"me","sasl.password":"p@ss"}'),
        ),
    ],
)
def test_connections_are_written_in_several_ways(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert connection.client_settings("K") == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "p@ss",
    }


def test_a_connection_that_is_not_set_is_named():
    with pytest.raises(SourceError, match="AIRFLOW_CONN_GONE; set one to kafka://"):
        connection.client_settings("gone")


def test_a_broker_that_cannot_prove_who_it_is_is_not_asked_again():
    reason = "ssl://b:1: SSL handshake failed: certificate verify failed (after 4ms in state X)"
    heard = [KafkaError(KafkaError._TRANSPORT, reason), KafkaError(KafkaError._ALL_BROKERS_DOWN)]
    found = connection.explained(KafkaError(KafkaError._TRANSPORT), "it", heard)
    assert "it: the broker cannot prove who it is: ssl://b:1: SSL handshake failed" in str(found)
    assert "after 4ms" not in str(found)
    assert not isinstance(found, SourceUnavailable)
