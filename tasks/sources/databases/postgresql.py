"""PostgreSQL: parts are ranges of the key, rows come by COPY, all of one exported snapshot.

Types: integers, real, double, boolean, date, timestamp and timestamptz (as UTC) are Arrow's own;
`numeric(p, s)` is a decimal of p and s, a numeric without them the decimal that holds all its rows
(found by a scan; past 76 digits a double, and the rounded values are counted). Everything else is
text in PostgreSQL's spelling. Infinite dates and times, and a numeric that is NaN or infinite, are
made missing and counted: Arrow has no such value. A date before Christ or past the year 9999 is an
error that names its row.

Order: see `_postgresql/relation.py`.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import pyarrow as pa

from tasks.errors import SourceError
from tasks.schema import TableSchema
from tasks.sources._between import warn_of_missing
from tasks.sources.base import Part, made_missing
from tasks.sources.databases._postgresql.catalogue import Catalogue, Place
from tasks.sources.databases._postgresql.copying import BLOCK_BYTES, Decoder, batches
from tasks.sources.databases._postgresql.relation import (
    Relation,
    between_days,
    last_watermark,
    later,
    measured,
    ranges,
)
from tasks.sources.databases._postgresql.session import Snapshot, column_of
from tasks.sources.databases.base import (
    QUERY_TABLE,
    Access,
    Database,
    check_names,
    check_watermark,
    one_select,
    rewound,
)

logger = logging.getLogger(__name__)


class PostgresqlDatabase(Database):
    """A PostgreSQL from version 12 on, or what speaks like one."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._snapshot = Snapshot(access)
        self._relations: dict[str, Relation] = {}
        self._last: dict[str, str | None] = {}
        self._lost: dict[tuple[str, str], Counter[str]] = {}
        self._rounded: dict[str, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Nothing is connected yet; what will be is closed at the end."""
        self.opened.callback(self._snapshot.close)
        return self

    def tables(self, addresses: Sequence[str]) -> list[TableSchema]:
        """See `Database.tables`."""
        catalogue = Catalogue(self._snapshot)
        places = [catalogue.place(address) for address in addresses]
        names = _names(places)
        if len(names) < len(places):
            raise SourceError(f"expected different tables, found {list(addresses)}")
        found = []
        for place in places:
            relation = _relation(catalogue, place, names[place.oid])
            if relation.attributes:  # may all of them be read?
                self._snapshot.rows(relation.select("false"), what=relation.what)
            relation = self._known(self._between(relation))
            links = tuple(catalogue.links(place, names))
            found.append(relation.schema().model_copy(update={"foreign_keys": links}))
        return found

    def query(self, text: str) -> TableSchema:
        """See `Database.query`."""
        # As a part of a SELECT, a statement that is none is an error of syntax.
        sql = f"({one_select(text)}\n) AS data"
        nothing = f"SELECT * FROM {sql} LIMIT 0"  # noqa: S608  the user's own query
        with self._snapshot.described(nothing, what="the query") as cursor:
            described = cursor.description or []
        check_names([str(column[0]) for column in described])
        attributes = tuple(Catalogue(self._snapshot).of_query(described))
        relation = Relation(QUERY_TABLE, "the query", sql, attributes)
        return self._known(self._between(relation)).schema()

    def parts(self, table: TableSchema, after: dict[str, Any] | None) -> Sequence[Part]:
        """See `Database.parts`."""
        self._snapshot.renew_if_lost()
        relation = self._relations[table.name]
        conditions = []
        if (watermark := self.access.watermark) is not None:
            check_watermark(table, watermark)
            self._last[table.name] = last_watermark(relation, watermark, self._snapshot)
            relation = replace(relation, watermark=watermark)
            if after is not None and after["last"] is not None:
                conditions.append(later(relation, watermark, after["last"]))
                first = f"SELECT 1 FROM {relation.sql} WHERE {conditions[0]} LIMIT 1"  # noqa: S608
                if not self._snapshot.rows(first, what=relation.what):
                    raise rewound(table, self._last[table.name], after["last"])
        cuts = [[]] if conditions else ranges(relation, self._snapshot, 2 * self.access.batch_bytes)
        snapshot = self._snapshot.id
        what = relation.what
        return [
            Part({"what": what, "snapshot": snapshot, "select": relation.select(*conditions, *cut)})
            for cut in cuts
        ]

    def read(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """See `Database.read`."""
        select = part.place["select"]
        decode = Decoder(table)
        block_bytes = min(BLOCK_BYTES, self.access.batch_bytes)
        what = part.place["what"]
        with self._snapshot.reader(part.place["snapshot"], what) as connection:
            yield from batches(connection, select, block_bytes, decode)
        # What another thread has freed since would stay with this one until it ends.
        pa.default_memory_pool().release_unused()
        for column, n_lost in decode.lost.items():
            logger.warning(
                "%s: %s infinite values or NaN in %r are made missing", what, f"{n_lost:,}", column
            )
        with self._lock:
            self._lost[table.name, select] = decode.lost

    def end_of(self, table: TableSchema) -> dict[str, Any] | None:
        """See `Database.end_of`."""
        if self.access.watermark is None:
            return None
        return {"last": self._last[table.name]}

    def counts(self) -> dict[str, int]:
        """Values that became missing or were rounded, by table and column."""
        found = Counter(self._rounded)
        with self._lock:
            for (table, _), lost in self._lost.items():
                for column, n_lost in lost.items():
                    found[made_missing(table, column)] += n_lost
        return dict(sorted(found.items()))

    def _between(self, relation: Relation) -> Relation:
        """The rows of a partition alone, where one is asked for: the server finds them by an index."""
        if (between := self.access.between) is None:
            return relation
        restricted = between_days(relation, between)
        if relation.attribute(between.column).nullable:
            ((n_missing,),) = self._snapshot.rows(
                f"SELECT count(*) FROM {relation.sql} WHERE {column_of(between.column)} IS NULL",  # noqa: S608
                what=relation.what,
            )
            if n_missing:
                warn_of_missing(relation.name, between, n_missing)
        return restricted

    def _known(self, relation: Relation) -> Relation:
        """The relation with its types, remembered for `parts`."""
        relation = measured(relation, self._snapshot)
        for name in sorted(relation.rounded):
            number = column_of(name)
            ((n_rounded,),) = self._snapshot.rows(
                f"SELECT count(*) FROM {relation.sql} WHERE {number} <> {number}::float8::text::numeric",  # noqa: S608
                what=relation.what,
            )
            self._rounded[f"rounded.{relation.name}.{name}"] = n_rounded
            logger.warning(
                "%s: %s numbers in %r have more digits than Arrow's decimals and are rounded",
                relation.what,
                f"{n_rounded:,}",
                name,
            )
        self._relations[relation.name] = relation
        return relation


def _names(places: Sequence[Place]) -> dict[int, str]:
    """What each table is called: its name, with its schema where two have the same one."""
    plain = Counter(place.name for place in places)
    return {
        place.oid: place.name if plain[place.name] == 1 else f"{place.schema}.{place.name}"
        for place in places
    }


def _relation(catalogue: Catalogue, place: Place, name: str) -> Relation:
    primary_key, unique = catalogue.key(place)
    relation = Relation(
        name,
        f"table {name!r}",
        place.sql,
        tuple(catalogue.columns(place)),
        primary_key=primary_key,
        unique=unique,
        leading=frozenset(catalogue.leading(place)),
    )
    return replace(relation, n_bytes=catalogue.n_bytes(place))
