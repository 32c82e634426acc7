"""Rows that are there to fit, to add or to stop by, and rows that count more than others."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import ParamsError
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.splits.record import BalanceRecord, ClassRecord
from tasks.stages.balance import balance
from tasks.stages.sample import sample
from tasks.stages.train import _roles, train
from tasks.storage import StoredRows, read_json, read_table, write_dataset
from tasks.tracking import Tracker, open_tracker
from tasks.training.roles import draw_by_weight
from tasks.training.sampling import Chunk, Quota
from tests.datasets import dataset_params

TABLE = TableSchema(
    name="people",
    columns=(
        Column(name="sex", type="string", meaning="categorical"),
        Column(name="town", type="string", meaning="categorical"),
        Column(name="age", type="double", meaning="numeric"),
    ),
)
TRAIN = {"epochs": 30, "threads": 1, "device": "cpu", "learning_rate": 0.01}


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return open_tracker(None, tmp_path_factory.mktemp("mlflow"))


def write_rows(folder: Path, sexes: list[str], towns: list[str] | None = None) -> None:
    """Rows of these sexes and towns, at random ages."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    schema = DatasetSchema(kind="tabular", tables=(TABLE,), target="sex")
    columns = {
        "sex": sexes,
        "town": towns or rng.choice(["x", "y"], len(sexes)).tolist(),
        "age": rng.normal(40, 9, len(sexes)).round(1),
    }
    write_dataset(folder, schema, {"people": [pa.RecordBatch.from_pydict(columns)]})


def made(place: Path, tracker: Tracker, **sections: object) -> Path:
    """Train on `place/balanced` and sample; the folder of the model."""
    params = dataset_params(train=TRAIN, sample={"rows": 1_000}, **sections)
    checkpoints = place / "checkpoints"
    train(
        *(place / "balanced", place / "model", params, "people"),
        checkpoints=checkpoints,
        tracker=tracker,
    )
    sample(place / "model", place / "synthetic", params)
    return place / "model"


def test_rows_are_drawn_as_often_as_their_weights_say():
    # Half, a quarter, and none of the weight, and so of the draws, whatever the first tick is.
    weights = np.array([2.0, 1.0, 0.0, 1.0], dtype=np.float32)
    for seed in range(20):
        drawn = draw_by_weight(weights, 8, np.random.default_rng(seed))
        assert np.bincount(drawn, minlength=4).tolist() == [4, 2, 0, 2]
    # 10 draws of a third each: three or four times.
    counts = np.bincount(draw_by_weight(np.ones(3), 10, np.random.default_rng(0)))
    assert sorted(counts.tolist()) == [3, 3, 4]


def test_the_first_rows_of_a_table_are_read_alone(tmp_path):
    write_rows(tmp_path / "d", ["f"] * 10)
    rows = StoredRows(tmp_path / "d", "people", first=3)
    assert len(rows) == sum(batch.num_rows for batch in rows(["sex"])) == 3
    assert len(StoredRows(tmp_path / "d", "people")) == 10


def test_a_quota_spreads_values_evenly():
    quota = Quota("sex", pa.array(["f", "m", "x"]), np.array([2, 1, 1]))
    for first, n in ((0, 1_000), (700, 100)):
        found = Counter(quota.of(Chunk(0, n, first)).to_pylist())
        assert found["f"] == pytest.approx(n / 2, abs=3)
        assert found["m"] == pytest.approx(n / 4, abs=3)


def test_the_encoder_learns_of_real_rows_and_the_last_rows_tell_when_to_stop(tmp_path, tracker):
    # A town of one person, repeated five times, and one that only validation rows have.
    sexes = ["f", "m"] * 100
    towns = ["x"] * 149 + ["rare"] + ["rare"] * 30 + ["new"] * 20
    write_rows(tmp_path / "balanced", sexes, towns)
    record = BalanceRecord(
        method="oversample", target="sex", real_rows=150, added_rows=30, validation_rows=20
    )
    record.save(tmp_path / "balanced")
    model = read_json(made(tmp_path, tracker) / "model.json")
    assert (model["training"]["rows"], model["training"]["validation_rows"]) == (200, 20)
    assert set(read_table(tmp_path / "synthetic", "people")["town"].to_pylist()) == {"x"}


def test_validation_rows_count_as_the_classes_are_trained_on(tmp_path):
    # Two training rows of each class; of those to stop by, three, one, and one of another class.
    write_rows(tmp_path / "d", ["f", "f", "m", "m", "f", "f", "m", "f", "x"])
    classes = (ClassRecord(value="f", rows=2, wanted=2), ClassRecord(value="m", rows=1, wanted=2))
    record = BalanceRecord(
        method="oversample",
        target="sex",
        real_rows=3,
        added_rows=1,
        validation_rows=5,
        classes=classes,
    )
    roles = _roles(record, StoredRows(tmp_path / "d", "people"))
    expected = [1, 1, 1, 1, 2 / 3, 2 / 3, 2, 2 / 3, 1]
    np.testing.assert_allclose(roles.weights, expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["class_weights", "oversample"])
def test_weights_and_copies_make_a_rare_class_common(tmp_path, tracker, method):
    write_rows(tmp_path / "split" / "train", ["f"] * 360 + ["m"] * 40)
    settings = {"balance": {"method": method}}
    balance(tmp_path / "split", tmp_path / "balanced", dataset_params(**settings))
    made(tmp_path, tracker, **settings)
    found = Counter(read_table(tmp_path / "synthetic", "people")["sex"].to_pylist())
    assert found["m"] == pytest.approx(500, abs=80)


def test_generation_draws_equal_classes_and_the_same_rows_again(tmp_path, tracker):
    write_rows(tmp_path / "split" / "train", ["f"] * 360 + ["m"] * 40)
    settings = {"balance": {"method": "generate"}}
    balance(tmp_path / "split", tmp_path / "balanced", dataset_params(**settings))
    model = made(tmp_path, tracker, **settings)
    found = Counter(read_table(tmp_path / "synthetic", "people")["sex"].to_pylist())
    assert found["m"] == pytest.approx(500, abs=2)
    held = dataset_params(sample={"rows": 10, "conditions": {"sex": "f"}}, **settings)
    with pytest.raises(ParamsError, match=r"sample.conditions holds 'sex' at one value"):
        sample(model, tmp_path / "other", held)


def test_what_cannot_be_done_is_refused_before_the_training(tmp_path, tracker):
    write_rows(tmp_path / "balanced", ["f", "m"] * 10)
    for settings, message in (
        ({"generator": "tvae", "balance": {"method": "generate"}}, "tvae cannot draw rows for"),
        (
            {"generator": "gaussian_copula", "balance": {"method": "smote"}},
            "'smote' would change nothing; take generate or undersample",
        ),
        (
            {
                "balance": {"method": "class_weights"},
                "train": {"privacy": {"epsilon": 1.0}},
            },
            "balance.method: expected none together with train.privacy",
        ),
    ):
        with pytest.raises(ParamsError, match=message):
            train(
                *(tmp_path / "balanced", tmp_path / "model", dataset_params(**settings), "people"),
                checkpoints=tmp_path / "checkpoints",
                tracker=tracker,
            )
    assert not (tmp_path / "model").exists()


def test_the_weight_of_a_class_is_what_it_should_have_by_what_it_has():
    assert ClassRecord(value="f", rows=20, wanted=60).weight == 3.0
