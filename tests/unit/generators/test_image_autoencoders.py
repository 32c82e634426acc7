"""What the autoencoders of images must do beyond the contract of generators."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.encoding.image import ImageEncoder
from tasks.errors import TrainingError
from tasks.generators.base import DataGenerator
from tasks.generators.image.autoencoder import Autoencoder
from tasks.generators.image.parts.codes import LabelledMixture
from tasks.generators.image.parts.compression import gaussian_loss
from tasks.generators.image.parts.levels import nearest_levels, scaled_levels
from tasks.generators.image.vae import Gaussians, Vae
from tests.unit.generators.images import image_encoder

CLASSES: list[type[DataGenerator]] = [Autoencoder, Vae]


def _model(cls: type[DataGenerator], encoder: ImageEncoder) -> DataGenerator:
    torch.manual_seed(0)
    return cls(encoder, cls.Params()).eval()


def _batch(n: int, encoder: ImageEncoder) -> dict[str, Tensor]:
    shape = (n, encoder.channels, encoder.height, encoder.width)
    return {
        "pixels": torch.randint(0, len(encoder.levels), shape, dtype=torch.uint8),
        "labels": (torch.arange(n) % len(encoder.labels)).to(torch.uint8),
    }


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("shape", [(4, 4, 1), (5, 9, 3), (33, 17, 3)], ids=str)
def test_any_size_works(cls: type[DataGenerator], shape: tuple[int, int, int]) -> None:
    height, width, channels = shape
    encoder = image_encoder(height, width, channels)
    model = _model(cls, encoder)
    losses = model(_batch(3, encoder))
    assert losses.shape == (3,)
    assert losses.isfinite().all()
    sampled = model.sample(5, torch.Generator().manual_seed(0))
    assert sampled["pixels"].shape == (5, channels, height, width)
    assert int(sampled["pixels"].max()) <= 2
    assert sampled["labels"].dtype == torch.uint8


@pytest.mark.parametrize("cls", CLASSES)
def test_images_of_one_level_stay_as_they_are(cls: type[DataGenerator]) -> None:
    encoder = image_encoder(4, 4, 1, n_levels=1)
    model = _model(cls, encoder)
    assert model(_batch(2, encoder)).isfinite().all()
    assert not model.sample(3, torch.Generator().manual_seed(0))["pixels"].any()


@pytest.mark.parametrize("cls", CLASSES)
def test_a_validation_loss_is_the_same_each_time(cls: type[DataGenerator]) -> None:
    encoder = image_encoder(8, 8, 1)
    model, batch = _model(cls, encoder), _batch(6, encoder)
    assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("cls", CLASSES)
def test_labels_are_drawn_by_frequency_or_held(cls: type[DataGenerator]) -> None:
    encoder = image_encoder(4, 4, 1)
    model = _model(cls, encoder)
    free = model.sample(4_000, torch.Generator().manual_seed(0))["labels"]
    assert (free == 0).float().mean().item() == pytest.approx(0.75, abs=0.03)
    held = model.sample(9, torch.Generator().manual_seed(0), {"label": 7})
    rows = encoder.decode(held, np.random.default_rng(0))
    assert rows.column("label").to_pylist() == [7] * 9


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"label": 4}, r"expected labels among \['3', '7'\], found \['4'\]"),
        ({"label": None}, "impossible condition"),
        ({"label": "seven"}, "expected a label of type int64"),
        ({"width": 4}, r"conditions on 'label' alone, found \['width'\]"),
    ],
)
def test_other_conditions_are_refused(
    cls: type[DataGenerator], conditions: dict[str, object], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        _model(cls, image_encoder(4, 4, 1)).sample(2, torch.Generator().manual_seed(0), conditions)


@pytest.mark.parametrize("cls", CLASSES)
def test_images_without_labels_work(cls: type[DataGenerator]) -> None:
    model = _model(cls, image_encoder(4, 4, 1, target=None))
    assert model.sample(3, torch.Generator().manual_seed(0))["labels"].tolist() == [0, 0, 0]


def test_levels_stand_evenly_from_minus_1_to_1() -> None:
    levels = torch.tensor([0, 1, 2], dtype=torch.uint8)
    numbers = scaled_levels(levels, 3)
    assert numbers.tolist() == [-1.0, 0.0, 1.0]
    assert torch.equal(nearest_levels(numbers, 3), levels)
    assert nearest_levels(torch.tensor([-9.0, 0.4, 0.6, 9.0]), 3).tolist() == [0, 1, 2, 2]


def _mixture() -> LabelledMixture:
    """Of label 0, N(0, I) with a share of 1/4 and N((4, 0), S) with 3/4; of label 1 twice N(0, I)."""
    mixture = LabelledMixture(2, 2, 2)
    for table in (mixture.logits, mixture.means, mixture.log_precisions, mixture.factors):
        table.weight.data.zero_()
    mixture.logits.weight.data[0] = torch.tensor([0.25, 0.75]).log()
    mixture.means.weight.data[0] = torch.tensor([0.0, 0.0, 4.0, 0.0])
    # A = [[2, 0], [1, 1]], as entries below the diagonal are divided by the root of 2.
    mixture.log_precisions.weight.data[0] = torch.tensor([1.0, 1.0, 2.0, 1.0]).log()
    mixture.factors.weight.data[0, 6] = math.sqrt(2)
    return mixture


def test_the_density_of_a_mixture() -> None:
    at = torch.tensor([[5.0, 1.0], [0.0, 0.0]])
    found = _mixture()(at, torch.tensor([0, 1])).exp().tolist()
    # A (1, 1) is (2, 2), |A| is 2: 3/4 * 2 * exp(-4) / (2 pi); plus 1/4 * exp(-13) / (2 pi).
    expected = (1.5 * math.exp(-4) + 0.25 * math.exp(-13)) / (2 * math.pi)
    assert found == pytest.approx([expected, 1 / (2 * math.pi)], rel=1e-5)


def test_draws_of_a_mixture() -> None:
    labels = torch.zeros(40_000, dtype=torch.long)
    drawn = _mixture().sample(labels, torch.Generator().manual_seed(0))
    assert drawn[:, 0].mean().item() == pytest.approx(3.0, abs=0.05)
    # Beyond 3 almost all are of the second; its covariance is the inverse of A^T A = [[5, 1], [1, 1]].
    second = drawn[drawn[:, 0] > 2.6]
    covariance = torch.cov(second.T)
    expected = [0.25, -0.25, -0.25, 1.25]
    assert covariance.flatten().tolist() == pytest.approx(expected, abs=0.05)


def test_the_loss_of_errors_and_their_scale() -> None:
    images, means = torch.zeros(1, 1, 1, 2), torch.tensor([[[[2.0, 0.0]]]])
    log_scales = torch.full((1, 1, 1), math.log(2))
    # Errors of 1 and 0 scales: 0.5, and twice log 2 + log sqrt(2 pi).
    expected = 0.5 + 2 * (math.log(2) + 0.5 * math.log(2 * math.pi))
    assert gaussian_loss(images, means, log_scales).item() == pytest.approx(expected, rel=1e-6)
    same = gaussian_loss(images, images, torch.full((1, 1, 1), -100.0))
    assert same.item() == pytest.approx(2 * (-5 + 0.5 * math.log(2 * math.pi)), rel=1e-6)


def test_the_divergence_of_gaussians() -> None:
    one = Gaussians(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(2)]]))
    standard = Gaussians(torch.zeros(1, 2), torch.zeros(1, 2))
    # Half a shift of 1 squared; and (4 - 1) / 2 - log 2.
    expected = 0.5 + 1.5 - math.log(2)
    assert one.divergence(standard).item() == pytest.approx(expected, rel=1e-6)
    assert one.divergence(one).item() == pytest.approx(0.0, abs=1e-6)
