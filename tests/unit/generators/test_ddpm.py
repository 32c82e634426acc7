"""What the diffusion of images must do beyond the contract of generators."""

import math

import numpy as np
import pytest
import torch

from tasks.encoding.image import ImageEncoder
from tasks.encoding.labels import Labels
from tasks.errors import TrainingError
from tasks.generators.image.ddpm import SAMPLED_ROWS, Ddpm
from tasks.generators.image.parts.unet import Shape
from tasks.generators.precision import mixed_precision
from tasks.schema import Column, DatasetSchema, TableSchema

SMALL = {"width": 16, "blocks": 1, "dropout": 0.0}


def _encoder(
    height: int,
    width: int,
    channels: int,
    target: str | None = "label",
    levels: tuple[int, ...] = (0, 128, 255),
) -> ImageEncoder:
    columns = [Column(name="image", type="image", meaning="image", nullable=False)]
    if target is not None:
        columns.append(Column(name=target, type="int64", meaning="categorical"))
    table = TableSchema(name="images", columns=tuple(columns))
    schema = DatasetSchema(kind="image", tables=(table,), target=target)
    labels = Labels.of(columns[1], {"3": 30, "7": 10}, 40) if target else Labels.of(None, {}, 40)
    return ImageEncoder(schema, (channels, height, width), np.array(levels, np.uint8), labels)


def _model(encoder: ImageEncoder, **settings: float) -> Ddpm:
    torch.manual_seed(0)
    return Ddpm(encoder, Ddpm.Params.model_validate({**SMALL, **settings})).eval()


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (4, 4, Shape(patch=1, levels=2, height=4, width=4)),
        (8, 8, Shape(patch=1, levels=2, height=8, width=8)),
        (28, 28, Shape(patch=2, levels=2, height=28, width=28)),
        (32, 32, Shape(patch=2, levels=2, height=32, width=32)),
        (9, 5, Shape(patch=1, levels=2, height=10, width=6)),
        (33, 17, Shape(patch=4, levels=2, height=40, width=24)),
        (64, 64, Shape(patch=4, levels=2, height=64, width=64)),
        (256, 200, Shape(patch=16, levels=2, height=256, width=224)),
    ],
)
def test_the_network_sees_few_cells(height: int, width: int, expected: Shape) -> None:
    assert Shape.of(height, width, None) == expected


def test_patches_may_be_smaller() -> None:
    assert Shape.of(64, 64, 2) == Shape(patch=2, levels=3, height=64, width=64)


@pytest.mark.parametrize("shape", [(4, 4, 1), (5, 9, 3), (28, 28, 1), (33, 17, 3)], ids=str)
def test_any_size_works(shape: tuple[int, int, int]) -> None:
    height, width, channels = shape
    model = _model(_encoder(height, width, channels), steps=2)
    batch = {
        "pixels": torch.randint(0, 3, (6, channels, height, width), dtype=torch.uint8),
        "labels": torch.tensor([0, 1] * 3, dtype=torch.uint8),
    }
    losses = model(batch)
    assert losses.shape == (6,)
    assert losses.isfinite().all()
    sampled = model.sample(5, torch.Generator().manual_seed(0))
    assert sampled["pixels"].shape == (5, channels, height, width)
    assert int(sampled["pixels"].max()) <= 2
    assert sampled["labels"].dtype == sampled["pixels"].dtype == torch.uint8


def test_signal_and_noise_are_equal_halfway() -> None:
    signal, sigma = _model(_encoder(8, 8, 1))._strengths(torch.tensor([0.1, 0.5, 0.9]))
    assert (signal.square() + sigma.square()).tolist() == pytest.approx([1.0] * 3)
    # The cosine schedule: the signal is cos(pi t / 2).
    assert signal.tolist() == pytest.approx([math.cos(math.pi * t / 2) for t in (0.1, 0.5, 0.9)])


def test_larger_images_get_more_noise() -> None:
    # Twice the reference side: a signal-to-noise ratio of 1/4 halfway.
    signal, sigma = _model(_encoder(64, 64, 1))._strengths(torch.tensor([0.5]))
    assert signal.item() == pytest.approx(math.sqrt(0.2))
    assert sigma.item() == pytest.approx(math.sqrt(0.8))


def test_levels_are_scaled_by_their_values() -> None:
    model = _model(_encoder(8, 8, 1, levels=(10, 20, 50)))
    assert model.scale.tolist() == pytest.approx([-1.0, -0.5, 1.0])


