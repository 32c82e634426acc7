"""What cleaning leaves out, of tables and of images, and how it counts."""

import io

import pyarrow as pa
import pytest
from PIL import Image

from tasks.cleaning.base import Cleaner
from tasks.cleaning.image import ImageCleaner
from tasks.cleaning.tabular import TabularCleaner
from tasks.constraints.declared import NotNull
from tasks.errors import DataError, ParamsError
from tasks.params import CleanParams
from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, ForeignKey, TableSchema
from tests.datasets import IMAGES, PEOPLE, png

SCHEMA = DatasetSchema(kind="tabular", tables=(PEOPLE,), target="sex")


def cleaned(cleaner: Cleaner, *batches: dict) -> list[dict]:
    rows = cleaner.clean("people", (pa.RecordBatch.from_pydict(batch) for batch in batches))
    return [row for batch in rows for row in batch.to_pylist()]


def test_nothing_is_left_out_unasked():
    cleaner = TabularCleaner(SCHEMA, CleanParams())
    rows = {"id": [1, 1], "age": [None, None], "sex": ["f", "f"]}
    assert len(cleaned(cleaner, rows)) == 2
    assert cleaner.schema == SCHEMA
    assert cleaner.counts == {"duplicates": 0, "missing": 0}


def test_duplicates_are_found_across_batches_once_the_key_is_gone():
    params = CleanParams(drop_duplicates=True, drop_columns=["id"])
    cleaner = TabularCleaner(SCHEMA, params)
    first = {"id": [1, 2, 3], "age": [5.0, 5.0, None], "sex": ["f", "m", "f"]}
    second = {"id": [4, 5], "age": [5.0, None], "sex": ["f", "f"]}
    assert cleaned(cleaner, first, second) == [
        {"age": 5.0, "sex": "f"},
        {"age": 5.0, "sex": "m"},
        {"age": None, "sex": "f"},
    ]
    assert cleaner.counts == {"duplicates": 2, "missing": 0}
    assert cleaner.schema.main.primary_key == ()


def test_rows_with_a_missing_value_go_and_the_schema_says_so():
    cleaner = TabularCleaner(SCHEMA, CleanParams(drop_missing=True))
    rows = {"id": [1, 2, 3], "age": [5.0, None, 6.0], "sex": ["f", "m", None]}
    assert [row["id"] for row in cleaned(cleaner, rows)] == [1]
    assert cleaner.counts["missing"] == 2
    assert not any(c.nullable for c in cleaner.schema.main.columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["ag"], "names 'ag', which is no column; choose from: age"),
        (["sex"], "names the target 'sex'"),
    ],
)
def test_columns_that_cannot_go_are_named(columns, message):
    with pytest.raises(ParamsError, match=message):
        TabularCleaner(SCHEMA, CleanParams(drop_columns=columns))


def test_a_table_keeps_a_column():
    schema = DatasetSchema(kind="tabular", tables=(PEOPLE,))
    with pytest.raises(ParamsError, match="names every column of 'people'"):
        TabularCleaner(schema, CleanParams(drop_columns=["id", "age", "sex"]))


def linked() -> DatasetSchema:
    key = Column(name="id", type="int64", meaning="identifier")
    other = Column(name="note", type="string", meaning="text")
    parent = TableSchema(name="parent", columns=(key, other), primary_key=("id",))
    link = ForeignKey(columns=("id",), references="parent", referenced_columns=("id",))
    child = TableSchema(name="child", columns=(key, other), foreign_keys=(link,))
    return DatasetSchema(kind="tabular", tables=(child, parent))


def test_keys_of_a_column_that_goes_go_with_it():
    schema = TabularCleaner(linked(), CleanParams(drop_columns=["parent.id"])).schema
    assert schema.main.foreign_keys == ()
    assert schema.table("parent").column_names == ["note"]
    schema = TabularCleaner(linked(), CleanParams(drop_columns=["note"])).schema
    assert schema.main.column_names == ["id"]
    assert len(schema.main.foreign_keys) == 1


def test_constraints_of_a_column_that_goes_go_with_it():
    constraints = [NotNull(type="not_null", columns=[name]) for name in ("age", "sex")]
    table = PEOPLE.constrained(constraints)
    schema = DatasetSchema(kind="tabular", tables=(table,))
    cleaned = TabularCleaner(schema, CleanParams(drop_columns=["age"])).schema
    assert cleaned.main.constraints == (constraints[1],)


def test_rows_of_linked_tables_stay():
    with pytest.raises(DataError, match=r"are for one table, found \['child', 'parent'\]"):
        TabularCleaner(linked(), CleanParams(drop_missing=True))


def test_images_are_the_same_if_pixels_and_label_are():
    schema = DatasetSchema(kind="image", tables=(IMAGES,), target="label")
    cleaner = ImageCleaner(schema, CleanParams(drop_duplicates=True))
    stream = io.BytesIO()
    Image.open(io.BytesIO(png(7))).save(stream, format="PNG", compress_level=0)
    contents = [png(7), stream.getvalue(), png(7), png(8)]
    assert contents[0] != contents[1]
    structs = [{"bytes": content, "path": f"{i}"} for i, content in enumerate(contents)]
    batch = pa.RecordBatch.from_arrays(
        [pa.array(structs, IMAGE_TYPE), pa.array(["a", "a", "b", "a"])], names=["image", "label"]
    )
    (kept,) = cleaner.clean("images", iter([batch]))
    assert [row["image"]["path"] for row in kept.to_pylist()] == ["0", "2", "3"]
    assert cleaner.counts == {"duplicates": 1, "missing": 0}


def test_a_damaged_image_is_named():
    schema = DatasetSchema(kind="image", tables=(IMAGES,), target="label")
    cleaner = ImageCleaner(schema, CleanParams(drop_duplicates=True))
    structs = pa.array([{"bytes": png()[:40], "path": "x/1.png"}], IMAGE_TYPE)
    batch = pa.RecordBatch.from_arrays([structs, pa.array(["a"])], names=["image", "label"])
    with pytest.raises(DataError, match=r"cannot read the image 'x/1.png'"):
        list(cleaner.clean("images", iter([batch])))
