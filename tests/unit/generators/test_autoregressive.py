"""What the autoregressive model of tables must do beyond the contract of generators."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks.encoding.tabular import TabularEncoder
from tasks.errors import ParamsError, TrainingError
from tasks.generators.tabular.autoregressive import Autoregressive
from tasks.params import validated
from tests.datasets import table_of

N = 600


def _encoder(
    columns: dict[str, pa.Array], target: str | None
) -> tuple[TabularEncoder, pa.RecordBatch]:
    schema, batch = table_of(columns, target)
    return TabularEncoder.fit(schema, lambda: iter([batch]), np.random.default_rng(0)), batch


@pytest.fixture(scope="module")
def mixed() -> tuple[TabularEncoder, pa.RecordBatch]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    spiked = np.where(rng.random(N) < 0.3, 0.0, x + 0.1 * rng.normal(size=N))
    return _encoder(
        {
            "x": pa.array(x),
            "spiked": pa.array(spiked, mask=rng.random(N) < 0.1),
            "side": pa.array(np.where(x > 0, "right", "left")),
            "count": pa.array(rng.integers(0, 4, N)),
        },
        target="side",
    )


def _model(encoder: TabularEncoder, **settings: object) -> Autoregressive:
    torch.manual_seed(0)
    return Autoregressive(encoder, validated(Autoregressive.Params, settings, "test"))


def _train(model: Autoregressive, batch: dict[str, torch.Tensor], steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    model.train()
    for step in range(steps):
        rows = torch.arange(64) + 64 * step
        optimizer.zero_grad()
        model({name: tensor[rows % N] for name, tensor in batch.items()}).mean().backward()
        optimizer.step()
    model.eval()


def test_the_target_comes_first_and_continuous_columns_last(
    mixed: tuple[TabularEncoder, pa.RecordBatch],
) -> None:
    assert _model(mixed[0]).places.names == ["side", "count", "x", "spiked"]


def test_no_column_sees_itself_or_a_later_one(
    mixed: tuple[TabularEncoder, pa.RecordBatch],
) -> None:
    encoder, batch = mixed
    model = _model(encoder).eval()
    encoded = encoder.encode(batch)

    def features(encoded: dict[str, torch.Tensor]) -> torch.Tensor:
        tokens = model.places.split(encoded["tokens"])
        cells = model._continuous_cells(encoded, tokens, model.regression.usual)
        return model.network(model._features(tokens, cells))

    before = features(encoded)
    for j, name in enumerate(model.places.names):
        changed = {key: tensor.clone() for key, tensor in encoded.items()}
        column = int(model.places.columns[j])
        if j in model.places.continuous:
            changed["rank_low"][:, encoder.continuous.index(column)] *= 0.5
        else:
            changed["tokens"][:, column] = 1 - changed["tokens"][:, column].clamp(max=1)
        after = features(changed)
        assert torch.equal(after[:, : j + 1], before[:, : j + 1]), name
        assert j == len(model.places) - 1 or not torch.equal(after[:, j + 1], before[:, j + 1]), (
            name
        )


def test_samples_follow_the_likelihood(mixed: tuple[TabularEncoder, pa.RecordBatch]) -> None:
    encoder, batch = mixed
    model = _model(encoder)
    _train(model, encoder.encode(batch), 200)
    sampled = model.sample(4_000, torch.Generator().manual_seed(0))
    # Rows that the model draws are as likely to it as those that it was trained on.
    with torch.no_grad():
        own, real = model(sampled).mean(), model(encoder.encode(batch)).mean()
    assert own.item() == pytest.approx(real.item(), abs=0.35)
    rows = encoder.decode(sampled, np.random.default_rng(0))
    x, side = rows.column("x").to_numpy(), np.array(rows.column("side").to_pylist())
    assert ((x > 0) == (side == "right")).mean() > 0.9
    spiked = rows.column("spiked").to_numpy(zero_copy_only=False)
    assert np.isnan(spiked).mean() == pytest.approx(0.1, abs=0.04)
    assert (spiked == 0).mean() == pytest.approx(0.27, abs=0.05)
    free = np.isfinite(spiked) & (spiked != 0)
    assert np.corrcoef(x[free], spiked[free])[0, 1] > 0.95


def _drawn(
    encoder: TabularEncoder, model: Autoregressive, n: int, conditions: dict[str, object]
) -> pa.RecordBatch:
    sampled = model.sample(n, torch.Generator().manual_seed(0), conditions)
    return encoder.decode(sampled, np.random.default_rng(0))


@pytest.mark.parametrize(
    "conditions",
    [
        {"side": "left"},
        {"count": 3, "side": "left"},
        {"spiked": 0.0},
        {"spiked": None, "count": 1},
        {"side": "left", "count": 2, "x": -0.5, "spiked": 0.0},
    ],
)
def test_any_columns_can_be_held(
    mixed: tuple[TabularEncoder, pa.RecordBatch], conditions: dict[str, object]
) -> None:
    encoder, _ = mixed
    rows = _drawn(encoder, _model(encoder), 50, conditions).to_pandas()
    for name, value in conditions.items():
        if value is None:
            assert rows[name].isna().all()
        elif name == "x":
            assert rows[name].to_numpy() == pytest.approx(np.full(50, value), abs=0.02)
        else:
            assert set(rows[name]) == {value}


def test_each_row_may_have_a_condition_of_its_own(
    mixed: tuple[TabularEncoder, pa.RecordBatch],
) -> None:
    encoder, _ = mixed
    wanted = ["left", "right", "right", "left"]
    rows = _drawn(encoder, _model(encoder), 4, {"side": pa.array(wanted)})
    assert rows.column("side").to_pylist() == wanted


def test_free_columns_follow_those_that_are_held(
    mixed: tuple[TabularEncoder, pa.RecordBatch],
) -> None:
    encoder, batch = mixed
    model = _model(encoder)
    _train(model, encoder.encode(batch), 400)
    # x comes after the target, so this is against the usual order.
    for x, side in ((1.5, "right"), (-1.5, "left")):
        rows = _drawn(encoder, model, 400, {"x": x}).to_pandas()
        assert (rows["side"] == side).mean() > 0.9
        free = rows["spiked"][rows["spiked"].notna() & (rows["spiked"] != 0)]
        assert free.mean() == pytest.approx(x, abs=0.25)


def test_a_block_drawn_in_any_order_has_the_distribution_of_the_loss(
    mixed: tuple[TabularEncoder, pa.RecordBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, batch = mixed
    model = _model(encoder)
    _train(model, encoder.encode(batch), 200)
    given = {model.places.names.index("spiked")}
    rows = batch.slice(0, 300)
    held = rows.column("spiked").to_pylist() * 10
    drawn = model.sample(3_000, torch.Generator().manual_seed(0), {"spiked": held})
    monkeypatch.setattr(model, "_given", lambda: given)
    with torch.no_grad():
        own, real = model(drawn).mean(), model(encoder.encode(rows)).mean()
    assert own.item() == pytest.approx(real.item(), abs=0.35)


def test_very_many_categories_are_two_digits() -> None:
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.repeat(np.arange(1_500), 6))
    encoder, batch = _encoder(
        {"code": pa.array([f"c{i}" for i in codes]), "odd": pa.array((codes % 2).astype(str))}, None
    )
    model = _model(encoder)
    assert model.places.names == ["code", "code", "odd"]
    assert model.places.n_tokens == [39, 39, 2]
    encoded = encoder.encode(batch)
    split = model.places.split(encoded["tokens"])
    assert torch.equal(model.places.merge(split), encoded["tokens"].long())
    # 1,500 is not 39 x 39: the digits past the last category are never drawn.
    tokens = model.sample(3_000, torch.Generator().manual_seed(0))["tokens"][:, 0]
    assert tokens.min() >= 0
    assert tokens.max() < 1_500
    rows = _drawn(encoder, model, 5, {"code": "c77", "odd": "1"})
    assert set(rows.column("code").to_pylist()) == {"c77"}


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"x": 99.5}, "cannot be held at 99.5: it was learned from about"),
        ({"x": -99.5}, "cannot be held at -99.5: it was learned from about"),
        ({"count": 3.5}, "expected values of type int64"),
        ({"side": "middle"}, "cannot be held at 'middle': it was learned to be 'left', 'right'"),
        ({"sight": 1}, "expected one of the columns"),
        ({"side": ["left"]}, "expected one value or 3, found 1"),
    ],
)
def test_other_conditions_are_refused(
    mixed: tuple[TabularEncoder, pa.RecordBatch], conditions: dict[str, object], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        _model(mixed[0]).sample(3, torch.Generator().manual_seed(0), conditions)


def test_ranks_of_many_rows_are_even_and_keep_their_order() -> None:
    x = np.random.default_rng(0).normal(size=N)
    encoder, _ = _encoder({"x": pa.array(x), "twice": pa.array(2 * x + 1)}, None)
    sampled = _model(encoder).sample(2_000, torch.Generator().manual_seed(0))
    for ranks in sampled["rank_low"].double().T:
        assert torch.equal((ranks * 2_000).long().sort().values, torch.arange(2_000))
    rows = encoder.decode(sampled, np.random.default_rng(0)).to_pandas()
    assert rows.corr(method="spearman").iloc[0, 1] > 0.99


def test_collinear_columns_stay_collinear_without_training() -> None:
    x = np.random.default_rng(0).normal(size=N)
    encoder, _ = _encoder({"x": pa.array(x), "twice": pa.array(2 * x + 1)}, None)
    sampled = _model(encoder).sample(N, torch.Generator().manual_seed(0))
    rows = encoder.decode(sampled, np.random.default_rng(0)).to_pandas()
    assert rows.corr().iloc[0, 1] > 0.99


@pytest.mark.parametrize(
    "columns",
    [
        {"a": pa.array(["x", "y"] * 20)},
        {"a": pa.array(np.linspace(0, 1, 40) ** 3)},
        {"a": pa.array(["x", "y"] * 20), "c": pa.array(["k"] * 40), "n": pa.nulls(40, pa.int64())},
    ],
    ids=["tokens", "continuous", "constants"],
)
def test_small_tables_work(columns: dict[str, pa.Array]) -> None:
    encoder, batch = _encoder(columns, None)
    model = _model(encoder)
    assert model(encoder.encode(batch)).isfinite().all()
    rows = encoder.decode(
        model.sample(7, torch.Generator().manual_seed(0)), np.random.default_rng(0)
    )
    assert rows.num_rows == 7


def test_settings_are_checked() -> None:
    with pytest.raises(ParamsError, match="dropout"):
        validated(Autoregressive.Params, {"dropout": 1.5}, "test")
    with pytest.raises(ParamsError, match="hidden_unit: unknown key"):
        validated(Autoregressive.Params, {"hidden_unit": 3}, "test")
