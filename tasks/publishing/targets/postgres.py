"""Target `postgres`: tables in a schema of a PostgreSQL database.

    <schema>         the current version, with keys, types, comments and grants
    <schema>__v1     versions before it, as retention says

A version is loaded into a schema of its own in one transaction, and becomes current in another one
that does nothing but rename: a query that runs goes on with the tables that it began with, and
none ever sees two versions mixed.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from psycopg2 import sql
from pydantic import Field, field_validator

from tasks.errors import ParamsError, TargetUnavailable, WorkspaceError
from tasks.operation import ConnectionName, Record
from tasks.partitions import base_of
from tasks.publishing.targets._database import column_type, copy_rows, transaction
from tasks.publishing.targets.base import CopiedTable, Copy, Target
from tasks.versions import Version

MOST_IDENTIFIER_BYTES = 63
"""PostgreSQL cuts longer names, and two names could then be one."""

LOCK_TIMEOUT = "10s"
"""How long a reader may keep a dropped version waiting before it is left for the next time."""

_COMMENT = re.compile(r"Proofmint: (\S+) v(\d+), manifest sha256:([0-9a-f]{64})(\. WITHDRAWN: )?")

_READERS = """
    WITH tables AS (
        SELECT pg_class.oid, relowner, relacl FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = %(schema)s AND relkind IN ('r', 'p', 'v', 'm', 'f')
    ), rights AS (
        SELECT nspowner AS owner, nspacl AS acl FROM pg_namespace WHERE nspname = %(schema)s
        UNION ALL SELECT relowner, relacl FROM tables
        UNION ALL SELECT relowner, attacl FROM tables JOIN pg_attribute ON attrelid = tables.oid
    )
    SELECT DISTINCT grantee, pg_get_userbyid(grantee) FROM rights, aclexplode(acl)
    WHERE grantee NOT IN (SELECT owner FROM rights)
