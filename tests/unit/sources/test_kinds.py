"""Texts, arrays and topics on their way from source to split, and real data of each."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.errors import SourceError
from tasks.schema import DatasetSchema
from tasks.stages.clean import clean
from tasks.stages.ingest import ingest
from tasks.stages.split import split
from tasks.storage import count_rows, digest, read_json, read_table
from tests import kafka
from tests.datasets import dataset_params

DATA = Path(__file__).parents[4] / "shared" / "data"
SMS_SPAM = DATA / "sms_spam" / "SMSSpamCollection"
MNIST = DATA / "mnist" / "mnist_10k.npz"


def through(project: Path, **sections: Any) -> Path:
    """Ingest, clean and split; returns the folder of the three."""
    params = dataset_params(**sections)
    ingest(project / "raw", params, project=project)
    clean(project / "raw", project / "clean", params)
    split(project / "clean", project / "split", params)
    return project


def test_texts_come_to_the_split(tmp_path):
    for label in ("ham", "spam"):
        (tmp_path / "texts" / label).mkdir(parents=True)
        for i in range(10):
            (tmp_path / "texts" / label / f"{i}.txt").write_text(f"this is {label} no {i}")
    done = through(tmp_path, kind="text", target="label", source={"type": "text", "path": "texts"})
    assert count_rows(done / "split" / "train", "texts") == 16
    assert count_rows(done / "split" / "holdout", "texts") == 4
    report = read_json(done / "raw" / "report.json")
    assert report["rows"] == {"texts": 20}
    assert report["empty_texts"] == 0
    main = DatasetSchema.load(done / "clean").main
    assert [c.meaning for c in main.columns] == ["text", "categorical"]


def test_arrays_come_to_the_split(tmp_path):
    x = np.arange(20 * 16, dtype=np.uint8).reshape(20, 4, 4)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(20) % 2)
    done = through(
        tmp_path, kind="image", target="label", source={"type": "npz", "path": "data.npz"}
    )
    assert count_rows(done / "split" / "holdout", "images") == 4


def test_columns_of_arrays_get_their_meanings_by_their_values(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(50, 2)), y=np.arange(50) % 3)
    done = through(tmp_path, target="y", source={"type": "npz", "path": "data.npz"})
    main = DatasetSchema.load(done / "clean").main
    assert [(c.name, c.meaning) for c in main.columns] == [
        ("x_0", "numeric"),
        ("x_1", "numeric"),
        ("y", "categorical"),
    ]


def test_each_run_lands_the_messages_that_came_since(tmp_path, monkeypatch):
    source = {
        "type": "kafka",
        "connection": "BROKER",
        "topic": "clicks",
        "columns": {"n": "int64", "page": "string"},
    }
    params = dataset_params(target="page", source=source)
    monkeypatch.setenv("PROOFMINT_HOME", str(tmp_path / "home"))
    with kafka.running() as broker:
        monkeypatch.setenv("BROKER", broker.url)
        broker.send("clicks", [f'{{"n": {i}, "page": "a"}}' for i in range(3)])
        ingest(tmp_path / "first", params, project=tmp_path)
        broker.send("clicks", ['{"n": 3, "page": "b"}', None])
        ingest(tmp_path / "second", params, project=tmp_path)
        assert read_table(tmp_path / "second", "clicks")["n"].to_pylist() == [0, 1, 2, 3]
        assert read_json(tmp_path / "second" / "report.json")["tombstones"] == 1
        # Without what the last runs kept, all is read, to the same bytes.
        monkeypatch.setenv("PROOFMINT_HOME", str(tmp_path / "elsewhere"))
        ingest(tmp_path / "whole", params, project=tmp_path)
        assert digest(tmp_path / "whole") == digest(tmp_path / "second")
        ingest(tmp_path / "again", params, project=tmp_path)
        assert digest(tmp_path / "again") == digest(tmp_path / "second")


def test_a_malformed_message_leaves_nothing_half_written(tmp_path, monkeypatch):
    source = {"type": "kafka", "connection": "BROKER", "topic": "clicks"}
    with kafka.running() as broker:
        monkeypatch.setenv("BROKER", broker.url)
        broker.send("clicks", ['{"n": 1}', '{"n":'])
        with pytest.raises(SourceError, match="partition 0, offset 1: expected an object of JSON"):
            ingest(tmp_path / "raw", dataset_params(target=None, source=source), project=tmp_path)
    assert not (tmp_path / "raw").exists()


@pytest.mark.skipif(not SMS_SPAM.exists(), reason="needs the SMS Spam Collection")
def test_sms_spam(tmp_path):
    files = {"format": "csv", "delimiter": "\t", "quote": "", "column_names": ["label", "text"]}
    source = {"type": "text", "path": str(SMS_SPAM), "column": "text", "files": files}
    done = through(tmp_path, kind="text", target="label", source=source)
    rows = read_table(done / "raw", "SMSSpamCollection")
    lines = SMS_SPAM.read_text(encoding="utf-8").splitlines()
    assert [f"{r['label']}\t{r['text']}" for r in rows.to_pylist()] == lines
    assert DatasetSchema.load(done / "raw").main.column("text").meaning == "text"


@pytest.mark.skipif(not MNIST.exists(), reason="needs the test part of MNIST")
def test_mnist(tmp_path):
    arrays = np.load(MNIST)
    np.savez(tmp_path / "some.npz", x=arrays["x"][:500], y=arrays["y"][:500])
    source = {"type": "npz", "path": "some.npz"}
    done = through(tmp_path, kind="image", target="label", source=source)
    rows = read_table(done / "raw", "images").to_pylist()
    assert [row["label"] for row in rows] == arrays["y"][:500].tolist()
    found = [np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows]
    assert np.array_equal(np.stack(found), arrays["x"][:500])