def test_almost_black_is_black_where_most_pixels_are() -> None:
    encoder = _encoder(8, 8, 1, levels=tuple(range(256)))
    images = torch.tensor([0.0, 3.0, 100.4, 252.0])[None, None, None, :] / 127.5 - 1
    encoder.width, encoder.height = 4, 1
    assert _model(encoder)._levels(images).flatten().tolist() == [0, 3, 100, 252]
    encoder.level_counts = np.where(encoder.levels == 0, 100_000, 100)
    # log(1000) = 6.9 is the square of 3.7 standard deviations, over 2: 9.5 levels.
    assert _model(encoder)._levels(images).flatten().tolist() == [0, 0, 100, 252]


def test_it_learns_images_and_their_labels() -> None:
    encoder = _encoder(4, 4, 1)
    model = _model(encoder, steps=8).train()
    labels = torch.tensor([0, 1] * 16, dtype=torch.uint8)
    # Dark on the left for the first label, on the right for the second.
    left = torch.tensor([0, 0, 2, 2]).expand(4, 4)
    pixels = torch.where(labels[:, None, None] == 0, left, left.flip(1))[:, None].to(torch.uint8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(100):
        torch.manual_seed(step)
        optimizer.zero_grad()
        model({"pixels": pixels, "labels": labels}).mean().backward()
        optimizer.step()
    drawn = model.eval().sample(20, torch.Generator().manual_seed(0))
    expected = torch.where(drawn["labels"][:, None, None] == 0, left, left.flip(1))
    assert set(drawn["labels"].tolist()) == {0, 1}
    assert (drawn["pixels"][:, 0] == expected).float().mean() > 0.8


def test_images_of_one_colour_come_back() -> None:
    model = _model(_encoder(4, 4, 1, levels=(77,)), steps=2)
    batch = {"pixels": torch.zeros(3, 1, 4, 4, dtype=torch.uint8), "labels": torch.zeros(3)}
    assert model(batch).isfinite().all()
    drawn = model.sample(3, torch.Generator().manual_seed(0))
    assert drawn["pixels"].unique().tolist() == [0]


def test_labels_are_drawn_by_frequency_or_held() -> None:
    encoder = _encoder(4, 4, 1)
    model = _model(encoder, steps=1)
    free = model.sample(400, torch.Generator().manual_seed(0))["labels"]
    assert (free == 0).float().mean().item() == pytest.approx(0.75, abs=0.01)
    held = model.sample(9, torch.Generator().manual_seed(0), {"label": 7})
    assert encoder.decode(held, np.random.default_rng(0)).column("label").to_pylist() == [7] * 9
    with pytest.raises(TrainingError, match=r"expected labels among \['3', '7'\], found \['4'\]"):
        model.sample(1, torch.Generator(), {"label": 4})


def test_images_without_labels_work() -> None:
    model = _model(_encoder(4, 4, 1, target=None), steps=1)
    n = SAMPLED_ROWS + 1
    assert model.sample(n, torch.Generator().manual_seed(0))["labels"].tolist() == [0] * n


def test_guidance_overdoes_the_label() -> None:
    x, times = torch.randn(2, 1, 4, 4), torch.tensor(0.5)
    encoder = _encoder(4, 4, 1)
    plain, guided = _model(encoder, guidance=0.0), _model(encoder, guidance=2.0)
    for name, weight in plain.network.named_parameters():
        if "modulation" in name:  # starts at zero, where labels do nothing
            torch.nn.init.normal_(weight)
    guided.load_state_dict(plain.state_dict())
    labels = torch.tensor([0, 1])
    signal, sigma = plain._strengths(times)
    with torch.no_grad(), mixed_precision(x.device):
        one, none = (
            plain.network(x, times.expand(2), given)
            for given in (labels, torch.full_like(labels, len(encoder.labels)))
        )
        expected = (signal * x - sigma * (3 * one - 2 * none)).clamp(-1, 1)
        assert torch.allclose(guided._image(x, times, labels), expected, atol=1e-5)
        assert not torch.allclose(plain._image(x, times, labels), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("n_rows", "epochs"),
    [(9_000, 25), (1_125, 50), (9_000 * 16, 3), (9_000 * 256, 1)],
    ids=["reference", "an eighth", "16 times", "256 times"],
)
def test_more_images_are_looked_at_less_often(n_rows: int, epochs: int) -> None:
    # 300,000 / 9,000; a quarter of that over an eighth of the images; twice and 4 times as many
    # over 16 and 256 times, where an epoch ends after a million.
    schema = _encoder(4, 4, 1).schema
    assert Ddpm.recipe(n_rows, schema).epochs == epochs
