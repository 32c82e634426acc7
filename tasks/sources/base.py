"""The contract of sources, and the rules by which the values of a column tell its meaning.

To add a source, write one file `tasks/sources/<name>.py` with one subclass of `Source` and its
`Settings`, then write `source: {type: <name>, ...}` in params.yaml. The same data must give the same
rows in the same order, because the bytes of everything downstream follow from them.

A source cuts each table into parts that can be read one by one, in any thread or process, in any
order and again; an engine (`tasks/engines`) reads them ahead, at once or on a cluster, tries again
what broke, and puts the rows in order.
"""

import contextlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field, ValidationError

from tasks.errors import ParamsError, SourceError
from tasks.params import Record, validated
from tasks.privacy.pii.search import find, kinds
from tasks.schema import Column, DatasetSchema, ForeignKey, Kind, Meaning, TableSchema, type_name
from tasks.sources._between import Between

OBSERVED_ROWS = 100_000
"""Rows at the start of a table whose values decide the meanings of its columns."""

MAX_TARGET_CLASSES = 20
"""A target of whole numbers is a class up to so many different ones, a quantity beyond."""

IDENTIFIER_DISTINCT = 0.95
"""Share of the values that differ from which text without spaces is an identifier."""

MADE_MISSING = "made_missing."
"""What the names of `made_missing` begin with."""

_TEXT_WORDS = 0.5
"""Share of values with a space from which text that rarely repeats is free text."""


def _all_differ(names: list[str]) -> list[str]:
    if twice := sorted(name for name, n in Counter(names).items() if n > 1):
        raise ValueError(f"names {twice} more than once")
    return names


ColumnNames = Annotated[
    list[Annotated[str, Field(min_length=1)]], Field(min_length=1), AfterValidator(_all_differ)
]
"""Names that people give to the columns of what has none."""


class SourceSettings(Record):
    """The settings that every source has; a source adds its own."""

    meanings: dict[str, Meaning] = Field(
        default={}, description="meaning by column, where the values alone would mislead"
    )
    personal: dict[str, bool | str] = Field(
        default={},
        description="by column, whether it holds personal data, where its values would mislead: true,"
        " false, or its kind (a file of tasks/privacy/pii/kinds: email, person_name ...)",
    )
    between: Between | None = Field(
        default=None,
        description="only the rows whose date lies in an interval; `partition` sets it for each run",
    )
    memory_mib: int = Field(
        default=192, ge=16, description="memory for the rows that are on their way, in MiB"
    )
    workers: int | None = Field(
        default=None, ge=1, le=256, description="parts that are read at once; null: by cores"
    )
    encrypt: bool = Field(
        default=False,
        description="store the real data, and models of it, encrypted; the key is in"
        " PROOFMINT_ENCRYPTION_KEY, or in the file that PROOFMINT_ENCRYPTION_KEY_FILE names",
    )


@dataclass(frozen=True)
class Part:
    """A stretch of a table that can be read without the others: a file, a range of keys or offsets.

    Attributes:
        place: where it is, in values that JSON has; with the settings and the table's schema it is
            all that another process needs to read the part.
    """

    place: Mapping[str, Any] = field(default_factory=dict)


