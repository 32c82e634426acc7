"""What the three ways of writing rows as vectors, and CTGAN's parts, must compute."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from tasks.encoding.modes import CountingEncoder, Mixture
from tasks.errors import TrainingError
from tasks.generators.tabular import ctgan
from tasks.generators.tabular.ctgan import Ctgan, TrainingBySampling, gradient_penalty
from tasks.generators.tabular.gan import Gan
from tasks.generators.tabular.parts.vectors import ModeNormalization, RowVectors, gumbel
from tasks.generators.tabular.tvae import Tvae
from tests.datasets import table_of

N = 1_000


def _encoder(columns: dict[str, pa.Array]) -> tuple[CountingEncoder, pa.RecordBatch]:
    schema, batch = table_of(columns)
    return CountingEncoder.fit(schema, lambda: iter([batch]), np.random.default_rng(0)), batch


@pytest.fixture(scope="module")
def mixed() -> tuple[CountingEncoder, pa.RecordBatch]:
    """A common and a rare category, a spike of zeros in a continuous column, two even values."""
    rng = np.random.default_rng(0)
    return _encoder(
        {
            "c": pa.array(["common"] * 900 + ["rare"] * 99 + [None]),
            "x": pa.array(np.where(np.arange(N) % 2 == 0, 0.0, rng.normal(5, 1, N))),
            "flag": pa.array(np.arange(N) % 2),
        }
    )


def _model(encoder: CountingEncoder, **settings: object) -> Ctgan:
    torch.manual_seed(0)
    return Ctgan(encoder, Ctgan.Params(**settings))


def test_a_place_is_the_distance_in_four_standard_deviations(
    mixed: tuple[CountingEncoder, pa.RecordBatch],
) -> None:
    encoder, _ = mixed
    ones = Mixture(np.array([0.5, 0.5]), np.array([-1.0, 1.0]), np.array([0.5, 0.25]))
    encoder, encoder.mixtures = _encoder({"x": pa.array(np.linspace(0, 1, 300))})[0], [ones]
    modes = ModeNormalization(encoder)
    values = torch.tensor([[-2.0], [1.5], [9.0]])
    found, places = modes(values, torch.zeros(3, 1, 2))
    assert found.tolist() == [[0], [1], [0]]
    # (-2 + 1) / (4 * 0.5), (1.5 - 1) / (4 * 0.25), and one that is cut off.
    assert places.flatten().tolist() == [-0.5, 0.5, 1.0]
    assert modes.restore(found, places).flatten().tolist() == [-2.0, 1.5, 1.0]


def test_modes_are_drawn_by_their_posterior() -> None:
    ones = Mixture(np.array([0.8, 0.2]), np.array([0.0, 0.0]), np.array([1.0, 1.0]))
    encoder, _ = _encoder({"x": pa.array(np.linspace(0, 1, 300))})
    encoder.mixtures = [ones]
    modes = ModeNormalization(encoder)
    torch.manual_seed(0)
    found, _ = modes(torch.zeros(20_000, 1), modes.noise(20_000))
    assert found.double().mean().item() == pytest.approx(0.2, abs=0.01)


def test_a_row_as_a_vector_and_back(mixed: tuple[CountingEncoder, pa.RecordBatch]) -> None:
    encoder, batch = mixed
    vectors = RowVectors(encoder)
    encoded = encoder.encode(batch)
    rows = vectors(encoded)
    n_modes = len(encoder.mixtures[0].means)
    # c: common, rare (the single missing value) ...; x: spike, continuous; flag: 0, 1.
    assert vectors.rows.sizes == [3, 2, 2]
    assert rows.shape == (N, 7 + n_modes + 1)
    assert (rows[:, :7].sum(dim=1) == 3).all()
    continuous = torch.arange(N) % 2 == 1
    assert torch.equal(rows[:, 7 : 7 + n_modes].sum(dim=1), continuous.float())
    assert (rows[~continuous, -1] == 0).all()
    # Logits that are certain are drawn as they are.
    logits = (rows[:, : vectors.n_choices] - 0.5) * 200
    drawn = vectors.draw(logits, rows[:, vectors.n_choices :], torch.Generator().manual_seed(0))
    assert torch.equal(drawn["tokens"], encoded["tokens"])
    inside = rows[:, -1].abs() < 1
    gap = (drawn["values"] - encoded["values"])[continuous & inside].abs().max()
    assert gap < 1e-5


def test_what_is_not_continuous_fades(mixed: tuple[CountingEncoder, pa.RecordBatch]) -> None:
    vectors = RowVectors(mixed[0])
    shares = torch.zeros(1, vectors.n_choices)
    shares[0, 3:5] = torch.tensor([0.75, 0.25])  # x: spike, continuous
    shares[0, 7] = 1.0
    relaxed = vectors.relaxed(shares, torch.tensor([[0.8]]))
    assert relaxed[0, 7].item() == 0.25
    assert relaxed[0, -1].item() == pytest.approx(0.2)


def test_gumbel_noise_is_finite_and_has_its_mean() -> None:
    assert gumbel(torch.tensor([0.0, 1.0])).isfinite().all()
    torch.manual_seed(0)
    assert gumbel(torch.rand(100_000)).mean().item() == pytest.approx(0.5772, abs=0.02)


def test_values_are_trained_on_by_the_logarithm_of_their_frequency(
    mixed: tuple[CountingEncoder, pa.RecordBatch],
) -> None:
    encoder, batch = mixed
    conditions = TrainingBySampling(encoder, RowVectors(encoder))
    tokens = encoder.encode(batch)["tokens"].long()
    torch.manual_seed(0)
    rows, is_held = conditions.draw_rows(tokens, 60_000)
    assert (is_held.sum(dim=1) == 1).all()
    np.testing.assert_allclose(is_held.double().mean(dim=0), [1 / 3] * 3, atol=0.01)
    of_c = tokens[rows[is_held[:, 0]], 0].bincount().double()
    logs = np.log1p([900, 99, 1])
    np.testing.assert_allclose(of_c / of_c.sum(), logs / logs.sum(), atol=0.01)


def test_rows_are_sampled_by_frequency(mixed: tuple[CountingEncoder, pa.RecordBatch]) -> None:
    encoder, _ = mixed
    conditions = TrainingBySampling(encoder, RowVectors(encoder))
    tokens = torch.zeros(3_000, 3, dtype=torch.long)
    is_held = torch.zeros(3_000, 3, dtype=torch.bool)
    conditions.draw(tokens, is_held, torch.Generator().manual_seed(0))
    assert is_held.sum(dim=0).tolist() == [1_000, 1_000, 1_000]
    assert tokens[is_held[:, 0], 0].bincount(minlength=3).tolist() == [900, 99, 1]


def test_a_condition_is_one_hot(mixed: tuple[CountingEncoder, pa.RecordBatch]) -> None:
    encoder, _ = mixed
    vectors = RowVectors(encoder)
    conditions = TrainingBySampling(encoder, vectors)
    symbols = vectors.symbols(torch.tensor([[1, 0, 1]]))
    assert symbols.tolist() == [[0, 1, 0, 1, 0, 0, 1]]
    told = conditions.vectors(symbols, torch.tensor([[False, False, True]]))
    assert told.tolist() == [[0, 0, 0, 0, 0, 0, 1]]


def test_the_penalty_of_a_linear_critic_is_known() -> None:
    """The gradient of w x over a pack of 2 rows of 2 numbers is w, of length 5: (5 - 1)^2."""
    critic = nn.Sequential(nn.Unflatten(0, (-1, 2)), nn.Flatten(1), nn.Linear(4, 1))
    critic.append(nn.Flatten(0))
    with torch.no_grad():
        critic[2].weight.copy_(torch.tensor([[1.0, 2.0, 2.0, 4.0]]))
    real, fake = torch.randn(6, 2), torch.randn(6, 2)
    penalty = gradient_penalty(critic, real, fake, pac=2)
    assert penalty.tolist() == pytest.approx([16.0] * 3)
    # The same where gradients are switched off, as in validation.
    with torch.no_grad():
        assert gradient_penalty(critic, real, fake, pac=2).tolist() == pytest.approx([16.0] * 3)


@pytest.mark.parametrize(("n_rows", "n_packs"), [(1, 1), (10, 1), (11, 2), (25, 3)])
def test_the_critic_judges_packs(
    mixed: tuple[CountingEncoder, pa.RecordBatch], n_rows: int, n_packs: int
) -> None:
    encoder, batch = mixed
    model = _model(encoder, pac=10).train()
    assert model.critic.network[0].in_features == 10 * (model.vectors.width + 7)
    losses = model({k: t[:n_rows] for k, t in encoder.encode(batch).items()}, "critic")
    assert losses.shape == (n_rows,)
    assert len(losses.unique()) == n_packs


def test_wide_rows_are_narrowed_before_they_are_packed(
    mixed: tuple[CountingEncoder, pa.RecordBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctgan, "WIDE", 5)
    encoder, batch = mixed
    model = _model(encoder, pac=4)
    assert model.critic.network[0].in_features == 4 * ctgan.NARROW
    assert model.generator.narrow.out_features == ctgan.NARROW
    for objective in model.objectives():
        assert model(encoder.encode(batch.slice(0, 9)), objective.name).isfinite().all()


def test_held_values_are_in_every_row(mixed: tuple[CountingEncoder, pa.RecordBatch]) -> None:
    encoder, _ = mixed
    model = _model(encoder).eval()
    flags = [0, 1] * 10
    held = {"c": "rare", "flag": flags, "x": 0.0}
    drawn = model.sample(20, torch.Generator().manual_seed(0), held)
    rows = encoder.decode(drawn, np.random.default_rng(0)).to_pydict()
    assert rows["c"] == ["rare"] * 20
    assert rows["flag"] == flags
    assert rows["x"] == [0.0] * 20


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"x": 5.0}, "cannot be held|cannot hold"),
        ({"c": "unheard of"}, "unheard of"),
        ({"nobody": 1}, "nobody"),
        ({"flag": [0, 1, 0]}, "expected one value or 20, found 3"),
    ],
)
def test_what_cannot_be_held_is_an_error(
    mixed: tuple[CountingEncoder, pa.RecordBatch], held: dict[str, object], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        _model(mixed[0]).sample(20, torch.Generator().manual_seed(0), held)


@pytest.mark.parametrize("cls", [Gan, Tvae])
def test_the_others_hold_nothing(
    mixed: tuple[CountingEncoder, pa.RecordBatch], cls: type[Gan] | type[Tvae]
) -> None:
    with pytest.raises(TrainingError, match="`ctgan` holds"):
        cls(mixed[0], cls.Params()).sample(2, torch.Generator().manual_seed(0), {"flag": 1})


@pytest.mark.parametrize("cls", [Gan, Ctgan, Tvae])
@pytest.mark.parametrize(
    "columns",
    [
        {"c": pa.array(["a", "b"] * 50)},
        {"x": pa.array(np.random.default_rng(0).normal(size=100))},
        {"c": pa.array(["a", "b"] * 50), "nothing": pa.nulls(100, pa.float64())},
        {"many": pa.array([f"{i % 2_000}" for i in range(10_000)])},
    ],
    ids=["categories", "numbers", "missing", "many categories"],
)
def test_unusual_tables(
    cls: type[Gan] | type[Ctgan] | type[Tvae], columns: dict[str, pa.Array]
) -> None:
    encoder, batch = _encoder(columns)
    torch.manual_seed(0)
    model = cls(encoder, cls.Params(hidden_units=8))
    few = encoder.encode(batch.slice(0, 30))
    for objective in model.objectives():
        assert model(few, objective.name).isfinite().all()
    drawn = model.eval().sample(7, torch.Generator().manual_seed(0))
    assert encoder.decode(drawn, np.random.default_rng(0)).num_rows == 7
