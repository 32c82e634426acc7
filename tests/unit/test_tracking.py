import dataclasses
import io
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from PIL import Image

from tasks import tracking
from tasks.errors import TrackingUnavailable, WorkspaceError
from tasks.tracking import ALIAS, Run, Tracker, Training, open_tracker

TRAINING = Training(
    dataset="adult",
    params={"seed": 3, "train": {"epochs": None}, "generator_params": {}, "generator": "ctgan"},
    data_digest="ab" * 32,
    data_profile={"rows": 10, "columns": 2},
    tags={"git_commit": "c0ffee"},
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state") / "mlflow"


@pytest.fixture(scope="module")
def tracker(state: Path) -> Tracker:
    """The embedded store; made once, because that takes seconds."""
    return open_tracker(None, state)


@pytest.fixture
def client(tracker: Tracker, state: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{state / 'mlflow.db'}")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    return folder


def _run(client: MlflowClient, run: Run) -> MlflowRun:
    return client.get_run(run.id)


def _points(client: MlflowClient, run: Run, key: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in client.get_metric_history(run.id, key))


def test_a_run_says_what_was_trained(
    tracker: Tracker, client: MlflowClient, model: Path, tmp_path: Path
) -> None:
    with tracker.run(TRAINING, tmp_path / "key") as run:
        run.log(5, {"train_loss": 0.5})
        run.log_model(model, "d1" * 32)
    found = _run(client, run)
    assert found.info.status == "FINISHED"
    assert found.data.params == {
        "seed": "3",
        "train.epochs": "null",
        "generator_params": "{}",
        "generator": "ctgan",
    }
    assert found.data.tags["git_commit"] == "c0ffee"
    assert _points(client, run, "train_loss") == [(5, 0.5)]
    data = found.inputs.dataset_inputs[0]
    assert (data.dataset.name, data.dataset.digest) == ("adult", ("ab" * 32)[:36])
    assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", "training")]
    assert [a.path for a in client.list_artifacts(run.id, "model")] == ["model/model.json"]
    assert tracker.find_run("d1" * 32) == run.id
    assert tracker.find_run("d2" * 32) is None


def test_a_retry_continues_the_run_and_logs_nothing_twice(
    tracker: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), tracker.run(TRAINING, tmp_path / "key") as run:  # noqa: PT012
        run.log(1, {"loss": 3.0})
        run.log(2, {"loss": 2.0})
        raise KeyboardInterrupt
    assert _run(client, run).info.status == "KILLED"
    with tracker.run(TRAINING, tmp_path / "key") as again:
        for step, loss in ((1, 3.0), (2, 2.0), (3, 1.0)):
            again.log(step, {"loss": loss})
    assert again.id == run.id
    assert _points(client, again, "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]
    found = _run(client, again)
    assert found.info.status == "FINISHED"
    assert len(found.inputs.dataset_inputs) == 1


def test_other_work_is_another_run(tracker: Tracker, tmp_path: Path) -> None:
    with tracker.run(TRAINING, tmp_path / "one") as one:
        pass
    with tracker.run(TRAINING, tmp_path / "two") as two:
        pass
    assert one.id != two.id


def test_a_run_may_be_part_of_another(
    tracker: Tracker, client: MlflowClient, model: Path, tmp_path: Path
) -> None:
    with tracker.run(TRAINING, tmp_path / "whole") as whole:
        part = dataclasses.replace(TRAINING, name="trial 1", parent=whole.id)
        with tracker.run(part, tmp_path / "part") as run:
            run.tag("trial.state", "pruned")
        whole.log_file(model / "model.json")
    found = _run(client, run)
    assert found.info.run_name == "trial 1"
    assert found.data.tags["mlflow.parentRunId"] == whole.id
    assert found.data.tags["trial.state"] == "pruned"
    assert "mlflow.parentRunId" not in _run(client, whole).data.tags
    assert [item.path for item in client.list_artifacts(whole.id)] == ["model.json"]


def test_samples_are_shown_once_a_step(
    tracker: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, format="PNG")
    with tracker.run(TRAINING, tmp_path / "key") as run:
        run.show(5, ".png", stream.getvalue())
        run.show(10, ".txt", b"ham: ok\n")
    with tracker.run(TRAINING, tmp_path / "key") as again:
        for step in (5, 10, 15):
            again.show(step, ".png", stream.getvalue())
    pictures = [item.path for item in client.list_artifacts(run.id, "images")]
    shown = {path.split("+timestamp")[0] for path in pictures}
    # A picture and a small one of it, for each step.
    assert (len(pictures), shown) == (4, {"images/samples+step+5", "images/samples+step+15"})
    texts = [item.path for item in client.list_artifacts(run.id, "samples")]
    assert texts == ["samples/step-00000010.txt"]


def test_a_warning_is_a_tag(tracker: Tracker, client: MlflowClient, tmp_path: Path) -> None:
    with tracker.run(TRAINING, tmp_path / "key") as run:
        run.warn("first")
        run.warn("then")
    assert _run(client, run).data.tags["proofmint.warning"] == "then"


def test_a_failed_training_is_a_failed_run(
    tracker: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    with pytest.raises(ZeroDivisionError), tracker.run(TRAINING, tmp_path / "key") as run:
        run.log(1, {"loss": 1 / 0})
    assert _run(client, run).info.status == "FAILED"


def test_a_release_is_a_version_with_the_alias(
    tracker: Tracker, client: MlflowClient, model: Path, tmp_path: Path
) -> None:
    with tracker.run(TRAINING, tmp_path / "key") as run:
        run.log_model(model, "e1" * 32)
    for _ in range(2):
        tracker.register_release("iris", run.id, "v1", model_sha256="e1" * 32)
        tracker.log_release_metrics(run.id, {"shape_error": 1.5})
    assert len(client.search_model_versions("name = 'iris'")) == 1
    tracker.register_release("iris", run.id, "v2", model_sha256="e1" * 32)
    released = client.get_model_version_by_alias("iris", ALIAS)
    assert released.run_id == run.id
    assert released.tags == {"release": "v2", "model_sha256": "e1" * 32}
    assert _points(client, run, "release.shape_error") == [(0, 1.5)]


def test_many_metrics_are_sent_in_batches(
    tracker: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    with tracker.run(TRAINING, tmp_path / "key") as run:
        for step in range(2500):
            run.log(step, {"loss": float(step)})
    assert len(_points(client, run, "loss")) == 2500


def test_two_processes_may_start_together(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tasks.tracking import open_tracker, Training\n"
        "tracker = open_tracker(None, Path(sys.argv[1]))\n"
        "t = Training('d', {}, 'ab' * 32, {}, {})\n"
        "with tracker.run(t, Path(sys.argv[2])) as run: run.log(1, {'loss': 1.0})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(tracking.__file__).parents[1])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "mlflow"), str(tmp_path / f"key{i}")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for i in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    # No addresses, no emoji, no log of migrations.
    assert outputs == [(b"", b""), (b"", b"")]


class _Refusing(threading.Thread):
    """A server that answers every request with one status."""

    def __init__(self, status: str) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.status = status

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                head = f"HTTP/1.1 {self.status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
                connection.sendall(head.encode())


@pytest.fixture
def forbidding() -> Iterator[_Refusing]:
    server = _Refusing("401 Unauthorized")
    server.start()
    yield server
    server.socket.shutdown(socket.SHUT_RDWR)
    server.socket.close()
    server.join()


def test_no_server_is_worth_a_retry_and_shows_no_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(TrackingUnavailable, match=f"MLflow at http://127.0.0.1:{port}") as caught:
        open_tracker(f"http://user:s3cret@127.0.0.1:{port}", tmp_path)
    assert caught.value.retryable
    assert "s3cret" not in str(caught.value)


def test_a_refusal_is_not_worth_a_retry(forbidding: _Refusing, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        open_tracker(f"http://127.0.0.1:{forbidding.port}", tmp_path)
    assert not caught.value.retryable


def test_an_impossible_address_is_not_worth_a_retry(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="gopher://"):
        open_tracker("gopher://example.org", tmp_path)


def test_a_server(tmp_path: Path, model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{tmp_path}/s.db"]
    files = ["--artifacts-destination", str(tmp_path / "files")]
    server = subprocess.Popen(
        [*command, *places, *files],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{uri}/health")
        tracker = open_tracker(uri, tmp_path)
        with tracker.run(TRAINING, tmp_path / "key") as run:
            run.log(1, {"loss": 1.0})
            run.log_model(model, "f1" * 32)
        assert tracker.find_run("f1" * 32) == run.id
        assert (tmp_path / "files").is_dir()
    finally:
        os.killpg(server.pid, 9)
        server.wait()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own server
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.3)
