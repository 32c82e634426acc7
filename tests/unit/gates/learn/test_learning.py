"""What is learned of columns, pairs and tables, and what is never told."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from tasks.gates.chance import judge
from tasks.gates.learn.columns import learn_column
from tasks.gates.learn.pairs import learn_pairs
from tasks.gates.learn.patterns import learn_pattern
from tasks.gates.learn.ranges import is_floor, learn_bounds
from tasks.gates.learn.rounding import count_told, outward, rounded, rows_told, step_of
from tasks.gates.learn.rules import learn_rules
from tasks.gates.learn.suite import breaks, learn_table
from tasks.gates.measures import breaking, flagged, measured
from tasks.schema import Column, Meaning, TableSchema

RNG = np.random.default_rng(0)


def column(name: str = "x", meaning: Meaning = "numeric", **more) -> Column:
    return Column(name=name, type="double", meaning=meaning, **more)


def of_type(found, kind: str):
    return [e for e in found if e.type == f"expect_{kind}"]


def table_of(frame: pd.DataFrame) -> TableSchema:
    columns = [column(name) for name in frame]
    return TableSchema(name="t", columns=tuple(columns))


def test_counts_and_rows_tell_no_exact_number():
    assert (rows_told(32_561), rows_told(569), rows_told(57)) == (32_000, 560, 57)
    assert (count_told(0, 569), count_told(1, 569), count_told(569, 569)) == (0, 10, 560)


def test_rounding_goes_outward():
    assert step_of(73.0) == 1.0
    assert outward(90.2, 10.0, 1) == 100.0
    assert outward(90.0, 10.0, 1) == 100.0
    assert outward(17.0, 1.0, -1) == 16.0
    assert rounded(np.array([0.123, 0.1249, 0.3]), 0.01) == [0.12, 0.3]


@pytest.mark.parametrize(
    ("values", "floor"),
    [
        (RNG.exponential(1, 1000), True),
        (RNG.lognormal(0, 1, 500), True),
        (RNG.uniform(18, 90, 500), True),
        (np.append(RNG.normal(5, 0.9, 500), 0.05), False),
        (RNG.normal(0, 1, 100), False),
        (RNG.poisson(1.0, 200).astype(float), True),
    ],
)
def test_zero_is_a_bound_where_rows_come_close_and_none_is_below(values, floor):
    assert is_floor(values) == floor


@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal", "pareto"])
def test_ten_times_the_rows_keep_to_the_bounds_and_a_unit_does_not(draw):
    rng = np.random.default_rng(1)

    def some(n: int) -> np.ndarray:
        return {
            "normal": lambda: rng.normal(50, 5, n),
            "exponential": lambda: rng.exponential(1, n),
            "lognormal": lambda: rng.lognormal(0, 1, n),
            "pareto": lambda: rng.pareto(2.5, n) + 1,
        }[draw]()

    for _ in range(20):
        seen = some(1000)
        bounds, fresh = learn_bounds(seen), some(10_000)
        assert bounds.low <= fresh.min()
        assert fresh.max() <= bounds.high
        assert bounds.near_low <= seen.min()
        assert bounds.near_high >= seen.max()
        assert (seen * 1e6).max() > bounds.high


def test_forms_hold_no_letter_or_digit_of_the_values():
    texts = pd.Series([f"AB-{i:04d}" for i in range(200)])
    assert learn_pattern(texts) == r"[A-Z]{2}\-\d{4}"
    mails = pd.Series([f"{'abc'[i % 3] * (1 + i % 14)}@x.org" for i in range(300)])
    assert learn_pattern(mails) == r"[a-z]+@[a-z]+\.[a-z]+"
    assert learn_pattern(pd.Series(["one two", "three", "4", "5-6", "a.b.c", "(x)"] * 5)) is None


def test_a_form_of_long_runs_is_one_that_re2_takes():
    runs = pd.Series([("é" * 100 + "1" * 100) * 6] * 20, dtype="str")
    assert learn_pattern(runs) == r"[^\W\d_]{100}\d{100}" * 6
    assert runs.str.fullmatch(learn_pattern(runs)).all()
    longer = pd.Series([f"{'x' * 200_000}-{i:02d}" for i in range(20)], dtype="str")
    assert learn_pattern(longer) == r"[a-z]+\-\d{2}"
    assert longer.str.fullmatch(learn_pattern(longer)).all()


def test_decimals_as_written():
    assert measured(pd.Series([1.0, 0.5, 68.7814, 1 / 3]), "decimals").tolist() == [0, 1, 4, 10]


def test_flags():
    texts = pd.Series(["a", " b", "", "n/a", "Müller", "MÃ¼ller", None])
    for flag, expected in {
        "missing": [6],
        "untrimmed": [1],
        "empty": [2],
        "placeholder": [3],
        "not ASCII": [4, 5],
        "damaged": [5],
    }.items():
        assert np.flatnonzero(flagged(texts, flag, {})).tolist() == expected


def test_rules_are_found_and_counted():
    n = 500
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 50, n).astype(float), rng.integers(1, 50, n).astype(float)
    town = rng.choice(["Aachen", "Bonn", "Kiel", "Jena"], n)
    land = pd.Series(town).map({"Aachen": "w", "Bonn": "w", "Kiel": "n", "Jena": "e"})
    frame = pd.DataFrame(
        {"a": a, "b": b, "sum": a + b, "product": a * b, "town": town, "land": land}
    )
    frame["gap"] = np.where(rng.random(n) < 0.2, np.nan, a)
    frame["gap_at"] = np.where(frame["gap"].isna(), np.nan, b)
    found = {
        (e.kwargs["rule"], *e.kwargs["column_list"])
        for e in learn_rules(frame, [column(c, "categorical") for c in frame])
    }
    assert ("sum", "a", "b", "sum") in found
    assert ("product", "a", "b", "product") in found
    assert ("determines", "town", "land") in found
    assert ("missing with", "gap", "gap_at") in found
    assert ("at most", "a", "sum") in found
    assert ("at most", "a", "b") not in found
    assert ("determines", "land", "town") not in found
    frame.loc[0, "land"] = "x"
    assert breaking(frame, ["town", "land"], "determines") == (1, n)


def test_pairs_are_those_that_depend_on_each_other():
    rng = np.random.default_rng(0)
    x = rng.normal(size=1000)
    frame = pd.DataFrame({"x": x, "y": x + rng.normal(size=1000), "z": rng.normal(size=1000)})
    (pair,) = learn_pairs(frame, [column(c) for c in frame])
    assert (pair.kwargs["column_A"], pair.kwargs["column_B"]) == ("x", "y")
    shuffled = frame.assign(x=rng.permutation(x))
    kwargs = {**pair.kwargs, "alpha": 1e-6}
    assert judge(pair.type, frame, kwargs).passed
    assert not judge(pair.type, shuffled, kwargs).passed


def test_no_extreme_no_rare_value_and_nothing_personal_is_told():
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "x": np.append(rng.normal(size=n - 1), 7.654321),
            "kind": ["common"] * 200 + ["usual"] * 195 + ["Rarest"] * 5,
            "who": [f"Name{i}" for i in range(n)],
            "said": ["secret words"] * n,
            "code": [f"K-{i:05d}" for i in range(n)],
        }
    )
    columns = (
        column("x"),
        column("kind", "categorical"),
        column("who", "categorical", personal=True),
        column("said", "text"),
        column("code", "identifier"),
    )
    found = learn_table(frame, TableSchema(name="t", columns=columns), n, rng)
    told = json.dumps([e.kwargs for e in found.expectations])
    assert "common" in told
    for secret in ("7.65", "Rarest", "Name", "secret", "K-"):
        assert secret not in told


@pytest.mark.parametrize(
    "values",
    [
        [None] * 50,
        [1.0] * 50,
        [np.nan] * 49 + [1.0],
        [1.0, np.inf, -np.inf] * 20,
        [1e308, -1e308] * 25,
        [-0.0, 0.0] * 25,
        ["a"] * 50,
        [True, False, None] * 20,
        [pd.Timestamp("2020-01-01")] * 50,
        [pd.Timestamp("2020-01-01", tz="Europe/Berlin"), pd.NaT] * 25,
        [pd.Timestamp("2020-01-01").time()] * 50,
        [f"v{i}" for i in range(50)],
        [""] * 50,
        list(range(50)),
    ],
    ids=str,
)
def test_any_column_can_be_learned_and_meets_what_was_learned(values):
    frame = pd.DataFrame({"x": pd.Series(values)})
    for meaning in ("numeric", "categorical", "identifier"):
        table = TableSchema(name="t", columns=(column(meaning=meaning),))
        found = learn_table(frame, table, 50, np.random.default_rng(0))
        json.dumps([e.kwargs for e in found.expectations], allow_nan=False)
        for e in found.expectations:
            if re.match("expect_(column|multi)", e.type) and e.type in (
                "expect_column_share_to_be_stable",
                "expect_column_distribution_to_be_stable",
                "expect_column_kind_to_be",
            ):
                assert judge(e.type, frame, e.kwargs).passed, e


@pytest.mark.parametrize(("n_rows", "points"), [(399, ("synthetic",)), (400, None)])
def test_what_few_rows_never_did_is_asked_of_synthetic_data_only(n_rows, points):
    values = pd.Series(["a", "b"] * n_rows, dtype="str")[:n_rows]
    found = learn_column(values, column(meaning="categorical"))
    (known,) = of_type(found, "column_values_to_not_be_null")
    (listed,) = of_type(found, "column_values_to_be_in_set")
    assert known.points == listed.points == points
    counted = {e.kwargs["of"] for e in of_type(found, "column_share_to_be_stable")}
    assert ({"missing", "unlisted"} <= counted) == (points is not None)


@pytest.mark.parametrize(("telling", "points"), [(199, ("synthetic",)), (200, None)])
def test_ranges_hold_for_real_data_where_enough_rows_tell_how_far_they_reach(telling, points):
    values = np.append(np.zeros(500), np.arange(1.0, telling + 1))
    (bound,) = of_type(learn_column(pd.Series(values), column()), "column_values_to_be_between")
    assert bound.points == points


def test_what_all_rows_have_may_be_otherwise_in_a_few_real_ones():
    frame = pd.DataFrame({"x": np.zeros(5000)})
    table = TableSchema(name="t", columns=(column(),))
    found = learn_table(frame, table, 5000, np.random.default_rng(0))
    for n_others, is_met in ((2, True), (100, False)):
        frame.loc[: n_others - 1, "x"] = 1.0
        real = [e for e in found.of_real_data().expectations if breaks(e, frame)]
        assert (real == []) == is_met
        assert [e.points for e in found.expectations if breaks(e, frame)][:1] == [("synthetic",)]


def test_moments_may_come_a_little_later_but_not_in_another_age():
    moments = pd.Timestamp("2021-01-01") + pd.to_timedelta(np.arange(1000), unit="D")
    found = learn_column(pd.Series(moments), column(meaning="datetime"))
    ranges = [e for e in of_type(found, "column_share_to_be_stable") if "alpha" not in e.kwargs]
    (far,) = [e.kwargs for e in ranges]
    # The middle is day 499.5; the bounds are six times the 499.5 days to the ends away, and a
    # quarter of the 999 more: days -2747.25 and 3746.25, outward.
    first = np.datetime64("2021-01-01T00:00:00")
    assert far["min_value"] == str(first - np.timedelta64(2748, "D"))
    assert far["max_value"] == str(first + np.timedelta64(3747, "D"))


def test_a_column_that_was_never_missing_may_not_be():
    found = learn_column(pd.Series(np.arange(400.0)), column())
    (never,) = of_type(found, "column_values_to_not_be_null")
    assert never.points is None
    found = learn_column(pd.Series([1.0, np.nan] * 50), column())
    (missing,) = [
        e for e in of_type(found, "column_share_to_be_stable") if e.kwargs["of"] == "missing"
    ]
    assert (missing.kwargs["count"], missing.kwargs["fewer"]) == (50, True)
