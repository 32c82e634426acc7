"""A run waits for a person in Airflow, and people are told: real servers, mail and webhook."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tasks import versions
from tasks.commands import postgres
from tasks.commands.run import run_dag
from tasks.commands.server_settings import servers_of
from tasks.errors import NotApproved
from tasks.publishing.verification import verify_release
from tasks.worktrees import path_of
from tests.airflow_rest import Airflow, wait_for
from tests.made_up import DATASET, REFUSAL, REFUSED_ROWS, make_project
from tests.sinks import Sink, mail_sink, webhook_sink

ALERTS = {"mail": ["ops@example.org"], "webhook": "PROOFMINT_TEST_HOOK", "deadline_minutes": 60}
SECRET = "token-in-the-address-of-the-webhook"


@dataclass(frozen=True)
class Running:
    root: Path
    airflow: Airflow
    mail: Sink
    hook: Sink

    def details(self, run_id: str) -> str:
        """The address of what a run asks."""
        run = quote(run_id)
        return f"dags/{DATASET}/dagRuns/{run}/taskInstances/approve/-1/hitlDetails"

    def answer(self, run_id: str, option: str, **fields: Any) -> None:
        content = {"chosen_options": [option], "params_input": fields}
        self.airflow.api(self.details(run_id), content, "PATCH")

    def asked(self, **settings: Any) -> tuple[str, dict[str, Any]]:
        """Start a run that waits for a person; return its id and what it asks."""
        run_id = self.airflow.trigger(DATASET, **settings)
        self.airflow.wait_for_task(DATASET, run_id, "approve", "awaiting_input")
        # Airflow 3.3 takes an answer that is there before its scheduler knows that the task waits for
        # the end of a lost task. No person is that quick; a test is.
        log = servers_of(self.root).log("scheduler")
        settled = re.compile(rf"approve, run_id={re.escape(run_id)}, .*state=awaiting_input")
        wait_for("word of the scheduler", lambda: bool(settled.search(log.read_text())))
        return run_id, self.airflow.api(self.details(run_id))

    def told(self, run_id: str, event: str) -> dict[str, Any]:
        """The webhook's alert of an event of a run, which must come."""

        def found() -> list[dict[str, Any]]:
            return [p for p in self.hook.posts if (p["run"], p["event"]) == (run_id, event)]

        wait_for(f"alert {event}", lambda: bool(found()))
        (alert,) = found()
        return alert


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {"approval": "required", "alerts": ALERTS}
    root = make_project(tmp_path_factory.mktemp("approval") / "p", settings)
    command = [sys.executable, "-m", "tasks"]
    with mail_sink() as mail, webhook_sink() as hook:
        smtp = {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": mail.port,
            "extra": {"disable_tls": True, "disable_ssl": True, "from_email": "p@example.org"},
        }
        env = {
            **{k: v for k, v in os.environ.items() if k != "PROOFMINT_HOME"},
            "PYTHONPATH": str(root),
            "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(smtp),
            "PROOFMINT_TEST_HOOK": f"http://127.0.0.1:{hook.port}/{SECRET}",
        }
        try:
            subprocess.run([*command, "up"], cwd=root, env=env, check=True, capture_output=True)
            airflow = Airflow.of(servers_of(root))
            airflow.unpause(DATASET)
            yield Running(root, airflow, mail, hook)
        finally:
            subprocess.run([*command, "down"], cwd=root, env=env, check=False, capture_output=True)


def test_a_run_waits_with_the_evidence_and_a_yes_is_attested(running: Running) -> None:
    run_id, asked = running.asked()
    digest = asked["params"]["digest"]["value"]
    assert asked["params"]["digest"]["schema"]["enum"] == [digest]
    for told in (digest, "2 of 2 thresholds met", "Column shapes", "/proofmint/datasets/patients/"):
        assert told in asked["subject"] + asked["body"]
    assert versions.newest(running.root, DATASET) is None
    alert = running.told(run_id, "waits")
    assert alert["links"]["run"].startswith(running.airflow.url)

    anonymous = urllib.request.Request(  # noqa: S310 - our own address
        f"{running.airflow.url}/api/v2/{running.details(run_id)}",
        data=b'{"chosen_options": ["Approve"], "params_input": {}}',
        headers={"Content-Type": "application/json"},
        method="PATCH",
    )
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(anonymous)  # noqa: S310

    running.answer(run_id, "Approve", digest=digest, comment="looks  right")
    assert running.airflow.end_of(DATASET, run_id) == "success"
    verified = verify_release(running.root / "releases" / DATASET)
    approval = verified.attestation.facts["approval"]
    assert approval | {"by": "admin", "digest": digest, "comment": "looks right"} == approval
    assert approval["through"] == f"Airflow run {run_id}"
    assert verified.attestation.manifest_sha256 == digest

    # The same bytes again: nobody is asked.
    again = running.airflow.trigger(DATASET)
    assert running.airflow.end_of(DATASET, again) == "success"
    tasks = running.airflow.tasks_of(DATASET, again)
    assert (tasks["approve"]["state"], tasks["release"]["state"]) == ("success", "skipped")


