from typing import Any

import pytest

from tasks.commands.trial_table import TrialTable
from tasks.commands.tune import _best, _compared
from tasks.errors import TrainingError
from tasks.tuning.objective import choose_objective
from tasks.tuning.trials import Trial

LOSS = choose_objective("tabular", "validation_loss")


def _trial(number: int, value: float | None, **more: Any) -> Trial:
    told: dict[str, Any] = {
        "state": "failed" if value is None else "complete",
        "settings": {"train.learning_rate": 0.01} if number else {},
        "validation_losses": [],
        "run_id": f"run{number}",
        "seconds": 1.25,
    }
    return Trial(number=number, value=value, **(told | more))


def test_a_small_lead_is_called_chance() -> None:
    present = _trial(0, 0.6, interval=(0.55, 0.65))
    assert "chance" in _compared(_trial(1, 0.5, interval=(0.45, 0.56)), present, LOSS)
    assert "chance" not in _compared(_trial(1, 0.5, interval=(0.45, 0.54)), present, LOSS)
    assert "0.5; with params.yaml as it is, it is 0.6." in _compared(_trial(1, 0.5), present, LOSS)
    assert "the training failed" in _compared(_trial(1, 0.5), _trial(0, None), LOSS)
    assert "no patch" in _compared(present, present, LOSS)


def test_the_first_reason_is_shown_where_all_failed() -> None:
    failed = [_trial(0, None, reason="no rows"), _trial(1, None, reason="no luck")]
    with pytest.raises(TrainingError, match=r"all 2 trials failed; trial 0 with:\nno rows"):
        _best(failed, LOSS, 2)
    with pytest.raises(TrainingError, match="2 of 3 trials have ended; the same command goes on"):
        _best(failed, LOSS, 3)
    assert _best([*failed, _trial(2, 3.0)], LOSS, 3).number == 2


def test_a_line_for_each_trial_and_a_ranking(capsys: pytest.CaptureFixture[str]) -> None:
    trials = [_trial(0, 2.0), _trial(1, 1.23456), _trial(2, None, reason="no luck\nat all")]
    table = TrialTable(LOSS, ["train.learning_rate"], 3)
    with table.showing():
        for i, trial in enumerate(trials):
            table.watch(i, 1, None)
            table.row(trial, trials[: i + 1])
    table.ranking(trials)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "trial  validation_loss       best  learning_rate    time",
        "    0                2          2       as it is    1.2 s",
        "    1            1.235      1.235           0.01    1.2 s",
        "    2           failed      1.235           0.01    1.2 s",
        "      no luck",
        "",
        "3 trials: 2 complete, 1 failed.",
        "",
        " rank  validation_loss      trial  learning_rate  MLflow run",
        "    1            1.235          1           0.01  run1",
        "    2                2          0       as it is  run0",
    ]
