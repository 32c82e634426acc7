"""Our metrics as a StatsD daemon and an OpenTelemetry collector receive them from a worker of Airflow."""

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projects import REPOSITORY

SCRIPT = """
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
# As Airflow's task runner starts (airflow/sdk/execution_time/task_runner.py).
stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
from proofmint_metrics import count_fault, count_release, measure_stage
measure_stage("adult", "train", 12.5, executed=True)
measure_stage("adult", "clean", 0.5, executed=False)
count_fault("adult", "validate_raw", "GateRefused")
count_fault("adult", "ingest", "SourceUnavailable")
count_release("adult", new=True)
count_release("adult", new=False)
"""

NAMES = [
    "proofmint.stage.duration",
    "proofmint.stage.executed",
    "proofmint.stage.cached",
    "proofmint.gate.refused",
    "proofmint.task.failed",
    "proofmint.release.made",
    "proofmint.release.unchanged",
]


def run(home: Path, **settings: str) -> None:
    """Send the metrics from a process with these settings of Airflow."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{REPOSITORY / 'plugins'}{os.pathsep}{REPOSITORY}",
            "AIRFLOW_HOME": str(home),
            **{f"AIRFLOW__METRICS__{name}": value for name, value in settings.items()},
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_statsd_daemon_is_sent_them_with_tags(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(10)
        run(
            tmp_path,
            STATSD_ON="true",
            STATSD_HOST="127.0.0.1",
            STATSD_PORT=str(daemon.getsockname()[1]),
            STATSD_PREFIX="airflow",
            STATSD_INFLUXDB_ENABLED="true",
        )
        received: list[str] = []
        while len(received) < 8:  # between them come Airflow's own
            metric = daemon.recv(65_536).decode()
            received += [metric] if "proofmint" in metric else []
    assert received == [
        "airflow.proofmint.stage.duration,dataset=adult,stage=train:12500.000000|ms",
        "airflow.proofmint.stage.executed,dataset=adult,stage=train:1|c",
        "airflow.proofmint.stage.duration,dataset=adult,stage=clean:500.000000|ms",
        "airflow.proofmint.stage.cached,dataset=adult,stage=clean:1|c",
        "airflow.proofmint.gate.refused,dataset=adult,stage=validate_raw,error=GateRefused:1|c",
        "airflow.proofmint.task.failed,dataset=adult,stage=ingest,error=SourceUnavailable:1|c",
        "airflow.proofmint.release.made,dataset=adult:1|c",
        "airflow.proofmint.release.unchanged,dataset=adult:1|c",
    ]


@pytest.fixture
def collector() -> Iterator[tuple[int, list[bytes]]]:
    """The port of an OTLP endpoint, and what was posted to it."""
    bodies: list[bytes] = []

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_opentelemetry_collector_is_sent_them(
    tmp_path: Path, collector: tuple[int, list[bytes]]
) -> None:
    port, bodies = collector
    run(tmp_path, OTEL_ON="true", OTEL_HOST="127.0.0.1", OTEL_PORT=str(port), OTEL_PREFIX="airflow")
    sent = b"".join(bodies)
    for name in NAMES:
        assert f"airflow.{name}".encode() in sent, name
    assert b"validate_raw" in sent
