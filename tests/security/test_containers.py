"""docker-compose.yml and the Dockerfile, read: what a container may do if somebody gets into it."""

import re
from typing import Any

import pytest
import yaml

from tests.projects import REPOSITORY

COMPOSE = REPOSITORY / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
STEPS = {"secrets", "project", "databases", "airflow-init", "logins", "demo-data"}
"""They end before the servers start."""
ROOT_WITHOUT_NETWORK = {"secrets"}
"""It makes the others' secrets and gives each its own; nobody can talk to it."""

every_service = pytest.mark.parametrize("name", SERVICES)


@every_service
def test_the_code_is_read_only_and_no_right_is_left(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc", "devices", "cgroup", "userns_mode"} & service.keys()
    assert service.get("network_mode", "none") == "none"
    if name not in ROOT_WITHOUT_NETWORK:
        assert "cap_add" not in service
    for mount in service.get("volumes", []):
        assert mount["type"] in ("volume", "bind")
        if mount["type"] == "bind":
            assert mount["read_only"] is True
            assert mount["source"].startswith("./")


@every_service
def test_nobody_is_root(name: str) -> None:
    service = SERVICES[name]
    if name in ROOT_WITHOUT_NETWORK:
        assert service["network_mode"] == "none"
        assert not service.get("ports")
    elif "build" in service:
        assert "user" not in service  # that of the image, see below
    else:
        assert service["user"] in ("postgres", "redis")


def test_our_images_end_as_a_user_who_is_not_root() -> None:
    text = (REPOSITORY / "docker" / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    ends = {re.match(r"\S+ AS (\S+)", stage)[1]: stage for stage in stages}  # type: ignore[index]
    for target in {
        service["build"]["target"] for service in SERVICES.values() if "build" in service
    }:
        assert re.findall(r"^USER (\S+)$", ends[target], re.MULTILINE)[-1:] == ["proofmint"]
    assert "useradd --uid 10001" in text
    assert "ADD " not in text
    assert not re.search(r"(?i)(ARG|ENV) \S*(password|secret|token)", text)


@every_service
def test_images_are_pinned(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].partition(":")[2]
    assert tag
    assert "latest" not in tag
    bases = re.findall(r"^FROM (\S+)", (REPOSITORY / "docker" / "Dockerfile").read_text(), re.M)
    assert all(":" in base for base in bases if base not in ("scratch", "light"))


@every_service
def test_only_pages_are_published_and_only_on_this_machine(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert bool(ports) == (name in ("mlflow", "api-server"))


@every_service
def test_no_secret_is_in_the_environment(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|TOKEN|_KEY|CONN|CREDENTIALS", key) and value is not None:
            default = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", str(value))
            assert re.fullmatch(r"/[\w/.-]+|\d+", default), f"{key} is no path of a file"
        assert not re.search(r"://[^/\s]*:[^/\s]*@", str(value))


@every_service
def test_each_has_limits_and_servers_a_health_check(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= limits.keys()
    assert (name in STEPS) or service["healthcheck"]["test"]


def test_databases_and_broker_reach_no_other_network() -> None:
    networks = yaml.safe_load(COMPOSE.read_text())["networks"]
    assert all(networks[name]["internal"] for name in ("database", "broker", "sources"))
    for name in ("postgres", "redis", "demo-database"):
        assert "outside" not in SERVICES[name]["networks"]


def test_airflow_s_own_processes_see_no_secret_of_a_source_and_cannot_write_the_project() -> None:
    for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
        mounts = {mount["target"]: mount for mount in SERVICES[name]["volumes"]}
        assert mounts["/project"]["read_only"] is True
        assert mounts["/secrets"]["volume"]["subpath"] == "airflow"
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            if mount["source"] == "secrets" and name not in ROOT_WITHOUT_NETWORK:
                assert mount["read_only"] is True
                assert mount["volume"]["subpath"]
