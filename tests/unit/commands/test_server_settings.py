"""Ports, secrets and the environment of the servers."""

import base64
import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.commands import server_settings
from tasks.commands.postgres import PostgresServer
from tasks.commands.server_settings import Servers, observability, reserved_ports
from tasks.errors import WorkspaceError
from tasks.storage import read_json


@pytest.fixture
def servers(tmp_path: Path) -> Servers:
    state = tmp_path / ".proofmint"
    state.mkdir()
    return Servers(tmp_path, state)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port on which somebody listens, and which is where the search for a free one begins."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ports = {
            "airflow": ("PROOFMINT_AIRFLOW_PORT", port),
            "mlflow": ("PROOFMINT_MLFLOW_PORT", port),
        }
        monkeypatch.setattr(server_settings, "PORTS", ports)
        for variable, _ in ports.values():
            monkeypatch.delenv(variable, raising=False)
        yield port


def test_taken_ports_are_passed_over_and_none_is_given_twice(
    servers: Servers, listener: int, tmp_path: Path
) -> None:
    other = Servers(tmp_path / "other", tmp_path)
    with reserved_ports(servers, in_use=False), reserved_ports(other, in_use=False):
        ports = [*read_json(servers.ports_file).values(), *read_json(other.ports_file).values()]
    assert len(set(ports)) == 4
    assert min(ports) > listener
    assert servers.url("airflow") == f"http://127.0.0.1:{ports[0]}"


def test_running_servers_keep_their_ports(servers: Servers, listener: int) -> None:
    with reserved_ports(servers, in_use=False):
        before = servers.ports_file.read_text()
    with reserved_ports(servers, in_use=True):
        assert servers.ports_file.read_text() == before


@pytest.mark.parametrize("wanted", ["http", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(
    servers: Servers, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOFMINT_MLFLOW_PORT", wanted)
    with (
        pytest.raises(WorkspaceError, match=f"PROOFMINT_MLFLOW_PORT to be a port.*'{wanted}'"),
        reserved_ports(servers, in_use=False),
    ):
        pass


def test_a_port_that_was_asked_for_and_is_taken_is_refused(
    servers: Servers, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOFMINT_AIRFLOW_PORT", str(listener))
    with (
        pytest.raises(WorkspaceError, match=f"port {listener} is taken"),
        reserved_ports(servers, in_use=False),
    ):
        pass


def test_secrets_are_made_once_and_only_the_owner_can_read_them(servers: Servers) -> None:
    first = server_settings.secret(servers, "fernet_key")
    assert server_settings.secret(servers, "fernet_key") == first
    assert len(base64.urlsafe_b64decode(first)) == 32  # what Fernet wants
    folder = servers.state / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "fernet_key").stat().st_mode) == 0o600


def test_passwords_differ_and_airflow_finds_its_own(servers: Servers) -> None:
    airflow = server_settings.password_of(servers, "airflow")
    mlflow = server_settings.password_of(servers, "mlflow")
    assert airflow != mlflow
    assert min(len(airflow), len(mlflow)) >= 20
    stored = json.loads((servers.state / "secrets" / "airflow.json").read_text())
    assert stored == {"admin": airflow}
    assert server_settings.password_of(servers, "mlflow") == mlflow


def test_the_environment_is_free_of_other_servers_and_keeps_connections(
    servers: Servers, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "True")
    monkeypatch.setenv("AIRFLOW__SMTP__SMTP_HOST", "elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "of another server")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgresql://shop")
    monkeypatch.setenv("NO_PROXY", "internal")
    monkeypatch.setenv("PYTHONPATH", "/mine")
    with reserved_ports(servers, in_use=False):
        found = server_settings.airflow_environment(servers, postgres_server)
    assert found["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert "AIRFLOW__SMTP__SMTP_HOST" not in found
    assert "MLFLOW_TRACKING_TOKEN" not in found
    assert found["AIRFLOW_CONN_SHOP"] == "postgresql://shop"
    assert found["NO_PROXY"] == "127.0.0.1,localhost,internal"
    assert found["PYTHONPATH"] == f"{servers.project}:/mine"
    assert found["MLFLOW_TRACKING_URI"] == servers.url("mlflow")
    assert found["MLFLOW_DISABLE_TELEMETRY"] == found["DVC_NO_ANALYTICS"] == "true"


def test_lineage_goes_to_a_file_of_the_owner_unless_somewhere_else_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "AIRFLOW__OPENLINEAGE__TRANSPORT"
    monkeypatch.delenv(name, raising=False)
    transport = json.loads(observability(tmp_path)[name])
    place = Path(transport["log_file_path"])
    assert place.parent.is_dir()
    assert place.is_relative_to(tmp_path)
    elsewhere = '{"type": "http", "url": "https://marquez.example.org"}'
    monkeypatch.setenv(name, elsewhere)
    assert observability(tmp_path)[name] == elsewhere


def test_metrics_and_json_logs_are_what_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("AIRFLOW__METRICS__STATSD_ON", "AIRFLOW__LOGGING__JSON_LOGS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    assert not observability(tmp_path).keys() & set(names)
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "another Airflow's")
    for name in names:
        monkeypatch.setenv(name, "true")
    found = observability(tmp_path)
    assert {found[name] for name in names} == {"true"}
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in found