"""
"""Who has a right on a schema, on a table in it or on a column, besides the owners; 0: everybody."""


class _Held(NamedTuple):
    """A schema that holds a version."""

    number: int
    digest: str
    name: str
    is_withdrawn: bool


class PostgresSettings(Record):
    """Settings of the target `postgres`."""

    connection: ConnectionName = Field(
        description="names the variable, or Airflow connection, with the URL of the database, of a"
        " role that may create schemas in it"
    )
    schema_name: str | None = Field(
        default=None,
        alias="schema",
        pattern=r"^[a-z_][a-z0-9_]{0,52}$",
        description="of the current version; null: the dataset's name; that of a partition has its key"
        " behind it, as the partition's name has",
    )
    grant: list[str] = Field(
        default=[], description="roles that may read the tables; others get no right"
    )

    @field_validator("schema_name")
    @classmethod
    def _is_not_the_server_s(cls, name: str | None) -> str | None:
        if name and (name.startswith("pg_") or name in ("public", "information_schema")):
            raise ValueError("a schema of its own, which this name is not")
        return name


class PostgresTarget(Target):
    """Copies in schemas beside each other."""

    Settings = PostgresSettings
    _seen: int | None = None

    def __init__(
        self, settings: Mapping[str, Any], *, dataset: str, project: Path, where: str
    ) -> None:
        """See `Target`."""
        super().__init__(settings, dataset=dataset, project=project, where=where)
        named: str = self.settings.schema_name or base_of(dataset)
        # Of partitions, which share the settings, each has a schema of its own.
        self._schema = named + dataset.removeprefix(base_of(dataset))
        if len(f"{self._schema}__v99999") > MOST_IDENTIFIER_BYTES:
            raise ParamsError(
                f"{where}: expected a shorter `schema`: PostgreSQL takes names of at most"
                f" {MOST_IDENTIFIER_BYTES} bytes, and needs {self._schema!r} with a version behind it"
            )

    @property
    def place(self) -> str:
        """See `Target.place`."""
        return f"postgres {self.settings.connection}, schema {self._schema}"

    def held(self) -> dict[int, str]:
        """See `Target.held`: schemas of ours, by their comments."""
        with transaction(self.settings.connection) as cursor:
            return {there.number: there.digest for there in self._schemas(cursor)}

    def current(self) -> int | None:
        """See `Target.current`."""
        with transaction(self.settings.connection) as cursor:
            self._seen = self._current(cursor)
            return self._seen

    def withdrawn(self) -> set[int]:
        """See `Target.withdrawn`: what comments say."""
        with transaction(self.settings.connection) as cursor:
            return {there.number for there in self._schemas(cursor) if there.is_withdrawn}

    def put(self, copy: Copy) -> None:
        """See `Target.put`: one transaction, so half a copy is never there.

        Raises:
            WorkspaceError: the schema to be is somebody else's.
        """
        schema = sql.Identifier(f"{self._schema}__{copy.version.name}")
        mark = (
            f"Proofmint: {self.dataset} {copy.version.name}, manifest sha256:{copy.version.digest}"
        )
        with transaction(self.settings.connection) as cursor:
            self._refuse_foreign(cursor)
            cursor.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
            cursor.execute(_comment("SCHEMA", schema, mark))
            for table in copy.tables:
                self._load(cursor, schema, table, mark)
            for statement in _links(schema, copy.tables):
                cursor.execute(statement)
            _let_read(cursor, schema, self.settings.grant)

    def share(self, numbers: Collection[int]) -> None:
        """See `Target.share`: `grant` may have changed since a copy was loaded."""
        with transaction(self.settings.connection) as cursor:
            self._lock(cursor)
            for there in self._schemas(cursor):
                if there.number in numbers:
                    _let_read(cursor, sql.Identifier(there.name), self.settings.grant)

    def point(self, number: int | None) -> None:
        """See `Target.point`: renames in one transaction, if nobody else was quicker."""
        with transaction(self.settings.connection) as cursor:
            self._lock(cursor)
            self._refuse_foreign(cursor)
            now = self._current(cursor)
            if now != self._seen:
                raise TargetUnavailable(f"another publisher made {now and f'v{now}'} current")
            current = sql.Identifier(self._schema)
            if now is not None:
                aside = sql.Identifier(f"{self._schema}__v{now}")
                cursor.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(current, aside))
            if number is not None:
                wanted = sql.Identifier(f"{self._schema}__v{number}")
                cursor.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(wanted, current))
        self._seen = number

    def withdraw(self, version: Version) -> None:
        """See `Target.withdraw`: the comment says so, and no role may read it any longer."""
        if version.withdrawn is None:
            return
        with transaction(self.settings.connection) as cursor:
            self._lock(cursor)
            schema = sql.Identifier(f"{self._schema}__{version.name}")
            mark = f"Proofmint: {self.dataset} {version.name}, manifest sha256:{version.digest}"
            notice = f"{mark}. WITHDRAWN: {version.withdrawn.reason}"
            cursor.execute(_comment("SCHEMA", schema, notice))
            _let_read(cursor, schema, [])

    def drop(self, number: int) -> None:
        """See `Target.drop`; views of others on it are never dropped with it."""
        name = f"{self._schema}__v{number}"
        with transaction(self.settings.connection) as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (name,))
            tables = [sql.Identifier(name, table) for (table,) in cursor.fetchall()]
            if tables:
                cursor.execute(sql.SQL("DROP TABLE {}").format(sql.SQL(", ").join(tables)))
            cursor.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(name)))

    def _lock(self, cursor: Any) -> None:
        """Let no other publisher rename these schemas, or change their rights, meanwhile."""
        lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
        cursor.execute(lock, (f"proofmint {self._schema}",))

    def _refuse_foreign(self, cursor: Any) -> None:
        """Leave a schema alone that was there before us.

        Raises:
            WorkspaceError: there is one.
        """
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self._schema,))
        if cursor.fetchone() and self._current(cursor) is None:
            raise WorkspaceError(
                f"the schema {self._schema!r} is there and holds no version of {self.dataset!r}; give"
                " the target another `schema`, or move that one away"
            )

    def _schemas(self, cursor: Any) -> list[_Held]:
        """The schemas that hold a version; others of such names are somebody else's."""
        cursor.execute(
            "SELECT nspname, coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace"
            " WHERE nspname = %s OR nspname ~ %s",
            (self._schema, f"^{self._schema}__v[0-9]+$"),
        )
        found = []
        for name, comment in cursor.fetchall():
            told = _COMMENT.match(comment)
            if told is not None and told[1] == self.dataset:
                found.append(_Held(int(told[2]), told[3], name, told[4] is not None))
        return found

    def _current(self, cursor: Any) -> int | None:
        return {there.name: there.number for there in self._schemas(cursor)}.get(self._schema)

    def _load(self, cursor: Any, schema: sql.Identifier, table: CopiedTable, mark: str) -> None:
        name = table.schema.name
        place = sql.Identifier(*schema.strings, _checked(name))
        kinds = {field.name: field.type for field in table.arrow_schema}
        columns = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(_checked(column.name)),
                sql.SQL(column_type(kinds[column.name], column.name)),
                sql.SQL("" if column.nullable else " NOT NULL"),
            )
            for column in table.schema.columns
        ]
        cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(place, sql.SQL(", ").join(columns)))
        copy_rows(cursor, place, table)
        if table.schema.primary_key:
            key = _names(table.schema.primary_key)
            cursor.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(place, key))
        cursor.execute(_comment("TABLE", place, f"Synthetic rows. {mark}"))
        cursor.execute(sql.SQL("ANALYZE {}").format(place))


