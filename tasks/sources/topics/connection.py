"""From the name of a Kafka connection to the settings of its client, and from its errors to ours.

The settings hold passwords, so they are never printed.
"""

import json
import os
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from confluent_kafka import KafkaError, KafkaException

from tasks.errors import SourceError, SourceUnavailable

_SERVERS = "bootstrap.servers"

_FORBIDDEN_CODES = (
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
)

_UNPROVEN = "certificate"
"""What the reason says where a broker cannot prove who it is; else a handshake may work later."""


def client_settings(name: str) -> dict[str, Any]:
    """The settings of librdkafka that the variable `name`, or `AIRFLOW_CONN_<NAME>`, holds.

    A user without a `security.protocol` is only sent over TLS, by the mechanism PLAIN.

    Raises:
        SourceError: neither is set, or it holds no connection.
    """
    airflow_name = f"AIRFLOW_CONN_{name.upper()}"
    for variable in (name, airflow_name):
        if value := os.environ.get(variable):
            try:
                is_json = value.lstrip().startswith("{")
                found = _from_json(value) if is_json else _from_url(value)
            except (ValueError, TypeError, AttributeError):
                found = {}
            if not found.get(_SERVERS):
                # The cause is cut off because it may hold the value, and that the password.
                raise SourceError(
                    f"expected the variable {variable} to hold a connection like"
                    " kafka://user:password@host:9092,host2:9092?security.protocol=SASL_SSL, or as"
                    " Airflow writes it, in JSON with `bootstrap.servers`; found something else"
                ) from None
            if "sasl.username" in found:
                found = {"security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN"} | found
            return found
    raise SourceError(
        f"source.connection names {name!r}, but the environment variable {name} is not set,"
        f" nor is {airflow_name}; set one to kafka://host:9092"
    )


def explained(error: KafkaError, what: str, heard: list[KafkaError]) -> SourceError:
    """The error of ours for one of librdkafka's.

    Args:
        error: that was raised.
        what: that was being done: "the topic 'a' cannot be read".
        heard: what the client has said about its connections, the first things first.
    """
    told = [e for e in heard if e.code() != KafkaError._ALL_BROKERS_DOWN]
    lasting = [e for e in told if e.code() in _FORBIDDEN_CODES or _UNPROVEN in e.str()]
    is_silence = error.code() in (
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
    )
    cause = [error, *told, *lasting][-1] if is_silence else error
    reason = re.sub(r" \(after \d+ms in state \w+\)", "", cause.str())
    if cause.code() in _FORBIDDEN_CODES:
        return SourceError(f"{what}: the broker refused the login or the right to read: {reason}")
    if _UNPROVEN in reason or cause.code() == KafkaError._SSL:
        return SourceError(f"{what}: the broker cannot prove who it is: {reason}")
    return SourceUnavailable(f"{what}: the broker does not answer: {reason}")


def unusable(error: KafkaException, name: str) -> SourceError:
    """What is said of settings that librdkafka refuses, without their values."""
    said = str(error.args[0].str())
    named = re.search(r'property:? "([\w.]+)"', said)
    subject = f"its property {named[1]!r}" if named else "a certificate or key in it"
    return SourceError(
        f"the connection {name!r} cannot be used: librdkafka does not take {subject}; see its"
        " CONFIGURATION.md for names and values"
    )


def _from_url(value: str) -> dict[str, Any]:
    parts = urlsplit(value)
    if parts.scheme != "kafka":
        raise ValueError("no URL of Kafka")
    login, _, servers = parts.netloc.rpartition("@")
    found = dict(parse_qsl(parts.query))
    if extra := found.pop("__extra__", None):  # how Airflow writes JSON into a URL
        found |= json.loads(extra)
    if servers:
        found[_SERVERS] = unquote(servers)
    if login:
        user, _, password = login.partition(":")
        found |= {"sasl.username": unquote(user), "sasl.password": unquote(password)}
    return found


def _from_json(value: str) -> dict[str, Any]:
    """A connection as Airflow writes it: the settings are its `extra`."""
    content: dict[str, Any] = json.loads(value)
    extra = content.get("extra") or {}
    found = dict(json.loads(extra) if isinstance(extra, str) else extra)
    if host := content.get("host"):
        port = f":{content['port']}" if content.get("port") else ""
        found.setdefault(_SERVERS, f"{host}{port}")
    if login := content.get("login"):
        found.setdefault("sasl.username", login)
        found.setdefault("sasl.password", content.get("password") or "")
    return found
