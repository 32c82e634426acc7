"""A standalone cluster of Spark: executors in processes of their own, which get our package."""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

START_SECONDS = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
        reason="pyspark or Java is not installed (proofmint[spark]; Debian: openjdk-17-jre-headless)",
    ),
]

SCRIPT = """
import os
from pathlib import Path
from tasks.stages.clean import clean
from tasks.stages.ingest import ingest
from tasks.storage import digest
from tests.datasets import dataset_params

here = Path.cwd()
for engine in ("local", "spark"):
    source = {"type": "files", "path": "t*.csv", "table": "t"}
    steps = {"missing": {"a": "mean"}, "drop_duplicates": True}
    params = dataset_params(source=source, engine=engine, target=None, clean=steps)
    ingest(here / engine / "raw", params, project=here)
    clean(here / engine / "raw", here / engine / "clean", params)
print(digest(here / "local") == digest(here / "spark"))
"""


@contextlib.contextmanager
def daemon(folder: Path, *arguments: str) -> Iterator[None]:
    """A part of the cluster, for the length of the block."""
    import pyspark

    command = [str(Path(pyspark.__file__).parent / "bin/spark-class"), *arguments]
    # Ends with us, even if we are killed.
    command = ["setpriv", "--pdeathsig", "KILL", *command]
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    with (folder / f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if log.exists() and text in log.read_text(errors="replace"):
            return
        time.sleep(0.2)
    pytest.fail(
        f"expected {text!r} in the log of Spark:\n{log.read_text(errors='replace')[-3000:]}"
    )


def test_a_cluster_gives_the_same_bytes(tmp_path):
    for i in range(3):
        rows = "".join(f"{(i + j) % 7 or ''},{j % 50}\n" for j in range(500))
        (tmp_path / f"t{i}.csv").write_text(f"a,b\n{rows}")
    port, worker = free_port(), "org.apache.spark.deploy.worker.Worker"
    master = ("org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port))
    url = f"spark://127.0.0.1:{port}"
    with daemon(tmp_path, *master, "--webui-port", "0"):
        wait_for(tmp_path / f"{master[0]}.log", "Starting Spark master")
        with daemon(tmp_path, worker, "--cores", "2", "--memory", "1g", "--webui-port", "0", url):
            wait_for(tmp_path / f"{worker}.log", "Successfully registered with master")
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT],
                capture_output=True,
                text=True,
                timeout=180,
                cwd=tmp_path,
                check=False,
                env=os.environ
                | {
                    "PROOFMINT_SPARK_URL": url,
                    "PYTHONPATH": str(Path(__file__).parents[3]),
                    "SPARK_LOCAL_IP": "127.0.0.1",
                    "PYSPARK_PYTHON": sys.executable,
                },
            )
    assert done.stdout.strip().endswith("True"), done.stderr[-3000:]
