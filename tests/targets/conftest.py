"""Copies of three versions, and a served S3 API."""

import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tasks.publishing.targets.base import Copy
from tests.copies import copy_of, store
from tests.releases import tabular_inputs

_numbers = itertools.count()


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> list[Copy]:
    """Three versions of one dataset."""
    return [
        copy_of(tmp_path_factory.mktemp(f"v{n}"), n, tabular_inputs, n_rows=20 + n)
        for n in (1, 2, 3)
    ]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Of a process of its own: Delta's library holds the interpreter while it waits."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(port):
            assert server.poll() is None
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket; credentials are in a connection of Airflow's form."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    query = f"endpoint_url={endpoint}&region_name=us-east-1"
    monkeypatch.setenv("AIRFLOW_CONN_BUCKET", f"aws://id-of-the-key:hush-hush@/?{query}")
    name = f"bucket-{next(_numbers)}"
    store(endpoint).mkdir(name)
    return f"s3://{name}"