def test_a_no_a_yes_to_another_release_and_a_refusal_release_nothing(running: Running) -> None:
    before = len(versions.versions(running.root, DATASET))
    refused = running.airflow.trigger(DATASET, rows=REFUSED_ROWS)
    rejected, _ = running.asked(rows=41)
    mistaken, _ = running.asked(rows=42)
    running.answer(rejected, "Reject", digest=None, comment="the margin is too small")
    running.answer(mistaken, "Approve", digest="0" * 64, comment=None)
    for run_id in (refused, rejected, mistaken):
        assert running.airflow.end_of(DATASET, run_id) == "failed"
    assert len(versions.versions(running.root, DATASET)) == before
    for run_id in (rejected, mistaken):
        assert running.airflow.tasks_of(DATASET, run_id)["approve"]["try_number"] == 1

    alert = running.told(refused, "refused")
    assert (alert["task"], alert["error"], alert["message"]) == ("publish", "GateRefused", REFUSAL)
    alert = running.told(rejected, "not_approved")
    assert alert["message"] == f"{DATASET}: rejected by admin: the margin is too small"
    assert "expected an approval of the digest" in running.told(mistaken, "not_approved")["message"]
    subjects = [mail["subject"] for mail in running.mail.mails]
    assert f"[Proofmint] {DATASET} refused by a gate at publish" in subjects
    assert f"[Proofmint] {DATASET} not approved at approve" in subjects


def test_an_approval_that_nobody_gave_releases_nothing(running: Running) -> None:
    before = len(versions.versions(running.root, DATASET))
    forged, asked = running.asked(rows=45)
    run = f"dags/{DATASET}/dagRuns/{quote(forged)}/taskInstances/approve"
    approval = {
        "by": "The Board",
        "at": "2026-03-07T10:00:00+00:00",
        "digest": asked["params"]["digest"]["value"],
        "comment": "never seen",
        "through": f"Airflow run {forged}",
    }
    xcom = {"key": "return_value", "value": approval, "map_index": -1}
    running.airflow.api(f"{run}/xcomEntries", xcom)
    running.airflow.api(run, {"new_state": "success"}, "PATCH")
    malformed, asked = running.asked(rows=46)
    running.answer(
        malformed, "Approve", digest=asked["params"]["digest"]["value"], comment=[SECRET]
    )
    for run_id in (forged, malformed):
        assert running.airflow.end_of(DATASET, run_id) == "failed"
    assert "nobody has approved the digest" in running.told(forged, "not_approved")["message"]
    assert "a comment of at most 2000" in running.told(malformed, "not_approved")["message"]
    assert len(versions.versions(running.root, DATASET)) == before


def test_settings_that_no_run_may_have_end_it_and_leave_nothing(running: Running) -> None:
    misspelt = running.airflow.trigger(DATASET, row=5)
    unknown = running.airflow.trigger(DATASET, generator_params={"layer": 5})
    for run_id in (misspelt, unknown):
        assert running.airflow.end_of(DATASET, run_id) == "failed"
    assert "unknown row; choose among batch_size" in running.told(misspelt, "failed")["message"]
    assert "layer" in running.told(unknown, "failed")["message"]
    for run_id in (misspelt, unknown):
        assert not path_of(running.root, DATASET, run_id).exists()


@pytest.mark.slow
def test_people_are_told_of_a_run_that_is_late(running: Running) -> None:
    run_id, _ = running.asked(rows=43)
    database = postgres.start(servers_of(running.root).database)  # it runs; where it is
    with database.connect("airflow") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE deadline SET deadline_time = now() WHERE NOT missed")
        assert cursor.rowcount >= 1
    assert "has not ended after 60 min" in running.told(run_id, "late")["message"]
    running.answer(run_id, "Reject", digest=None, comment=None)
    assert running.airflow.end_of(DATASET, run_id) == "failed"


def test_the_webhooks_address_is_in_no_log(running: Running) -> None:
    logs = list((running.root / ".proofmint" / "logs").rglob("*.log"))
    assert len(logs) > 5
    assert not [place for place in logs if SECRET in place.read_text(errors="replace")]


@pytest.mark.slow
def test_a_run_without_a_server_ends_and_says_what_to_do(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PROOFMINT_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(running.root))
    with pytest.raises(NotApproved, match=f"proofmint run {DATASET}; proofmint approve"):
        run_dag(running.root, DATASET, {"rows": 44})
