"""Tells people of refusals, failures, late runs and waiting approvals, by mail and by webhook.

Who is told stands under `alerts` of a dataset. Mail goes through Airflow's connection
`smtp_default`; a webhook is a URL held by an environment variable or, as its password, by an Airflow
connection. An alert says what happened where, never a row: messages of stages come without values
of the data. An alert that cannot be sent is logged, and changes nothing for the run.
"""

import html
import json
import logging
import os
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier, Connection

ATTEMPT_SECONDS = 20
"""How long a server may take to accept an alert."""

EVENTS = {
    "failed": "failed",
    "refused": "refused by a gate",
    "not_approved": "not approved",
    "waits": "waits for approval",
    "late": "is late",
}
"""What is told of, and how a subject says it."""

ENDED = {"success", "failed"}
"""States of a run that nothing follows on."""

_BY_ERROR = {"GateRefused": "refused", "NotApproved": "not_approved"}

_WAITS = {
    "event": "waits",
    "error": None,
    "message": "A person who has seen the evidence must approve or reject the release.",
}

_log = logging.getLogger(__name__)


class Alert(BaseNotifier):
    """Tells of the task at hand: it waits for a person, or it has failed for good.

    Args:
        mail: addresses.
        webhook: names what holds the URL; None: there is none.
        waits: the task waits; False: it has failed.
    """

    def __init__(
        self, *, mail: Sequence[str] = (), webhook: str | None = None, waits: bool = False
    ) -> None:
        super().__init__()
        self.mail = list(mail)
        self.webhook = webhook
        self.waits = waits

    def notify(self, context: Mapping[str, Any]) -> None:
        """Send it, by all ways that are set."""
        ti = context["ti"]
        facts = {"dataset": ti.dag_id, "run": ti.run_id, "task": ti.task_id}
        event = _WAITS if self.waits else _failure(context.get("exception"))
        send({**facts, **event, "links": _links(facts)}, self.mail, self.webhook)


async def late(
    context: Mapping[str, Any], *, minutes: int, mail: Sequence[str], webhook: str | None
) -> None:
    """Tell of a run that has taken longer than it may; Airflow's triggerer calls this.

    Airflow calls for a run that has failed before its deadline, too: that one has been told of.
    """
    from asgiref.sync import sync_to_async

    run = context["dag_run"]
    if run["state"] in ENDED:
        _log.info("the run %s of %s had ended (%s)", run["dag_run_id"], run["dag_id"], run["state"])
        return
    facts = {"dataset": run["dag_id"], "run": run["dag_run_id"], "task": None}
    message = f"The run has not ended after {minutes} min; it goes on."
    alert = {**facts, "event": "late", "error": None, "message": message, "links": _links(facts)}
    await sync_to_async(send)(alert, mail, webhook)


def send(alert: Mapping[str, Any], mail: Sequence[str], webhook: str | None) -> None:
    """Send an alert by all ways that are set; what fails is logged, without what is secret."""
    where = f" at {alert['task']}" if alert["task"] else ""
    subject = f"[Proofmint] {alert['dataset']} {EVENTS[alert['event']]}{where}"
    for way, deliver in _ways(subject, alert, mail, webhook):
        try:
            deliver()
        except Exception as error:  # whatever it is, the run has ended as it has
            # Its text may hold the address, which is a secret where it is a webhook's.
            status = getattr(error, "code", "")
            _log.error(
                "cannot send the alert %r by %s: %s %s", subject, way, type(error).__name__, status
            )
        else:
            _log.info("sent the alert %r by %s", subject, way)


def _ways(
    subject: str, alert: Mapping[str, Any], mail: Sequence[str], webhook: str | None
) -> Iterator[tuple[str, Any]]:
    if mail:
        yield "mail", lambda: _mail(subject, alert, mail)
    if webhook:
        yield f"webhook {webhook}", lambda: _post(subject, alert, webhook)


def _failure(error: BaseException | str | None) -> dict[str, Any]:
    """What has happened to a task, by the error that ended it."""
    if error is None:
        return {"event": "failed", "error": None, "message": "The process was lost; see the log."}
    kind, separator, message = str(error).partition(": ")
    if not separator or not kind.isidentifier():  # an error of Airflow or of a library
        kind, message = type(error).__name__, "What it says is in the log."
    return {"event": _BY_ERROR.get(kind, "failed"), "error": kind, "message": message}


def _links(facts: Mapping[str, Any]) -> dict[str, str]:
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    dag, run = (quote(str(facts[key]), safe="") for key in ("dataset", "run"))
    task = f"/tasks/{quote(facts['task'], safe='')}" if facts["task"] else ""
    return {
        "run": f"{base}/dags/{dag}/runs/{run}{task}",
        "evidence": f"{base}/proofmint/datasets/{dag}/runs/{run}",
    }


def _mail(subject: str, alert: Mapping[str, Any], to: Sequence[str]) -> None:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    rows = "".join(
        f"<tr><th align='left'>{key}</th><td><pre>{html.escape(str(alert[key]))}</pre></td></tr>"
        for key in ("dataset", "run", "task", "error", "message")
        if alert[key]
    )
    links = "".join(
        f"<li><a href='{html.escape(url)}'>{name}</a></li>" for name, url in alert["links"].items()
    )
    with SmtpHook() as server:
        server.send_email_smtp(
            to=list(to), subject=subject, html_content=f"<table>{rows}</table><ul>{links}</ul>"
        )


def _post(subject: str, alert: Mapping[str, Any], name: str) -> None:
    url = os.environ.get(name) or Connection.get(name).password or ""
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"expected {name} to hold a URL of http or https")
    text = "\n".join([subject, alert["message"], *alert["links"].values()])
    message = urllib.request.Request(  # noqa: S310 - the scheme is checked
        url,
        data=json.dumps({"text": text, **alert}).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "Proofmint"},
    )
    _open(message)


def _open(message: urllib.request.Request) -> None:
    """Send it, in ATTEMPT_SECONDS in all: a timeout of urllib is for each byte that may come."""
    outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            opener = urllib.request.build_opener(_NoRedirect)
            opener.open(message, timeout=ATTEMPT_SECONDS).close()
        except Exception as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is an answer, too
            outcome.put(error)
        else:
            outcome.put(None)

    threading.Thread(target=attempt, daemon=True).start()
    try:
        error = outcome.get(timeout=ATTEMPT_SECONDS)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: what is posted would arrive elsewhere as a GET without the alert."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none; urllib then raises the status."""
