from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.errors import SchemaError
from tasks.schema import (
    IMAGE_TYPE,
    Column,
    DatasetSchema,
    ForeignKey,
    TableSchema,
    arrow_type,
    type_name,
)


def column(name: str, type_: str = "int64") -> Column:
    return Column(name=name, type=type_, meaning="numeric")


@pytest.mark.parametrize(
    "data_type",
    [
        pa.int8(),
        pa.uint64(),
        pa.float32(),
        pa.float64(),
        pa.string(),
        pa.bool_(),
        pa.binary(),
        pa.date32(),
        pa.time64("us"),
        pa.timestamp("us"),
        pa.timestamp("us", tz="Europe/Zurich"),
        pa.timestamp("ns", tz="UTC"),
        pa.duration("s"),
        pa.decimal128(38, 10),
        IMAGE_TYPE,
    ],
    ids=str,
)
def test_a_type_survives_being_spelled(data_type: pa.DataType) -> None:
    assert arrow_type(column("x", type_name(data_type))) == data_type


@pytest.mark.parametrize("text", ["", "integer", "timestamp[", "timestamp[x]", "decimal128(a)"])
def test_an_unknown_type_is_refused(text: str) -> None:
    with pytest.raises(SchemaError, match="unknown type"):
        arrow_type(column("x", text))


def test_keys_must_name_columns() -> None:
    with pytest.raises(ValidationError, match="unknown columns"):
        TableSchema(name="a", columns=(column("x"),), primary_key=("y",))
    with pytest.raises(ValidationError, match="more than one column"):
        TableSchema(name="a", columns=(column("x"), column("x")))


def test_links_must_name_tables_and_the_target_a_column() -> None:
    child = TableSchema(
        name="child",
        columns=(column("x"),),
        foreign_keys=(ForeignKey(columns=("x",), references="parent", referenced_columns=("x",)),),
    )
    with pytest.raises(ValidationError, match="unknown table 'parent'"):
        DatasetSchema(kind="tabular", tables=(child,))
    plain = TableSchema(name="plain", columns=(column("x"),))
    with pytest.raises(ValidationError, match="target 'y' is not a column"):
        DatasetSchema(kind="tabular", tables=(plain,), target="y")


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "a\x00"])
def test_a_table_name_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(ValidationError):
        TableSchema(name=name, columns=(column("x"),))


def test_the_text_is_stable_and_reads_back(tmp_path: Path) -> None:
    schema = DatasetSchema(
        kind="tabular", tables=(TableSchema(name="t", columns=(column("naïve ☃"),)),)
    )
    (tmp_path / "schema.json").write_text(schema.dumps(), encoding="utf-8")
    assert DatasetSchema.load(tmp_path) == schema
    assert DatasetSchema.load(tmp_path).dumps() == schema.dumps()


def test_a_missing_or_broken_schema_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"found no schema\.json"):
        DatasetSchema.load(tmp_path)
    (tmp_path / "schema.json").write_text("{}")
    with pytest.raises(SchemaError, match="is not a schema"):
        DatasetSchema.load(tmp_path)


def test_an_unknown_column_or_table_lists_the_choices() -> None:
    table = TableSchema(name="t", columns=(column("x"), column("y")))
    with pytest.raises(SchemaError, match="it has: x, y"):
        table.column("z")
    with pytest.raises(SchemaError, match="no table 'u'"):
        DatasetSchema(kind="tabular", tables=(table,)).table("u")
