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
    """Tell of a run that has taken longer than it may; Airflow's triggerer calls this."""
    from asgiref.sync import sync_to_async

    run = context["dag_run"]
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
            _log.error("cannot send the alert %r by %s: %s", subject, way, type(error).__name__)
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
    with urllib.request.urlopen(message, timeout=ATTEMPT_SECONDS):  # noqa: S310
        pass
