"""What the diffusion model of tables must do beyond the contract of generators."""

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks.encoding.tabular import TabularEncoder
from tasks.generators.tabular.tabdiff import (
    TabDiff,
    TabDiffParams,
    noise_level,
    preconditioning,
    solver_step,
)
from tests.datasets import table_of

N = 512


@pytest.fixture(scope="module")
def trained() -> tuple[TabDiff, pa.RecordBatch]:
    """Trained on a number, a noisy copy of it that is missing at times, and its sign."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    columns = {
        "x": pa.array(np.round(x, 2)),
        "y": pa.array(x + 0.2 * rng.normal(size=N), mask=rng.random(N) < 0.2),
        "sign": pa.array(np.where(x > 0, "plus", "minus")),
    }
    schema, batch = table_of(columns, "sign")
    encoder = TabularEncoder.fit(schema, lambda: iter([batch]), np.random.default_rng(0))
    torch.manual_seed(0)
    settings = TabDiffParams(hidden_units=96, layers=2, steps=20, given_fraction=0.5)
    generator = TabDiff(encoder, settings)
    encoded = encoder.encode(batch)
    optimizer = torch.optim.Adam(generator.parameters(), lr=4e-3)
    for step in range(600):
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / 600)
        optimizer.zero_grad()
        generator(encoded).mean().backward()
        optimizer.step()
    return generator.eval(), batch


def _rows(
    generator: TabDiff, n: int, conditions: dict[str, object] | None = None
) -> pa.RecordBatch:
    drawn = generator.sample(n, torch.Generator().manual_seed(0), conditions)
    return generator.encoder.decode(drawn, np.random.default_rng(0))


def test_noise_goes_from_almost_none_to_much() -> None:
    levels = noise_level(torch.tensor([0.0, 0.5, 1.0])).tolist()
    assert levels[0] == pytest.approx(0.005, rel=1e-4)
    assert levels[2] == pytest.approx(20.0, rel=1e-4)
    assert levels[1] == pytest.approx(((0.005 ** (1 / 7) + 20 ** (1 / 7)) / 2) ** 7, rel=1e-4)


def test_preconditioning_keeps_unit_variance() -> None:
    # At a noise of 3: data of variance 1 has become one of variance 10.
    skip, out, scale = (factor.item() for factor in preconditioning(torch.tensor(3.0)))
    assert (skip, out, scale) == pytest.approx((0.1, 3 / math.sqrt(10), 1 / math.sqrt(10)))
    # The target (clean - skip * noisy) / out has variance ((1 - skip)^2 + skip^2 * 9) / out^2 = 1.
    assert ((1 - skip) ** 2 + skip**2 * 9) / out**2 == pytest.approx(1.0)


def test_the_solver_moves_unit_gaussians_along_their_exact_path() -> None:
    # For data N(0, 1) the clean guess is x / (1 + sigma^2), and x / sqrt(1 + sigma^2) stays.
    x, before = torch.tensor([[2.0]]), None
    levels = [*np.geomspace(4.0, 0.02, 200).tolist(), 0.0]
    start = 2.0 / math.sqrt(17)
    for sigma, lower in itertools.pairwise(levels):
        clean = x / (1 + sigma**2)
        x = solver_step(x, clean, before, sigma, lower)
        before = (clean, math.log(sigma / lower) if lower else math.inf)
    assert x.item() == pytest.approx(start, abs=2e-3)


def test_one_solver_step_by_hand() -> None:
    x, clean = torch.tensor([[4.0]]), torch.tensor([[1.0]])
    # Halving the noise goes half of the way to the clean guess.
    assert solver_step(x, clean, None, 2.0, 1.0).item() == pytest.approx(2.5)
    # The guess fell from 2 to 1 in a step of the same length, so it is taken to go on to 0.5.
    before = (torch.tensor([[2.0]]), math.log(2))
    assert solver_step(x, clean, before, 2.0, 1.0).item() == pytest.approx(2.25)
    assert solver_step(x, clean, before, 2.0, 0.0).item() == 1.0


def test_rows_go_together(trained: tuple[TabDiff, pa.RecordBatch]) -> None:
    rows = _rows(trained[0], 2_000)
    x, y = (rows.column(name).to_numpy(zero_copy_only=False) for name in ("x", "y"))
    plus = np.array([sign == "plus" for sign in rows.column("sign").to_pylist()])
    assert ((x > 0) == plus).mean() > 0.88
    assert np.isnan(y).mean() == pytest.approx(0.2, abs=0.05)
    both = ~np.isnan(y)
    assert np.corrcoef(x[both], y[both])[0, 1] > 0.88


def test_any_columns_are_held_and_the_others_follow(
    trained: tuple[TabDiff, pa.RecordBatch],
) -> None:
    generator, batch = trained
    x = batch.column("x").slice(0, 300)
    rows = _rows(generator, 300, {"x": x, "y": pa.nulls(300, pa.float64())})
    assert rows.column("x").equals(x)
    assert rows.column("y").null_count == 300
    plus = np.array([sign == "plus" for sign in rows.column("sign").to_pylist()])
    assert ((x.to_numpy() > 0) == plus).mean() > 0.85
    rows = _rows(generator, 300, {"sign": "minus"})
    assert set(rows.column("sign").to_pylist()) == {"minus"}
    assert (rows.column("x").to_numpy() <= 0).mean() > 0.85


def test_what_is_given_costs_nothing(trained: tuple[TabDiff, pa.RecordBatch]) -> None:
    generator, batch = trained
    always = TabDiff(generator.encoder, TabDiffParams(hidden_units=8, given_fraction=1.0)).eval()
    never = TabDiff(generator.encoder, TabDiffParams(hidden_units=8, given_fraction=0.0)).eval()
    encoded = generator.encoder.encode(batch)
    cells = always.rows(encoded)
    symbols, given = never._given(cells, torch.Generator().manual_seed(0))
    assert not symbols.any()
    assert not given.any()
    symbols, given = always._given(cells, torch.Generator().manual_seed(0))
    # A share that is uniform in (0, 1) of the cells; a score only where there is one.
    assert symbols.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert not (given * (1 - cells.present)).any()
