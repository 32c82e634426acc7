"""The stages `train` and `sample`, which need each other's folders."""

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks.errors import DataError, ParamsError, TrainingError
from tasks.params import DatasetParams
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.stages.sample import CHUNK_ROWS, sample
from tasks.stages.train import train
from tasks.storage import digest, read_json, read_table, write_dataset
from tasks.tracking import Tracker, open_tracker
from tasks.training import distributed
from tasks.training.distributed import Group
from tasks.training.model import load_model
from tasks.training.transfer import Parent
from tests.datasets import dataset_params

CPU = torch.device("cpu")
TRAIN = {"epochs": 2, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return open_tracker(None, tmp_path_factory.mktemp("mlflow"))


def _table(name: str) -> TableSchema:
    columns = (
        Column(name="sex", type="string", meaning="categorical", nullable=False),
        Column(name="age", type="double", meaning="numeric"),
    )
    return TableSchema(name=name, columns=columns)


def _rows(n_rows: int) -> Iterator[pa.RecordBatch]:
    rng = np.random.default_rng(0)
    age = pa.array(rng.normal(40, 9, n_rows).round(1), mask=rng.random(n_rows) < 0.1)
    yield pa.RecordBatch.from_pydict({"sex": rng.choice(["f", "m"], n_rows), "age": age})


@pytest.fixture
def balanced(tmp_path: Path) -> Path:
    folder = tmp_path / "balanced"
    folder.mkdir()
    schema = DatasetSchema(kind="tabular", tables=(_table("people"),), target="sex")
    write_dataset(folder, schema, {"people": _rows(200)})
    return folder


def _train(balanced: Path, tracker: Tracker, name: str, params: DatasetParams) -> Path:
    model, checkpoints = balanced.with_name(name), balanced.with_name("checkpoints")
    train(balanced, model, params, "people", checkpoints=checkpoints, tracker=tracker)
    assert list(checkpoints.iterdir()) == []
    return model


def test_the_same_seed_gives_the_same_bytes(balanced: Path, tracker: Tracker) -> None:
    places = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        params = dataset_params(seed=seed, train=TRAIN)
        model = _train(balanced, tracker, name, params)
        synthetic = balanced.with_name(f"{name}-synthetic")
        sample(model, synthetic, params)
        places[name] = (digest(model), digest(synthetic))
    assert places["one"] == places["again"]
    assert places["one"][0] != places["other"][0]
    assert places["one"][1] != places["other"][1]


def test_the_model_says_what_it_is(balanced: Path, tracker: Tracker) -> None:
    model = _train(balanced, tracker, "model", dataset_params(train=TRAIN))
    content = read_json(model / "model.json")
    assert sorted(path.name for path in model.iterdir()) == [
        "encoder.safetensors",
        "generator.safetensors",
        "model.json",
    ]
    assert (content["generator"], content["kind"]) == ("autoregressive", "tabular")
    assert content["training"]["rows"] == 200
    assert content["training"]["epochs"] == 2
    assert tracker.find_run(digest(model)) is not None


def test_a_training_may_start_from_another_model(balanced: Path, tracker: Tracker) -> None:
    first = load_model(_train(balanced, tracker, "first", dataset_params(train=TRAIN)), CPU)
    weights = first.generator.state_dict()
    parent = Parent("first", "ab" * 32, type(first.generator), first.encoder, weights)
    params = dataset_params(train={**TRAIN, "init_from": "first"})
    model, checkpoints = balanced.with_name("second"), balanced.with_name("checkpoints")

    def again(parent: Parent) -> None:
        train(
            *(balanced, model, params, "people"),
            checkpoints=checkpoints,
            tracker=tracker,
            parent=parent,
        )

    again(parent)
    told = read_json(model / "model.json")["training"]["parent"]
    assert (told["from"], told["sha256"], told["new_weights"]) == ("first", "ab" * 32, [])
    # Nothing may be learned of rows that are stored encrypted and be stored plain.
    secret = copy.copy(first.encoder)
    secret.schema = first.encoder.schema.stored(encrypted=True)
    with pytest.raises(ParamsError, match="the rows of first are stored encrypted, but what"):
        again(dataclasses.replace(parent, encoder=secret))


def test_as_many_rows_as_wanted(balanced: Path, tracker: Tracker, tmp_path: Path) -> None:
    model = _train(balanced, tracker, "model", dataset_params(train=TRAIN))
    schema = DatasetSchema.load(balanced)
    for rows, expected in ((None, 200), (9_000, 9_000), (1, 1)):
        params = dataset_params(train=TRAIN, sample={"rows": rows})
        sample(model, tmp_path / "synthetic", params)
        assert DatasetSchema.load(tmp_path / "synthetic") == schema
        assert read_table(tmp_path / "synthetic", "people").num_rows == expected


def test_a_chunk_does_not_depend_on_those_before(
    balanced: Path, tracker: Tracker, tmp_path: Path
) -> None:
    model = _train(balanced, tracker, "model", dataset_params(train=TRAIN))
    for rows in (8_192, 9_000):
        sample(model, tmp_path / str(rows), dataset_params(train=TRAIN, sample={"rows": rows}))
    few, many = (read_table(tmp_path / str(rows), "people") for rows in (8_192, 9_000))
    assert many.slice(0, 8_192).equals(few)


def test_any_number_of_workers_draws_the_same_bytes(
    balanced: Path, tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHUNK_ROWS, "tabular", 100)
    model = _train(balanced, tracker, "model", dataset_params(train=TRAIN))
    digests = set()
    for workers in (1, 3, 8):
        params = dataset_params(train=TRAIN, sample={"rows": 2_050, "workers": workers})
        sample(model, tmp_path / str(workers), params)
        digests.add(digest(tmp_path / str(workers)))
    assert len(digests) == 1


def test_conditions_hold_in_every_row(balanced: Path, tracker: Tracker, tmp_path: Path) -> None:
    model = _train(balanced, tracker, "model", dataset_params(train=TRAIN))
    sample(model, tmp_path / "s", dataset_params(train=TRAIN, sample={"conditions": {"sex": "f"}}))
    assert set(read_table(tmp_path / "s", "people")["sex"].to_pylist()) == {"f"}


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"wings": 2}, "wings"),
        ({"sex": "x"}, "sex.*'x'"),
        ({"sex": 3}, "'sex'.*type string"),
        ({"age": "old"}, "'age'.*'old'"),
    ],
)
def test_impossible_conditions_are_named(
    balanced: Path, tracker: Tracker, tmp_path: Path, conditions: dict[str, Any], message: str
) -> None:
    model = _train(balanced, tracker, "model", dataset_params(train=TRAIN))
    for workers in (1, 2):
        told = {"conditions": conditions, "rows": 9_000, "workers": workers}
        with pytest.raises(TrainingError, match=message):
            sample(model, tmp_path / "synthetic", dataset_params(train=TRAIN, sample=told))
    assert list(tmp_path.glob("*synthetic*")) == []


