"""One suite for every generator that can be trained with differential privacy, and for those that cannot."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks import registry
from tasks.encoding.modes import ModeSpecificEncoder
from tasks.encoding.private import fit_private
from tasks.encoding.tabular import TabularEncoder
from tasks.errors import ParamsError
from tasks.generators.base import DataGenerator
from tasks.noise import SecretNoise
from tasks.params import PrivacyParams, TrainParams
from tasks.privacy.row_gradients import RowGradients
from tasks.schema import Column, DatasetSchema, Kind, TableSchema, arrow_schema
from tasks.training.checkpoint import Checkpoint
from tasks.training.device import reproducible
from tasks.training.loop import fit
from tasks.training.model import generator_class, load_model, save_model
from tasks.training.private import PRIVATE_ENCODERS

N_ROWS = 400
KEY = bytes(range(32))
CPU = torch.device("cpu")
ALL = [
    (kind, name) for kind in get_args(Kind) for name in registry.names(f"tasks.generators.{kind}")
]
PRIVATE = [name for kind, name in ALL if generator_class(kind, name).supports_dp]
NOT_PRIVATE = [(kind, name) for kind, name in ALL if not generator_class(kind, name).supports_dp]
SETTINGS = TrainParams(
    epochs=2,
    batch_size=100,
    threads=1,
    device="cpu",
    privacy=PrivacyParams(epsilon=6.0, delta=1e-3),
)


def _rows() -> tuple[DatasetSchema, pa.RecordBatch]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=N_ROWS)
    columns = {
        "group": (pa.array(np.where(x > 0, "a", "b")), "categorical"),
        "x": (pa.array(x), "numeric"),
        "y": (pa.array(2 * x, mask=rng.random(N_ROWS) < 0.3), "numeric"),
        "flag": (pa.array(x > 0.5), "boolean"),
    }
    described = tuple(
        Column(name=name, type=str(values.type), meaning=meaning)  # type: ignore[arg-type]
        for name, (values, meaning) in columns.items()
    )
    table = TableSchema(name="t", columns=described)
    schema = DatasetSchema(kind="tabular", tables=(table,), target="group")
    arrays = [values for values, _ in columns.values()]
    return schema, pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(table))


SCHEMA, ROWS = _rows()


def _fit(
    cls: type[DataGenerator],
    rows: pa.RecordBatch = ROWS,
    *,
    checkpoint: Checkpoint | None = None,
    kill_at: int | None = None,
) -> tuple[dict[str, torch.Tensor], list[tuple[int, dict[str, float]]]]:
    told: list[tuple[int, dict[str, float]]] = []

    def report(step: int, metrics: Mapping[str, float]) -> None:
        told.append((step, dict(metrics)))
        if step == kill_at:
            raise KeyboardInterrupt

    fitted = fit(
        cls,
        cls.Params(),
        SCHEMA,
        lambda: iter([rows]),
        SETTINGS,
        seed=0,
        checkpoint=checkpoint,
        report=report,
        key=KEY,
    )
    return fitted.generator.state_dict(), told


@pytest.fixture(params=PRIVATE)
def cls(request: pytest.FixtureRequest) -> Iterator[type[DataGenerator]]:
    with reproducible(CPU, threads=1):
        yield generator_class("tabular", request.param)


def test_there_is_something_to_test() -> None:
    assert {"autoregressive", "vae", "tvae", "tabdiff"} <= set(PRIVATE)
    assert {"gan", "ctgan"} <= {name for _, name in NOT_PRIVATE}


@pytest.mark.parametrize(("kind", "name"), NOT_PRIVATE)
def test_the_others_say_that_they_cannot(kind: Kind, name: str) -> None:
    cls = generator_class(kind, name)
    with pytest.raises(ParamsError, match=r"train\.privacy.*cannot"):
        fit(cls, cls.Params(), SCHEMA, lambda: iter([ROWS]), SETTINGS, seed=0)


def _encoder(cls: type[DataGenerator]) -> TabularEncoder:
    fitted = fit_private(
        SCHEMA, lambda: iter([ROWS]), SecretNoise(KEY), noise_multiplier=0.1, delta=1e-3
    )
    assert cls.encoder_class in PRIVATE_ENCODERS
    if issubclass(cls.encoder_class, ModeSpecificEncoder):
        return cls.encoder_class.from_tabular(fitted)
    return fitted


def test_gradients_of_rows_are_those_of_one_row_at_a_time(cls: type[DataGenerator]) -> None:
    encoder = _encoder(cls)
    torch.manual_seed(0)
    generator = cls(encoder, cls.Params()).train()
    batch = encoder.encode(ROWS.slice(0, 8))
    # A weight behind another that starts at zero has a gradient from the second step on.
    optimizer = torch.optim.SGD(generator.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        generator(batch).mean().backward()
        optimizer.step()
    RowGradients(generator).check(lambda part: generator({k: v[part] for k, v in batch.items()}), 8)


def test_the_loss_of_a_row_depends_on_no_other_row(cls: type[DataGenerator]) -> None:
    encoder = _encoder(cls)
    torch.manual_seed(0)
    generator = cls(encoder, cls.Params()).train()
    batch = encoder.encode(ROWS.slice(0, 8))
    other = {name: tensor.clone() for name, tensor in batch.items()}
    for name, tensor in encoder.encode(ROWS.slice(20, 7)).items():
        other[name][1:] = tensor
    losses = []
    for rows in (batch, other):
        torch.manual_seed(1)
        losses.append(generator(rows))
    torch.testing.assert_close(losses[0][0], losses[1][0])
    assert not torch.allclose(losses[0][1:], losses[1][1:])


def test_a_training_that_was_killed_goes_on_bit_for_bit(
    cls: type[DataGenerator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, told = _fit(cls)
    assert [step for step, _ in told] == [4, 8]
    monkeypatch.setattr(Checkpoint, "is_due", lambda _: True)
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _fit(cls, checkpoint=checkpoint, kill_at=8)
    saved = checkpoint.load()
    assert saved is not None
    assert saved[1]["privacy"]["history"][1][2] == saved[1]["step"] == 4
    continued, again = _fit(cls, checkpoint=checkpoint)
    assert again == told
    assert whole.keys() == continued.keys()
    assert all(torch.equal(whole[name], continued[name]) for name in whole)


def test_nothing_is_told_of_rows_but_what_is_paid_for(
    cls: type[DataGenerator], tmp_path: Path
) -> None:
    fitted = fit(cls, cls.Params(), SCHEMA, lambda: iter([ROWS]), SETTINGS, seed=0, key=KEY)
    summary = fitted.summary
    assert summary["history"] == []
    assert summary["best_validation_loss"] is None
    assert summary["validation_rows"] == 0
    assert 5.5 < summary["privacy"]["epsilon"] <= 6.0
    names = registry.names("tasks.generators.tabular")
    name = next(n for n in names if generator_class("tabular", n) is cls)
    save_model(tmp_path, "tabular", name, cls.Params(), fitted)
    loaded = load_model(tmp_path, CPU)
    drawn = loaded.generator.sample(50, torch.Generator().manual_seed(0))
    rows = loaded.encoder.decode(drawn, np.random.default_rng(0))
    rows.cast(arrow_schema(SCHEMA.main)).validate(full=True)


def test_one_row_more_or_less_leaves_the_model_nearly_the_same(cls: type[DataGenerator]) -> None:
    # Not a proof: with the same noise, a row that is far from all others must not show.
    extreme = ROWS.to_pylist()
    extreme[0] = {"group": "b", "x": 1e6, "y": -1e6, "flag": True}
    neighbour = pa.RecordBatch.from_pylist(extreme, ROWS.schema)
    one, other = (_fit(cls, rows)[0] for rows in (ROWS, neighbour))
    assert one.keys() == other.keys()
    assert all(one[name].shape == other[name].shape for name in one)
    assert all(tensor.isfinite().all() for tensor in other.values() if tensor.is_floating_point())
