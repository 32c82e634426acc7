"""What PostgreSQL's catalogue says of tables and views: columns, types, keys, links, sizes.

**Source**: https://www.postgresql.org/docs/current/catalogs.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.errors import SourceError
from tasks.schema import ForeignKey
from tasks.sources.databases._postgresql.session import Snapshot, literal, quoted
from tasks.sources.databases._postgresql.types import SqlType
from tasks.sources.databases.base import no_such_table

_KINDS = "('r', 'v', 'm', 'p', 'f')"
"""Tables, views, materialised views, partitioned and foreign tables."""

_PLACE = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relhassubclass AND c.relkind <> 'p'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN {_KINDS} AND
"""  # noqa: S608  a constant

_COLUMNS = """
SELECT attname, atttypid, atttypmod, attnotnull, attcollation, format_type(atttypid, -1)
FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""

_DOMAINS = "SELECT oid, typbasetype, typtypmod, typnotnull FROM pg_type WHERE typtype = 'd'"

_KEYS = """
SELECT i.indisprimary, ARRAY(
    SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE k.place <= i.indnkeyatts AND a.attnotnull ORDER BY k.place
), i.indnkeyatts
FROM pg_index i
WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
"""

_LEADING = """
SELECT DISTINCT a.attname FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = %s AND i.indisvalid AND i.indpred IS NULL
"""

_LINKS = """
SELECT ARRAY(
    SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.place
), c.confrelid, ARRAY(
    SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY k.place
)
FROM pg_constraint c WHERE c.conrelid = %s AND c.contype = 'f'
"""

_BYTES = """
SELECT CASE WHEN c.relkind = 'p'
    THEN (SELECT sum(pg_table_size(relid)) FROM pg_partition_tree(c.oid) WHERE isleaf)
    WHEN c.relkind IN ('r', 'm') THEN pg_table_size(c.oid) END::bigint
FROM pg_class c WHERE c.oid = %s
"""

_SORTS_BYTES = """
SELECT c.oid FROM pg_collation c WHERE c.collcollate IN ('C', 'POSIX') AND c.collprovider = 'c'
    OR c.collprovider = 'b'
UNION ALL
SELECT 100 FROM pg_database d WHERE d.datname = current_database()
    AND CASE coalesce(to_jsonb(d) ->> 'datlocprovider', 'c')
        WHEN 'b' THEN true WHEN 'c' THEN d.datcollate IN ('C', 'POSIX') ELSE false END
