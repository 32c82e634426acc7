"""Trainings that start from the weights of another model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from tasks.encoding.base import Batches, Encoder
from tasks.encoding.labels import Labels
from tasks.encoding.text import TextEncoder
from tasks.errors import ParamsError
from tasks.params import Record, TrainParams
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.training.checkpoint import Checkpoint
from tasks.training.loop import fit
from tasks.training.model import Fitted
from tasks.training.trainer import Report
from tasks.training.transfer import Origin, Parent, inherit
from tests.fakes import (
    NumbersEncoder,
    NumbersGan,
    NumbersGenerator,
    NumbersParams,
    numbers_batch,
    numbers_schema,
)

SCHEMA = numbers_schema("a", "b")
LABEL = Column(name="label", type="string", meaning="categorical", nullable=False)


def _fit(
    parent: Parent | None = None,
    *,
    hidden_units: int = 8,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda _step, _metrics: None,
    **settings: Any,
) -> Fitted:
    batch = numbers_batch(200, seed=1)
    named = {"init_from": parent.place} if parent else {}
    return fit(
        NumbersGenerator,
        NumbersParams(hidden_units=hidden_units),
        SCHEMA,
        lambda: iter([batch]),
        TrainParams(threads=1, device="cpu", **{"epochs": 2, **named, **settings}),
        seed=7,
        checkpoint=checkpoint,
        report=report,
        parent=parent,
    )


def _parent(fitted: Fitted, place: str = "numbers@v1") -> Parent:
    generator = fitted.generator
    return Parent(place, "ab" * 32, type(generator), fitted.encoder, generator.state_dict())


@pytest.fixture(scope="module")
def parent() -> Parent:
    return _parent(_fit(epochs=20))


def test_a_training_goes_on_where_its_parent_ended(parent: Parent) -> None:
    losses = {
        name: fitted.summary["history"][0]["validation_loss"]
        for name, fitted in {"scratch": _fit(), "transferred": _fit(parent)}.items()
    }
    # Twenty epochs against one, on the same rows and with the same noise.
    assert losses["transferred"] < 0.7 * losses["scratch"]


def test_the_summary_names_the_parent(parent: Parent) -> None:
    assert "parent" not in _fit().summary
    assert _fit(parent).summary["parent"] == {
        "from": "numbers@v1",
        "sha256": "ab" * 32,
        "taken_weights": 11,  # weight and bias of 3 layers, 2 + 3 tensors of a normalisation
        "weights_taken_by_label": [],
        "new_weights": [],
        "frozen_parameters": 0,
    }


def test_the_same_parent_gives_the_same_weights(parent: Parent) -> None:
    one, again = _fit(parent), _fit(parent)
    weights = one.generator.state_dict()
    for name, weight in again.generator.state_dict().items():
        assert torch.equal(weight, weights[name])


def test_weights_of_another_shape_are_new(parent: Parent) -> None:
    summary = _fit(parent, hidden_units=5).summary["parent"]
    # The middle has 5 units in place of 8: its layers on both sides, and their normalisation.
    assert summary["new_weights"] == [
        *("widen.0.weight", "widen.0.bias"),
        *("widen.1.weight", "widen.1.bias", "widen.1.running_mean", "widen.1.running_var"),
        "widen.4.weight",
    ]
    assert summary["taken_weights"] == 4


def test_frozen_modules_do_not_move(parent: Parent) -> None:
    fitted = _fit(parent, freeze=["narrow", "widen.1*"])
    weights = fitted.generator.state_dict()
    moved = {n for n, w in parent.weights.items() if not torch.equal(w, weights[n])}
    # Neither do the running statistics of a frozen normalisation.
    assert moved == {"widen.0.weight", "widen.0.bias", "widen.4.weight", "widen.4.bias"}
    assert fitted.summary["parent"]["frozen_parameters"] == 4


def test_a_network_of_several_may_be_frozen() -> None:
    batch = numbers_batch(100)

    def train(parent: Parent | None, **settings: Any) -> Fitted:
        return fit(
            NumbersGan,
            NumbersParams(),
            SCHEMA,
            lambda: iter([batch]),
            TrainParams(threads=1, device="cpu", epochs=1, **settings),
            seed=1,
            parent=parent,
        )

    parent = _parent(train(None))
    weights = train(parent, init_from=parent.place, freeze=["critic"]).generator.state_dict()
    moved = {n for n, w in parent.weights.items() if not torch.equal(w, weights[n])}
    assert moved == {n for n in parent.weights if n.startswith("network.")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"freeze": ["encoder.*"]},
            r"is called 'encoder\.\*'; modules are widen; patterns such as",
        ),
        ({"freeze": ["*"]}, r"expected something left to learn, found that \['\*'\]"),
        ({"freeze": ["widen.0"], "hidden_units": 5}, r"widen\.0\.weight, .* stay at random"),
    ],
)
def test_what_cannot_be_frozen(parent: Parent, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        _fit(parent, **settings)


def test_another_generator(parent: Parent) -> None:
    other = Parent("x", "0" * 64, NumbersGan, parent.encoder, parent.weights)
    with pytest.raises(
        ParamsError, match=r"model of tests.fakes.NumbersGenerator, found .*NumbersGan"
    ):
        _fit(other)


def test_nothing_fits(parent: Parent) -> None:
    other = Parent("x", "0" * 64, NumbersGenerator, parent.encoder, {})
    with pytest.raises(ParamsError, match=r"no weight of x fits this data"):
        _fit(other)


def test_a_parent_that_nobody_loaded() -> None:
    with pytest.raises(ParamsError, match=r"init_from is 'digits', but the caller gave no model"):
        _fit(init_from="digits")


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="freeze needs init_from"):
        TrainParams(freeze=["a"])
    with pytest.raises(ValueError, match="either init_from or privacy"):
        TrainParams.model_validate({"init_from": "a", "privacy": {"epsilon": 1.0}})


def test_a_checkpoint_is_a_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoint, "is_due", lambda _: True)
    fitted = _fit(checkpoint=Checkpoint(tmp_path))
    saved = Checkpoint(tmp_path).load()
    assert saved is not None
    parent = Origin.parent("here", "0" * 64, NumbersGenerator, *saved)
    weights = fitted.generator.state_dict()
    assert parent.weights.keys() == weights.keys()
    assert all(torch.equal(weights[n], w) for n, w in parent.weights.items())
    assert isinstance(parent.encoder, NumbersEncoder)
    assert np.array_equal(parent.encoder.mean, fitted.encoder.state()[1]["mean"])
    with pytest.raises(ParamsError, match=r"checkpoint of .*NumbersGan, found one of .*Generator'"):
        Origin.parent("here", "0" * 64, NumbersGan, *saved)


def test_a_parent_is_resumed_from_the_checkpoint_of_its_child(
    parent: Parent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "is_due", lambda _: True)

    def kill(step: int, _: Mapping[str, float]) -> None:
        if step >= 10:
            raise KeyboardInterrupt

    settings = {"epochs": 3, "freeze": ["widen.1"]}
    undisturbed = _fit(parent, **settings)
    with pytest.raises(KeyboardInterrupt):
        _fit(parent, checkpoint=Checkpoint(tmp_path), report=kill, **settings)
    resumed = _fit(parent, checkpoint=Checkpoint(tmp_path), **settings)
    assert resumed.summary == undisturbed.summary
    weights = undisturbed.generator.state_dict()
    for name, weight in resumed.generator.state_dict().items():
        assert torch.equal(weight, weights[name])


class TestLabels:
    """Rows of an embedding go to the labels that both models know."""

    def test_by_hand(self) -> None:
        old, new = _Labelled(["0", "1", "2"]), _Labelled(["2", "9", "0"])
        embedding = torch.tensor([[0.0], [1.0], [2.0], [-1.0]])  # the last: of no label
        parent = _labelled_parent(old, embedding)
        generator = _LabelledGenerator(new, NumbersParams())
        before = generator.label_embedding.weight.detach().clone()
        inherited = inherit(generator, new, parent, [])
        assert inherited.by_label == ("label_embedding.weight",)
        assert generator.label_embedding.weight[[0, 2, 3], 0].tolist() == [2.0, 0.0, -1.0]
        assert generator.label_embedding.weight[1] == before[1]

    def test_the_same_labels_need_no_care(self) -> None:
        same = _Labelled(["0", "1", "2"])
        parent = _labelled_parent(same, torch.arange(4.0)[:, None])
        generator = _LabelledGenerator(same, NumbersParams())
        assert "label_embedding.weight" in inherit(generator, same, parent, []).taken
        assert generator.label_embedding.weight[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]

    def test_other_labels_alone(self) -> None:
        """As many labels, none of them shared: only what stands for no label is taken over."""
        parent = _labelled_parent(_Labelled(["0", "1", "2"]), torch.arange(4.0)[:, None])
        new = _Labelled(["a", "b", "c"])
        generator = _LabelledGenerator(new, NumbersParams())
        before = generator.label_embedding.weight.detach().clone()
        inherit(generator, new, parent, [])
        after = generator.label_embedding.weight
        assert torch.equal(after[:3], before[:3])
        assert after[3] == 3.0

    def test_a_frozen_embedding_of_new_labels(self) -> None:
        parent = _labelled_parent(_Labelled(["0", "1"]), torch.arange(3.0)[:, None])
        new = _Labelled(["0", "2"])
        with pytest.raises(ParamsError, match=r"label_embedding\.weight would stay at random"):
            inherit(_LabelledGenerator(new, NumbersParams()), new, parent, ["label_embedding"])


class _Labelled(NumbersEncoder):
    """Numbers with labels."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(SCHEMA, np.zeros(2), np.ones(2))
        self.labels = Labels.of(LABEL, dict.fromkeys(texts, 9), 9 * len(texts))
        order = [sorted(texts).index(text) for text in texts]
        self.labels = Labels(LABEL, self.labels.values.take(order), np.full(len(texts), 9))