def test_a_helper_of_a_launcher_writes_nothing(
    balanced: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One process alone, told that it is the second: what the others do is tested with `fit`.
    monkeypatch.setattr(distributed, "launched", lambda: Group(rank=1, size=1))
    model = balanced.with_name("model")
    checkpoints = balanced.with_name("checkpoints")
    params = dataset_params(train=TRAIN)
    train(balanced, model, params, "people", checkpoints=checkpoints, tracker=tracker)
    assert not model.exists()
    assert not checkpoints.exists()


def test_several_tables_are_refused(tmp_path: Path, tracker: Tracker) -> None:
    tables = (_table("people"), _table("pets"))
    schema = DatasetSchema(kind="tabular", tables=tables, target="sex")
    write_dataset(tmp_path, schema, {"people": _rows(30), "pets": _rows(30)})
    params = dataset_params(train=TRAIN)
    with pytest.raises(TrainingError, match="models one table, but d has 2: people, pets"):
        train(tmp_path, tmp_path / "m", params, "d", checkpoints=tmp_path / "c", tracker=tracker)


def test_wrong_settings_are_named(balanced: Path, tracker: Tracker) -> None:
    params = dataset_params(generator_params={"wings": 2})
    with pytest.raises(ParamsError, match=r"datasets.people.generator_params(.|\n)*wings: unknown"):
        _train(balanced, tracker, "model", params)
    assert not balanced.with_name("model").exists()


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected the file .*model\.json, found none"):
        sample(tmp_path / "model", tmp_path / "synthetic", dataset_params())
