"""Stage: pull the real data from its source."""

import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from tasks import retry
from tasks.cache import Cache
from tasks.engines._progress import LoadProgress
from tasks.engines.base import Engine
from tasks.errors import (
    EmptyPartition,
    ParamsError,
    SchemaError,
    SourceChanged,
    SourceError,
    SourceRewound,
    SourceUnavailable,
)
from tasks.params import DatasetParams
from tasks.registry import load
from tasks.schema import (
    IMAGE_TYPE,
    SCHEMA_FILE,
    DatasetSchema,
    TableSchema,
    arrow_schema,
    arrow_type,
)
from tasks.snapshots import Merge, Snapshot, Snapshots
from tasks.sources._between import check_schema, rows_between
from tasks.sources.base import (
    MADE_MISSING,
    OBSERVED_ROWS,
    Source,
    made_missing,
    with_meanings,
    with_statements,
)
from tasks.storage import new_folder, read_batches, write_json, write_table

MAX_RESTARTS = 3
"""How often a source that does not answer is asked again, and how often all is read again because
the state that was being read is gone."""

TYPING = frozenset({"types", "units"})
"""Steps of cleaning after which columns have other types."""

OBSERVED_BYTES = 32 * 2**20
"""Of the rows that decide the meanings, where they are large."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


class _CountsDiffer(Exception):
    """Rows were replaced of which the source may have counted something: only a full read can count."""


def ingest(raw: Path, params: DatasetParams, *, project: Path) -> None:
    """Read all tables of the source and store them as a dataset, values as they are.

    A source that can say what came since the last run (`Source.end_of`) is asked for that alone;
    the dataset is complete all the same, with the bytes of a full read.

    Writes:
        raw: the dataset, and `report.json` with the rows and bytes of each table and what was left
            out (of a partition, that is in the log alone); nothing in it differs between two runs
            over the same data.

    Args:
        raw: folder to write.
        params: of the dataset; `source`, `kind`, `target`, `engine` and `constraints` count here.
        project: folder from which relative paths of a source count, and whose cache is used.

    Raises:
        ParamsError: the settings of the source are wrong, or a constraint does not fit the columns.
        SourceUnavailable: the source does not answer.
        SourceError: it has not what was asked for, or no rows of it.
        EmptyPartition: it has rows, but none in the interval that is asked for.
    """
    encrypted = params.source.settings.get("encrypt") is True
    before = Cache.of(project).uses("files") if encrypted else {}
    try:
        _ingest(raw, params, project)
    finally:
        if encrypted:
            # Fetched files are as they are where they come from.
            Cache.of(project).forget("files", before)


def _ingest(raw: Path, params: DatasetParams, project: Path) -> None:
    """Pull until one pass saw one state of the source from its start to its end."""
    is_whole = False
    waits = retry.waits(1 + MAX_RESTARTS)
    while True:
        try:
            return _Pull(params, project, is_whole=is_whole).into(raw)
        except _CountsDiffer:
            is_whole = True
            logger.info("rows were replaced that the report counts: all are read again")
        except SourceRewound as error:
            is_whole = True
            logger.warning("%s; all is read", error)
        except SourceChanged as error:
            if (wait := next(waits, None)) is None:
                raise
            logger.warning("%s; all is read again in %.1f s", error, wait)
            time.sleep(wait)


class _Pull:
    """One pass over a source, of one state of it."""

    def __init__(self, params: DatasetParams, project: Path, *, is_whole: bool) -> None:
        self._params, self._project, self._is_whole = params, project, is_whole
        source_class = load("tasks.sources", params.source.type, Source)  # type: ignore[type-abstract]
        self._source = source_class(
            params.source.settings, kind=params.kind, target=params.target, project=project
        )
        self._engine = load("tasks.engines", params.engine, Engine)()  # type: ignore[type-abstract]
        self._last: Snapshot | None = None
        self._n_replaced = 0
        self._in_doubt: set[str] = set()
        # A quarter; `LocalEngine.load` says for what the rest is.
        self._writer_bytes = self._source.settings.memory_mib * 2**20 // 4

    def into(self, raw: Path) -> None:
        """Read all and write it."""
        source = self._source
        # Whatever happens, threads end before the connections that they read from.
        with source, self._engine, new_folder(raw) as draft:
            declared = _answer(source.schema)
            if source.settings.between is not None:
                check_schema(declared, source.settings.between.column)
            snapshots = Snapshots(Cache.of(self._project), self._params.source, declared)
            if not self._is_whole:
                self._last = snapshots.last()
            schema = _constrained(declared, self._params)
            schema = schema.stored(encrypted=source.settings.encrypt)
            rows = {table.name: self._table(draft, table) for table in schema.tables}
            ends = {table.name: source.end_of(table) for table in declared.tables}
            counts = self._counts()
            if counted := _in_words(counts):
                logger.info("left out or changed while reading: %s", counted)
            self._last = None  # it need not stay any longer
            settings = source.settings
            if source.observes:
                first = {table.name: _first_rows(draft, table) for table in schema.tables}
                schema = with_meanings(schema, first, settings.meanings, settings.personal)
            else:
                schema = with_statements(schema, settings.meanings, settings.personal)
            (draft / SCHEMA_FILE).write_text(schema.dumps(), encoding="utf-8")
            n_bytes = {name: _size(draft / name) for name in rows}
            report = {"source": self._params.source.type, "rows": rows, "bytes": n_bytes}
            # Of a partition it may be about rows of others, whose changes are none of its own.
            told = counts if settings.between is None else {}
            write_json(draft / "report.json", report | told)
        if known := {name: end for name, end in ends.items() if end is not None}:
            snapshots.save(raw, known, counts, encrypt=schema.encrypted)

    def _table(self, draft: Path, table: TableSchema) -> int:
        """Write one table; return its rows."""
        last = self._last
        if last is None or table.name not in last.ends:
            batches = self._new(table)
        else:
            self._source.after[table.name] = dict(last.ends[table.name])
            batches = self._merged(draft / ".new", table, last)
        n_rows = write_table(draft, table, batches, memory_bytes=self._writer_bytes)
        shutil.rmtree(draft / ".new", ignore_errors=True)
        if n_rows == 0 and (between := self._source.settings.between) is not None:
            raise EmptyPartition(
                f"{table.name}: no row has {between}; there is nothing to make a dataset of"
            )
        if n_rows == 0:
            counted = _in_words(self._counts())
            raise SourceError(
                f"expected rows in {table.name!r}, the source gave none"
                f"{f' and counted {counted}' if counted else ''}"
            )
        logger.info("%s: %s rows", table.name, f"{n_rows:,}")
        return n_rows

    def _new(self, table: TableSchema) -> Iterator[pa.RecordBatch]:
        """What the source gives, shown on the way."""
        parts = list(_answer(lambda: self._source.parts(table)))
        with LoadProgress(table.name, len(parts)) as progress:
            loaded = self._engine.load(self._source, table, parts, progress.part)
            rows = progress.watch(loaded)
            if (between := self._source.settings.between) is not None:
                rows = rows_between(rows, table, between)
            yield from rows

    def _merged(self, folder: Path, table: TableSchema, last: Snapshot) -> Iterator[pa.RecordBatch]:
        """The rows of the last run, without those that came again, and then what came since."""
        n_new = write_table(folder, table, self._new(table), memory_bytes=self._writer_bytes)
        names = self._source.recognised_by(table)
        merge = Merge(_stored(folder, table, names))
        yield from merge.kept(read_batches(last.folder, table.name))
        yield from read_batches(folder, table.name)
        self._n_replaced += merge.n_replaced
        self._in_doubt |= {made_missing(table.name, name) for name, n in merge.missing.items() if n}
        logger.info(
            "%s: %s rows came since the last run, %s of them in place of older ones",
            *(table.name, f"{n_new:,}", f"{merge.n_replaced:,}"),
        )

    def _counts(self) -> dict[str, int]:
        """What the source has counted, of the rows of the last run too."""
        counts = Counter(self._source.counts())
        counts.update(self._source.counted)
        if self._last is not None:
            counts.update(self._last.counts)
            if self._n_replaced and any(
                name in self._in_doubt or not name.startswith(MADE_MISSING) for name in +counts
            ):
                raise _CountsDiffer
        return dict(sorted(counts.items()))


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what}: {n:,}" for what, n in counts.items() if n)


def _answer(ask: Callable[[], T]) -> T:
    """What a source says, asked again a few times where it does not answer."""
    waits = retry.waits(1 + MAX_RESTARTS)
    while True:
        try:
            return ask()
        except SourceChanged:
            raise
        except SourceUnavailable as error:
            if (wait := next(waits, None)) is None:
                raise
            logger.warning("%s; it is asked again in %.1f s", error, wait)
            time.sleep(wait)


def _constrained(schema: DatasetSchema, params: DatasetParams) -> DatasetSchema:
    """The schema with the declared constraints, which are about the main table.

    Those that do not fit the type of a column are left to cleaning, where it changes types.
    """
    types = {column.name: arrow_type(column) for column in schema.main.columns}
    waiting = [
        constraint
        for constraint in params.constraints
        if not TYPING.isdisjoint(params.clean.steps)
        and types.keys() >= set(constraint.names)
        and constraint.problem(types)
    ]
    try:
        main = schema.main.constrained([c for c in params.constraints if c not in waiting])
    except SchemaError as error:
        raise ParamsError(str(error)) from error
    return schema.model_copy(update={"tables": (main, *schema.tables[1:])})


def _stored(folder: Path, table: TableSchema, names: Sequence[str]) -> pa.Table:
    """These columns of a stored table, in memory."""
    schema = arrow_schema(table)
    kept = pa.schema([schema.field(name) for name in names])
    batches = read_batches(folder, table.name, kept.names) if names else ()
    return pa.Table.from_batches((batch.cast(kept) for batch in batches), kept)


def _first_rows(folder: Path, table: TableSchema) -> pa.Table:
    """The rows that decide the meanings: `OBSERVED_ROWS`, or as many as fill `OBSERVED_BYTES`."""
    schema = arrow_schema(table)
    images = [field for field in schema if field.type == IMAGE_TYPE]
    others = pa.schema([field for field in schema if field.type != IMAGE_TYPE])
    batches: list[pa.RecordBatch] = []
    n_rows = n_bytes = 0
    for batch in read_batches(folder, table.name, others.names):
        batches.append(batch.slice(0, OBSERVED_ROWS - n_rows).cast(others))
        n_rows += batches[-1].num_rows
        n_bytes += batch.nbytes
        if n_rows == OBSERVED_ROWS or n_bytes >= OBSERVED_BYTES:
            break
    rows = pa.Table.from_batches(batches, others)
    for field in images:  # their type says what they mean
        rows = rows.append_column(field.name, pa.nulls(n_rows, field.type))
    return rows


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
