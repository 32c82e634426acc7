"""What the autoencoders of tables must do beyond the contract of generators."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks.encoding.tabular import TabularEncoder
from tasks.errors import TrainingError
from tasks.generators.base import DataGenerator
from tasks.generators.tabular.autoencoder import Autoencoder, AutoencoderParams, CodeDensity
from tasks.generators.tabular.vae import Vae, VaeParams, gaussian_divergence
from tests.datasets import table_of

N = 512


@pytest.fixture(scope="module")
def encoder() -> tuple[TabularEncoder, pa.RecordBatch]:
    """A number that is high where the label is `up`, and a count without a relation."""
    rng = np.random.default_rng(0)
    up = rng.random(N) < 0.25
    columns = {
        "x": pa.array(np.where(up, 3.0, -3.0) + rng.normal(size=N)),
        "count": pa.array(rng.integers(0, 4, N)),
        "label": pa.array(np.where(up, "up", "down")),
    }
    schema, batch = table_of(columns, "label")
    return TabularEncoder.fit(schema, lambda: iter([batch]), np.random.default_rng(0)), batch


@pytest.fixture(scope="module", params=["vae", "autoencoder"])
def trained(
    request: pytest.FixtureRequest, encoder: tuple[TabularEncoder, pa.RecordBatch]
) -> DataGenerator:
    torch.manual_seed(0)
    generator: DataGenerator
    if request.param == "vae":
        generator = Vae(encoder[0], VaeParams(hidden_units=64, layers=1, latent_dim=8))
    else:
        settings = AutoencoderParams(hidden_units=64, layers=1, latent_dim=8, components=16)
        generator = Autoencoder(encoder[0], settings)
    batch = encoder[0].encode(encoder[1])
    optimizer = torch.optim.Adam(generator.parameters(), lr=4e-3)
    for _ in range(250):
        optimizer.zero_grad()
        generator(batch).mean().backward()
        optimizer.step()
    return generator.eval()


def test_labels_have_their_shares_and_numbers_follow_them(
    trained: DataGenerator, encoder: tuple[TabularEncoder, pa.RecordBatch]
) -> None:
    drawn = trained.sample(2_000, torch.Generator().manual_seed(0))
    rows = encoder[0].decode(drawn, np.random.default_rng(0))
    up = np.array([label == "up" for label in rows.column("label").to_pylist()])
    real = np.mean([label == "up" for label in encoder[1].column("label").to_pylist()])
    assert up.mean() == pytest.approx(real, abs=0.03)
    x = rows.column("x").to_numpy()
    assert (x[up] > 0).mean() > 0.9
    assert (x[~up] < 0).mean() > 0.9


def test_the_label_is_held_in_every_row(
    trained: DataGenerator, encoder: tuple[TabularEncoder, pa.RecordBatch]
) -> None:
    wanted = ["up", "down", "up"] * 20
    drawn = trained.sample(60, torch.Generator().manual_seed(0), {"label": wanted})
    assert encoder[0].decode(drawn, np.random.default_rng(0)).column("label").to_pylist() == wanted
    with pytest.raises(TrainingError, match="the target 'label' alone"):
        trained.sample(2, torch.Generator().manual_seed(0), {"count": 1})


def test_the_divergence_of_gaussians() -> None:
    # KL of N(m, s^2) from N(0, 1) is (m^2 + s^2 - 1) / 2 - log s.
    means, log_scales = (
        torch.tensor([[1.0, 0.0], [0.0, 0.0]]),
        torch.tensor([[0.0, math.log(2)], [0, 0]]),
    )
    found = gaussian_divergence(means, log_scales)
    assert found.tolist() == pytest.approx([0.5 + 1.5 - math.log(2), 0.0])


def test_the_density_of_codes_is_that_of_a_mixture() -> None:
    density = CodeDensity(n_labels=2, latent_dim=2, components=2)
    with torch.no_grad():
        density.logits.weight.copy_(torch.tensor([[0.0, 0.0], [math.log(3), 0.0]]))
        density.means.weight.copy_(torch.tensor([[0.0, 0.0], [2.0, 1.0]]))
        density.log_scales.weight.copy_(torch.tensor([[0.0, 0.0], [math.log(2), 0.0]]))
    code = torch.tensor([[1.0, -1.0]])
    one = math.exp(-0.5 * 2) / (2 * math.pi)
    other = math.exp(-0.5 * (0.25 + 4)) / (2 * math.pi * 2)
    for label, share in ((0, 0.5), (1, 0.75)):
        found = density.log_density(code, torch.tensor([label]))
        assert found.item() == pytest.approx(math.log(share * one + (1 - share) * other), abs=1e-5)


def test_the_density_does_not_move_the_codes(
    encoder: tuple[TabularEncoder, pa.RecordBatch],
) -> None:
    torch.manual_seed(0)
    generator = Autoencoder(encoder[0], AutoencoderParams(hidden_units=8, latent_dim=4)).eval()
    batch = encoder[0].encode(encoder[1])
    generator(batch).mean().backward()
    before = generator.code.weight.grad
    assert before is not None
    before = before.clone()
    with torch.no_grad():
        generator.density.means.weight.add_(1.0)
    generator.zero_grad()
    generator(batch).mean().backward()
    assert torch.equal(generator.code.weight.grad, before)  # type: ignore[arg-type]
