"""When alerts are sent, and when they count as sent: real servers of webhooks, no Airflow."""

import asyncio
import contextlib
import importlib
import logging
import socket
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.projects import REPOSITORY
from tests.sinks import Sink, webhook_sink

HOOK = "PROOFMINT_TEST_HOOK"
SECRET = "token-in-the-address"


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(REPOSITORY / "plugins"))
    yield importlib.import_module("proofmint_alerts")
    sys.modules.pop("proofmint_alerts")


@contextlib.contextmanager
def hooked(monkeypatch: pytest.MonkeyPatch, status: int = 200) -> Iterator[Sink]:
    with webhook_sink(status) as hook:
        monkeypatch.setenv(HOOK, f"http://127.0.0.1:{hook.port}/{SECRET}")
        yield hook


def tell_late(alerts: ModuleType, state: str) -> None:
    context: dict[str, Any] = {"dag_run": {"dag_id": "d", "dag_run_id": "r", "state": state}}
    asyncio.run(alerts.late(context, minutes=5, mail=[], webhook=HOOK))


@pytest.mark.parametrize(
    ("state", "n_told"), [("running", 1), ("queued", 1), ("failed", 0), ("success", 0)]
)
def test_a_run_that_has_ended_is_not_late(
    alerts: ModuleType, monkeypatch: pytest.MonkeyPatch, state: str, n_told: int
) -> None:
    with hooked(monkeypatch) as hook:
        tell_late(alerts, state)
    assert [post["event"] for post in hook.posts] == ["late"] * n_told


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 404, 500])
def test_what_another_answer_than_yes_is_given_to_was_not_sent(
    alerts: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    with hooked(monkeypatch, status), caplog.at_level(logging.INFO):
        tell_late(alerts, "running")
    assert f"by webhook {HOOK}: HTTPError {status}" in caplog.text
    assert "sent the alert" not in caplog.text
    assert SECRET not in caplog.text


def test_a_server_that_never_comes_to_an_end_holds_nobody(
    alerts: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerts, "ATTEMPT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(HOOK, f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}")
        tell_late(alerts, "running")
    assert "TimeoutError" in caplog.text
