import itertools
from typing import Any, get_args

import pytest

from tasks.errors import DataError, ParamsError
from tasks.metrics import Goal
from tasks.tuning.search import PRUNER_EPOCHS, PRUNER_TRIALS, Pruner, Sampler, Search
from tasks.tuning.space import Choice, Range, Space
from tasks.tuning.trials import Trial

SPACE: Space = {
    "train.learning_rate": Range(0.001, 0.1, whole=False),
    "generator_params.layers": Range(1, 4, whole=True),
    "train.batch_size": Choice((32, 64, None)),
}


def _search(
    sampler: Sampler = "tpe", pruner: Pruner = "none", goal: Goal = "lower", space: Space = SPACE
) -> Search:
    return Search(space, sampler, pruner, goal=goal, seed=7)


def _trial(number: int, settings: dict[str, Any], value: float | None, **more: Any) -> Trial:
    state = "failed" if value is None else "complete"
    told = {"state": state, "validation_losses": [], "run_id": "r", "seconds": 1.0, **more}
    return Trial(number=number, settings=settings, value=value, **told)


def _value(settings: dict[str, Any]) -> float:
    return abs(settings["train.learning_rate"] - 0.02) + 0.1 * settings["generator_params.layers"]


def _made(search: Search, numbers: range) -> list[Trial]:
    trials = []
    for number in numbers:
        settings = search.propose()
        trials.append(_trial(number, settings, None if number == 3 else _value(settings)))
        search.finish(trials[-1])
    return trials


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_a_search_that_was_interrupted_proposes_the_same(sampler: Sampler) -> None:
    whole = _made(_search(sampler), range(1, 15))
    assert whole == _made(_search(sampler), range(1, 15))
    again = _search(sampler)
    for trial in whole[:11]:
        again.replay(trial)
    assert _made(again, range(12, 15)) == whole[11:]


def test_a_trial_of_another_search_is_refused() -> None:
    with pytest.raises(DataError, match="expected trial 1 to have the settings"):
        _search().replay(_trial(1, {"train.learning_rate": 0.1}, 1.0))


def test_another_seed_gives_other_trials() -> None:
    other = Search(SPACE, "random", "none", goal="lower", seed=8)
    assert _made(other, range(1, 4)) != _made(_search("random"), range(1, 4))


def test_proposals_are_what_would_be_written() -> None:
    for trial in _made(_search("random"), range(1, 9)):
        rate = trial.settings["train.learning_rate"]
        assert 0.001 <= rate <= 0.1
        assert rate == float(f"{rate:.3g}")
        assert trial.settings["generator_params.layers"] in (1, 2, 3, 4)
        assert trial.settings["train.batch_size"] in (32, 64, None)


def test_tpe_looks_where_it_was_good() -> None:
    space: Space = {"train.learning_rate": Range(0.0, 1.0, whole=False)}
    search = _search("tpe", goal="higher", space=space)
    rates = []
    for number in range(1, 31):
        settings = search.propose()
        rates.append(settings["train.learning_rate"])
        search.finish(_trial(number, settings, -abs(rates[-1] - 0.3)))
    assert sum(abs(rate - 0.3) < 0.1 for rate in rates[15:]) >= 5  # at random: 3


def test_a_grid_has_every_point_once() -> None:
    search = _search("grid")
    assert search.n_points == 4 * 4 * 3
    found = [tuple(t.settings.values()) for t in _made(search, range(1, 49))]
    axes = [domain.points() for _, domain in sorted(SPACE.items())]
    assert sorted(map(str, found)) == sorted(map(str, itertools.product(*axes)))
    assert found[:12] != list(itertools.product(*axes))[:12]


def test_a_grid_that_nobody_waits_for_is_refused() -> None:
    space: Space = {f"train.{i}": Range(0, 3, whole=True) for i in range(7)}
    with pytest.raises(ParamsError, match="at most 10,000 points, found 16,384 of 7 settings"):
        _search("grid", space=space)


def test_what_is_worse_than_the_median_is_pruned() -> None:
    search = _search("random", "median")
    for number in range(1, PRUNER_TRIALS + 1):  # losses 1, 2, 3, 4 in every epoch: median 2.5
        settings = search.propose()
        assert not any(search.report(epoch, number) for epoch in range(1, 5))
        search.finish(_trial(number, settings, 0.0))
    search.propose()
    assert not search.report(PRUNER_EPOCHS - 1, 9.0)  # too early to say
    assert search.report(PRUNER_EPOCHS, 2.6)
    search.finish(_trial(5, {}, None, state="pruned"))
    search.propose()
    assert not any(search.report(epoch, 2.4) for epoch in range(1, 5))


def test_losses_are_low_where_the_metric_shall_be_high() -> None:
    search = _search("random", "median", goal="higher")
    for number in range(1, PRUNER_TRIALS + 1):
        settings = search.propose()
        search.report(PRUNER_EPOCHS, number)
        search.finish(_trial(number, settings, 0.9))
    search.propose()
    assert search.report(PRUNER_EPOCHS, 5.0)


def test_halving_lets_the_best_third_go_on() -> None:
    search = _search("random", "halving")
    pruned = []
    for number, loss in enumerate((1.0, 5.0, 4.0, 3.0, 0.5), start=1):
        settings = search.propose()
        gone = any(search.report(epoch, loss) for epoch in range(1, 4))
        pruned.append(gone)
        state = {"value": None, "state": "pruned"} if gone else {"value": loss}
        search.finish(_trial(number, settings, **state))
    assert pruned == [False, True, True, True, False]


def test_importances_name_what_matters() -> None:
    search = _search("random")
    assert search.importances() == {}
    for number in range(1, 31):
        settings = search.propose()
        search.finish(_trial(number, settings, float(settings["generator_params.layers"])))
    shares = search.importances()
    assert next(iter(shares)) == "generator_params.layers"
    assert sum(shares.values()) == pytest.approx(1)
