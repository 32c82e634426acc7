"""How many rows each class gets, and which ones, worked out by hand."""

import numpy as np
import pytest

from tasks.errors import DataError, ParamsError
from tasks.params import BalanceParams
from tasks.splits.balancing import oversample, undersample, wanted_rows

SIZES = np.array([60, 30, 3])
VALUES = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"method": "undersample"}, [3, 3, 3]),
        ({"method": "undersample", "ratio": 0.1}, [30, 30, 3]),
        ({"method": "undersample", "rows": {"a": 10}}, [10, 30, 3]),
        ({"method": "oversample"}, [60, 60, 60]),
        ({"method": "smote", "ratio": 0.1}, [60, 30, 6]),
        ({"method": "class_weights", "ratio": 0.4}, [60, 30, 24]),
        ({"method": "generate", "rows": {"c": 100, "a": 100}}, [100, 30, 100]),
    ],
)
def test_what_each_class_should_have(settings, expected):
    assert wanted_rows(SIZES, VALUES, BalanceParams(**settings)).tolist() == expected


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"method": "undersample", "rows": {"c": 4}},
            DataError,
            "at most the 3 training rows of 'c'",
        ),
        ({"method": "smote", "rows": {"a": 4}}, DataError, "at least the 60 .* only adds rows"),
        ({"method": "smote", "rows": {"d": 4}}, ParamsError, r"names \['d'\].* \['a', 'b', 'c'\]"),
    ],
)
def test_what_cannot_be_had_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        wanted_rows(SIZES, VALUES, BalanceParams(**settings))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("undersample", [30, 3, 30]),
        ("oversample", [60, 3, 60]),
        ("class_weights", [60, 3, 60]),
    ],
)
def test_a_missing_target_is_no_class(method, expected):
    sizes, values = np.array([60, 3, 30]), ["a", None, "b"]
    assert wanted_rows(sizes, values, BalanceParams(method=method)).tolist() == expected
    # However many they are, no class is brought to as many.
    assert wanted_rows(np.array([2, 99]), ["a", None], BalanceParams(method=method)).tolist() == [
        2,
        99,
    ]


def test_every_class_becomes_as_small_as_it_should():
    classes = np.array([0] * 7 + [1] * 3 + [3] * 2)  # class 2 has no row
    sizes = np.bincount(classes)
    wanted = wanted_rows(sizes, [*"abcd"], BalanceParams(method="undersample"))
    kept = undersample(classes, wanted, np.random.default_rng(0))
    assert np.bincount(classes, weights=kept).astype(int).tolist() == [2, 2, 0, 2]


def test_rows_are_repeated_evenly():
    classes = np.array([0] * 8 + [1] * 3)
    repeats = oversample(classes, np.array([8, 8]), np.random.default_rng(0))
    assert repeats[:8].tolist() == [0] * 8
    assert sorted(repeats[8:].tolist()) == [1, 2, 2]


def test_no_rows_need_no_balance():
    none = np.array([], dtype=np.int64)
    assert wanted_rows(none, [], BalanceParams(method="undersample")).tolist() == []
    assert len(undersample(none, none, np.random.default_rng(0))) == 0
