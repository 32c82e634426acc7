"""Lengths of gradients of rows, against gradients computed one row at a time."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.errors import TrainingError
from tasks.generators.layers import BlockMaskedLinear, MixtureHead, gaussian_log_density
from tasks.privacy.row_gradients import RowGradients

B = 7


class _Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = BlockMaskedLinear([2, 1, 3], 4, strict=True)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.map(x)).square().sum(dim=1)


class _Mixed(nn.Module):
    """A layer with several outputs, which Opacus does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.head = MixtureHead(2, 3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return -gaussian_log_density(x[:, :2], self.head(x.view(-1, 2, 3))).sum(dim=1)


class _Twice(nn.Module):
    """A layer that runs twice, and an embedding of several tokens a row."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(3, 6)
        self.map = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)

    def forward(self, x: Tensor) -> Tensor:
        tokens = (x[:, :4] > 0).long() + (x[:, :4] > 1).long()
        h = self.map(self.embedding(tokens).sum(dim=1))
        return self.norm(self.map(h.tanh())).sin().sum(dim=1)


class _Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).tanh()).square().sum(dim=1)


class _Pair(NamedTuple):
    one: Tensor
    other: Tensor


class _Unknown(nn.Module):
    """Weights of its own, outputs of which one is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 2))

    def forward(self, x: Tensor) -> _Pair:
        h = x @ self.weight
        return _Pair(h[:, 0].sin(), h[:, 1])


class _Around(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = _Unknown()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.inner(x).one[:, None])[:, 0].square()


NETWORKS: list[Callable[[], nn.Module]] = [_Masked, _Mixed, _Twice, _Tied, _Around]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _one_by_one(network: nn.Module, x: Tensor) -> list[Tensor]:
    gradients = []
    for i in range(len(x)):
        found = torch.autograd.grad(network(x[i : i + 1]).sum(), list(network.parameters()))
        gradients.append(torch.cat([g.flatten() for g in found]))
    return gradients


@pytest.mark.parametrize("network", NETWORKS)
def test_lengths_are_those_of_gradients_one_row_at_a_time(
    network: Callable[[], nn.Module],
) -> None:
    model, x = network().eval(), torch.randn(B, 6)
    losses, norms = RowGradients(model).norms(lambda: model(x))
    expected = torch.stack([g.norm() for g in _one_by_one(model, x)])
    torch.testing.assert_close(norms, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses, model(x))
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("network", NETWORKS)
def test_dropout_is_the_same_in_both_passes(network: Callable[[], nn.Module]) -> None:
    model = network().train()
    rows = RowGradients(model)
    rows.check(lambda part: model(torch.ones(B, 6)[part]), B)


def test_a_weight_used_outside_of_its_layer_is_found() -> None:
    class Outside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return functional.linear(self.map(x), self.map.weight).square().sum(dim=1)

    model = Outside()
    with pytest.raises(TrainingError, match="Outside cannot be trained with privacy"):
        RowGradients(model).check(lambda part: model(torch.randn(B, 6)[part]), B)


def test_running_statistics_are_found() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(6, 1)
            self.register_buffer("mean", torch.zeros(6))

        def forward(self, x: Tensor) -> Tensor:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(dim=0)
            return self.map(x)[:, 0].square()

    model = Counting()
    with pytest.raises(TrainingError, match="in buffers, without noise"):
        RowGradients(model).check(lambda part: model(torch.randn(B, 6)[part]), B)
