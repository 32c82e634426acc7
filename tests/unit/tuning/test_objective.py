from pathlib import Path

import pytest

from tasks.errors import ParamsError
from tasks.generators.base import Recipe
from tasks.generators.tabular.autoregressive import Autoregressive
from tasks.schema import DatasetSchema
from tasks.storage import digest, read_table
from tasks.training.checkpoint import Checkpoint
from tasks.tuning.objective import Work, choose_objective, loss_tells
from tests.datasets import PEOPLE, dataset_params, write_people

SCHEMA = DatasetSchema(kind="tabular", tables=(PEOPLE,))
PARAMS = dataset_params(
    train={"epochs": 1, "batch_size": 64, "threads": 1, "device": "cpu"},
    generator_params={"hidden_units": 2, "layers": 1},
)


def _work(metric: str, folder: Path) -> Work:
    balanced = folder / "balanced"
    if not balanced.exists():
        n = 100
        rows = {
            "id": list(range(n)),
            "age": [float(i % 37) for i in range(n)],
            "sex": ["f" if i % 4 else "m" for i in range(n)],
        }
        write_people(balanced, rows)
    objective = choose_objective("tabular", metric)
    return Work(PARAMS, Autoregressive, objective, balanced, folder / "work")


def _run(work: Work, folder: Path, epochs: list[float]) -> float:
    def report(_: int, metrics: dict[str, float]) -> None:
        if "epoch" in metrics:
            epochs.append(metrics["validation_loss"])

    with Checkpoint.locked(folder / "trial") as checkpoint:
        measured = work.run({}, checkpoint, report)  # type: ignore[arg-type]
        checkpoint.remove()
    return measured.value


def test_a_metric_compares_with_rows_that_no_trial_trains_on(tmp_path: Path) -> None:
    work = _work("shape_error", tmp_path)
    value = _run(work, tmp_path, [])
    assert 0 <= value <= 100
    parts = {name: tmp_path / "work" / "rows" / name for name in ("train", "holdout")}
    ids = {name: set(read_table(p, "people")["id"].to_pylist()) for name, p in parts.items()}
    assert ids["train"] | ids["holdout"] == set(range(100))
    assert not ids["train"] & ids["holdout"]
    assert len(ids["holdout"]) == 20
    targets = read_table(parts["holdout"], "people")["sex"].to_pylist()
    assert targets.count("m") == 5  # a fourth, as in all rows
    before = digest(tmp_path / "work" / "rows")
    assert _run(work, tmp_path, []) == value
    assert digest(tmp_path / "work" / "rows") == before


def test_the_validation_loss_is_the_trainings_own(tmp_path: Path) -> None:
    epochs: list[float] = []
    assert _run(_work("validation_loss", tmp_path), tmp_path, epochs) == min(epochs)
    assert not (tmp_path / "work").exists()


def test_a_metric_that_says_nothing_about_the_data_ends_the_search(tmp_path: Path) -> None:
    work = _work("utility", tmp_path)
    people = tmp_path / "untargeted"
    write_people(people, {"id": [1, 2] * 50, "age": [1.0, 2.0] * 50, "sex": ["f", "m"] * 50}, None)
    untargeted = Work(
        PARAMS.model_copy(update={"target": None}),
        *(Autoregressive, work.objective, people, tmp_path / "work"),
    )
    with pytest.raises(ParamsError, match="--metric utility does not apply to this data"):
        _run(untargeted, tmp_path, [])


def test_the_goal_is_the_metrics_own() -> None:
    assert choose_objective("tabular", "utility").goal == "higher"
    assert choose_objective("tabular", "c2st_auc").goal == "lower"
    assert choose_objective("image", "validation_loss").goal == "lower"
    with pytest.raises(ParamsError, match=r"choose of: validation_loss, .*frechet_distance"):
        choose_objective("image", "shape_error")


def test_losses_of_a_generator_that_never_stops_early_say_nothing() -> None:
    class Adversarial(Autoregressive):
        @classmethod
        def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
            return super().recipe(n_rows, schema).model_copy(update={"patience": None})

    assert loss_tells(Autoregressive, 100, SCHEMA)
    assert not loss_tells(Adversarial, 100, SCHEMA)
