import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.errors import TrainingError
from tasks.generators.base import DataGenerator, Objective
from tasks.params import TrainParams
from tasks.training import distributed, order
from tasks.training.checkpoint import Checkpoint
from tasks.training.data import Rows
from tasks.training.loop import fit
from tasks.training.model import Fitted
from tasks.training.step import Stepper
from tasks.training.trainer import Report
from tests.fakes import (
    NumbersGan,
    NumbersGenerator,
    NumbersParams,
    numbers_batch,
    numbers_schema,
)


def _fit(
    n_rows: int = 500,
    *,
    seed: int = 1,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda _step, _metrics: None,
    poison_step: int | None = None,
    generator: type[DataGenerator] = NumbersGenerator,
    **settings: Any,
) -> Fitted:
    batch = numbers_batch(n_rows)
    return fit(
        generator,
        NumbersParams(poison_step=poison_step),
        numbers_schema("a", "b"),
        lambda: iter([batch.slice(0, n_rows // 2), batch.slice(n_rows // 2)]),
        TrainParams(threads=1, **settings),
        seed=seed,
        checkpoint=checkpoint,
        report=report,
    )


def _weights(fitted: Fitted) -> dict[str, torch.Tensor]:
    return fitted.generator.state_dict()


def _equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


class Killed(Exception):
    """Stands for `kill -9` where the test cannot end its own process."""


def _kill_at(step: int) -> Callable[[int, Mapping[str, float]], None]:
    def report(at: int, _: Mapping[str, float]) -> None:
        if at >= step:
            raise Killed

    return report


def test_training_lowers_the_loss_and_reports_by_step() -> None:
    records: list[tuple[int, dict[str, float]]] = []
    fitted = _fit(report=lambda step, metrics: records.append((step, dict(metrics))))
    # 450 training rows in batches of 32 are 15 steps an epoch; the recipe has 6 epochs.
    assert [step for step, _ in records] == [15, 30, 45, 50, 60, 75, 90]
    assert "validation_loss" not in records[3][1]
    losses = [m["validation_loss"] for _, m in records if "validation_loss" in m]
    assert losses[-1] < 0.8 * losses[0]
    summary = fitted.summary
    assert (summary["rows"], summary["validation_rows"]) == (500, 50)
    assert (summary["steps"], summary["epochs"]) == (90, 6)
    assert summary["best_validation_loss"] == min(losses)
    assert not fitted.generator.training


def test_same_seed_same_weights_and_other_seed_other_weights() -> None:
    assert _equal(_weights(_fit(seed=1)), _weights(_fit(seed=1)))
    assert not _equal(_weights(_fit(seed=1)), _weights(_fit(seed=2)))


def test_global_state_of_torch_is_as_before() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    _fit(epochs=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


# At a report inside of an epoch, at the end of one, and at the last step.
@pytest.mark.parametrize("step", [50, 60, 90])
def test_resume_is_exact(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoint, "is_due", lambda _: True)
    whole: list[tuple[int, dict[str, float]]] = []
    undisturbed = _fit(report=lambda s, m: whole.append((s, dict(m))))
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(Killed):
        _fit(checkpoint=checkpoint, report=_kill_at(step))
    resumed_at = checkpoint.load()
    assert resumed_at is not None
    assert resumed_at[1]["step"] < step
    again: list[tuple[int, dict[str, float]]] = []
    resumed = _fit(checkpoint=Checkpoint(tmp_path), report=lambda s, m: again.append((s, dict(m))))
    assert _equal(_weights(undisturbed), _weights(resumed))
    assert resumed.summary == undisturbed.summary
    assert again == whole


def test_early_stopping_keeps_the_best_epoch() -> None:
    # A rate this high makes it worse and worse after the first epochs.
    fitted = _fit(epochs=200, patience=3, learning_rate=0.5)
    summary = fitted.summary
    assert summary["epochs"] == summary["best_epoch"] + 3 < 200
    losses = [record["validation_loss"] for record in summary["history"]]
    assert losses.index(min(losses)) + 1 == summary["best_epoch"]


def test_settings_take_the_place_of_the_recipe() -> None:
    summary = _fit(epochs=2, batch_size=100, learning_rate=0.02).summary
    assert summary["recipe"] == {
        "epochs": 2,
        "batch_size": 100,
        "learning_rate": 0.02,
        "weight_decay": 0.01,
        "patience": 6,
        "ema_decay": 0.99,
        "schedule": "one_cycle",
        "betas": [0.9, 0.99],
    }
    assert summary["steps"] == 2 * math.ceil(450 / 100)


def test_batch_larger_than_the_data() -> None:
    assert _fit(20, batch_size=1000, epochs=2).summary["steps"] == 2


def test_a_loss_that_is_not_finite_names_the_step() -> None:
    with pytest.raises(TrainingError, match=r"training loss at step 18 is nan.*learning_rate"):
        _fit(poison_step=18)


def test_one_row_is_too_few() -> None:
    with pytest.raises(TrainingError, match="at least 2 rows to train on, found 1"):
        _fit(1)


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="torch sees no GPU"):
        _fit(device="cuda")


def test_a_loss_of_the_wrong_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NumbersGenerator, "forward", lambda self, batch, _: batch["numbers"].mean())
    with pytest.raises(TrainingError, match=r"one loss per row: expected the shape \(30,\)"):
        _fit()


def test_progress_without_a_terminal_is_lines(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        _fit()
    lines = [record.message for record in caplog.records]
    assert lines[0].startswith("training NumbersGenerator (53 parameters) on 450 rows, 50 more")
    assert lines[1].startswith("epoch 1, step 15 of at most 90: train loss")
    assert lines[-1].startswith("trained for 6 epochs; best validation loss")


def test_rows_in_files_give_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "affordable", lambda parts, device: 1)
    inside = _fit(epochs=2)
    mapped = _fit(epochs=2, memory_gib=6e-6)
    assert mapped.summary["parts"] > 1
    alike = _fit(epochs=2, processes=mapped.summary["parts"])
    assert inside.summary["parts"] == 1
    assert _equal(_weights(mapped), _weights(alike))


def test_rows_are_fetched_ahead_where_they_are_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = [_weights(_fit(epochs=2)), _weights(_fit(epochs=2, generator=NumbersGan))]
    monkeypatch.setattr("tasks.training.loop.budget_bytes", lambda *_: 0)
    fetched: list[int] = []
    prepare = Rows.prepare

    def record(self: Rows, indices: Sequence[torch.Tensor]) -> None:
        prepare(self, indices)
        fetched.append(len(self._coming))

    monkeypatch.setattr(Rows, "prepare", record)
    mapped = [_weights(_fit(epochs=2)), _weights(_fit(epochs=2, generator=NumbersGan))]
    assert all(map(_equal, inside, mapped))
    # This step's batch and the next one's; at the end of an epoch there is no next one.
    assert fetched[:15] == [2] * 14 + [1]
    # A GAN of three steps of an optimizer a step.
    assert fetched[30:45] == [6] * 14 + [3]


def test_a_step_that_cannot_fit() -> None:
    with pytest.raises(TrainingError, match=r"GiB for each row, but train.memory_gib grants"):
        _fit(memory_gib=1e-9)


def test_a_long_pass_is_several_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "EPOCH_ROWS", 200)
    summary = _fit(epochs=7).summary
    # 450 rows are three epochs of 150, each of 5 batches of 30.
    assert [record["step"] for record in summary["history"]] == [5, 10, 15, 20, 25, 30, 35]


def test_epochs_of_one_pass_share_out_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "EPOCH_ROWS", 200)
    seen: list[torch.Tensor] = []
    take = Rows.take
    monkeypatch.setattr(Rows, "take", lambda self, index: seen.append(index) or take(self, index))
    _fit(epochs=3)
    in_training = torch.cat([index for index in seen if len(index) == 30])
    assert len(in_training) == len(in_training.unique()) == 450