class _LabelledGenerator(NumbersGenerator):
    """Numbers, and a vector for each label and one more."""

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        assert isinstance(encoder, _Labelled)
        self.label_embedding = nn.Embedding(len(encoder.labels) + 1, 1)


def _labelled_parent(encoder: _Labelled, embedding: torch.Tensor) -> Parent:
    weights = _LabelledGenerator(encoder, NumbersParams()).state_dict()
    weights["label_embedding.weight"] = embedding
    return Parent("p", "0" * 64, _LabelledGenerator, encoder, weights)


def test_texts_keep_the_pieces_of_the_parent() -> None:
    columns = (
        Column(name="text", type="string", meaning="text", nullable=False),
        Column(name="label", type="string", meaning="categorical", nullable=False),
    )
    schema = DatasetSchema(
        kind="text", tables=(TableSchema(name="texts", columns=columns),), target="label"
    )

    def rows(words: list[str]) -> Batches:
        texts = [f"{words[i % 3]} {words[i % 2]} {words[i % 3]}" for i in range(120)]
        return lambda: iter([pa.RecordBatch.from_pydict({"text": texts, "label": ["x", "y"] * 60})])

    rng = np.random.default_rng(0)
    old = TextEncoder.fit(schema, rows(["winter", "summer", "autumn"]), rng)
    others = rows(["butter", "bread", "cheese"])
    new = old.refit(schema, others, rng)
    assert new.pieces.merges == old.pieces.merges != []
    assert TextEncoder.fit(schema, others, rng).pieces.merges != old.pieces.merges
    (batch,) = others()
    assert new.texts(new.encode(batch)["tokens"]) == batch.column("text").to_pylist()
