"""What the Gaussian copula must do beyond the contract of generators: closed forms."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks.generators.tabular.gaussian_copula import (
    GaussianCopula,
    GaussianCopulaParams,
    stratify,
    truncated_normal,
)
from tasks.generators.tabular.parts.copula import CopulaEncoder
from tests.datasets import table_of

N = 4_000


def _copula(columns: dict[str, pa.Array]) -> tuple[GaussianCopula, pa.RecordBatch]:
    schema, batch = table_of(columns)
    encoder = CopulaEncoder.fit(schema, lambda: iter([batch]), np.random.default_rng(0))
    return GaussianCopula(encoder, GaussianCopulaParams()).eval(), batch


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def pair() -> tuple[GaussianCopula, pa.RecordBatch]:
    """Two normal variables of correlation 0.8, the second cut at its median into two categories;
    and a number of which every fifth cell is missing.
    """  # noqa: D205
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    y = 0.8 * x + 0.6 * rng.normal(size=N)
    return _copula(
        {
            "x": pa.array(x),
            "half": pa.array(np.where(y > 0, "high", "low")),
            "z": pa.array(y, mask=np.arange(N) % 5 == 0),
        }
    )


def test_correlations_are_those_of_the_latent_variables(
    pair: tuple[GaussianCopula, pa.RecordBatch],
) -> None:
    copula, _ = pair
    names = [
        (copula.encoder.columns[m.margin.column].column.name, m.margin.of_missing)
        for m in copula.margins
    ]
    assert names == [("x", False), ("half", False), ("z", False), ("z", True)]
    found = copula.correlations
    assert abs(found[0, 1]) == pytest.approx(0.8, abs=0.03)
    assert found[0, 2] == pytest.approx(0.8, abs=0.03)
    assert found[0, 3] == pytest.approx(0.0, abs=0.06)


def test_a_number_given_another_has_the_conditional_normal_distribution(
    pair: tuple[GaussianCopula, pa.RecordBatch],
) -> None:
    copula, batch = pair
    value = float(np.quantile(batch.column("x").to_numpy(), 0.9))
    drawn = copula.sample(4_000, _rng(), {"x": value})
    rows = copula.encoder.decode(drawn, np.random.default_rng(0))
    z = rows.column("z").drop_null().to_numpy()
    # Given a score of x of 1.2816: mean 0.8 * 1.2816, standard deviation 0.6.
    assert z.mean() == pytest.approx(0.8 * 1.2816, abs=0.08)
    assert z.std() == pytest.approx(0.6, abs=0.05)
    high = np.mean([half == "high" for half in rows.column("half").to_pylist()])
    assert high == pytest.approx(0.956, abs=0.02)  # the normal distribution below 1.709


def test_a_number_given_a_category_has_the_skew_normal_distribution(
    pair: tuple[GaussianCopula, pa.RecordBatch],
) -> None:
    copula, _ = pair
    drawn = copula.sample(4_000, _rng(), {"half": "high"})
    rows = copula.encoder.decode(drawn, np.random.default_rng(0))
    assert set(rows.column("half").to_pylist()) == {"high"}
    # The mean of half a normal distribution, sqrt(2 / pi), times the correlation.
    assert rows.column("x").to_numpy().mean() == pytest.approx(0.8 * 0.7979, abs=0.05)


def test_several_categories_are_held_at_once(pair: tuple[GaussianCopula, pa.RecordBatch]) -> None:
    copula, batch = pair
    values = {name: batch.column(name).slice(0, 50) for name in ("half", "z")}
    drawn = copula.sample(50, _rng(), values)
    rows = copula.encoder.decode(drawn, np.random.default_rng(0))
    assert rows.column("half").equals(values["half"])
    assert rows.column("z").is_null().equals(values["z"].is_null())


def test_columns_of_a_sample_have_their_shares(pair: tuple[GaussianCopula, pa.RecordBatch]) -> None:
    copula, batch = pair
    rows = copula.encoder.decode(copula.sample(2_000, _rng()), np.random.default_rng(0))
    real = np.mean([half == "high" for half in batch.column("half").to_pylist()])
    high = np.mean([half == "high" for half in rows.column("half").to_pylist()])
    assert high == pytest.approx(real, abs=0.001)
    assert rows.column("z").null_count == 400


def test_a_spike_in_the_middle_is_not_at_an_end() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    copula, _ = _copula({"x": pa.array(x), "y": pa.array(np.where(np.abs(x) < 0.5, 0.0, x))})
    (spiked,) = (m.margin for m in copula.margins if len(m.margin.tokens))
    assert spiked.places[0] == pytest.approx(0.5, abs=0.03)
    assert copula.correlations[0, 1] > 0.95


def test_the_loss_of_two_numbers_is_the_density_of_their_copula() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    copula, batch = _copula({"x": pa.array(x), "y": pa.array(0.8 * x + 0.6 * rng.normal(size=N))})
    encoded = copula.encoder.encode(batch.slice(0, 5))
    r = float(copula.correlations[0, 1])
    a, b = torch.special.ndtri(encoded["rank_low"].double()).T
    # log c(u, v) of the bivariate Gaussian copula.
    quadratic = r * r * (a**2 + b**2) - 2 * r * a * b
    expected = 0.5 * math.log(1 - r * r) + quadratic / (2 * (1 - r * r))
    assert copula(encoded).tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_loss_of_a_column_alone_is_that_of_its_shares() -> None:
    copula, batch = _copula({"side": pa.array(["left"] * 30 + ["right"] * 10)})
    losses = copula(copula.encoder.encode(batch))
    assert losses[0].item() == pytest.approx(-math.log(0.75))
    assert losses[-1].item() == pytest.approx(-math.log(0.25))


def test_a_truncated_variable_is_inside_and_has_the_mass_between() -> None:
    low, high = torch.tensor([0.0, 0.999, 0.2]).double(), torch.tensor([0.5, 1.0, 0.2]).double()
    mean, half = torch.zeros(3).double(), torch.full((3,), 0.5).double()
    drawn, log_mass = truncated_normal(mean, torch.tensor(1.0).double(), low, high, half)
    # The medians of both intervals are the quantiles of 0.25 and 0.9995; the third is a point.
    assert drawn.tolist() == pytest.approx([-0.67449, 3.29053, -0.84162], abs=1e-4)
    assert log_mass[:2].tolist() == pytest.approx([math.log(0.5), math.log(0.001)], abs=1e-4)


def test_stratified_columns_have_one_cell_in_each_interval_and_keep_their_order() -> None:
    z = torch.randn(50, 2, generator=_rng(), dtype=torch.float64)
    u = stratify(z, _rng())
    assert torch.equal((u * 50).long().sort(dim=0).values[:, 0], torch.arange(50))
    assert torch.equal(u.argsort(dim=0), z.argsort(dim=0))
