"""Files by path and glob, Parquet, and what is wrong with them."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import ParamsError, SourceError
from tasks.sources.files import FileSource, open_csv


def source(project: Path, target: str | None = None, **settings) -> FileSource:
    return FileSource(settings, kind="tabular", target=target, project=project)


def rows(files: FileSource) -> list[dict]:
    table = files.schema().main
    return pa.Table.from_batches(files.read(table.name)).to_pylist()


def test_several_files_are_one_table_in_sorted_order(tmp_path):
    folder = tmp_path / "sales"
    folder.mkdir()
    (folder / "b.csv").write_text("n\n2.5\n")
    (folder / "a.csv").write_text("n\n1\n")
    files = source(tmp_path, path="sales/*.csv")
    assert files.schema().main.name == "sales"
    assert rows(files) == [{"n": 1.0}, {"n": 2.5}]
    assert rows(source(tmp_path, path=str(folder / "*.csv"))) == [{"n": 1.0}, {"n": 2.5}]


def test_parquet_keeps_types_and_loses_dictionaries(tmp_path):
    table = pa.table(
        {
            "d": pa.array(["x", "y", None]).dictionary_encode(),
            "n": pa.array([Decimal("1.50"), None, Decimal("2.25")], pa.decimal128(5, 2)),
            "i": pa.array([1, 2, 3], pa.uint8()),
            "nothing": pa.nulls(3),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    files = source(tmp_path, path="t.parquet")
    assert [c.type for c in files.schema().main.columns] == [
        "string",
        "decimal128(5, 2)",
        "uint8",
        "string",
    ]
    assert rows(files) == table.to_pylist()


def test_names_for_a_file_without_a_header(tmp_path):
    (tmp_path / "raw.data").write_text("39,State-gov\n50,Private\n")
    files = source(tmp_path, path="raw.data", column_names=["age", "work"], table="people")
    assert files.schema().main.name == "people"
    assert rows(files)[0] == {"age": 39, "work": "State-gov"}
    with pytest.raises(SourceError, match="2 columns in its first row, but column_names has 1"):
        source(tmp_path, path="raw.data", column_names=["age"]).schema()


def test_another_encoding(tmp_path):
    (tmp_path / "t.csv").write_bytes("name\nJosé\n".encode("latin-1"))
    assert rows(source(tmp_path, path="t.csv", encoding="latin-1")) == [{"name": "José"}]


def test_faults_are_explained(tmp_path):
    (tmp_path / "people.csv").write_text("a,b\n1,2\n")
    (tmp_path / "other.csv").write_text("a,c\n1,2\n")
    (tmp_path / "no.parquet").write_text("this is no parquet")
    for settings, message in [
        ({"path": "peple.csv"}, "found none; there is people.csv"),
        ({"path": "nowhere/x.csv"}, "there is no folder"),
        ({"path": "*.csv"}, "expected the columns of .*other.csv in .*people.csv too"),
        ({"path": "no.parquet"}, "as Parquet"),
        ({"path": "[np]*"}, "files of several formats: csv .people.csv., parquet .no.parquet."),
        ({"path": "*.parquet", "delimiter": ";"}, "delimiter: not a setting of parquet files"),
    ]:
        with pytest.raises((SourceError, ParamsError), match=message):
            source(tmp_path, **settings).schema()
    with pytest.raises(SourceError, match="expected the target 'z' among the columns"):
        source(tmp_path, target="z", path="people.csv").schema()
    with pytest.raises(ParamsError, match="pth: unknown key; choose one of: meanings"):
        source(tmp_path, pth="x")


def test_open_csv_gives_schema_and_rows(tmp_path):
    (tmp_path / "iris.csv").write_text("size,kind\n" + "1.5,a\n2.5,b\n3.5,b\n" * 2)
    schema, batches = open_csv(tmp_path / "iris.csv", "kind")
    assert schema.target == "kind"
    assert [c.meaning for c in schema.main.columns] == ["numeric", "categorical"]
    assert sum(batch.num_rows for batch in batches) == 6


def test_adult_has_the_types_that_are_known():
    path = Path(__file__).parents[3].parent / "shared" / "data" / "adult" / "train.csv"
    if not path.exists():
        pytest.skip("the shared data sets are not beside the repository")
    schema, batches = open_csv(path, "income")
    numbers = {"age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
    assert {c.name for c in schema.main.columns_of("numeric")} == numbers
    assert {c.type for c in schema.main.columns_of("categorical")} == {"string"}
    assert sum(batch.num_rows for batch in batches) == 32_561
