"""docker-compose.yml on a real engine: `make compose-test`. The tests build on one another, in this order."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tasks.commands.server_settings import is_free
from tasks.versions import versions
from tests.compose.stack import Stack, ask, docker, has_engine, stack_of_a_test, status
from tests.documentation import blocks
from tests.projects import REPOSITORY, commit_all

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not has_engine(), reason="no Docker engine answers, or compose is missing"),
]

STEPS = {"secrets", "project", "databases", "airflow-init", "demo-data"}
OURS = {"mlflow", "api-server", "scheduler", "dag-processor", "triggerer", "worker-cpu"}
SERVERS = OURS | {"postgres", "redis", "demo-database"}
PUBLISHED = {"api-server", "mlflow"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_of_a_test(tmp_path_factory.mktemp("compose")) as stack:
        stack.compose("build")
        seconds = stack.up()
        for image in ("airflow", "pipeline"):
            size = int(docker("image", "inspect", f"proofmint/{image}:test", "--format={{.Size}}"))
            print(f"image proofmint/{image}: {size / 1e9:.2f} GB")
        print(f"all services healthy after {seconds:.0f} s")
        yield stack


def test_all_services_are_healthy_and_all_steps_have_ended(stack: Stack) -> None:
    found = stack.inspect()
    assert set(found) == SERVERS | STEPS
    for service in SERVERS:
        state = found[service]["State"]
        assert state["Status"] == "running", service
        assert state["Health"]["Status"] == "healthy", service
    for step in STEPS:
        assert found[step]["State"]["ExitCode"] == 0, step


def test_containers_have_no_rights_that_they_do_not_need(stack: Stack) -> None:
    for service, found in stack.inspect().items():
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert not host["Privileged"], service
        assert host["Memory"] > 0, service
        assert host["NanoCpus"] > 0, service
        assert host["PidsLimit"] > 0, service
        if service == "secrets":  # root, to hand out files; it reaches nobody and nobody reaches it
            assert set(host["CapAdd"]) == {"CHOWN", "DAC_OVERRIDE"}
            assert host["NetworkMode"] == "none"
        else:
            assert found["Config"]["User"] not in ("", "root", "0"), service
            assert not host["CapAdd"], service


def test_processes_run_as_users_without_rights(stack: Stack) -> None:
    for service in SERVERS:
        user = stack.compose("exec", service, "id", "-u").strip()
        assert user == ("10001" if service in OURS else "999"), service


@pytest.mark.parametrize(
    ("service", "place"),
    [
        ("worker-cpu", "/opt/venv/lib/x"),
        ("worker-cpu", "/opt/proofmint/x"),
        ("worker-cpu", "/project/tasks/x.py"),
        ("worker-cpu", "/project/dags/x.py"),
        ("worker-cpu", "/project/plugins/x.py"),
        ("worker-cpu", "/secrets/x"),
        ("api-server", "/project/x"),
        ("scheduler", "/project/x"),
        ("dag-processor", "/project/dags/x.py"),
        ("mlflow", "/secrets/x"),
    ],
)
def test_code_and_secrets_cannot_be_written(stack: Stack, service: str, place: str) -> None:
    said = stack.compose("exec", service, "sh", "-c", f"echo x >> {place}", check=False)
    assert "Read-only file system" in said


def test_with_a_gpu_its_queue_belongs_to_its_worker_alone(stack: Stack) -> None:
    files = ("--file", "docker-compose.yml", "--file", "docker/gpu.yml")
    services = json.loads(stack.compose(*files, "config", "--format", "json"))["services"]
    assert services["worker-cpu"]["command"][-1] == "default,cpu"
    assert services["worker-gpu"]["command"][-1] == "gpu"
    assert services["worker-gpu"]["build"]["args"]["TORCH_BACKEND"].startswith("cu")
    assert services["worker-gpu"]["image"] != services["worker-cpu"]["image"]
    devices = services["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert [device["capabilities"] for device in devices] == [["gpu"]]


def test_only_the_two_pages_are_published_and_only_on_loopback(stack: Stack) -> None:
    for service, found in stack.inspect().items():
        published = [each for each in (found["NetworkSettings"]["Ports"] or {}).values() if each]
        assert bool(published) == (service in PUBLISHED), service
        assert all(port["HostIp"] == "127.0.0.1" for ports in published for port in ports), service


def test_a_worker_reaches_no_database_of_the_servers(stack: Stack) -> None:
    connect = "import socket; socket.create_connection(('{}', {}), 5)"
    for host, port, reached in [
        ("redis", 6379, True),
        ("mlflow", 5000, True),
        ("demo-database", 5432, True),
        ("postgres", 5432, False),
    ]:
        command = ["exec", "worker-cpu", "python", "-c", connect.format(host, port)]
        said = stack.compose(*command, check=False)
        assert ("Traceback" not in said) == reached, host


def test_a_service_sees_its_own_secrets_alone(stack: Stack) -> None:
    seen = {service: stack.compose("exec", service, "ls", "/secrets").split() for service in OURS}
    assert not any("DATABASE" in name or "JWT" in name for name in seen["worker-cpu"])
    assert not any("AIRFLOW" in name for name in seen["mlflow"])
    assert not any("MLFLOW" in name for name in seen["api-server"])


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ("airflow", "/api/v2/dags"),
        ("airflow", "/api/v2/connections"),
        ("airflow", "/proofmint/"),
        ("airflow", "/proofmint/datasets/breast_cancer"),
        ("mlflow", "/"),
        ("mlflow", "/api/2.0/mlflow/experiments/search?max_results=1"),
    ],
)
def test_anonymous_requests_are_refused(stack: Stack, server: str, path: str) -> None:
    assert status(stack.url(server) + path) in (401, 403)


def test_a_run_by_the_rest_api_ends_in_a_release_that_verifies(stack: Stack) -> None:
    assert stack.airflow("/importErrors")["import_errors"] == []
    tasks = stack.run("breast_cancer", seed=1)
    assert set(tasks.values()) == {"success"}, tasks
    said = stack.compose("exec", "worker-cpu", "proofmint", "verify", "releases/breast_cancer")
    assert "OK  releases/breast_cancer" in said
    pushed = stack.compose("exec", "worker-cpu", "sh", "-c", "find /store/dvc -type f | wc -l")
    assert int(pushed) > 10


def test_the_log_of_a_task_can_be_read(stack: Stack) -> None:
    runs = stack.airflow("/dags/breast_cancer/dagRuns")["dag_runs"]
    place = f"/dags/breast_cancer/dagRuns/{runs[0]['dag_run_id']}/taskInstances/train/logs/1"
    assert "train@breast_cancer ran in" in json.dumps(stack.airflow(place))


def test_the_light_image_shows_the_catalogue(stack: Stack) -> None:
    bearer = {"Authorization": f"Bearer {stack.token}"}
    page = ask(f"{stack.url('airflow')}/proofmint/datasets/breast_cancer", bearer).decode()
    assert "v1" in page


def test_no_secret_is_where_others_look(stack: Stack) -> None:
    keys = "for f in /all-secrets/keys/*; do cat $f; echo; done"
    shown = stack.compose("run", "--rm", "--no-deps", "--entrypoint", "sh", "secrets", "-c", keys)
    values = [line for line in shown.splitlines() if len(line) >= 32]
    assert len(values) >= 10
    history = [
        docker("history", "--no-trunc", f"proofmint/{i}:test") for i in ("airflow", "pipeline")
    ]
    files = "grep -r -s -F -l -f - /logs /project /store /airflow /tmp || true"
    places = {
        "docker inspect": json.dumps(stack.inspect()),
        "docker history": "\n".join(history),
        "docker compose logs": stack.compose("logs", "--no-color"),
        "docker compose config": stack.compose("config"),
    }
    assert {name for name, text in places.items() for v in values if v in text} == set()
    pattern = "\n".join(values)
    found = stack.compose("exec", "worker-cpu", "sh", "-c", f"printf '%s' '{pattern}' | {files}")
    # The demo's connection: a file that only its owner reads, made as `proofmint demo-source` makes it.
    assert found.split() == ["/project/.proofmint/env"]
    mode = stack.compose("exec", "worker-cpu", "stat", "--format=%a", "/project/.proofmint/env")
    assert mode.strip() == "600"


def test_a_restart_keeps_everything_and_brings_the_project_forward(stack: Stack) -> None:
    passwords = stack.passwords()
    readme = stack.checkout / "README.md"
    readme.write_text(readme.read_text() + "\nA line more.\n")
    commit_all(stack.checkout, "a line more")
    stack.down()
    stack.up()
    assert stack.passwords() == passwords
    assert stack.airflow("/dags/breast_cancer/dagRuns")["total_entries"] == 1
    stack.compose("exec", "worker-cpu", "proofmint", "verify", "releases/breast_cancer")
    assert "a line more" in stack.compose("exec", "worker-cpu", "git", "log", "-1", "--format=%s")
    assert stack.airflow("/pools/gpu")["slots"] == 1


def test_the_commands_of_the_guide_run(stack: Stack) -> None:
    guide = [b for b in blocks(REPOSITORY / "docs" / "compose.md") if b.place == "compose"]
    script = "\n".join(block.script for block in guide if not block.session)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=stack.checkout,
        env={**stack.environment(), "COMPOSE_PROFILES": "demo"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert (stack.checkout / "released-breast_cancer" / "report.html").exists()
    assert [version.name for version in versions(stack.checkout, "breast_cancer")] == ["v1"]


def test_data_and_models_go_to_an_s3_where_two_settings_say_so(
    stack: Stack, tmp_path: Path, s3: str
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(
        "[default]\naws_access_key_id = somebody\naws_secret_access_key = something-long-and-secret\n"
        f"region = us-east-1\nendpoint_url = {s3}\n"
    )
    credentials.chmod(0o600)
    stack.settings["PROOFMINT_S3_URL"] = "s3://factory/team"
    stack.settings["PROOFMINT_S3_CREDENTIALS"] = str(credentials)
    stack.up()
    tasks = stack.run("digits")
    assert set(tasks.values()) == {"success"}, tasks
    listing = ask(f"{s3}/factory?list-type=2&max-keys=1000").decode()
    assert "team/dvc/files/md5/" in listing
    assert "team/mlflow/" in listing
    assert "something-long-and-secret" not in json.dumps(stack.inspect())


def test_everything_is_taken_down(stack: Stack) -> None:
    stack.compose("down", "--volumes")
    label = f"label=com.docker.compose.project={stack.name}"
    assert docker("ps", "--all", "--quiet", "--filter", label) == ""
    assert docker("volume", "ls", "--quiet", "--filter", label) == ""
    assert is_free(int(stack.settings["PROOFMINT_AIRFLOW_PORT"]))


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3 API with a bucket, on the engine's bridge, where containers reach it."""
    bridge = json.loads(docker("network", "inspect", "bridge"))[0]["IPAM"]["Config"][0]["Gateway"]
    server = ThreadedMotoServer(bridge, 0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        url = f"http://{bridge}:{port}"
        ask(f"{url}/factory", method="PUT")
        yield url
    finally:
        server.stop()