def test_few_rows_are_enough_for_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "VALIDATION_ROWS", 20)
    summary = _fit(epochs=1).summary
    assert (summary["rows"], summary["validation_rows"]) == (500, 20)


class TestSeveralObjectives:
    """A GAN: two networks, two optimizers, no early stopping."""

    def test_each_moves_its_own_weights(self) -> None:
        records: list[dict[str, float]] = []
        fitted = _fit(generator=NumbersGan, report=lambda _, metrics: records.append(dict(metrics)))
        last = records[-1]
        assert last["train_loss"] == pytest.approx(last["critic_loss"] + last["network_loss"])
        assert last["validation_loss"] == pytest.approx(
            last["validation_critic_loss"] + last["validation_network_loss"]
        )
        assert {record["learning_rate"] for record in records} == {1e-3}
        assert fitted.summary["best_epoch"] == fitted.summary["epochs"] == 4
        first = _weights(_fit(generator=NumbersGan, epochs=1))
        assert not any(torch.equal(first[n], w) for n, w in _weights(fitted).items())

    def test_each_may_learn_at_a_rate_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two time scales: the critic's rate is four times the recipe's."""
        objectives = [
            Objective("critic", "critic", steps=2, rate=4.0),
            Objective("network", "network"),
        ]
        monkeypatch.setattr(NumbersGan, "objectives", lambda _: objectives)
        rates: dict[str, set[float]] = {"critic": set(), "network": set()}
        minimise = Stepper.minimise

        def record(self: Stepper, name: str, batch: torch.Tensor, rate: float, turn: int) -> Any:
            loss = minimise(self, name, batch, rate, turn)
            rates[name] |= {group["lr"] for group in self.state.optimizers[name].param_groups}
            return loss

        monkeypatch.setattr(Stepper, "minimise", record)
        _fit(generator=NumbersGan, epochs=1)
        assert rates == {"critic": {4e-3}, "network": {1e-3}}

    def test_resume_is_exact(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Checkpoint, "is_due", lambda _: True)
        undisturbed = _fit(generator=NumbersGan)
        with pytest.raises(Killed):
            _fit(generator=NumbersGan, checkpoint=Checkpoint(tmp_path), report=_kill_at(45))
        resumed = _fit(generator=NumbersGan, checkpoint=Checkpoint(tmp_path))
        assert _equal(_weights(undisturbed), _weights(resumed))
        assert resumed.summary == undisturbed.summary

    def test_every_step_has_rows_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        taken: list[tuple[str, int]] = []
        minimise = Stepper.minimise

        def record(self: Stepper, name: str, batch: torch.Tensor, *rest: Any) -> torch.Tensor:
            taken.append((name, int(batch[0])))
            return minimise(self, name, batch, *rest)

        monkeypatch.setattr(Stepper, "minimise", record)
        _fit(generator=NumbersGan, epochs=1)
        assert [name for name, _ in taken[:3]] == ["critic", "critic", "network"]
        steps = [{row for _, row in taken[i : i + 3]} for i in range(0, len(taken), 3)]
        assert {len(rows) for rows in steps} == {3}
        # Each sees every batch of the epoch once.
        for turn in range(3):
            assert len({row for _, row in taken[turn::3]}) == 15


def test_a_model_in_closed_form_is_only_measured() -> None:
    class Still(NumbersGenerator):
        def __init__(self, encoder: Any, params: Any) -> None:
            super().__init__(encoder, params)
            self.requires_grad_(False)

    summary = _fit(generator=Still, epochs=1).summary
    assert math.isfinite(summary["best_validation_loss"])