"""


@dataclass(frozen=True)
class Attribute:
    """A column of a table, view or query.

    Attributes:
        name: as it is, not quoted.
        type: what it holds.
        nullable: whether it may be missing.
    """

    name: str
    type: SqlType
    nullable: bool = True


@dataclass(frozen=True)
class Place:
    """A table or view in the catalogue.

    Attributes:
        oid: its number.
        schema: its schema's name.
        name: its name.
        has_children: whether other tables inherit from it, and so have rows of their own in it.
    """

    oid: int
    schema: str
    name: str
    kind: str
    has_children: bool

    @property
    def sql(self) -> str:
        """As it stands behind FROM."""
        return f"{quoted(self.schema, self.name)} AS data"


class Catalogue:
    """Questions to the catalogue, in the state of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._domains: dict[int, tuple[int, int, bool]] | None = None
        self._sorts_bytes: frozenset[int] | None = None

    def place(self, address: str) -> Place:
        """The table at `table` or `schema.table`; either name may hold dots itself.

        Raises:
            SourceError: there is none; with those of similar names.
        """
        what = f"table {address!r}"
        found = self._snapshot.rows(
            f"{_PLACE} c.oid = to_regclass({literal(quoted(address))})", what=what
        )
        dots = [i for i, letter in enumerate(address) if letter == "."]
        for dot in dots if not found else []:
            found += self._snapshot.rows(
                f"{_PLACE} n.nspname = %s AND c.relname = %s",
                (address[:dot], address[dot + 1 :]),
                what=what,
            )
        if not found:
            raise self._none_such(address, what)
        return Place(*found[0])

    def columns(self, place: Place) -> list[Attribute]:
        """The columns in their order."""
        rows = self._snapshot.rows(_COLUMNS, (place.oid,), what=f"table {place.name!r}")
        found = []
        for name, oid, modifier, not_null, collation, spelled in rows:
            base, modifier, never_null = self._base(oid, modifier)
            by_bytes = collation in self._byte_collations()
            kind = SqlType(base, modifier, spelled, collates=collation != 0 and not by_bytes)
            found.append(Attribute(name, kind, nullable=not (not_null or never_null)))
        return found

    def key(self, place: Place) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The primary key, and the columns that tell any two rows apart; empty where nothing does."""
        if place.has_children:
            return (), ()  # a key of the parent says nothing about the children's rows
        for is_primary, names, n_columns in self._snapshot.rows(
            _KEYS, (place.oid,), what=f"table {place.name!r}"
        ):
            if len(names) == n_columns:
                return (tuple(names) if is_primary else ()), tuple(names)
        return (), ()

    def leading(self, place: Place) -> set[str]:
        """The columns by which some index finds a range of rows."""
        rows = self._snapshot.rows(_LEADING, (place.oid,), what=f"table {place.name!r}")
        return {name for (name,) in rows}

    def links(self, place: Place, names: dict[int, str]) -> list[ForeignKey]:
        """The foreign keys to the tables whose names are given by number."""
        rows = self._snapshot.rows(_LINKS, (place.oid,), what=f"table {place.name!r}")
        found = [
            ForeignKey(columns=tuple(ours), references=names[oid], referenced_columns=tuple(theirs))
            for ours, oid, theirs in rows
            if oid in names
        ]
        return sorted(found, key=lambda key: (key.columns, key.references))

    def n_bytes(self, place: Place) -> int | None:
        """Size of the stored rows; None of what stores none (views) or does so elsewhere."""
        ((size,),) = self._snapshot.rows(_BYTES, (place.oid,), what=f"table {place.name!r}")
        return None if size is None else int(size)

    def of_query(self, described: Sequence[Sequence[Any]]) -> list[Attribute]:
        """The columns of a query from the driver's description of them."""
        oids = sorted({column[1] for column in described})
        rows = self._snapshot.rows(
            "SELECT oid, format_type(oid, -1) FROM pg_type WHERE oid = ANY(%s)",
            (oids,),
            what="the types of the query",
        )
        spelled = dict(rows)
        return [
            Attribute(str(column[0]), SqlType.of_description(column, spelled[column[1]]))
            for column in described
        ]

    def _base(self, oid: int, modifier: int) -> tuple[int, int, bool]:
        """What a domain is in the end, its modifier, and whether it is never missing."""
        if self._domains is None:
            rows = self._snapshot.rows(_DOMAINS, what="the types of the database")
            self._domains = {row[0]: row[1:] for row in rows}
        never_null = False
        while oid in self._domains:
            oid, modifier, not_null = self._domains[oid]
            never_null |= not_null
        return oid, modifier, never_null

    def _byte_collations(self) -> frozenset[int]:
        """The collations that compare texts byte by byte; 100 is the database's own."""
        if self._sorts_bytes is None:
            rows = self._snapshot.rows(_SORTS_BYTES, what="the collations of the database")
            self._sorts_bytes = frozenset(oid for (oid,) in rows)
        return self._sorts_bytes

    def _none_such(self, address: str, what: str) -> SourceError:
        schema = address.rpartition(".")[0]
        visible = "n.nspname = %s" if schema else "pg_table_is_visible(c.oid) AND %s = ''"
        known = self._snapshot.rows(
            f"{_PLACE} {visible} AND n.nspname !~ '^pg_toast'", (schema,), what=what
        )
        ours = [row[2] for row in known if row[1] not in ("pg_catalog", "information_schema")]
        schemas = self._snapshot.rows(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'", what=what
        )
        return no_such_table(address, ours, [name for (name,) in schemas])
