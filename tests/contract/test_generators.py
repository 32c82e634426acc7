"""One suite for every generator: what the training loop and the stages rely on."""

import datetime as dt
import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import Parameter

from tasks import registry
from tasks.encoding.base import Encoder
from tasks.generators.base import DataGenerator, Objective, Recipe
from tasks.params import Record, TrainParams
from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, Kind, TableSchema, arrow_schema
from tasks.training.device import reproducible
from tasks.training.loop import fit
from tasks.training.model import Model, generator_class, load_model, save_model
from tasks.training.transfer import Parent, inherit
from tests.datasets import table_of

N_ROWS = 64
CPU = torch.device("cpu")
SMALL: dict[tuple[Kind, str], dict[str, Any]] = {
    ("image", "ddpm"): {"width": 16, "blocks": 1, "steps": 4},
    ("text", "seq2seq"): {"embedding_dim": 16, "n_units": 24},
    ("text", "transformer"): {"width": 32, "n_layers": 1, "n_heads": 2},
    ("text", "vae"): {"embedding_dim": 16, "n_units": 24, "latent_dim": 4},
    ("multimodal", "paired"): {
        "image": "vae",
        "image_params": {"channels": 8},
        "text_params": {"width": 16, "n_layers": 1, "n_heads": 2},
    },
}
"""Settings of generators whose own are too slow for a suite."""