def _let_read(cursor: Any, schema: sql.Identifier, roles: Collection[str]) -> None:
    """Let these roles read the tables of a schema, and nobody else do anything.

    Rights on the tables go, too: whoever has them reads through a view without a right on the schema.
    """
    cursor.execute(_READERS, {"schema": schema.strings[0]})
    for oid, name in cursor.fetchall():
        who = sql.Identifier(name) if oid else sql.SQL("PUBLIC")
        for what in ("SCHEMA", "ALL TABLES IN SCHEMA"):
            revoke = sql.SQL("REVOKE ALL ON {} {} FROM {} CASCADE")
            cursor.execute(revoke.format(sql.SQL(what), schema, who))
    for role in roles:
        who = sql.Identifier(_checked(role))
        cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, who))
        cursor.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(schema, who))


def _links(schema: sql.Identifier, tables: Sequence[CopiedTable]) -> Iterator[sql.Composed]:
    """The foreign keys; what they point to must be told to be unique."""
    keys = {(table.schema.name, table.schema.primary_key) for table in tables}
    for table in tables:
        for link in table.schema.foreign_keys:
            there = sql.Identifier(*schema.strings, link.references)
            if (link.references, link.referenced_columns) not in keys:
                keys.add((link.references, link.referenced_columns))
                unique = _names(link.referenced_columns)
                yield sql.SQL("ALTER TABLE {} ADD UNIQUE ({})").format(there, unique)
            yield sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({})").format(
                sql.Identifier(*schema.strings, table.schema.name),
                _names(link.columns),
                there,
                _names(link.referenced_columns),
            )


def _comment(kind: str, of: sql.Identifier, text: str) -> sql.Composed:
    return sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), of, sql.Literal(text))


def _names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _checked(name: str) -> str:
    """A name that PostgreSQL takes as it is.

    Raises:
        WorkspaceError: it would be cut.
    """
    if len(name.encode()) > MOST_IDENTIFIER_BYTES:
        raise WorkspaceError(
            f"expected names of at most {MOST_IDENTIFIER_BYTES} bytes, which is what PostgreSQL"
            f" takes; found {name!r}"
        )
    return name
