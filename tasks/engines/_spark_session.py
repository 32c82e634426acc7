"""A connection to Spark: the one module that starts it."""

import concurrent.futures
import contextlib
import importlib.util
import logging
import os
import shutil
import socket
import sys
import tempfile
import uuid
import warnings
import zipfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tasks
from tasks.errors import ParamsError, WorkspaceError

MASTER_VARIABLE = "PROOFMINT_SPARK_URL"

_MASTERS = ("local", "spark://", "k8s://", "yarn")

_CONNECT_SECONDS = 10
_ANSWER_CHARACTERS = 300

_LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{HH:mm:ss}} %p %c{{1}}: %m%n
"""
"""Spark's own messages go to a file; what concerns the user we say ourselves."""

Task = tuple[Callable[[bytes], bytes], bytes]
"""A function that executors know, and what it is called with."""


@dataclass(frozen=True)
class Session:
    """Spark, ready for tasks.

    Attributes:
        context: its `SparkContext`.
        one: an RDD of one element, which a task takes the place of.
        is_local: whether executors are on this machine.
        n_workers: tasks that run at once.
    """

    context: Any
    one: Any
    is_local: bool
    n_workers: int

    def results(self, tasks_: Iterable[Task], n_ahead: int) -> Generator[bytes, None, None]:
        """The results of tasks, in their order; as many as `n_ahead` run or wait to be taken.

        Each is a job of its own, so a result is given once, however often Spark tries its task.

        Raises:
            WorkspaceError: Spark could not run a task.
        """
        group = f"proofmint-{uuid.uuid4()}"
        pool = concurrent.futures.ThreadPoolExecutor(n_ahead, "spark")
        waiting: deque[concurrent.futures.Future[bytes]] = deque()
        try:
            for task in tasks_:
                waiting.append(pool.submit(self._result, group, *task))
                if len(waiting) >= n_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            if waiting:
                self.context.cancelJobGroup(group)
            pool.shutdown(cancel_futures=True)

    def _result(self, group: str, function: Callable[[bytes], bytes], call: bytes) -> bytes:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            self.context.setJobGroup(group, "proofmint", interruptOnCancel=True)
            (result,) = self.one.map(lambda _: function(call)).collect()
        except (Py4JError, PySparkException) as error:
            raise WorkspaceError(f"Spark could not run a task: {_answer(error)}") from None
        return bytes(result)


@contextlib.contextmanager
def started() -> Iterator[Session]:
    """Spark for the length of the block, or the one that this process has already.

    Raises:
        WorkspaceError: pyspark or Java is missing, or the master does not answer.
        ParamsError: `PROOFMINT_SPARK_URL` names no master that takes our tasks.
    """
    master = _master()
    _check_installed()
    _check_answers(master)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    with contextlib.ExitStack() as opened:
        with warnings.catch_warnings():
            # pyspark 4.3 on pandas 3, of which we use nothing here
            warnings.simplefilter("ignore", FutureWarning)
            # pyspark 4.3 does not close the socket by which it sends the elements of an RDD.
            warnings.simplefilter("ignore", ResourceWarning)
            context = _active_or_new(master, opened)
            one = context.parallelize([0], 1)
        is_local = str(context.master).startswith("local")
        if is_local:
            context.pythonExec = sys.executable
        yield Session(context, one, is_local, max(1, context.defaultParallelism))


def _active_or_new(master: str, opened: contextlib.ExitStack) -> Any:
    """The `SparkContext` that this process has, or one that ends with `opened`."""
    from pyspark import SparkContext

    context: Any = SparkContext._active_spark_context
    if context is None:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="proofmint-")))
        context = _context(master, folder)
        opened.callback(context.stop)
        _send_package(context, folder)
    return context


def _master() -> str:
    given = os.environ.get(MASTER_VARIABLE) or f"local[{len(os.sched_getaffinity(0))}]"
    if given.startswith("sc://"):
        raise ParamsError(
            f"{MASTER_VARIABLE}: expected a master, found the address of Spark Connect, which runs no"
            " tasks of plain Python; name the cluster's master, like spark://host:7077"
        )
    if not given.startswith(_MASTERS):
        raise ParamsError(
            f"{MASTER_VARIABLE}: expected a master of Spark, found {given!r}; choose one of:"
            " spark://host:port, k8s://…, yarn, local[cores]"
        )
    return given


def _check_installed() -> None:
    if importlib.util.find_spec("pyspark") is None:
        raise WorkspaceError(
            "`engine: spark` needs pyspark, which is not installed; pip install 'proofmint[spark]'"
        )
    home = os.environ.get("JAVA_HOME")
    java = Path(home) / "bin/java" if home else shutil.which("java")
    if java is None or not Path(java).exists():
        where = f"at JAVA_HOME={home}" if home else "on the PATH"
        raise WorkspaceError(
            f"`engine: spark` needs Java 17 or later, and there is none {where}; install it (Debian:"
            " openjdk-17-jre-headless) or set JAVA_HOME"
        )


def _check_answers(master: str) -> None:
    """Knock at a standalone master: Spark itself would try for a minute and then hang."""
    if not master.startswith("spark://"):
        return
    faults = []
    for place in master.removeprefix("spark://").split(","):
        host, _, port = place.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
        except (OSError, ValueError) as error:
            faults.append(f"{place}: {error}")
        else:
            return
    raise WorkspaceError(
        f"no master of Spark answers at {master} ({'; '.join(faults)}); start it, or change"
        f" {MASTER_VARIABLE}"
    )


def _context(master: str, folder: Path) -> Any:
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway

    log = folder / "spark.log"
    (folder / "log4j2.properties").write_text(_LOGGING.format(log=log))
    conf = SparkConf().setMaster(master).setAppName("proofmint")
    settings = {
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={folder}/log4j2.properties",
        "spark.ui.showConsoleProgress": "false",
        # What Spark keeps on disk for a while, tasks among it, is encrypted.
        "spark.io.encryption.enabled": "true",
        # A call goes with its task; what pyspark broadcasts, it leaves a socket open for.
        "spark.broadcast.UDFCompressionThreshold": "1g",
    }
    if master.startswith("local"):
        settings |= {
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
        }
    conf.setAll(list(settings.items()))
    try:
        gateway = SparkContext._gateway
        if gateway is None:
            with log.open("ab") as stream:
                gateway = launch_gateway(  # type: ignore[no-untyped-call]
                    conf, {"stdout": stream, "stderr": stream}
                )
        return SparkContext(conf=conf, gateway=gateway)
    except (Py4JError, PySparkException, OSError) as error:
        said = " ".join(log.read_text(errors="replace").split())[-_ANSWER_CHARACTERS:]
        raise WorkspaceError(
            f"Spark did not start with the master {master}: {_answer(error)} {said}".rstrip()
        ) from None


def _send_package(context: Any, folder: Path) -> None:
    """Give the executors this package, so that they have it, and have it as it is here."""
    root = Path(tasks.__file__).parent
    archive = folder / "proofmint.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                package.write(path, path.relative_to(root.parent))
    before = list(sys.path)
    context.addPyFile(str(archive))
    # Here the package is what it is.
    sys.path[:] = before


def _answer(error: Exception) -> str:
    """What Spark says, without its stack."""
    java = getattr(error, "java_exception", None)
    message = str(java.getMessage() if java is not None else error) or type(error).__name__
    lines = [line for line in message.splitlines() if line.strip()]
    return " ".join(lines[:3])[:_ANSWER_CHARACTERS]
