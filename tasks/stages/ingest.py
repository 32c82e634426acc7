"""Stage: pull the real data from its source."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tasks.engines.base import Engine
from tasks.errors import ParamsError, SchemaError, SourceError
from tasks.params import DatasetParams
from tasks.registry import load
from tasks.schema import SCHEMA_FILE, DatasetSchema
from tasks.sources.base import OBSERVED_ROWS, Source, with_meanings
from tasks.storage import new_folder, write_json, write_table

logger = logging.getLogger(__name__)


def ingest(raw: Path, params: DatasetParams, *, project: Path) -> None:
    """Read all tables of the source once and store them as a dataset.

    Writes:
        raw: the dataset, and `report.json` with the rows of each table and what was left out.

    Args:
        raw: folder to write.
        params: of the dataset; `source`, `kind`, `target` and `constraints` count here.
        project: folder from which relative paths of a source count.

    Raises:
        ParamsError: the settings of the source are wrong, or a constraint does not fit the columns.
        SourceUnavailable: the source does not answer.
        SourceError: it has not what was asked for, or no rows of it.
    """
    source_class = load("tasks.sources", params.source.type, Source)  # type: ignore[type-abstract]
    source = source_class(
        params.source.settings, kind=params.kind, target=params.target, project=project
    )
    engine = load("tasks.engines", params.engine, Engine)()  # type: ignore[type-abstract]
    with engine, source, new_folder(raw) as draft:
        schema = _constrained(source.schema(), params)
        observers = {}
        rows = {}
        for table in schema.tables:
            observer = observers[table.name] = _Observer(table.name)
            batches = engine.load(source, table, list(source.parts(table)))
            rows[table.name] = write_table(draft, table, observer.watch(batches))
            if rows[table.name] == 0:
                raise SourceError(f"expected rows in {table.name!r}, the source gave none")
            logger.info("%s: %s rows", table.name, f"{rows[table.name]:,}")
        if source.observes:
            first = {name: observer.first for name, observer in observers.items()}
            schema = with_meanings(schema, first, source.settings.meanings)
        (draft / SCHEMA_FILE).write_text(schema.dumps(), encoding="utf-8")
        nan = {name: observer.n_nan for name, observer in observers.items()}
        report = {"source": params.source.type, "rows": rows, "nan_made_missing": nan}
        write_json(draft / "report.json", report | source.counts())


def _constrained(schema: DatasetSchema, params: DatasetParams) -> DatasetSchema:
    """The schema with the declared constraints, which are about the main table."""
    try:
        main = schema.main.constrained(params.constraints)
    except SchemaError as error:
        raise ParamsError(str(error)) from error
    return schema.model_copy(update={"tables": (main, *schema.tables[1:])})


class _Observer:
    """Sees a table's batches go by: keeps the first rows, and lets only finite numbers pass.

    Attributes:
        first: the first `OBSERVED_ROWS` rows at most.
        n_nan: numbers by column that were not a number (NaN) and became missing values.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        self._batches: list[pa.RecordBatch] = []
        self._n_seen = 0
        self.n_nan: dict[str, int] = {}

    @property
    def first(self) -> pa.Table:
        return pa.Table.from_batches(self._batches)

    def watch(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            batch = self._finite(batch)
            if self._n_seen < OBSERVED_ROWS:
                self._batches.append(batch.slice(0, OBSERVED_ROWS - self._n_seen))
                self._n_seen += batch.num_rows
            yield batch

    def _finite(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for i, field in enumerate(batch.schema):
            if not pa.types.is_floating(field.type):
                continue
            values = batch[i]
            if pc.any(pc.is_inf(values)).as_py():
                raise SourceError(
                    f"table {self._table!r}: column {field.name!r} holds infinite numbers, which no"
                    " generator can learn; make them missing in the source"
                )
            if n_nan := pc.sum(pc.is_nan(values)).as_py():
                if not field.nullable:
                    raise SourceError(
                        f"table {self._table!r}: column {field.name!r} may have no missing values,"
                        " but holds NaN; read it with a `query` that says NULLIF(…, 'NaN')"
                    )
                self.n_nan[field.name] = self.n_nan.get(field.name, 0) + n_nan
                values = pc.if_else(pc.is_nan(values), pa.scalar(None, field.type), values)
                batch = batch.set_column(i, field.name, values)
        return batch