def _table() -> tuple[DatasetSchema, pa.RecordBatch]:
    """Every meaning, missing values, a constant, something continuous and something rare."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=N_ROWS)
    group = np.where(x > 0, "a", rng.choice(["b", "c"], N_ROWS))
    start = dt.datetime(2020, 1, 1)  # noqa: DTZ001
    columns = {
        "id": (pa.array(range(1, N_ROWS + 1)), "identifier"),
        "group": (pa.array(group), "categorical"),
        "x": (pa.array(x), "numeric"),
        "y": (pa.array(2 * x, mask=rng.random(N_ROWS) < 0.2), "numeric"),
        "count": (pa.array(rng.integers(0, 5, N_ROWS)), "numeric"),
        "flag": (pa.array(x > 0.5), "boolean"),
        "day": (
            pa.array([start + dt.timedelta(days=int(d)) for d in rng.integers(0, 900, N_ROWS)]),
            "datetime",
        ),
        "same": (pa.array(["k"] * N_ROWS), "categorical"),
        "nothing": (pa.nulls(N_ROWS, pa.string()), "categorical"),
    }
    batch = pa.RecordBatch.from_pydict({name: values for name, (values, _) in columns.items()})
    described = tuple(
        Column(
            name=name,
            type=str(values.type),
            meaning=meaning,
            nullable=values.null_count > 0,
        )
        for name, (values, meaning) in columns.items()
    )
    table = TableSchema(name="t", columns=described, primary_key=("id",))
    schema = DatasetSchema(kind="tabular", tables=(table,), target="group")
    return schema, batch.cast(arrow_schema(table))


def _images() -> tuple[DatasetSchema, pa.RecordBatch]:
    digits = load_digits()
    structs = [
        {"bytes": _png(pixels), "path": f"{i}.png"}
        for i, pixels in enumerate(digits.images[:N_ROWS])
    ]
    labels = [str(label) for label in digits.target[:N_ROWS]]
    table = TableSchema(
        name="images",
        columns=(
            Column(name="image", type="image", meaning="image", nullable=False),
            Column(name="label", type="string", meaning="categorical", nullable=False),
        ),
    )
    schema = DatasetSchema(kind="image", tables=(table,), target="label")
    arrays = [pa.array(structs, IMAGE_TYPE), pa.array(labels)]
    return schema, pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(table))


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((pixels * 15.9375).astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


def _texts() -> tuple[DatasetSchema, pa.RecordBatch]:
    """Two labels with words of their own; a text of one word, and signs of other scripts."""
    rng = np.random.default_rng(0)
    words = {
        "ham": ["see", "you", "at", "home", "soon", "ok", "été"],
        "spam": ["win", "free", "cash", "now", "😀"],
    }
    labels = ["ham" if i % 3 else "spam" for i in range(N_ROWS)]
    texts = [" ".join(rng.choice(words[label], 1 + i % 6)) for i, label in enumerate(labels)]
    table = TableSchema(
        name="messages",
        columns=(
            Column(name="text", type="string", meaning="text", nullable=False),
            Column(name="label", type="string", meaning="categorical", nullable=False),
        ),
    )
    schema = DatasetSchema(kind="text", tables=(table,), target="label")
    arrays = [pa.array(texts), pa.array(labels)]
    return schema, pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(table))


def _paired() -> tuple[DatasetSchema, pa.RecordBatch]:
    """Each digit with a sentence about it, and two labels."""
    _, images = _images()
    _, texts = _texts()
    table = TableSchema(
        name="pairs",
        columns=(
            Column(name="image", type="image", meaning="image", nullable=False),
            Column(name="text", type="string", meaning="text", nullable=False),
            Column(name="kind", type="string", meaning="categorical", nullable=False),
            Column(name="long", type="bool", meaning="boolean", nullable=False),
        ),
    )
    lengths = pc.utf8_length(texts["text"])
    arrays = [images["image"], texts["text"], texts["label"], pc.greater(lengths, 15)]
    schema = DatasetSchema(kind="multimodal", tables=(table,), target="kind")
    return schema, pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(table))


DATA = {"tabular": _table, "image": _images, "text": _texts, "multimodal": _paired}
GENERATORS = [
    (kind, name) for kind in get_args(Kind) for name in registry.names(f"tasks.generators.{kind}")
]


@pytest.fixture(params=GENERATORS, ids="/".join)
def case(request: pytest.FixtureRequest) -> Iterator["Case"]:
    with reproducible(CPU, threads=1):
        yield _case(*request.param)


class Case:
    """A generator that has seen no training yet, and what it is to learn."""

    def __init__(self, kind: Kind, name: str) -> None:
        self.kind, self.name = kind, name
        self.cls = generator_class(kind, name)
        self.schema, self.rows = DATA[kind]()
        self.encoder: Encoder = self.cls.encoder_class.fit(
            self.schema, lambda: iter([self.rows]), np.random.default_rng(0)
        )
        self.batch = self.encoder.encode(self.rows)

    def generator(self) -> DataGenerator:
        torch.manual_seed(0)
        return self.cls(self.encoder, self.params())

    def params(self) -> Record:
        return self.cls.Params.model_validate(SMALL.get((self.kind, self.name), {}))


@lru_cache
def _case(kind: Kind, name: str) -> Case:
    return Case(kind, name)


def _sample(generator: DataGenerator, n: int, seed: int) -> dict[str, Tensor]:
    return generator.eval().sample(n, torch.Generator().manual_seed(seed))


def _trained(generator: DataGenerator, objective: Objective) -> dict[str, Parameter]:
    """The weights that an objective moves, by name."""
    prefix = f"{objective.module}." if objective.module else ""
    return {
        name: parameter
        for name, parameter in generator.named_parameters()
        if parameter.requires_grad and name.startswith(prefix)
    }


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_there_is_something_to_test() -> None:
    assert {"tabular", "image"} <= {kind for kind, _ in GENERATORS}


def test_objectives_have_names_and_weights_of_their_own(case: Case) -> None:
    generator = case.generator()
    objectives = generator.objectives()
    assert len({objective.name for objective in objectives}) == len(objectives) >= 1
    assert min(objective.steps for objective in objectives) >= 1
    moved = [name for o in objectives for name in _trained(generator, o)]
    assert sorted(moved) == sorted(_trained(generator, Objective("all")))


@pytest.mark.parametrize("n_rows", [N_ROWS, 7, 1])
def test_the_loss_is_one_finite_number_a_row(case: Case, n_rows: int) -> None:
    rows = {name: tensor[:n_rows] for name, tensor in case.batch.items()}
    for generator in (case.generator().train(), case.generator().eval()):
        for objective in generator.objectives():
            with torch.no_grad():
                validation = generator(rows, objective.name)
            for losses in (generator(rows, objective.name), validation):
                assert losses.shape == (n_rows,)
                assert losses.is_floating_point()
                assert losses.isfinite().all()


def test_every_parameter_gets_a_gradient_from_its_objective(case: Case) -> None:
    generator = case.generator().train()
    parameters = _trained(generator, Objective("all"))
    if not parameters:
        pytest.skip("a model in closed form")
    optimizer = torch.optim.SGD(parameters.values(), lr=1e-3)
    moved = set()
    # A weight behind another that starts at zero has a gradient from the second step on.
    for _ in range(3):
        for objective in generator.objectives():
            optimizer.zero_grad()
            generator(case.batch, objective.name).mean().backward()
            for name, parameter in _trained(generator, objective).items():
                if parameter.grad is None:  # a part that not every step needs
                    continue
                assert parameter.grad.isfinite().all(), name
                if parameter.grad.any() or parameter.numel() == 0:
                    moved.add(name)
            optimizer.step()
    assert sorted(moved) == sorted(parameters)


def test_it_overfits_a_few_rows(case: Case) -> None:
    generator = case.generator().train()
    if len(generator.objectives()) > 1:
        pytest.skip("losses of networks that play against each other do not fall")
    if not _trained(generator, Objective("all")):
        pytest.skip("a model in closed form")
    optimizer = torch.optim.Adam(generator.parameters(), lr=5e-3)
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        loss = generator(case.batch).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    first, last = losses[0], float(np.mean(losses[-10:]))
    assert last < first - 0.3 * abs(first)


def test_the_same_rng_gives_the_same_rows(case: Case) -> None:
    generator = case.generator()
    one = _sample(generator, 33, seed=1)
    torch.rand(5)
    assert _equal(one, _sample(generator, 33, seed=1))
    assert not _equal(one, _sample(generator, 33, seed=2))


def test_threads_draw_what_one_draws_alone(case: Case) -> None:
    generator = case.generator()
    alone = [_sample(generator, 20, seed) for seed in range(4)]
    with ThreadPoolExecutor(4, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        together = pool.map(lambda seed: _sample(generator, 20, seed), range(4))
        assert all(map(_equal, alone, together))


def test_sampling_leaves_the_global_rng_alone(case: Case) -> None:
    generator = case.generator()
    before = torch.random.get_rng_state()
    _sample(generator, 5, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("n", [1, 70])
def test_samples_decode_to_rows_of_the_schema(case: Case, n: int) -> None:
    encoded = _sample(case.generator(), n, seed=1)
    assert {name: len(tensor) for name, tensor in encoded.items()} == dict.fromkeys(case.batch, n)
    rows = case.encoder.decode(encoded, np.random.default_rng(0))
    assert rows.num_rows == n
    rows.cast(arrow_schema(case.schema.main)).validate(full=True)
    # What was decoded can be encoded again: no value is one that the encoder does not know.
    assert len(next(iter(case.encoder.encode(rows).values()))) == n


def test_a_trained_model_is_the_same_after_saving_and_loading(case: Case, tmp_path: Path) -> None:
    params = case.params()
    fitted = fit(
        case.cls,
        params,
        case.schema,
        lambda: iter([case.rows]),
        TrainParams(epochs=2, threads=1, device="cpu"),
        seed=0,
    )
    save_model(tmp_path, case.kind, case.name, params, fitted)
    loaded = load_model(tmp_path, CPU)
    encoded = _sample(fitted.generator, 20, seed=4)
    assert _equal(encoded, _sample(loaded.generator, 20, seed=4))
    one = fitted.encoder.decode(encoded, np.random.default_rng(1), first_row=7)
    assert one.equals(loaded.encoder.decode(encoded, np.random.default_rng(1), first_row=7))
    _check_that_another_may_start_from(loaded, case)


def _check_that_another_may_start_from(model: Model, case: Case) -> None:
    """Of the same rows and settings, all weights fit."""
    weights = model.generator.state_dict()
    if not weights:
        return  # a model in closed form
    encoder = model.encoder.refit(case.schema, lambda: iter([case.rows]), np.random.default_rng(0))
    torch.manual_seed(5)
    child = case.cls(encoder, case.params())
    inherited = inherit(child, encoder, Parent("p", "0" * 64, case.cls, encoder, weights), [])
    assert inherited.new == inherited.by_label == ()
    assert _equal(child.state_dict(), weights)


def test_the_recipe_fits_any_number_of_rows(case: Case) -> None:
    for n_rows in (1, 100, 10_000, 10_000_000):
        recipe = case.cls.recipe(n_rows, case.schema)
        assert isinstance(recipe, Recipe)
        assert min(recipe.epochs, recipe.batch_size) >= 1
        assert recipe.patience is None or recipe.patience >= 1
        assert 0 < recipe.learning_rate < 1
        assert 0 <= recipe.ema_decay < 1


@pytest.mark.parametrize("name", [name for kind, name in GENERATORS if kind == "tabular"])
def test_no_outlier_comes_out_as_such(name: str) -> None:
    """Not even from a generator that has learned nothing, whose rows are anywhere."""
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=400), 2)
    x[:2] = [-123456.78, 987654.32]
    schema, rows = table_of({"x": pa.array(x), "c": pa.array(rng.choice(["a", "b"], 400))}, "c")
    cls = generator_class("tabular", name)
    with reproducible(CPU, threads=1):
        encoder = cls.encoder_class.fit(schema, lambda: iter([rows]), np.random.default_rng(0))
        torch.manual_seed(0)
        generator = cls(encoder, cls.Params()).eval()
        sampled = _sample(generator, 2_000, seed=0)
    drawn = encoder.decode(sampled, np.random.default_rng(0)).column("x").to_numpy()
    assert np.isin(drawn, x[:2]).sum() <= 1
