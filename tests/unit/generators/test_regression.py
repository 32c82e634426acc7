"""Sequential regressions, against ones worked out by hand."""

import math

import numpy as np
import pytest
import torch

from tasks.generators.regression import SequentialRegression, solve_in_sequence


def test_two_scores() -> None:
    # y = 0.8 x + e with var(x) = var(y) = 1, so var(e) = 1 - 0.64 = 0.36.
    moments = np.array([[1.0, 0.8], [0.8, 1.0]])
    weights, log_scales = solve_in_sequence(moments, np.array([0, 1]), [0, 1], ridge=0.0)
    assert weights == pytest.approx(np.array([[0, 0], [0.8, 0]]), abs=1e-6)
    assert np.exp(log_scales) == pytest.approx([1.0, 0.6], abs=1e-6)


def test_the_order_of_the_columns_counts_not_that_of_the_scores() -> None:
    moments = np.array([[1.0, 0.8], [0.8, 1.0]])
    regression = SequentialRegression(moments, [1, 0], n_scores=2, ridge=0.0)
    # Scores are given in the order of the columns: the second one is predicted by the first.
    residuals = regression(torch.zeros(1, 2, dtype=torch.long), torch.tensor([[1.0, 2.0]]))
    assert residuals[0].tolist() == pytest.approx([1.0, (2 - 0.8) / 0.6], abs=1e-5)
    base, scale = regression.one(torch.zeros(1, 2, dtype=torch.long), torch.tensor([[1.0, 9.0]]), 1)
    assert (base.item(), scale.item()) == pytest.approx((0.8, 0.6), abs=1e-5)


def test_tokens_of_earlier_columns_shift_the_mean() -> None:
    # A column of two equally frequent tokens; the score is +1 after one and -1 after the other.
    moments = np.array([[1.0, 0.5, -0.5], [0.5, 0.5, 0.0], [-0.5, 0.0, 0.5]])
    regression = SequentialRegression(moments, [1, 0, 0], n_scores=1, ridge=0.0)
    tokens = torch.tensor([[0, 0], [1, 0]])
    base, scale = regression.one(tokens, torch.zeros(2, 1), 0)
    assert base.tolist() == pytest.approx([1.0, -1.0], abs=1e-6)
    assert scale.item() == pytest.approx(math.exp(-5), rel=1e-6)


def test_multiples_of_each_other_do_not_break_it() -> None:
    moments = np.ones((3, 3))
    weights, log_scales = solve_in_sequence(moments, np.arange(3), [0, 1, 2], ridge=1e-3)
    assert np.isfinite(weights).all()
    assert log_scales[1:].max() < -4
