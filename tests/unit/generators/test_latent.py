"""Columns as intervals of normal variables, and correlations from mean products of scores."""

import math

import numpy as np
import pytest

from tasks.generators.tabular.parts.latent import (
    HERMITE_TERMS,
    Margin,
    latent_correlations,
    mean_scores,
    nearest_correlations,
    principal_order,
)

HALF = Margin(0, False, np.array([0, 1]), np.zeros(2), np.array([0.5, 0.5]), None)
CONTINUOUS = Margin(0, False, np.empty(0, int), np.empty(0), np.empty(0), 0)


def test_tokens_stand_side_by_side_in_their_order() -> None:
    margin = Margin(0, False, np.array([2, 0, 1]), np.zeros(3), np.array([0.2, 0.5, 0.3]), None)
    assert margin.starts.tolist() == pytest.approx([0.0, 0.2, 0.7])
    assert margin.ends.tolist() == pytest.approx([0.2, 0.7, 1.0])
    assert margin.continuous_share == 0.0


def test_a_spike_stands_among_the_continuous_cells_where_its_value_is() -> None:
    # 60 % of the cells are one value, which a quarter of the others are below.
    margin = Margin(0, False, np.array([0]), np.array([0.25]), np.array([0.6]), 1)
    assert margin.continuous_share == pytest.approx(0.4)
    assert margin.starts.tolist() == pytest.approx([0.1])
    assert margin.ends.tolist() == pytest.approx([0.7])


def test_the_score_of_an_interval_is_the_mean_inside() -> None:
    # Half a normal distribution has the mean sqrt(2 / pi).
    half = math.sqrt(2 / math.pi)
    ends = np.array([0.0, 0.5, 0.0]), np.array([0.5, 1.0, 1.0])
    assert mean_scores(*ends).tolist() == pytest.approx([-half, half, 0.0])
    assert mean_scores(np.array([0.975]), np.array([0.975]))[0] == pytest.approx(1.959964)


def test_a_continuous_column_is_its_variable() -> None:
    assert CONTINUOUS.hermite().tolist() == pytest.approx([1.0] + [0.0] * (HERMITE_TERMS - 1))


def test_the_coefficients_of_a_spike_sum_to_the_variance_of_its_scores() -> None:
    # Parseval: the mean square of the scores is the sum of squares of all coefficients.
    margin = Margin(0, False, np.array([0]), np.array([0.25]), np.array([0.6]), 1)
    u = (np.arange(200_000) + 0.5) / 200_000
    inside = (u > 0.1) & (u < 0.7)
    z = mean_scores(u, u)
    scores = np.where(inside, margin.scores()[0], z)
    assert (margin.hermite() ** 2).sum() == pytest.approx((scores**2).mean(), abs=0.02)


def test_between_two_halves_the_correlation_is_the_tetrachoric_one() -> None:
    # Both above the median with probability 1/4 + asin(r) / (2 pi): Sheppard 1899. The scores are
    # +-sqrt(2 / pi), so their mean product is (2 / pi) (2 / pi) asin(r).
    for r in (-0.6, 0.0, 0.5, 0.9):
        product = (2 / math.pi) ** 2 * math.asin(r)
        hermite = np.stack([HALF.hermite(), HALF.hermite()])
        found = latent_correlations(np.array([[1.0, product], [product, 1.0]]), hermite)
        assert found[0, 1] == pytest.approx(r, abs=0.01)
        assert found.diagonal().tolist() == pytest.approx([1.0, 1.0])


def test_between_a_number_and_a_half_it_is_the_biserial_one() -> None:
    # The mean product of z and the scores of the other is r times the scores' variance, 2 / pi.
    product = 0.4 * 2 / math.pi
    hermite = np.stack([CONTINUOUS.hermite(), HALF.hermite()])
    found = latent_correlations(np.array([[1.0, product], [product, 1.0]]), hermite)
    assert found[0, 1] == pytest.approx(0.4, abs=1e-6)


def test_between_numbers_it_is_the_mean_product() -> None:
    hermite = np.stack([CONTINUOUS.hermite()] * 2)
    found = latent_correlations(np.array([[1.0, -0.3], [-0.3, 1.0]]), hermite)
    assert found[0, 1] == pytest.approx(-0.3, abs=1e-6)


def test_impossible_correlations_become_possible_ones() -> None:
    impossible = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    found = nearest_correlations(impossible)
    assert np.linalg.eigvalsh(found).min() > 0
    assert found.diagonal().tolist() == pytest.approx([1.0] * 3)
    possible = np.array([[1.0, 0.3], [0.3, 1.0]])
    assert nearest_correlations(possible) == pytest.approx(possible)


def test_categories_are_ordered_by_how_their_rows_differ() -> None:
    profiles = np.array([[2.0, 0.1], [-1.0, 0.0], [0.5, -0.1]])
    order = principal_order(profiles, np.array([10.0, 30.0, 20.0])).tolist()
    assert order == [1, 2, 0]
