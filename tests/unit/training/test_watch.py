"""Samples that are looked at while a training runs."""

import io
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from tasks import registry
from tasks.encoding.base import Encoder
from tasks.encoding.image import ImageEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.labels import draw_labels
from tasks.params import Record, TrainParams
from tasks.schema import IMAGE_TYPE, DatasetSchema, Kind, arrow_schema
from tasks.training.checkpoint import Checkpoint
from tasks.training.loop import fit
from tasks.training.model import Fitted, generator_class
from tasks.training.watch import _first_of_each, _spaced, _spread
from tests.datasets import IMAGES

SCHEMA = DatasetSchema(kind="image", tables=(IMAGES,), target="label")


class _Params(Record):
    """Settings of `_Scribbler`."""

    collapsed: list[str] = Field(default=[], description="labels of which it knows one image")


class _Scribbler(DataGenerator):
    """Random pixels, except for some labels, of which all images are the same."""

    Params: ClassVar[type[Record]] = _Params
    encoder_class: ClassVar[type[Encoder]] = ImageEncoder

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(ImageEncoder, encoder)
        self.collapsed = cast(_Params, params).collapsed
        self.mean = nn.Parameter(torch.zeros(1))

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        noise = torch.rand(len(batch["labels"]))
        return (batch["pixels"].float().mean(dim=(1, 2, 3)) - self.mean + noise).square()

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        labels = draw_labels(self.encoder.labels, n, rng, conditions)
        pixels = torch.randint(0, len(self.encoder.levels), (n, 1, 6, 5), generator=rng)
        for label in self.collapsed:
            pixels[labels == self.encoder.labels.index(label)] = 3
        return {"pixels": pixels.to(torch.uint8), "labels": labels.to(torch.uint8)}

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        return Recipe(
            epochs=4,
            batch_size=20,
            learning_rate=1e-2,
            weight_decay=0.0,
            patience=None,
            ema_decay=0.9,
        )


class _Plagiarist(_Scribbler):
    """Says that what it draws are real rows."""

    draws_real_rows: ClassVar[bool] = True


class _Recorder:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: dict[int, tuple[str, bytes]] = {}
        self.warnings: list[str] = []
        self.metrics: list[tuple[int, dict[str, float]]] = []

    def show(self, step: int, suffix: str, content: bytes) -> None:
        self.shown[step] = (suffix, content)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        self.metrics.append((step, dict(metrics)))


def _rows() -> pa.RecordBatch:
    rng = np.random.default_rng(0)
    files = []
    for pixels in rng.integers(0, 256, (100, 6, 5), dtype=np.uint8):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, format="PNG")
        files.append({"bytes": stream.getvalue(), "path": "x.png"})
    arrays = [pa.array(files, IMAGE_TYPE), pa.array(["cat", "dog"] * 50)]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(IMAGES))


def _fit(
    recorder: _Recorder | None = None,
    *collapsed: str,
    checkpoint: Checkpoint | None = None,
    epochs: int = 4,
    generator: type[DataGenerator] = _Scribbler,
) -> Fitted:
    rows = _rows()
    return fit(
        generator,
        _Params(collapsed=list(collapsed)),
        SCHEMA,
        lambda: iter([rows]),
        TrainParams(threads=1, device="cpu", epochs=epochs),
        seed=2,
        checkpoint=checkpoint,
        **({"report": recorder.report, "observer": recorder} if recorder else {}),
    )


