"""Small datasets through the steps of cleaning."""

import itertools
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.cleaning.passes import Cleaner
from tasks.cleaning.plan import plan
from tasks.engines.base import BatchFunction, T
from tasks.engines.local import LocalEngine
from tasks.params import CleanParams
from tasks.schema import Column, DatasetSchema, Kind, TableSchema, type_name
from tasks.sources.base import column as plain_column
from tasks.storage import read_batches, write_dataset


@dataclass(frozen=True)
class Cleaned:
    """What cleaning gave."""

    schema: DatasetSchema
    rows: list[dict[str, Any]]
    effects: dict[str, dict[str, Any]]
    """Of the main table, by step; only those that changed something."""

    def values(self, name: str) -> list[Any]:
        """One column of the main table."""
        return [row[name] for row in self.rows]


class CutEngine(LocalEngine):
    """Gives batches of these lengths, again and again, each to another process, as it were."""

    def __init__(self, lengths: Sequence[int]) -> None:
        super().__init__()
        self._lengths = lengths

    def map(
        self, folder: Path, table: str, function: BatchFunction[T], *notes: Iterable[Any]
    ) -> Iterator[T]:
        """See `Engine.map`."""
        function = _sent(function)
        for items in zip(self._cut(read_batches(folder, table)), *notes, strict=False):
            yield _sent(function(*_sent(items)))

    def _cut(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        lengths = itertools.cycle(self._lengths)
        for batch in batches:
            while batch.num_rows:
                piece = batch.slice(0, next(lengths))
                batch = batch.slice(piece.num_rows)
                yield piece


def _sent(thing: T) -> T:
    """As it arrives in another process."""
    arrived: T = pickle.loads(pickle.dumps(thing))  # noqa: S301  our own
    return arrived


def schema_of(
    columns: Mapping[str, pa.Array], *, target: str | None = None, kind: Kind = "tabular"
) -> DatasetSchema:
    """One table `t` with the plain meanings of its types."""
    described = tuple(plain_column(name, values.type) for name, values in columns.items())
    return DatasetSchema(
        kind=kind, tables=(TableSchema(name="t", columns=described),), target=target
    )


def clean(
    columns: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    schema: DatasetSchema | None = None,
    cut: Sequence[int] = (2,),
    seed: int = 0,
) -> Cleaned:
    """The rows of one table after the steps that `settings` names."""
    arrays = {n: v if isinstance(v, pa.Array) else pa.array(v) for n, v in columns.items()}
    schema = schema or schema_of(arrays)
    rows, given, report = clean_tables(
        {schema.main.name: arrays}, settings, schema=schema, cut=cut, seed=seed
    )
    main = schema.main.name
    effects = {name: tables[main] for name, tables in report.items() if main in tables}
    done = {name: e for name, e in effects.items() if e != {"rows_dropped": 0}}
    return Cleaned(given, rows[main], done)


def clean_tables(
    tables: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    *,
    schema: DatasetSchema,
    cut: Sequence[int] = (2,),
    seed: int = 0,
) -> tuple[dict[str, list[dict[str, Any]]], DatasetSchema, dict[str, dict[str, Any]]]:
    """The rows by table, the schema and the report after the steps that `settings` names."""
    with tempfile.TemporaryDirectory() as place, CutEngine(cut) as engine:
        raw, out = Path(place) / "raw", Path(place) / "clean"
        raw.mkdir()
        out.mkdir()
        batches = {n: [pa.RecordBatch.from_pydict(dict(t))] for n, t in tables.items()}
        write_dataset(raw, schema, batches)
        planned = plan(CleanParams.model_validate(dict(settings)))
        cleaner = Cleaner(raw, engine, planned, seed)
        names = [table.name for table in cleaner.schema.tables]
        write_dataset(out, cleaner.schema, {name: cleaner.clean(name) for name in names})
        rows = {n: [r for b in read_batches(out, n) for r in b.to_pylist()] for n in names}
        return rows, cleaner.schema, cleaner.report()


def column(name: str, kind: pa.DataType, meaning: str, **given: Any) -> Column:
    """A column of a table."""
    return Column.model_validate(
        {"name": name, "type": type_name(kind), "meaning": meaning} | given
    )
