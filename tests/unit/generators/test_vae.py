"""What the autoencoder of images must do beyond the contract of generators."""

import numpy as np
import pytest
import torch

from tasks.encoding.image import ImageEncoder
from tasks.encoding.labels import Labels
from tasks.errors import TrainingError
from tasks.generators.image.vae import Vae, level_log_likelihood, sample_levels
from tasks.generators.layers import Mixture
from tasks.schema import Column, DatasetSchema, TableSchema


def _encoder(height: int, width: int, channels: int, target: str | None = "label") -> ImageEncoder:
    columns = [Column(name="image", type="image", meaning="image", nullable=False)]
    if target is not None:
        columns.append(Column(name=target, type="int64", meaning="categorical"))
    table = TableSchema(name="images", columns=tuple(columns))
    schema = DatasetSchema(kind="image", tables=(table,), target=target)
    labels = Labels.of(columns[1], {"3": 30, "7": 10}, 40) if target else Labels.of(None, {}, 40)
    levels = np.array([0, 128, 255], dtype=np.uint8)
    return ImageEncoder(schema, (channels, height, width), levels, labels)


def _model(encoder: ImageEncoder) -> Vae:
    torch.manual_seed(0)
    return Vae(encoder, Vae.Params()).eval()


@pytest.mark.parametrize("shape", [(4, 4, 1), (5, 9, 3), (8, 8, 1), (33, 17, 3)], ids=str)
def test_any_size_works(shape: tuple[int, int, int]) -> None:
    height, width, channels = shape
    model = _model(_encoder(height, width, channels))
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
    assert sampled["labels"].dtype == torch.uint8


def test_labels_are_drawn_by_frequency_or_held() -> None:
    encoder = _encoder(4, 4, 1)
    model = _model(encoder)
    free = model.sample(4_000, torch.Generator().manual_seed(0))["labels"]
    assert (free == 0).float().mean().item() == pytest.approx(0.75, abs=0.03)
    held = model.sample(9, torch.Generator().manual_seed(0), {"label": 7})
    rows = encoder.decode(held, np.random.default_rng(0))
    assert rows.column("label").to_pylist() == [7] * 9


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"label": 4}, r"expected labels among \['3', '7'\], found \['4'\]"),
        ({"label": None}, "impossible condition"),
        ({"label": "seven"}, "expected a label of type int64"),
        ({"width": 4}, r"conditions on 'label' alone, found \['width'\]"),
    ],
)
def test_other_conditions_are_refused(conditions: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        _model(_encoder(4, 4, 1)).sample(2, torch.Generator().manual_seed(0), conditions)


def test_images_without_labels_work() -> None:
    model = _model(_encoder(4, 4, 1, target=None))
    assert model.sample(3, torch.Generator().manual_seed(0))["labels"].tolist() == [0, 0, 0]


def _mixture(*, mean: float, log_scale: float, n: int) -> Mixture:
    return Mixture(torch.zeros(n, 1), torch.full((n, 1), mean), torch.full((n, 1), log_scale))


def test_one_logistic_over_three_levels() -> None:
    # Levels at -1, 0, 1; a standard logistic has sigmoid(-1/2) below -1/2.
    levels = torch.arange(3)
    shares = level_log_likelihood(levels, 3, _mixture(mean=0.0, log_scale=0.0, n=3)).exp()
    low = 1 / (1 + np.exp(0.5))
    assert shares.tolist() == pytest.approx([low, 1 - 2 * low, low], abs=1e-5)


@pytest.mark.parametrize("n_levels", [1, 2, 17, 256])
@pytest.mark.parametrize("log_scale", [-6.0, 0.0, 3.0])
def test_levels_share_all_the_mass(n_levels: int, log_scale: float) -> None:
    mixture = _mixture(mean=0.3, log_scale=log_scale, n=n_levels)
    total = level_log_likelihood(torch.arange(n_levels), n_levels, mixture).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-3)


def test_levels_are_drawn_by_their_likelihood() -> None:
    mixture = _mixture(mean=0.2, log_scale=-1.0, n=100_000)
    drawn = sample_levels(5, mixture, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn.long(), minlength=5) / 100_000
    expected = level_log_likelihood(torch.arange(5), 5, _mixture(mean=0.2, log_scale=-1.0, n=5))
    assert shares.tolist() == pytest.approx(expected.exp().tolist(), abs=0.006)
