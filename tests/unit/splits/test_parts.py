"""Parts of a split: complete, disjoint, and as each method promises."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.params import SplitParams
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.splits.chronological import periods
from tasks.splits.classes import bins_of, groups_of
from tasks.splits.folds import deal
from tasks.splits.groups import place_groups
from tasks.splits.parts import HOLDOUT, TRAIN, VALIDATION, Division, divide_rows

SCHEMA = DatasetSchema(
    kind="tabular",
    tables=(
        TableSchema(
            name="t",
            columns=(
                Column(name="class", type="string", meaning="categorical"),
                Column(name="patient", type="int64", meaning="identifier"),
                Column(name="when", type="date32[day]", meaning="datetime"),
                Column(name="dose", type="double", meaning="numeric"),
            ),
        ),
    ),
    target="class",
)


def divided(rows: dict[str, pa.Array], seed: int = 0, **params: object) -> Division:
    n_rows = len(next(iter(rows.values())))
    return divide_rows(
        SCHEMA, n_rows, lambda name: pa.chunked_array([rows[name]]), SplitParams(**params), seed
    )


def table(n: int, rng: np.random.Generator) -> dict[str, pa.Array]:
    return {
        "class": pa.array(rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])),
        "patient": pa.array(rng.integers(0, max(4, n // 3), n)),
        "when": pa.array(rng.integers(0, max(4, n // 2), n).astype(np.int32)).cast(pa.date32()),
        "dose": pa.array(rng.normal(size=n)),
    }


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(30, 300),
    seed=st.integers(0, 1_000),
    how=st.sampled_from(
        [{}, {"group": "patient"}, {"time": "when"}, {"stratify": "dose", "bins": 3}]
    ),
    validation=st.sampled_from([None, 0.15]),
    folds=st.sampled_from([None, 3]),
)
def test_every_row_is_in_one_part_and_the_seed_decides(n, seed, how, validation, folds):
    rows = table(n, np.random.default_rng(seed))
    found, again = (
        divided(rows, seed, validation_fraction=validation, folds=folds, **how) for _ in range(2)
    )
    assert found.parts.tolist() == again.parts.tolist()
    expected = {TRAIN, HOLDOUT} | ({VALIDATION} if validation else set())
    assert set(found.parts.tolist()) == expected
    assert len(found.parts) == n
    if folds:
        assert len(found.folds) == np.count_nonzero(found.parts == TRAIN)
        assert set(found.folds.tolist()) == set(range(folds + ("time" in how)))
    if "group" in how:
        for patient in range(n):
            mine = np.asarray(rows["patient"]) == patient
            assert len(set(found.parts[mine].tolist())) <= 1
    if "time" in how:
        days = np.asarray(rows["when"].cast(pa.int32()))
        order = [p for p in (TRAIN, VALIDATION, HOLDOUT) if p in expected]
        for earlier, later in itertools.pairwise(order):
            assert days[found.parts == earlier].max() < days[found.parts == later].min()


def test_validation_rows_are_their_share_of_all_rows_class_by_class():
    rows = {"class": pa.array(["a"] * 60 + ["b"] * 40)}
    parts = divided(rows, holdout_fraction=0.2, validation_fraction=0.1).parts
    # Of 60 rows 12 and 6, of 40 rows 8 and 4.
    assert [np.bincount(parts[s]).tolist() for s in (slice(60), slice(60, 100))] == [
        [42, 6, 12],
        [28, 4, 8],
    ]


def test_a_holdout_is_the_same_with_and_without_validation_and_folds():
    rows = table(200, np.random.default_rng(1))
    plain, more = divided(rows), divided(rows, validation_fraction=0.1, folds=5)
    assert ((plain.parts == HOLDOUT) == (more.parts == HOLDOUT)).all()


def test_groups_fill_parts_as_near_as_whole_groups_can():
    # 100 rows: 5 groups of 12 and 20 of 2; a fifth of them is 20 rows = 12 + 4 x 2, or 10 x 2.
    groups = np.repeat(np.arange(25), [12] * 5 + [2] * 20)
    for seed in range(20):
        parts = place_groups(groups, None, [0.8, 0.2], np.random.default_rng(seed), "split.group")
        assert np.bincount(parts).tolist() == [80, 20]


def test_stratified_groups_keep_the_shares_of_the_classes():
    # Each of 60 groups is of one class, a third of them of the rare one.
    groups = np.repeat(np.arange(60), 5)
    classes = np.repeat(np.arange(60) % 3 == 0, 5).astype(int)
    parts = place_groups(groups, classes, [0.5, 0.5], np.random.default_rng(0), "split.group")
    assert [np.bincount(classes[parts == p]).tolist() for p in (0, 1)] == [[100, 50], [100, 50]]


def test_fewer_groups_than_parts_are_refused_and_one_group_each_is_enough():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match=r"split.group: expected at least 2 groups .* found 1 in 9"):
        place_groups(np.zeros(9, int), None, [0.8, 0.2], rng, "split.group")
    parts = place_groups(np.repeat([0, 1], [98, 2]), None, [0.5, 0.5], rng, "split.group")
    assert len(set(parts.tolist())) == 2


def test_a_missing_group_is_a_group_of_its_own():
    values = pa.chunked_array([["p", None, "q"], [None, "p"]])
    groups = groups_of(values)
    assert groups[0] == groups[4]
    assert len(set(groups.tolist())) == 4


@pytest.mark.parametrize(
    ("moments", "fractions", "sizes"),
    [
        ([1, 2, 3, 4, 5], [0.8, 0.2], [4, 1]),
        ([1, 1, 1, 2, 2], [0.8, 0.2], [3, 2]),  # 4 rows were wanted: 3 are as near as 5 are
        ([1, 2, 2, 2, 2], [0.8, 0.2], [1, 4]),  # the only cut there is
        ([1, 2, 3, 3, 3, 3], [0.5, 0.5], [2, 4]),  # 3 wanted: 2 is nearer than 6
        ([5, 1, 4, 2, 3, 6], [1 / 3, 1 / 3, 1 / 3], [2, 2, 2]),
        ([1, 1, 1, 1, 2, 3], [1 / 3, 1 / 3, 1 / 3], [4, 1, 1]),
    ],
)
def test_a_moment_is_never_cut(moments, fractions, sizes):
    assert np.bincount(periods(np.array(moments), fractions, "split.time")).tolist() == sizes


def test_fewer_moments_than_periods_are_refused():
    with pytest.raises(DataError, match=r"at least 2 different moments .* found 1 in 3 rows"):
        periods(np.array([7, 7, 7]), [0.5, 0.5], "split.time")


def test_a_row_without_a_time_is_refused():
    rows = table(30, np.random.default_rng(0))
    rows["when"] = pa.array([None, *rows["when"].to_pylist()[1:]], pa.date32())
    with pytest.raises(
        DataError, match="a value of 'when' in every row, found 1 of 30 rows without"
    ):
        divided(rows, time="when")
    with pytest.raises(DataError, match="'class' is string"):
        divided(rows, time="class")


def test_folds_deal_every_class_evenly():
    classes = np.array([0] * 7 + [1] * 4)
    folds = deal(classes, 11, 3, np.random.default_rng(0))
    assert sorted(np.bincount(folds).tolist()) == [3, 4, 4]
    for label in (0, 1):
        counts = np.bincount(folds[classes == label], minlength=3)
        assert counts.max() - counts.min() <= 1
    with pytest.raises(DataError, match="at least 3 rows to train on, found 2"):
        deal(None, 2, 3, np.random.default_rng(0))


def test_bins_are_quantiles_and_missing_numbers_are_one_of_them():
    numbers = np.array([5.0, 1.0, 2.0, 4.0, 3.0, 6.0, np.nan])
    assert bins_of(numbers, 3).tolist() == [2, 0, 0, 1, 1, 2, 3]
    assert bins_of(np.array([1.0, 1.0, 1.0]), 4).tolist() == [0, 0, 0]


def test_lists_tell_no_groups():
    rows = table(30, np.random.default_rng(0)) | {"patient": pa.array([[1]] * 30)}
    with pytest.raises(DataError, match="found values of type list<item: int64>"):
        divided(rows, group="patient")
