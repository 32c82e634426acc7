"""Scores of weighted rows, by hand; redraws; what linear models and trees are given."""

import numpy as np
import pytest

from tasks.evaluation import boosting
from tasks.evaluation.utility.cross_validation import rank_correlation
from tasks.evaluation.utility.design import Design
from tasks.evaluation.utility.problem import Labelled
from tasks.evaluation.utility.scores import (
    N_DRAWS,
    accuracy,
    class_auc,
    percentiles,
    point,
    r2,
    redraws,
    weighted_auc,
)


def test_r2_by_hand() -> None:
    target, prediction = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0])
    # Squared errors 1 of variance 2; then with the last row twice: 2 of 11 / 4 (mean 9 / 4).
    weights = np.array([[1, 1, 1], [1, 1, 2], [0, 3, 0]])
    found = r2(target, prediction, weights)
    assert found[:2] == pytest.approx([1 - 1 / 2, 1 - 2 / (11 / 4)])
    assert np.isnan(found[2])
    assert point(r2, target, np.array([1e9, 0, 0])) == -1


def test_accuracy_by_hand() -> None:
    prediction = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    weights = np.array([[1, 1, 1], [0, 1, 3]])
    assert accuracy(np.array([0, 1, 1]), prediction, weights) == pytest.approx([2 / 3, 1 / 4])


def test_area_under_the_curve_by_hand() -> None:
    positive, score = np.array([False, True, True]), np.array([1.0, 1.0, 2.0])
    weights = np.array([[1, 1, 1], [1, 3, 1], [0, 1, 1]])
    found = weighted_auc(positive, score, weights)
    assert found[:2] == pytest.approx([(0.5 + 1) / 2, (3 * 0.5 + 1) / 4])
    assert np.isnan(found[2])


def test_weights_are_rows_that_are_drawn_more_than_once() -> None:
    rng = np.random.default_rng(0)
    positive, score = rng.random(300) < 0.3, rng.integers(0, 50, 300).astype(float)
    weights = redraws(300, rng)
    assert weights.shape == (N_DRAWS, 300)
    assert set(weights.sum(axis=1)) == {300}
    rows = np.repeat(np.arange(300), weights[7])
    assert weighted_auc(positive, score, weights)[7] == pytest.approx(
        boosting.auc(positive[rows], score[rows])
    )


def test_classes_count_alike_and_only_where_they_are_drawn() -> None:
    target = np.array([0, 0, 1, 2])
    prediction = np.eye(3)[[0, 0, 1, 0]]
    # Class 0 against the rest: the last row ties with both; 1: perfect; 2: its row ties with one.
    every = (3 / 4 + 1 + 1 / 2) / 3
    without_the_last = 1.0
    weights = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    assert class_auc(target, prediction, weights) == pytest.approx([every, without_the_last])


def test_the_interval_holds_the_value_and_may_be_unknown() -> None:
    drawn = np.arange(1.0, 201.0)
    assert percentiles(100.0, drawn) == pytest.approx((5.975, 195.025))
    assert percentiles(0.0, drawn) == pytest.approx((0.0, 195.025))
    assert percentiles(0.0, np.where(drawn > 50, np.nan, drawn)) is None


def test_rank_correlation_by_hand() -> None:
    assert rank_correlation(np.array([1, 2, 3.0]), np.array([0, 5, 100.0])) == pytest.approx(1)
    # One minus six times the squared differences, 2, over 4 * 15.
    assert rank_correlation(np.arange(4.0), np.array([1.0, 0, 2, 3])) == pytest.approx(0.8)
    assert rank_correlation(np.arange(3.0), np.zeros(3)) == 0


def test_a_linear_model_is_given_standardised_numbers_and_frequent_categories() -> None:
    real = Labelled(
        np.array([[1.0, np.nan], [3.0, 5.0], [1.0, 5.0], [3.0, 5.0]]),
        np.array([[0], [2], [2], [-1]], np.int32),
        np.zeros(4),
    )
    design = Design.of(real)
    # Numbers in standard deviations of 1 and none; the second one is missing; codes 2, 0 and 1.
    assert design.one_hot(real) == pytest.approx(
        np.array(
            [
                [-1, 0, 1, 0, 1, 0],
                [1, 0, 0, 1, 0, 0],
                [-1, 0, 0, 1, 0, 0],
                [1, 0, 0, 0, 0, 0],
            ]
        )
    )
    far = Labelled(np.array([[1e300, 5.0]]), np.array([[7]], np.int32), np.zeros(1))
    assert design.one_hot(far).tolist() == [[10, 0, 0, 0, 0, 0]]
    assert design.ordinal(far).tolist() == [[10, 0, 3]]
    places = design.ordinal(real)[:, 2]
    assert places[:3].tolist() == [1, 0, 0]
    assert np.isnan(places[3])


def test_a_design_without_columns_of_one_kind() -> None:
    only_codes = Labelled(np.zeros((3, 0)), np.array([[0], [1], [1]], np.int32), np.zeros(3))
    assert Design.of(only_codes).one_hot(only_codes).shape == (3, 2)
    nothing_known = Labelled(np.full((3, 1), np.nan), np.full((3, 1), -1, np.int32), np.zeros(3))
    assert Design.of(nothing_known).one_hot(nothing_known).tolist() == [[0, 1]] * 3
