"""What the adversarial networks of images must do beyond the contract of generators."""

import pytest
import torch
from torch import Tensor, nn

from tasks.encoding.image import ImageEncoder
from tasks.errors import TrainingError
from tasks.generators.base import DataGenerator
from tasks.generators.image.dcgan import Dcgan
from tasks.generators.image.gan import Gan
from tasks.generators.image.parts.convolutions import (
    ConditionalNorm,
    Projection,
    channels_by_depth,
    halved_sizes,
)
from tasks.generators.image.parts.gans import square_slopes, zero_centred_penalty
from tasks.generators.image.wgan_gp import WganGp
from tests.unit.generators.images import image_encoder

CLASSES: list[type[DataGenerator]] = [Gan, Dcgan, WganGp]


def _model(cls: type[DataGenerator], encoder: ImageEncoder) -> DataGenerator:
    torch.manual_seed(0)
    return cls(encoder, cls.Params())


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
    for objective in model.objectives():
        losses = model(_batch(3, encoder), objective.name)
        assert losses.shape == (3,)
        assert losses.isfinite().all()
    sampled = model.eval().sample(5, torch.Generator().manual_seed(0))
    assert sampled["pixels"].shape == (5, channels, height, width)
    assert int(sampled["pixels"].max()) <= 2


@pytest.mark.parametrize("cls", CLASSES)
def test_images_of_one_level_stay_as_they_are(cls: type[DataGenerator]) -> None:
    encoder = image_encoder(4, 4, 1, n_levels=1)
    model = _model(cls, encoder)
    for objective in model.objectives():
        assert model(_batch(2, encoder), objective.name).isfinite().all()
    sampled = model.eval().sample(3, torch.Generator().manual_seed(0))
    assert not sampled["pixels"].any()


@pytest.mark.parametrize("cls", CLASSES)
def test_labels_can_be_held_and_be_missing(cls: type[DataGenerator]) -> None:
    model = _model(cls, image_encoder(4, 4, 1)).eval()
    held = model.sample(4, torch.Generator().manual_seed(0), {"label": [7, 3, 3, 7]})
    assert held["labels"].tolist() == [1, 0, 0, 1]
    with pytest.raises(TrainingError, match="conditions on 'label' alone"):
        model.sample(4, torch.Generator().manual_seed(0), {"width": 4})
    free = _model(cls, image_encoder(4, 4, 1, target=None)).eval()
    assert free.sample(2, torch.Generator().manual_seed(0))["labels"].tolist() == [0, 0]


def test_only_the_weights_of_an_objective_get_gradients() -> None:
    encoder = image_encoder(8, 8, 1)
    model = _model(Dcgan, encoder)
    model(_batch(4, encoder), "discriminator").mean().backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.discriminator.parameters())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4, 4), [(4, 4), (2, 2)]),
        ((8, 8), [(8, 8), (4, 4), (2, 2)]),
        ((28, 28), [(28, 28), (14, 14), (7, 7), (4, 4)]),
        ((5, 9), [(5, 9), (3, 5), (2, 3)]),
        ((4, 128), [(4, 128), (2, 64)]),
    ],
    ids=str,
)
def test_sizes_are_halved_upwards(size: tuple[int, int], expected: list[tuple[int, int]]) -> None:
    assert halved_sizes(*size) == expected


@pytest.mark.parametrize(
    ("side", "expected"), [(8, [64, 128]), (28, [32, 64, 128]), (128, [16, 32, 64, 128, 256])]
)
def test_larger_images_have_fewer_channels_at_first(side: int, expected: list[int]) -> None:
    assert channels_by_depth(image_encoder(side, side, 1), None) == expected


class _Square(nn.Module):
    """A score whose gradient is known: half the squares of the pixels, times 1 + the label."""

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return (1 + labels) * images.square().flatten(1).sum(dim=1) / 2


def test_slopes_of_a_square() -> None:
    images = torch.zeros(2, 1, 4, 4)
    images[:, 0, 0, :2] = torch.tensor([3.0, 4.0])
    # The gradient is (3, 4), of squared length 25, and twice as long for label 1.
    assert square_slopes(_Square(), images, torch.tensor([0, 1])).tolist() == [25.0, 100.0]
    with torch.no_grad():
        assert square_slopes(_Square(), images, torch.tensor([0, 0])).tolist() == [25.0, 25.0]


def test_the_zero_centred_penalty_is_of_a_quarter_of_the_rows() -> None:
    images = torch.zeros(8, 1, 4, 4)
    images[:2, 0, 0, 0] = torch.tensor([2.0, 4.0])
    images[2:] = 100.0
    labels = torch.zeros(8, dtype=torch.long)
    # (4 + 16) / 2 is 10, and half of it counts.
    assert zero_centred_penalty(_Square(), images, labels, 1.0).tolist() == [5.0]
    assert zero_centred_penalty(_Square(), images[:1], labels[:1], 1.0).tolist() == [2.0]
    assert zero_centred_penalty(_Square(), images, labels, 0.0).tolist() == [0.0]


def test_the_penalty_of_wgan_gp_is_of_slopes_that_are_not_1() -> None:
    encoder = image_encoder(4, 4, 1)
    model = WganGp(encoder, WganGp.Params())
    model.discriminator = _Square()
    images = torch.zeros(2, 1, 4, 4)
    images[:, 0, 0, :2] = torch.tensor([3.0, 4.0])
    # Between equal images there is but one: slopes of 5 and 10; 10 (5 - 1)^2 and 10 (10 - 1)^2.
    penalty = model.penalty(images, images, torch.tensor([0, 1]))
    assert penalty.tolist() == pytest.approx([160.0, 810.0], rel=1e-5)


def test_losses_of_scores() -> None:
    encoder = image_encoder(4, 4, 1)
    real, fake = torch.tensor([0.0, 2.0]), torch.tensor([0.0, -1.0])
    of_logits, of_distance = Dcgan(encoder, Dcgan.Params()), WganGp(encoder, WganGp.Params())
    # -log sigmoid(2) is 0.126928, -log sigmoid(1) 0.313262, log 2 0.693147.
    expected = [2 * 0.693147, 0.126928 + 0.313262]
    assert of_logits.discriminator_loss(real, fake).tolist() == pytest.approx(expected, abs=1e-5)
    assert of_logits.generator_loss(fake).tolist() == pytest.approx([0.693147, 1.313262], abs=1e-5)
    assert of_distance.discriminator_loss(real, fake).tolist() == [0.0, -3.0]
    assert of_distance.generator_loss(fake).tolist() == [0.0, 1.0]


def test_a_projection_adds_what_its_label_weighs() -> None:
    head = Projection(2, 2)
    head.shared.data = torch.tensor([1.0, 1.0])
    head.own.weight.data = torch.tensor([[0.0, 0.0], [2.0, -1.0]])
    features = torch.tensor([[1.0, 3.0], [1.0, 3.0]])
    # 1 + 3; and 3 * 1 + 0 * 3.
    assert head(features, torch.tensor([0, 1])).tolist() == [4.0, 3.0]


def test_a_conditional_norm_scales_and_shifts_by_label() -> None:
    norm = ConditionalNorm(1, 2).eval()
    norm.changes.weight.data[1] = torch.tensor([1.0, 5.0])
    x = torch.full((2, 1, 2, 2), 3.0)
    out = norm(x, torch.tensor([0, 1]))
    # Nothing was seen yet: the mean is 0 and the variance 1. 3, and 3 * 2 + 5.
    assert out[:, 0, 0, 0].tolist() == pytest.approx([3.0, 11.0], abs=1e-4)
