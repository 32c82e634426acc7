"""A Spark cluster, or Spark on this machine: each part or batch is one task of it.

`PROOFMINT_SPARK_URL` names the master (`spark://host:7077`, `k8s://…`, `yarn`); without it, Spark
runs on the cores of this machine. All else about a cluster is Spark's own `spark-defaults.conf`, in
the folder that `SPARK_CONF_DIR` names.

Executors get this package from us, and read the same sources by the same settings, so paths of
files must mean the same there. What a source takes from the environment goes with the task, never
into Spark's configuration, which its web pages show.
"""

import contextlib
import os
import pickle
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from tasks.engines._spark_session import Session, started
from tasks.engines.base import BatchFunction, Engine, Progress, T
from tasks.engines.local import LocalEngine
from tasks.schema import Kind, TableSchema, arrow_schema
from tasks.sources.base import Part, Source
from tasks.storage import read_group, row_groups

_VARIABLES = ("AIRFLOW_CONN_", "AWS_", "FSSPEC_", "PG", "PROOFMINT_")
"""Sources read variables that start so, besides those that their settings name."""


class SparkEngine(Engine):
    """Tasks of Spark."""

    _session: Session

    def __enter__(self) -> Self:
        """Start Spark, or connect to its master.

        Raises:
            WorkspaceError: pyspark or Java is missing, or the master does not answer.
            ParamsError: `PROOFMINT_SPARK_URL` names no master that takes our tasks.
        """
        self._session = self.started.enter_context(started())
        return self

    def load(
        self,
        source: Source,
        table: TableSchema,
        parts: list[Part],
        report: Callable[[Progress], None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """See `Engine.load`.

        A table of one part is read here: there is nothing to share out, and a source that cannot
        show its state to a second connection shows it to the one that it has.
        """
        if len(parts) == 1:
            with LocalEngine() as local:
                yield from local.load(source, table, parts, report)
            return
        n_workers = min(source.settings.workers or self._session.n_workers, len(parts))
        with contextlib.ExitStack() as opened:
            # Rows of a source that is to be stored encrypted stay in memory.
            spool = None
            if self._session.is_local and not source.settings.encrypt:
                spool = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="proofmint-")))
            read = _ReadPart.of(source, table, n_workers, spool)
            calls = ((read, (part,)) for part in parts)
            environment = _environment(source.settings.model_dump(mode="json"))
            done = opened.enter_context(
                contextlib.closing(self._session.results(_packed(calls, environment), n_workers))
            )
            for i, result in enumerate(map(_unpacked, done), start=1):
                yield from result.batches()
                source.counted.update(result.counts)
                if report is not None:
                    report(Progress(i, len(parts)))

    def map(
        self, folder: Path, table: str, function: BatchFunction[T], *notes: Iterable[Any]
    ) -> Iterator[T]:
        """See `Engine.map`."""
        groups = row_groups(folder.absolute(), table)
        items = zip((group for group, n in groups for _ in range(n)), *notes, strict=False)
        calls = _by_group(_MapGroup(function), items)
        packed = _packed(calls, _environment({}))
        with contextlib.closing(self._session.results(packed, self._session.n_workers)) as done:
            for result in done:
                yield from _unpacked(result)


