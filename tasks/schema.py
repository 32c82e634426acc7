"""The schema of a dataset: tables, columns, meanings and keys, stored as `schema.json`.

A dataset is one or more tables. A single table is the case of one; images and texts are tables
with an `image` or a `text` column. The schema drives everything downstream: encoding, gates,
metrics and the description of a release.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tasks.constraints.declared import Constraint, contradiction
from tasks.errors import SchemaError

Kind = Literal["tabular", "image", "text", "multimodal"]
Meaning = Literal[
    "numeric", "categorical", "datetime", "boolean", "text", "identifier", "geographic", "image"
]

SCHEMA_FILE = "schema.json"

MOST_NAME_BYTES = 200
"""Of a table, in UTF-8: file systems take names of 255 bytes, and releases put a suffix behind."""

IMAGE_TYPE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
"""How an image lies in a column: encoded bytes (PNG) and a file name, as `datasets` reads it."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Record):
    name: str = Field(min_length=1, description="name as in the source")
    type: str = Field(description="Arrow type as text: int64, double, string, bool, image ...")
    meaning: Meaning = Field(description="what the values mean to a model or a metric")
    nullable: bool = Field(default=True, description="whether a value may be missing")
    personal: bool = Field(default=False, description="whether it holds personal data (PII)")
    personal_kind: str | None = Field(
        default=None,
        description="what personal data: email, person_name, phone … of tasks/privacy/pii",
    )


class ForeignKey(_Record):
    columns: tuple[str, ...] = Field(min_length=1, description="columns of this table")
    references: str = Field(description="name of the table that they point to")
    referenced_columns: tuple[str, ...] = Field(min_length=1, description="its key columns")