class Source(ABC):
    """One or more tables somewhere, read as Arrow batches. Use it in a `with` block.

    Attributes:
        Settings: the keys under `source:` in params.yaml, each with its description.
        observes: whether the values decide the meanings (True), or `schema` knows them (False).
        counted: what sources in other processes counted that read parts for this one; `counts` is
            without it.
        after: by table, where an earlier read ended (see `end_of`): `parts` gives what came since.
    """

    Settings: ClassVar[type[SourceSettings]]
    observes: bool = True

    def __init__(
        self, settings: dict[str, Any], *, kind: Kind, target: str | None, project: Path
    ) -> None:
        """Check the settings; nothing is opened yet.

        Args:
            settings: what stands under `source:`, without `type`.
            kind: of the dataset.
            target: column that the dataset is to predict or to condition on.
            project: folder from which relative paths count.

        Raises:
            ParamsError: a key is unknown, missing or wrong.
        """
        self.settings: Any = validated(self.Settings, settings, "source")
        self.kind: Kind = kind
        self.target = target
        self.project = project
        self.opened = contextlib.ExitStack()
        self.after: dict[str, dict[str, Any]] = {}
        self.counted: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Start to read; a source puts what it opens on `self.opened`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what was opened."""
        self.opened.close()

    @abstractmethod
    def schema(self) -> DatasetSchema:
        """The tables with their columns, types and keys; the first one holds the target.

        Raises:
            SourceUnavailable: the source does not answer.
            SourceError: it answers, but lacks what was asked for.
        """

    def parts(self, table: TableSchema) -> Sequence[Part]:
        """The parts of a table of `schema()`, in an order that only the data decides.

        They are about one state of the source: what changes in it later does not show in them.

        Raises:
            SourceRewound: the source ends before `after`: the table must be read whole.

        Parts of about `batch_bytes()` are best: rows are given in the order of the parts, so what is
        read before its turn waits in memory, and of large parts only one is read at full speed.
        """
        del table
        return [Part()]

    @abstractmethod
    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The rows of one part, the same ones in the same order at every try.

        It may be called from several threads at once, and in another process on a source of the
        same settings of which nothing but `__enter__` was called.

        Args:
            table: of `schema()`.
            part: of `parts(table)`.

        Raises:
            SourceUnavailable: the source stopped answering; the part may be read again.
            SourceChanged: the state that `parts` saw is gone; the table must be read anew.
            SourceError: the data is not what `schema()` said.
        """

    def read(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of one table of `schema()`, part by part."""
        known = self.schema().table(table)
        for part in self.parts(known):
            yield from self.read_part(known, part)

    def end_of(self, table: TableSchema) -> dict[str, Any] | None:
        """Where the parts of a table end, for a later read that takes only what came since.

        JSON values; None: this table is always read whole.
        """
        del table
        return None

    def recognised_by(self, table: TableSchema) -> Sequence[str]:
        """The columns by whose values what came since replaces what was read before; none: nothing."""
        return table.primary_key

    def batch_bytes(self) -> int:
        """Bytes of memory that one batch should take at most, of the budget for all workers."""
        memory: int = self.settings.memory_mib * 2**20
        return max(2**20, memory // (4 * (self.settings.workers or 4)))

    def dataset(self, *tables: TableSchema) -> DatasetSchema:
        """The schema of these tables with the dataset's kind and target.

        Raises:
            SourceError: the first table has no column of the target's name.
        """
        names = tables[0].column_names
        if self.target is not None and self.target not in names:
            raise SourceError(
                f"expected the target {self.target!r} among the columns of {tables[0].name!r}, which are:"
                f" {', '.join(names)}; change `target` in params.yaml or bring the column back"
            )
        return DatasetSchema(kind=self.kind, tables=tables, target=self.target)

    def counts(self) -> dict[str, int]:
        """What was left out or changed while reading, by name, for the report of the stage."""
        return {}


def made_missing(table: str, column_name: str) -> str:
    """Under which name `Source.counts` tells of values that became missing, row by row."""
    return f"{MADE_MISSING}{table}.{column_name}"


def column(name: str, data_type: pa.DataType, *, nullable: bool = True) -> Column:
    """A column as a source declares it, with the plain meaning of its type.

    Raises:
        SourceError: it has no name.
    """
    if not name:
        raise SourceError(f"expected a name for every column, found '' (of {data_type}); name it")
    return Column(
        name=name,
        type=type_name(data_type),
        meaning=_meaning_of_type(data_type) or "categorical",
        nullable=nullable,
    )


def table_schema(
    name: str,
    columns: Iterable[Column],
    *,
    primary_key: Iterable[str] = (),
    foreign_keys: Iterable[ForeignKey] = (),
) -> TableSchema:
    """A table as a source declares it.

    Raises:
        SourceError: it has no columns, or a name that cannot name a folder.
    """
    try:
        return TableSchema(
            name=str(name),
            columns=tuple(columns),
            primary_key=tuple(primary_key),
            foreign_keys=tuple(foreign_keys),
        )
    except ValidationError as error:
        reasons = "; ".join(
            ": ".join((*map(str, detail["loc"][:1]), detail["msg"])) for detail in error.errors()
        )
        raise SourceError(
            f"table {str(name)!r} cannot be used: {reasons}; give it another name or form, for a"
            " database with a view"
        ) from error


def with_meanings(
    schema: DatasetSchema,
    rows: dict[str, pa.Table],
    given: Mapping[str, Meaning],
    personal: Mapping[str, bool | str] | None = None,
) -> DatasetSchema:
    """`schema` with the meaning of every column, and whether it is personal, by its values.

    A meaning that the source has declared, other than the plain one of the type, stays.

    Args:
        schema: as the source declares it.
        rows: the first `OBSERVED_ROWS` rows of each table, by its name.
        given: meanings that people have stated; they win.
        personal: what people have stated of personal data; it wins.

    Raises:
        ParamsError: `given` or `personal` names a column that no table has, or a kind of personal
            data that nobody knows.
    """
    personal = personal or {}
    _check_given(schema, given, personal)
    tables = []
    for table in schema.tables:
        target = schema.target if table is schema.main else None
        columns = []
        for c in table.columns:
            values = rows[table.name][c.name]
            meaning = given.get(c.name) or _stated(c, values.type)
            meaning = meaning or _observed(c.name, values, target, table)
            facts = {"meaning": meaning, **_personal(c.name, values, meaning, personal.get(c.name))}
            columns.append(c.model_copy(update=facts))
        tables.append(table.model_copy(update={"columns": tuple(columns)}))
    return schema.model_copy(update={"tables": tuple(tables)})


def with_statements(
    schema: DatasetSchema, given: Mapping[str, Meaning], personal: Mapping[str, bool | str]
) -> DatasetSchema:
    """`schema` with what people have stated of its columns, for sources that know all else.

    Args: see `with_meanings`.

    Raises:
        ParamsError: see `with_meanings`.
    """
    _check_given(schema, given, personal)
    tables = []
    for table in schema.tables:
        columns = []
        for c in table.columns:
            facts: dict[str, Any] = {"meaning": given.get(c.name, c.meaning)}
            if (said := personal.get(c.name)) is not None:
                kind = said if isinstance(said, str) else None
                facts |= {"personal": bool(said), "personal_kind": kind}
            columns.append(c.model_copy(update=facts))
        tables.append(table.model_copy(update={"columns": tuple(columns)}))
    return schema.model_copy(update={"tables": tuple(tables)})


def _check_given(
    schema: DatasetSchema, given: Mapping[str, Meaning], personal: Mapping[str, bool | str]
) -> None:
    known = {name for table in schema.tables for name in table.column_names}
    for setting, names in (("meanings", given), ("personal", personal)):
        if unknown := sorted(set(names) - known):
            raise ParamsError(
                f"source.{setting} names unknown columns {unknown}; choose from: {sorted(known)}"
            )
    said = {name for name in personal.values() if isinstance(name, str)}
    if wrong := sorted(said - set(kinds())):
        raise ParamsError(
            f"source.personal names unknown kinds {wrong}; choose from: true, false,"
            f" {', '.join(kinds())}"
        )


def _personal(
    name: str, values: pa.ChunkedArray, meaning: Meaning, said: bool | str | None
) -> dict[str, Any]:
    """Whether a column is personal and of what kind: as people say, else as is found."""
    if isinstance(said, str):
        return {"personal": True, "personal_kind": said}
    found = None if said is False else find(name, values, meaning)
    kind = found.kind if found else None
    return {"personal": said is True or kind is not None, "personal_kind": kind}


def _stated(known: Column, data_type: pa.DataType) -> Meaning | None:
    """The meaning that the source has declared, if it is another than the plain one of the type."""
    plain = column(known.name, data_type).meaning
    return known.meaning if known.meaning != plain else None


def _observed(
    name: str, values: pa.ChunkedArray, target: str | None, table: TableSchema
) -> Meaning:
    """The meaning of one column, by the first rule that fits.

    1. A truth value is boolean, a date or a time is datetime, an image is an image.
    2. A column of a primary or a foreign key is an identifier.
    3. Whole numbers that all differ are an identifier if the name says so (`id`, `customer_id`,
       `CustomerId`). Otherwise numbers are categorical where they are flags (two values at most) or a
       target of at most `MAX_TARGET_CLASSES` classes; else numeric.
    4. Text whose values repeat, at least two rows a value on average, is categorical; so is a target.
    5. Other text is free text if half of the values have a space in them, an identifier if nearly
       all differ (`IDENTIFIER_DISTINCT`), else categorical.
    """
    meaning = _meaning_of_type(values.type)
    if meaning is not None and meaning != "numeric":
        return meaning
    keys = {*table.primary_key, *(c for key in table.foreign_keys for c in key.columns)}
    if name in keys:
        return "identifier"
    present = values.drop_null()
    n_values = len(present)
    n_distinct = pc.count_distinct(present).as_py()
    is_target = name == target
    if meaning == "numeric":
        return _meaning_of_numbers(name, present, n_distinct, is_target=is_target)
    if is_target or 2 * n_distinct <= n_values or n_values == 0:
        return "categorical"
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        n_words = pc.sum(pc.match_substring(pc.utf8_trim_whitespace(present), " ")).as_py()
        if n_words >= _TEXT_WORDS * n_values:
            return "text"
    return "identifier" if n_distinct >= IDENTIFIER_DISTINCT * n_values else "categorical"


def _meaning_of_numbers(
    name: str, present: pa.ChunkedArray, n_distinct: int, *, is_target: bool
) -> Meaning:
    whole = pa.types.is_integer(present.type)
    if whole and _names_a_key(name) and n_distinct == len(present) > 2:
        return "identifier"
    is_flag = n_distinct <= 2
    is_class = is_target and whole and n_distinct <= MAX_TARGET_CLASSES
    return "categorical" if is_flag or is_class else "numeric"


def _names_a_key(name: str) -> bool:
    lowered = name.lower()
    return lowered in ("id", "uuid", "guid") or lowered.endswith("_id") or name.endswith("Id")


def _meaning_of_type(data_type: pa.DataType) -> Meaning | None:
    """What the type alone tells; None for text."""
    if type_name(data_type) == "image":
        return "image"
    if pa.types.is_boolean(data_type):
        return "boolean"
    if pa.types.is_temporal(data_type) and not pa.types.is_duration(data_type):
        return "datetime"
    is_number = (
        pa.types.is_integer(data_type)
        or pa.types.is_floating(data_type)
        or pa.types.is_decimal(data_type)
    )
    return "numeric" if is_number else None
