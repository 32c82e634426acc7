from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.publishing.tables import hugging_face_type, write_tables
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.storage import read_table, write_dataset
from tests.releases import image_inputs, relational_inputs, tabular_inputs


def test_the_rows_are_those_of_the_dataset(tmp_path: Path) -> None:
    at = tabular_inputs(tmp_path, n_rows=40).at
    (table,) = write_tables(at.synthetic, DatasetSchema.load(at.synthetic), tmp_path / "out")
    (shard,) = table.shards
    assert shard.path == "data/patients/part-00000.parquet"
    released = pq.ParquetFile(tmp_path / "out" / shard.path).read()
    assert released.equals(read_table(at.synthetic, "patients"))
    # Every 17th age and every 23rd blood pressure is missing: of 40 rows, 3 and 2.
    assert (table.n_missing["age"], table.n_missing["blood pressure"]) == (3, 2)
    assert table.n_rows == 40


def test_names_that_may_not_stand_in_a_path_are_replaced(tmp_path: Path) -> None:
    at = relational_inputs(tmp_path).at
    tables = write_tables(at.synthetic, DatasetSchema.load(at.synthetic), tmp_path / "out")
    assert [table.folder for table in tables] == ["data/our_customers", "data/orders_2024"]


def test_tables_whose_names_become_the_same_are_kept_apart(tmp_path: Path) -> None:
    column = Column(name="x", type="int64", meaning="numeric")
    names = ("a b", "a_b-2", "a=b", "=")
    tables = tuple(TableSchema(name=name, columns=(column,)) for name in names)
    schema = DatasetSchema(kind="tabular", tables=tables)
    (tmp_path / "in").mkdir()
    write_dataset(tmp_path / "in", schema, {n: pa.table({"x": [1]}).to_batches() for n in names})
    released = write_tables(tmp_path / "in", schema, tmp_path / "out")
    slugs = [table.slug for table in released]
    assert slugs[0] == "a_b"
    assert len(set(slugs)) == 4


def test_files_with_images_say_so_to_datasets(tmp_path: Path) -> None:
    at = image_inputs(tmp_path).at
    (table,) = write_tables(at.synthetic, DatasetSchema.load(at.synthetic), tmp_path / "out")
    metadata = pq.read_schema(tmp_path / "out" / table.shards[0].path).metadata
    assert b'"image": {"_type": "Image"}' in metadata[b"huggingface"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("double", "float64"),
        ("float", "float32"),
        ("halffloat", "float16"),
        ("int8", "int8"),
        ("bool", "bool"),
        ("string", "string"),
        ("date32[day]", "date32"),
        ("timestamp[us, tz=UTC]", "timestamp[us, tz=UTC]"),
        ("decimal128(10, 2)", "decimal128(10, 2)"),
        ("image", "image"),
    ],
)
def test_types_are_spelled_as_datasets_spells_them(kind: str, name: str) -> None:
    assert hugging_face_type(Column(name="x", type=kind, meaning="numeric")) == name