class TableSchema(_Record):
    name: str = Field(
        pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$",
        description="name of the table and its folder",
    )
    columns: tuple[Column, ...] = Field(min_length=1, description="in the order of the source")
    primary_key: tuple[str, ...] = Field(default=(), description="columns that identify a row")
    foreign_keys: tuple[ForeignKey, ...] = Field(default=(), description="links to other tables")
    constraints: tuple[Constraint, ...] = Field(
        default=(), description="what every row satisfies, as declared in params.yaml"
    )
    encrypted: bool = Field(
        default=False, description="whether its rows, and models of them, are stored encrypted"
    )

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if name.endswith((".json", ".enc")):
            raise ValueError(
                "a name that ends with .json or .enc is one of the dataset's own files"
            )
        # What is not UTF-8 (a file's name may be that) is a ValueError too.
        if len(name.encode()) > MOST_NAME_BYTES:
            raise ValueError(
                f"a name of more than {MOST_NAME_BYTES} bytes is too long for a folder"
            )
        return name

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        names = self.column_names
        if twice := sorted(n for n, count in Counter(names).items() if count > 1):
            raise ValueError(f"table {self.name!r} has more than one column named {twice}")
        used = [*self.primary_key, *(c for key in self.foreign_keys for c in key.columns)]
        if unknown := sorted(set(used) - set(names)):
            raise ValueError(f"keys of table {self.name!r} name unknown columns {unknown}")
        about = {name for constraint in self.constraints for name in constraint.names}
        if unknown := sorted(about - set(names)):
            raise ValueError(f"constraints of table {self.name!r} name unknown columns {unknown}")
        return self

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column:
        """The column called `name`; raises SchemaError, with the choices, if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError(
            f"table {self.name!r} has no column {name!r}; it has: {', '.join(self.column_names)}"
        )

    def constrained(self, constraints: Sequence[Constraint]) -> Self:
        """The same table with these constraints.

        Raises:
            SchemaError: a constraint does not fit the columns, or contradicts another; the message
                has its place in the list.
        """
        types = {column.name: arrow_type(column) for column in self.columns}
        for i, constraint in enumerate(constraints):
            if problem := constraint.problem(types):
                raise SchemaError(f"constraints.{i} ({constraint.type}): {problem}")
        if problem := contradiction(tuple(constraints)):
            raise SchemaError(f"constraints: {problem}")
        return self.model_copy(update={"constraints": tuple(constraints)})

    def columns_of(self, *meanings: Meaning) -> list[Column]:
        """The columns with one of these meanings, in order."""
        return [column for column in self.columns if column.meaning in meanings]


class DatasetSchema(_Record):
    kind: Kind = Field(description="which encoders, generators and metrics apply")
    tables: tuple[TableSchema, ...] = Field(min_length=1, description="the tables")
    target: str | None = Field(
        default=None, description="column to predict (tables) or to condition on (images, texts)"
    )

    @model_validator(mode="after")
    def _links_are_known(self) -> Self:
        tables = {table.name: table for table in self.tables}
        if len(tables) != len(self.tables):
            raise ValueError(f"table names must differ, found {[t.name for t in self.tables]}")
        for table in self.tables:
            for key in table.foreign_keys:
                other = tables.get(key.references)
                if other is None:
                    raise ValueError(f"{table.name!r} references unknown table {key.references!r}")
                if missing := set(key.referenced_columns) - set(other.column_names):
                    raise ValueError(f"{table.name!r} references unknown columns {sorted(missing)}")
        if self.target is not None and self.target not in self.tables[0].column_names:
            raise ValueError(
                f"target {self.target!r} is not a column of {self.tables[0].name!r};"
                f" it has: {', '.join(self.tables[0].column_names)}"
            )
        return self

    @property
    def main(self) -> TableSchema:
        """The first table: the one that holds the target."""
        return self.tables[0]

    def table(self, name: str) -> TableSchema:
        """The table called `name`; raises SchemaError, with the choices, if there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise SchemaError(f"no table {name!r}; there are: {[t.name for t in self.tables]}")

    @property
    def encrypted(self) -> bool:
        """Whether the rows are stored encrypted; what is made of them is then, too."""
        return any(table.encrypted for table in self.tables)

    def stored(self, *, encrypted: bool) -> Self:
        """The same dataset, stored encrypted or plain."""
        tables = (t.model_copy(update={"encrypted": encrypted}) for t in self.tables)
        return self.model_copy(update={"tables": tuple(tables)})

    def dumps(self) -> str:
        """The text of `schema.json`: the same bytes for equal schemas."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `folder/schema.json`.

        Raises:
            SchemaError: the file is missing or malformed.
        """
        path = folder / SCHEMA_FILE
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise SchemaError(f"expected a dataset at {folder}, found no {SCHEMA_FILE}") from error
        except ValidationError as error:
            raise SchemaError(f"{path} is not a schema: {error}") from error


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type that `column.type` spells.

    Raises:
        SchemaError: the text names no Arrow type.
    """
    if column.type == "image":
        return IMAGE_TYPE
    if column.type.startswith(("timestamp[", "decimal", "duration[", "time32[", "time64[")):
        return _parametric(column)
    try:
        return pa.type_for_alias(column.type)
    except ValueError as error:
        raise SchemaError(f"column {column.name!r}: unknown type {column.type!r}") from error


def type_name(data_type: pa.DataType) -> str:
    """How a column's Arrow type is spelled in `schema.json`; the inverse of `arrow_type`."""
    return "image" if data_type == IMAGE_TYPE else str(data_type)


def arrow_schema(table: TableSchema) -> pa.Schema:
    """The Arrow schema that batches of `table` have."""
    return pa.schema([pa.field(c.name, arrow_type(c), nullable=c.nullable) for c in table.columns])


def _parametric(column: Column) -> pa.DataType:
    name, _, rest = column.type.partition("[" if "[" in column.type else "(")
    arguments = [part.strip() for part in rest.rstrip("])").split(",")]
    try:
        if name == "timestamp":
            zone = arguments[1].removeprefix("tz=") if len(arguments) > 1 else None
            return pa.timestamp(arguments[0], tz=zone)
        if name in ("decimal128", "decimal256"):
            make = pa.decimal128 if name == "decimal128" else pa.decimal256
            return make(int(arguments[0]), int(arguments[1]))
        return {"duration": pa.duration, "time32": pa.time32, "time64": pa.time64}[name](
            arguments[0]
        )
    except (KeyError, IndexError, ValueError) as error:
        raise SchemaError(f"column {column.name!r}: unknown type {column.type!r}") from error
