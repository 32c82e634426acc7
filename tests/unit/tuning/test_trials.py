from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DataError
from tasks.tuning.trials import Trial, ranked, read_trials, write_trial


def _trial(number: int, value: float | None = 1.0, **more: Any) -> Trial:
    state = "pruned" if value is None else "complete"
    return Trial(
        number=number,
        state=state,
        settings={"train.batch_size": number},
        value=value,
        validation_losses=[(1, 0.5)],
        run_id="r",
        seconds=2.0,
        **more,
    )


def test_trials_are_remembered_in_order(tmp_path: Path) -> None:
    assert read_trials(tmp_path) == []
    trials = [_trial(number, interval=(0.5, 1.5)) for number in range(11)]
    for trial in reversed(trials):
        write_trial(tmp_path, trial)
    assert read_trials(tmp_path) == trials


def test_a_gap_is_named(tmp_path: Path) -> None:
    write_trial(tmp_path, _trial(0))
    write_trial(tmp_path, _trial(2))
    with pytest.raises(DataError, match=r"trials 0 to 1 in .*found \[0, 2\]"):
        read_trials(tmp_path)


@pytest.mark.parametrize("text", ["{", '{"number": 0}'])
def test_a_damaged_file_is_named(text: str, tmp_path: Path) -> None:
    write_trial(tmp_path, _trial(0))
    (tmp_path / "trials" / "00000.json").write_text(text)
    with pytest.raises(DataError, match=r"00000\.json is not"):
        read_trials(tmp_path)


def test_the_best_come_first() -> None:
    trials = [_trial(0, 2.0), _trial(1, 1.0), _trial(2, None), _trial(3, 2.0)]
    trials.append(_trial(4, 1.0, repeats=1))
    assert [trial.number for trial in ranked(trials, "lower")] == [1, 0, 3]
    assert [trial.number for trial in ranked(trials, "higher")] == [0, 3, 1]
