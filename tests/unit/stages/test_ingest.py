"""From a real source to a dataset folder."""

import base64
from pathlib import Path

import pytest

from tasks import retry
from tasks.errors import ParamsError, SourceError, SourceUnavailable
from tasks.schema import DatasetSchema
from tasks.stages.ingest import MAX_RESTARTS, ingest
from tasks.storage import digest, read_json, read_table
from tests.conftest import DemoSource
from tests.datasets import dataset_params
from tests.web import Page, web_server


@pytest.fixture
def cancer(demo_sources: DemoSource, monkeypatch: pytest.MonkeyPatch):
    """Settings of the demo's table."""
    monkeypatch.setenv("PROOFMINT_DEMO", demo_sources.url)
    source = {"type": "sql", "connection": "PROOFMINT_DEMO", "table": "breast_cancer"}
    return dataset_params(source=source, target="diagnosis")


def csv_params(project: Path, text: str, target: str | None = None, **settings):
    (project / "t.csv").write_text(text)
    return dataset_params(source={"type": "files", "path": "t.csv"} | settings, target=target)


def test_a_table_becomes_a_dataset_with_meanings(cancer, tmp_path):
    ingest(tmp_path / "raw", cancer, project=tmp_path)
    schema = DatasetSchema.load(tmp_path / "raw")
    assert schema.main.primary_key == ("id",)
    assert [c.name for c in schema.main.columns_of("identifier")] == ["id"]
    assert [c.name for c in schema.main.columns_of("categorical")] == ["diagnosis"]
    assert len(schema.main.columns_of("numeric")) == 30
    assert read_table(tmp_path / "raw", "breast_cancer").num_rows == 569
    (shard,) = (tmp_path / "raw" / "breast_cancer").iterdir()
    assert read_json(tmp_path / "raw" / "report.json") == {
        "source": "sql",
        "rows": {"breast_cancer": 569},
        "bytes": {"breast_cancer": shard.stat().st_size},
    }


def test_the_same_source_gives_the_same_bytes(cancer, tmp_path):
    ingest(tmp_path / "one", cancer, project=tmp_path)
    ingest(tmp_path / "two", cancer, project=tmp_path)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_images_become_a_dataset(demo_sources, tmp_path):
    source = {"type": "images", "path": str(demo_sources.digits)}
    params = dataset_params(kind="image", target="label", source=source)
    ingest(tmp_path / "raw", params, project=tmp_path)
    table = read_table(tmp_path / "raw", "images", ["label", "width", "mode"])
    assert table.num_rows == 1797
    assert set(table["label"].to_pylist()) == set("0123456789")
    assert read_json(tmp_path / "raw" / "report.json")["other_files"] == 0


def test_numbers_that_are_none_are_kept_as_they_are(tmp_path, monkeypatch, database):
    monkeypatch.setenv("DB", database)
    query = "SELECT * FROM (VALUES (1, 'NaN'::float), (2, '-inf'), (3, 2.5)) AS t (a, x)"
    source = {"type": "sql", "connection": "DB", "query": query}
    ingest(tmp_path / "raw", dataset_params(source=source, target=None), project=tmp_path)
    assert str(read_table(tmp_path / "raw", "data")["x"].to_pylist()) == "[nan, -inf, 2.5]"


def test_stated_meanings_win(tmp_path):
    params = csv_params(tmp_path, "zone\n1\n2\n3\n4\n", meanings={"zone": "categorical"})
    ingest(tmp_path / "raw", params, project=tmp_path)
    assert DatasetSchema.load(tmp_path / "raw").main.column("zone").meaning == "categorical"


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("a,b\n", None, "expected rows in 't', the source gave none"),
        ("a,b\n1,2\n", "c", "expected the target 'c' among the columns of 't', which are: a, b"),
    ],
)
def test_a_fault_leaves_what_was_there(tmp_path, text, target, message):
    ingest(tmp_path / "raw", csv_params(tmp_path, "a\n1\n"), project=tmp_path)
    before = digest(tmp_path / "raw")
    with pytest.raises(SourceError, match=message):
        ingest(tmp_path / "raw", csv_params(tmp_path, text, target), project=tmp_path)
    assert digest(tmp_path / "raw") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [".proofmint", "raw", "t.csv"]


def test_a_database_that_is_down_leaves_nothing(tmp_path, monkeypatch, cancer, caplog):
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setenv("PROOFMINT_DEMO", "postgresql://u:p@127.0.0.1:1/d")
    with pytest.raises(SourceUnavailable):
        ingest(tmp_path / "raw", cancer, project=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert caplog.text.count("does not answer") == MAX_RESTARTS


def test_an_unknown_source_is_refused_with_the_choices(tmp_path):
    params = dataset_params(source={"type": "oracle"})
    with pytest.raises(ParamsError, match=r"'oracle'; choose one of: .*files, .*sql"):
        ingest(tmp_path / "raw", params, project=tmp_path)


ORDERED = {"type": "inequality", "columns": ["low", "high"]}


def test_declared_constraints_stand_in_the_schema(tmp_path):
    (tmp_path / "t.csv").write_text("low,high,x\n1,2,3\n3,2,1\n")
    unique = {"type": "unique", "columns": ["x"]}
    params = dataset_params(
        source={"type": "files", "path": "t.csv"}, target=None, constraints=[ORDERED, unique]
    )
    # Rows that break one are the gate's to refuse, with counts and examples.
    ingest(tmp_path / "raw", params, project=tmp_path)
    schema = DatasetSchema.load(tmp_path / "raw")
    assert [c.words for c in schema.main.constraints] == ["low <= high", "x is unique"]


def test_a_constraint_on_what_the_table_has_not_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("low,hi\n1,2\n")
    params = dataset_params(
        source={"type": "files", "path": "t.csv"}, target=None, constraints=[ORDERED]
    )
    message = r"constraints\.0 \(inequality\): unknown column 'high'; choose from: low, hi"
    with pytest.raises(ParamsError, match=message):
        ingest(tmp_path / "raw", params, project=tmp_path)
    assert not (tmp_path / "raw").exists()


def test_fetched_files_of_encrypted_data_do_not_stay_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PROOFMINT_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode())
    with web_server() as web:
        web.pages["/t.csv"] = Page(b"a,b\n1,secret\n2,secret\n")
        source = {"type": "files", "path": f"{web.url}/t.csv"}
        cache = tmp_path / ".proofmint" / "cache" / "files"
        for encrypt, n_files in ((True, 0), (False, 1)):
            params = dataset_params(source=source | {"encrypt": encrypt}, target=None)
            ingest(tmp_path / "raw", params, project=tmp_path)
            assert len([path for path in cache.rglob("t.csv") if path.is_file()]) == n_files
