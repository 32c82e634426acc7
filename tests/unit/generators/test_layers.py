"""Masks and mixtures, against what they must be."""

import math

import pytest
import torch

from tasks.generators.layers import (
    BlockMaskedLinear,
    BlockMaskedNetwork,
    Dropout,
    Mixture,
    MixtureHead,
    ResidualBlock,
    choose,
    gaussian_log_density,
    sample_gaussian,
    stratified,
)


def _depends(outputs: torch.Tensor, x: torch.Tensor) -> list[bool]:
    """Which inputs the sum of `outputs` depends on."""
    (gradient,) = torch.autograd.grad(outputs.sum(), x, retain_graph=True)
    return [bool(gradient[:, i].any()) for i in range(x.shape[1])]


def _draw_weights(network: torch.nn.Module) -> None:
    """Those between blocks in another order than the usual one are 0 before training."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)


@pytest.mark.parametrize("strict", [True, False])
def test_a_block_sees_the_blocks_before_it(strict: bool) -> None:
    torch.manual_seed(0)
    layer = BlockMaskedLinear([1, 2, 1], 2, strict=strict)
    x = torch.randn(4, 4, requires_grad=True)
    y = layer(x)
    seen = [_depends(y[:, 2 * j : 2 * j + 2], x) for j in range(3)]
    if strict:
        assert seen == [[False] * 4, [True, *[False] * 3], [True] * 3 + [False]]
    else:
        assert seen == [[True, *[False] * 3], [True] * 3 + [False], [True] * 4]
    for j in range(3):
        x_seen = x * torch.tensor(seen[j])
        assert torch.allclose(layer.block(x_seen, j, 3), y[:, 2 * j : 2 * j + 2], atol=1e-6)


@pytest.mark.parametrize("out_units", [4, 6])
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_a_network_gives_its_blocks_one_by_one_in_any_order(
    order: list[int], out_units: int
) -> None:
    torch.manual_seed(0)
    sizes = [2, 0, 3, 1]
    network = BlockMaskedNetwork(
        sizes, hidden_units=4, out_units=out_units, n_layers=2, dropout=0.5
    ).eval()
    _draw_weights(network)
    x = torch.randn(5, 6)
    whole = network(x, torch.tensor(order).argsort())
    states, seen, n_blocks = network.new_states(5), torch.zeros_like(x), 0
    for j in order:
        n_blocks = max(n_blocks, j + 1)
        assert torch.allclose(network.block(seen, states, j, n_blocks), whole[:, j], atol=1e-5)
        units = slice(sum(sizes[:j]), sum(sizes[: j + 1]))
        seen[:, units] = x[:, units]
    if order == [0, 1, 2, 3]:
        assert torch.allclose(network(x), whole, atol=1e-6)


def test_what_comes_later_is_not_seen() -> None:
    torch.manual_seed(0)
    network = BlockMaskedNetwork(
        [1, 1, 1], hidden_units=3, out_units=3, n_layers=3, dropout=0.0
    ).eval()
    _draw_weights(network)
    x = torch.randn(4, 3, requires_grad=True)
    h = network(x, torch.tensor([1, 2, 0]))
    assert [_depends(h[:, j], x) for j in range(3)] == [
        [False, False, True],
        [True, False, True],
        [False, False, False],
    ]


def test_the_length_of_a_rows_gradient() -> None:
    torch.manual_seed(0)
    layer = BlockMaskedLinear([1, 2, 1], 2, strict=True)
    x = torch.randn(3, 4)
    out = torch.randn(3, 6)
    found = layer.row_gradient_square_norms(x, out)
    for i in range(3):
        layer.zero_grad()
        layer(x[i : i + 1]).backward(out[i : i + 1])
        assert layer.weight.grad is not None
        assert layer.bias.grad is not None
        own = layer.weight.grad.square().sum() + layer.bias.grad.square().sum()
        assert found[i].item() == pytest.approx(own.item(), rel=1e-5)


def test_dropout_zeroes_a_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropout = Dropout(0.2)
    x = torch.ones(501, 333)
    y = dropout(x)
    assert (y == 0).float().mean().item() == pytest.approx(0.2, abs=0.005)
    assert y.unique().tolist() == [0.0, 1.25]
    assert torch.equal(dropout.eval()(x), x)
    torch.manual_seed(0)
    assert torch.equal(dropout.train()(x), y)


def test_density_of_one_gaussian() -> None:
    one = Mixture(torch.zeros(1, 1), torch.tensor([[1.0]]), torch.tensor([[math.log(2.0)]]))
    # (3 - 1) / 2 = 1 standard deviation: exp(-1/2) / (2 sqrt(2 pi))
    expected = -0.5 - math.log(2) - 0.5 * math.log(2 * math.pi)
    assert gaussian_log_density(torch.tensor([3.0]), one).item() == pytest.approx(expected)


def test_density_and_draws_of_a_mixture_agree() -> None:
    weights = torch.tensor([0.25, 0.75]).log()
    mixture = Mixture(weights, torch.tensor([-2.0, 1.0]), torch.tensor([0.5, 0.1]).log())
    x = torch.linspace(-6, 4, 20_001)
    mass = gaussian_log_density(x, Mixture(*(part.expand(len(x), 2) for part in mixture))).exp()
    assert torch.trapezoid(mass, x).item() == pytest.approx(1, abs=1e-4)
    many = Mixture(*(part.expand(50_000, 2) for part in mixture))
    drawn = sample_gaussian(many, torch.Generator().manual_seed(0))
    assert (drawn < -0.5).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert drawn[drawn < -0.5].std().item() == pytest.approx(0.5, abs=0.02)


def test_a_mixture_head_gives_its_blocks_one_by_one() -> None:
    head = MixtureHead(3, 5, components=4)
    h = torch.randn(7, 3, 5)
    whole = head(h)
    assert whole.means.shape == (7, 3, 4)
    assert torch.allclose(whole.log_weights.exp().sum(-1), torch.ones(7, 3))
    for j in range(3):
        for part, parts in zip(head.block(h[:, j], j), whole, strict=True):
            assert torch.allclose(part, parts[:, j], atol=1e-6)


def test_a_residual_block_keeps_the_shape() -> None:
    assert ResidualBlock(16, dropout=0.1)(torch.randn(2, 16, 5, 3)).shape == (2, 16, 5, 3)


def test_stratified_numbers_fill_every_interval_once() -> None:
    drawn = stratified(1_000, torch.Generator().manual_seed(0))
    assert torch.equal((drawn * 1_000).long().sort().values, torch.arange(1_000))
    assert not torch.equal(drawn, drawn.sort().values)


def test_choices_by_their_shares() -> None:
    shares = torch.tensor([[0.2, 0.5, 0.3]]).expand(4, 3)
    assert choose(shares, torch.tensor([0.1, 0.3, 0.69, 0.99])).tolist() == [0, 1, 1, 2]
    every = choose(shares[:1].expand(1_000, 3), stratified(1_000, torch.Generator()))
    assert torch.bincount(every).tolist() == pytest.approx([200, 500, 300], abs=1)
