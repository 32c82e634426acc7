"""DP-SGD: what one row can change, and how much noise hides it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.errors import TrainingError
from tasks.noise import SecretNoise
from tasks.params import PrivacyParams
from tasks.privacy.dp_sgd import Budget, DpSgd, default_delta

N = 40
KEY = bytes(32)


class _Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x)[:, 0].square()


def _mechanism(network: nn.Module, **settings: Any) -> DpSgd:
    budget = Budget(PrivacyParams(epsilon=2.0, delta=1e-3), N)
    facts: dict[str, Any] = {"max_grad_norm": 0.5, "n_rows": N, "batch_size": 10, "steps": 5}
    return DpSgd(network, budget, SecretNoise(KEY), **{**facts, **settings})


@pytest.fixture
def network() -> _Linear:
    torch.manual_seed(0)
    return _Linear()


def _gradient(network: _Linear, x: Tensor, mechanism: DpSgd, step: int = 0) -> Tensor:
    mechanism.set_gradients(step, torch.arange(len(x)), lambda index: network(x[index]))
    gradient = network.map.weight.grad
    assert gradient is not None
    return gradient.flatten().clone()


def test_clipped_gradients_are_those_of_rows_one_at_a_time(network: _Linear) -> None:
    x = 3 * torch.randn(N, 3)
    mechanism = _mechanism(network)
    mechanism.noise_multiplier = 0.0
    found = _gradient(network, x, mechanism)
    expected = torch.zeros(3)
    for row in x:
        (own,) = torch.autograd.grad(network(row[None]).sum(), [network.map.weight])
        expected += own.flatten() * min(1.0, 0.5 / float(own.norm()))
    # Divided by the rows that a step takes on average: 10 of 40.
    torch.testing.assert_close(found, expected / 10)


def test_one_row_changes_a_step_by_the_clipping_length_at_most(network: _Linear) -> None:
    x = torch.randn(N, 3)
    extreme = torch.cat([x, torch.full((1, 3), 1e4)])
    one, other = (_gradient(network, rows, _mechanism(network)) for rows in (x, extreme))
    # The noise is the same, as key and step are.
    assert 10 * float((one - other).norm()) == pytest.approx(0.5, rel=1e-3)


def test_noise_has_the_deviation_that_the_accountant_counts_on() -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Linear(200, 200, bias=False), nn.Flatten(0))
    mechanism = _mechanism(wide)
    mechanism.set_gradients(0, torch.arange(0), wide)
    gradient = wide[0].weight.grad
    assert isinstance(gradient, Tensor)
    std = mechanism.noise_multiplier * 0.5 / 10
    # Four standard errors of a standard deviation from 40,000 numbers.
    assert float(gradient.std()) == pytest.approx(std, rel=4 / (2 * 40_000) ** 0.5)


def test_every_row_is_taken_with_the_same_probability(network: _Linear) -> None:
    mechanism = _mechanism(network)
    taken = np.zeros(N)
    sizes = []
    for step in range(400):
        index = mechanism.sample(step)
        sizes.append(len(index))
        taken[index.numpy()] += 1
    assert mechanism.sample_rate == 0.25
    assert abs(taken / 400 - 0.25).max() < 5 * (0.25 * 0.75 / 400) ** 0.5
    # The number of rows is random: of variance N p (1 - p) = 7.5.
    assert 4 < np.var(sizes) < 12


def test_steps_have_noise_of_their_own_and_keep_it(network: _Linear) -> None:
    nothing = torch.zeros(0, 3)
    first, second = (_gradient(network, nothing, _mechanism(network), step) for step in (0, 1))
    again = _gradient(network, nothing, _mechanism(network), 1)
    assert not torch.equal(first, second)
    assert torch.equal(second, again)


def test_the_target_is_kept(network: _Linear) -> None:
    mechanism = _mechanism(network)
    summary = mechanism.summary(5)
    assert 1.95 < summary["epsilon"] <= 2.0
    assert mechanism.epsilon(1) < mechanism.epsilon(5)
    assert summary["delta"] == 1e-3
    assert default_delta(100) == pytest.approx(100**-1.1)


def test_parts_of_a_step_change_nothing(network: _Linear, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(N, 3)
    whole = _gradient(network, x, _mechanism(network))
    monkeypatch.setattr("tasks.privacy.dp_sgd.MAX_ROWS", 7)
    torch.testing.assert_close(_gradient(network, x, _mechanism(network)), whole)


def test_batch_normalisation_is_refused() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with pytest.raises(TrainingError, match="BatchNorm"):
        _mechanism(network)
