"""Differential privacy from the settings to the model, to MLflow and to the card."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import ParamsError
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.stages.publish import publish
from tasks.stages.train import train
from tasks.storage import digest, read_json, write_dataset, write_json
from tasks.tracking import Tracker, open_tracker
from tests.datasets import dataset_params
from tests.releases import tabular_inputs

PRIVATE = {
    "epochs": 2,
    "batch_size": 100,
    "threads": 1,
    "device": "cpu",
    "privacy": {"epsilon": 6.0, "delta": 1e-3},
}


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return open_tracker(None, tmp_path_factory.mktemp("mlflow"))


def _balanced(folder: Path, last: float) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    columns = (
        Column(name="sex", type="string", meaning="categorical", nullable=False),
        Column(name="age", type="double", meaning="numeric"),
    )
    table = TableSchema(name="people", columns=columns)
    age = np.append(rng.normal(40, 9, 399).round(1), last)
    batch = pa.RecordBatch.from_pydict({"sex": rng.choice(["f", "m"], 400), "age": age})
    schema = DatasetSchema(kind="tabular", tables=(table,), target="sex")
    write_dataset(folder, schema, {"people": [batch]})
    return folder


def test_key_and_work_decide_the_noise(tmp_path: Path, tracker: Tracker) -> None:
    digests = []
    for number, (key, last) in enumerate([(b"k", 40.0), (b"k", 40.0), (b"l", 40.0), (b"k", 41.0)]):
        place = tmp_path / str(number)
        place.mkdir()
        model = place / "model"
        train(
            _balanced(place / "balanced", last),
            model,
            dataset_params(train=PRIVATE),
            "people",
            checkpoints=place / "checkpoints",
            tracker=tracker,
            noise_key=key * 32,
        )
        digests.append(digest(model))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    training = read_json(model / "model.json")["training"]
    assert 5.5 < training["privacy"]["epsilon"] <= 6.0
    run_id = tracker.find_run(digests[-1])
    assert run_id is not None
    run = tracker._client.get_run(run_id)
    assert run.data.metrics["epsilon"] == pytest.approx(training["privacy"]["epsilon"], abs=1e-3)
    assert run.data.params["train.privacy.epsilon"] == "6.0"
    assert not any(name.endswith("loss") for name in run.data.metrics)


def test_balancing_is_refused_before_anything_is_read(tmp_path: Path, tracker: Tracker) -> None:
    params = dataset_params(train=PRIVATE, balance={"method": "undersample"})
    with pytest.raises(ParamsError, match=r"datasets\.people\.balance\.method"):
        train(
            _balanced(tmp_path / "balanced", 40.0),
            tmp_path / "model",
            params,
            "people",
            checkpoints=tmp_path / "checkpoints",
            tracker=tracker,
        )


def test_the_card_states_the_guarantee_and_its_limits(tmp_path: Path) -> None:
    case = tabular_inputs(tmp_path)
    place = case.at.model / "model.json"
    content = read_json(place)
    content["training"]["privacy"] = {
        "epsilon": 2.9934,
        "delta": 1.09e-5,
        "target_epsilon": 3.0,
        "accountant": "prv",
        "unit": "one row of the training table",
        "noise_multiplier": 2.1,
        "max_grad_norm": 1.0,
        "sample_rate": 0.0625,
        "steps": 320,
        "encoder_noise_multiplier": 4.9,
        "encoder_delta": 1e-6,
    }
    write_json(place, content)
    publish(case.at, case.params)
    card = (case.at.release / "README.md").read_text(encoding="utf-8")
    assert "ε = 2.9934, δ = 1.09e-05" in card
    assert "one row of the training table" in card
    assert "Not covered" in card
    assert "No formal privacy guarantee" not in card
    evidence = read_json(case.at.release / "evidence" / "model.json")
    assert evidence["training"]["privacy"]["accountant"] == "prv"


def test_without_it_the_card_says_so(tmp_path: Path) -> None:
    case = tabular_inputs(tmp_path)
    publish(case.at, case.params)
    card = (case.at.release / "README.md").read_text(encoding="utf-8")
    assert "No formal privacy guarantee" in card
    assert "## Differential privacy" not in card