@pytest.fixture
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking may take all the time."""
    monkeypatch.setattr("tasks.training.watch.TIME_SHARE", float("inf"))


@pytest.mark.usefixtures("no_clock")
def test_samples_are_shown_after_epochs_and_at_the_end() -> None:
    recorder = _Recorder()
    _fit(recorder)
    # 90 images in batches of 20 are 5 steps an epoch.
    assert list(recorder.shown) == [5, 10, 15, 20]
    suffix, content = recorder.shown[20]
    assert suffix == ".png"
    with Image.open(io.BytesIO(content)) as picture:
        # Two rows of 8 images, of 6 x 5 pixels enlarged 7 times, with 2 pixels between them.
        assert picture.height == 2 * (6 * 7 + 2) + 2
        assert picture.width > 8 * (5 * 7 + 2) + 2
    assert recorder.warnings == []


def test_a_clock_that_allows_nothing_leaves_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.training.watch.TIME_SHARE", 0.0)
    recorder = _Recorder()
    _fit(recorder)
    # The first look is free, as nobody knows its price before.
    assert list(recorder.shown) == [5, 20]


def test_varied_samples_are_as_varied_as_real_rows() -> None:
    recorder = _Recorder()
    summary = _fit(recorder).summary
    assert 0.8 < summary["sample_diversity_lowest"] <= summary["sample_diversity"] < 1.2
    assert "warnings" not in summary
    assert recorder.metrics[-1] == (
        20,
        {name: summary[name] for name in ("sample_diversity", "sample_diversity_lowest")},
    )


@pytest.mark.usefixtures("no_clock")
def test_a_collapsed_label_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    recorder = _Recorder()
    summary = _fit(recorder, "dog").summary
    assert summary["sample_diversity_lowest"] == 0.0
    assert 0.4 < summary["sample_diversity"] < 0.6
    # Not after the first epoch, which is early, nor the second, when it is low for the first time.
    assert [w.split(":")[0] for w in recorder.warnings] == [
        "mode collapse is likely after epoch 3",
        "mode collapse is likely at the end",
    ]
    assert summary["warnings"] == [recorder.warnings[-1]]
    assert "found 'dog' 0.00; train longer" in caplog.text


def test_nobody_is_shown_real_rows() -> None:
    recorder = _Recorder()
    summary = _fit(recorder, "dog", generator=_Plagiarist).summary
    assert (recorder.shown, recorder.warnings) == ({}, [])
    assert not {"sample_diversity", "warnings"} & summary.keys()


@pytest.mark.parametrize("kind", ["image", "text", "tabular"])
def test_generators_that_hold_real_rows_say_so(kind: Kind) -> None:
    for name in registry.names(f"tasks.generators.{kind}"):
        cls = generator_class(kind, name)
        assert cls.draws_real_rows == (name in ("augment", "adversarial"))


def test_all_labels_may_collapse() -> None:
    summary = _fit(None, "dog", "cat").summary
    assert summary["sample_diversity"] == 0.0
    assert "found 'cat' 0.00, 'dog' 0.00" in summary["warnings"][0]


@pytest.mark.usefixtures("no_clock")
def test_looking_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = _fit(_Recorder())
    monkeypatch.setattr("tasks.training.watch.MAX_LOOKS", 2)
    alone = _fit()
    assert watched.summary == alone.summary
    assert torch.equal(watched.generator.state_dict()["mean"], alone.generator.state_dict()["mean"])


def test_looks_are_ever_rarer() -> None:
    assert _spaced(3) == {1, 2, 3}
    # 1000^(i / 11), rounded.
    assert sorted(_spaced(1000)) == [1, 2, 4, 7, 12, 23, 43, 81, 152, 285, 534, 1000]


def test_real_rows_of_each_label() -> None:
    labels = torch.tensor([1, 0, 1, 1, 0, 2], dtype=torch.uint8)
    assert _first_of_each(labels, 2).tolist() == [1, 4, 0, 2, 5]


def test_how_much_rows_differ_by_hand() -> None:
    pixels = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [9.0, 9.0]]).reshape(4, 1, 1, 2)
    labels = torch.tensor([0, 0, 0, 1])
    # Distances 5, 0 and 5; of a single row there are none.
    assert _spread({"pixels": pixels, "labels": labels}, 8) == {
        0: {"pixels": pytest.approx(10 / 3)}
    }
    tokens = torch.tensor([[1, 2], [1, 2], [1, 3], [4, 4]])
    assert _spread({"tokens": tokens}, 8) == {0: {"tokens": 0.75}}