@dataclass(frozen=True)
class _Rows:
    """The rows of a part, as one Arrow IPC stream.

    Attributes:
        stream: its bytes, or the file that holds them.
        counts: what the source counted on the way.
    """

    stream: bytes | Path
    counts: dict[str, int]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; the file goes once they were read."""
        if isinstance(self.stream, bytes):
            yield from pa.ipc.open_stream(self.stream)
            return
        with pa.memory_map(str(self.stream)) as content:
            yield from pa.ipc.open_stream(content)
        self.stream.unlink()


@dataclass(frozen=True)
class _ReadPart:
    """Reads one part through a source of its own.

    Attributes:
        spool: a folder that the driver sees too; None: rows go to the driver in memory.
    """

    source_class: type[Source]
    settings: dict[str, Any]
    kind: Kind
    target: str | None
    project: Path
    table: TableSchema
    spool: Path | None

    @classmethod
    def of(cls, source: Source, table: TableSchema, n_workers: int, spool: Path | None) -> Self:
        """As `source` reads, with its share of the memory."""
        share = {"memory_mib": max(16, source.settings.memory_mib // n_workers), "workers": 1}
        settings = source.settings.model_dump(mode="json", exclude_unset=True) | share
        project = source.project.absolute()
        return cls(type(source), settings, source.kind, source.target, project, table, spool)

    def __call__(self, part: Part) -> _Rows:
        source = self.source_class(
            self.settings, kind=self.kind, target=self.target, project=self.project
        )
        with contextlib.ExitStack() as opened:
            opened.enter_context(source)
            local = opened.enter_context(LocalEngine())
            sink: Any = pa.BufferOutputStream()
            if self.spool is not None:
                path = self.spool / uuid.uuid4().hex
                sink = opened.enter_context(pa.OSFile(str(path), "wb"))
            _write(sink, local.load(source, self.table, [part]), arrow_schema(self.table))
            stream = sink.getvalue().to_pybytes() if self.spool is None else path
            return _Rows(stream, dict(source.counts()))


def _write(sink: Any, batches: Iterator[pa.RecordBatch], declared: pa.Schema) -> None:
    """Batches as they are: whether they follow the declared schema is asked where they are stored."""
    first = next(batches, None)
    schema = declared if first is None else first.schema
    with pa.ipc.new_stream(sink, schema) as writer:
        if first is not None:
            writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch if batch.schema == schema else batch.cast(schema))


@dataclass(frozen=True)
class _MapGroup:
    """Applies a function to the batches of one row group."""

    function: BatchFunction[Any]

    def __call__(self, group: tuple[Path, int], notes: list[tuple[Any, ...]]) -> list[Any]:
        batches = read_group(*group)
        return [self.function(batch, *note) for batch, note in zip(batches, notes, strict=False)]


def _by_group(
    function: _MapGroup, items: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[_MapGroup, tuple[Any, ...]]]:
    """One call for each row group, with the notes of its batches."""
    group, notes = None, []
    for next_group, *note in items:
        if group is not None and next_group != group:
            yield function, (group, notes)
            notes = []
        group = next_group
        notes.append(tuple(note))
    if group is not None:
        yield function, (group, notes)


@dataclass(frozen=True)
class _Failed:
    """What went wrong in a task; raised here as it would be on this machine."""

    error: Exception


def _packed(
    calls: Iterable[tuple[Callable[..., Any], tuple[Any, ...]]], environment: Mapping[str, str]
) -> Iterator[tuple[Callable[[bytes], bytes], bytes]]:
    """Calls as a task carries them: functions of a notebook or a test are sent as their code."""
    for call in calls:
        yield _run, pickle.dumps((dict(environment), _dumped(call)))


def _run(packed: bytes) -> bytes:
    """In an executor: the result of a packed call."""
    from pyspark import cloudpickle

    environment, call = pickle.loads(packed)  # noqa: S301  packed by our driver
    os.environ.update(environment)
    try:
        function, arguments = cloudpickle.loads(call)
        result = function(*arguments)
    except Exception as error:
        result = _Failed(error)
    return _dumped(result)


def _dumped(value: Any) -> bytes:
    from pyspark import cloudpickle

    return bytes(cloudpickle.dumps(value))  # type: ignore[no-untyped-call]


def _unpacked(packed: bytes) -> Any:
    from pyspark import cloudpickle

    result = cloudpickle.loads(packed)
    if isinstance(result, _Failed):
        raise result.error
    return result


def _environment(settings: Any) -> dict[str, str]:
    """The variables that a source may read: of known names, and those that its settings name."""
    named = set(_texts(settings))
    named |= {f"{name}_FILE" for name in named}
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_VARIABLES) or name in named
    }


def _texts(settings: Any) -> Iterator[str]:
    if isinstance(settings, str):
        yield settings
    elif isinstance(settings, Mapping):
        for value in settings.values():
            yield from _texts(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _texts(value)
