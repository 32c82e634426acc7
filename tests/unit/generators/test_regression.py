"""Sequential regressions, against ones worked out by hand."""

import math

import numpy as np
import pytest
import torch

from tasks.generators.regression import SequentialRegression


def _tokens(n_columns: int) -> torch.Tensor:
    return torch.zeros(1, n_columns, dtype=torch.long)


def test_two_scores() -> None:
    # y = 0.8 x + e with var(x) = var(y) = 1, so var(e) = 1 - 0.64 = 0.36.
    moments = np.array([[1.0, 0.8], [0.8, 1.0]])
    weights, _, log_scales = SequentialRegression(moments, [0, 1], n_scores=2, ridge=0.0).usual
    assert weights.flatten().tolist() == pytest.approx([0, 0, 0.8, 0], abs=1e-6)
    assert log_scales.exp().tolist() == pytest.approx([1.0, 0.6], abs=1e-6)


def test_the_order_of_the_columns_counts_not_that_of_the_scores() -> None:
    moments = np.array([[1.0, 0.8], [0.8, 1.0]])
    regression = SequentialRegression(moments, [1, 0], n_scores=2, ridge=0.0)
    # Scores are given in the order of the columns: the second one is predicted by the first.
    scores = torch.tensor([[1.0, 2.0]])
    residuals = regression.residuals(regression.usual, _tokens(2), scores)
    assert residuals[0].tolist() == pytest.approx([1.0, (2 - 0.8) / 0.6], abs=1e-5)
    base, scale = regression.one(regression.usual, _tokens(2), torch.tensor([[1.0, 9.0]]), 1)
    assert (base.item(), scale.item()) == pytest.approx((0.8, 0.6), abs=1e-5)


def test_another_order_is_solved_as_if_it_were_the_usual_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4))
    moments = x.T @ x / len(x)
    regression = SequentialRegression(moments, [0, 1, 2, 3], n_scores=4, ridge=0.0)
    turns = torch.tensor([2, 0, 3, 1])
    found = regression.solve(turns)
    # Column 2 comes last: least squares on all others.
    expected = np.linalg.lstsq(x[:, [0, 1, 3]], x[:, 2], rcond=None)[0]
    assert found.score_weights[2, [0, 1, 3]].tolist() == pytest.approx(list(expected), abs=1e-4)
    left = np.sqrt(np.mean((x[:, 2] - x[:, [0, 1, 3]] @ expected) ** 2) / moments[2, 2])
    assert found.log_scales[2].exp().item() == pytest.approx(left, rel=1e-4)
    # Column 1 comes first: nothing tells of it.
    assert found.score_weights[1].tolist() == [0, 0, 0, 0]
    assert found.score_weights[3, [0, 2]].tolist() == [0, 0]


def test_tokens_of_earlier_columns_shift_the_mean() -> None:
    # A column of two equally frequent tokens; the score is +1 after one and -1 after the other.
    moments = np.array([[1.0, 0.5, -0.5], [0.5, 0.5, 0.0], [-0.5, 0.0, 0.5]])
    regression = SequentialRegression(moments, [1, 0, 0], n_scores=1, ridge=0.0)
    tokens = torch.tensor([[0, 0], [1, 0]])
    base, scale = regression.one(regression.usual, tokens, torch.zeros(2, 1), 0)
    assert base.tolist() == pytest.approx([1.0, -1.0], abs=1e-6)
    assert scale.item() == pytest.approx(math.exp(-5), rel=1e-6)


def test_a_score_does_not_see_the_tokens_of_its_own_column() -> None:
    # A column with a score and, told by an indicator, a spike: where one is, the other is not.
    moments = np.array([[0.5, -0.3, 0.3], [-0.3, 0.5, 0.0], [0.3, 0.0, 0.5]])
    regression = SequentialRegression(moments, [0, 0, 0], n_scores=1, ridge=0.0)
    assert not regression.usual.token_weights.any()
    assert regression.usual.log_scales.item() == pytest.approx(0.0, abs=1e-6)


def test_multiples_of_each_other_do_not_break_it() -> None:
    regression = SequentialRegression(np.ones((3, 3)), [0, 1, 2], n_scores=3, ridge=1e-6)
    weights, _, log_scales = regression.usual
    assert weights.isfinite().all()
    assert log_scales[1:].max() < -4
