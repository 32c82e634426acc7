"""Generators whose samples are real rows, changed: which rows, and how far."""

import logging

import numpy as np
import pyarrow as pa
import pytest
import torch

from tasks.errors import TrainingError
from tasks.generators.image import adversarial
from tasks.generators.image.augment import Augment as AugmentImages
from tasks.generators.image.parts import kept
from tasks.generators.image.parts.kept import nearest_levels
from tasks.generators.labelled import RowsByLabel
from tasks.generators.tabular.augment import Augment as AugmentRows
from tasks.generators.text.augment import Augment as AugmentTexts
from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, TableSchema, arrow_schema
from tests.datasets import IMAGES, png, table_of


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(cls, schema, rows, **settings):
    encoder = cls.encoder_class.fit(schema, lambda: iter([rows]), np.random.default_rng(0))
    torch.manual_seed(0)
    return cls(encoder, cls.Params(**settings)).eval()


def images(levels, labels, target="label"):
    """Images of one colour each."""
    structs = [
        {"bytes": png(level, size=(6, 5)), "path": f"{i}.png"} for i, level in enumerate(levels)
    ]
    schema = DatasetSchema(kind="image", tables=(IMAGES,), target=target)
    arrays = [pa.array(structs, IMAGE_TYPE), pa.array(labels)]
    return schema, pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(IMAGES))


def test_rows_of_a_label_come_in_turns():
    by_label = RowsByLabel(np.array([1, 0, 1, 1]))
    draws = np.random.default_rng(0)
    drawn = by_label.draw(np.array([1, 0, 1, 1, 0, 1]), draws)
    assert sorted(drawn[[0, 2, 3]].tolist()) == [0, 2, 3]
    assert drawn[[1, 4]].tolist() == [1, 1]
    assert set(by_label.others(np.ones(50, dtype=np.int64), draws).tolist()) == {0, 2, 3}
    assert set(by_label.others(np.zeros(50, dtype=np.int64), draws, across=True).tolist()) == {
        0,
        1,
        2,
        3,
    }


def test_every_image_comes_once_before_any_comes_again():
    schema, rows = images(range(0, 240, 10), ["a"] * 18 + ["b"] * 6)
    off = {"contrast": 0.0, "brightness": 0.0}
    sampled = fitted(AugmentImages, schema, rows, **off).sample(24, rng())
    assert sorted(sampled["pixels"][:, 0, 0, 0].tolist()) == list(range(24))
    assert sampled["labels"].bincount().tolist() == [18, 6]
    held = fitted(AugmentImages, schema, rows).sample(7, rng(), {"label": "b"})
    assert held["labels"].tolist() == [1] * 7
    assert held["pixels"].min() >= 17


def test_rows_of_a_table_keep_the_held_target_and_are_near_real_rows():
    x = np.arange(100.0)
    schema, rows = table_of({"x": pa.array(x), "c": pa.array(["a"] * 50 + ["b"] * 50)}, "c")
    generator = fitted(AugmentRows, schema, rows)
    encoded = generator.sample(200, rng(), {"c": "b"})
    decoded = generator.encoder.decode(encoded, np.random.default_rng(0))
    assert set(decoded["c"].to_pylist()) == {"b"}
    numbers = decoded["x"].to_numpy()
    assert numbers.min() > 30
    assert abs(numbers.mean() - 74.5) < 5
    still = fitted(AugmentRows, schema, rows, noise=0, resample=0, mixup=0).sample(100, rng())
    again = generator.encoder.decode(still, np.random.default_rng(0))
    inner = np.sort(again["x"].to_numpy())[5:-5]
    assert np.abs(inner - x[5:-5]).max() <= 1


def test_texts_are_of_words_of_their_label():
    texts = [f"alpha beta {i}" for i in range(10)] + [f"gamma delta {i}" for i in range(10)]
    labels = ["x"] * 10 + ["y"] * 10
    columns = (
        Column(name="text", type="string", meaning="text"),
        Column(name="label", type="string", meaning="categorical"),
    )
    table = TableSchema(name="t", columns=columns)
    schema = DatasetSchema(kind="text", tables=(table,), target="label")
    rows = pa.RecordBatch.from_arrays(
        [pa.array(texts), pa.array(labels)], schema=arrow_schema(table)
    )
    generator = fitted(AugmentTexts, schema, rows, typos=0, replacements=0.5)
    decoded = generator.encoder.decode(generator.sample(60, rng()), np.random.default_rng(0))
    for text, label in zip(decoded["text"].to_pylist(), decoded["label"].to_pylist(), strict=True):
        other = {"x": {"gamma", "delta"}, "y": {"alpha", "beta"}}[label]
        assert not other & set(text.split())
    # What real texts are made of may be repeated: nothing is left out at sampling.
    assert generator.encoder.admissible(decoded).all()
    assert len(set(decoded["text"].to_pylist()) - set(texts)) > 20
    # People who look at a training see no text of a few, of other texts neither.
    texts = [f"{text} and so on" for text in texts]
    rows = rows.set_column(0, "text", pa.array(texts))
    other = generator.encoder.refit(schema, lambda: iter([rows]), np.random.default_rng(0))
    assert other.texts(torch.from_numpy(other.tokens)) == texts
    shown = other.preview(other.encode(rows.slice(0, 2))).content.decode()
    assert shown.startswith("label: x\n2 of 2 texts are not shown")


def test_the_nearest_level_is_the_lower_of_two():
    levels = np.array([0, 10, 20, 255], dtype=np.uint8)
    pixels = torch.tensor([0.0, 5.0, 5.1, 14.0, 16.0, 137.4, 137.6, 255.0]) / 255
    assert nearest_levels(pixels, levels).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_images_are_changed_in_pieces(monkeypatch):
    schema, rows = images(range(20), ["a"] * 20)
    encoder = fitted(AugmentImages, schema, rows).encoder
    assert [len(piece) for piece in encoder.pieces(np.arange(600))] == [256, 256, 88]
    # 5 x 6 pixels: three images have 90 values.
    monkeypatch.setattr(kept, "TOGETHER_VALUES", 100)
    assert [len(piece) for piece in encoder.pieces(np.arange(7))] == [3, 3, 1]
    monkeypatch.setattr(kept, "TOGETHER_VALUES", 1)
    assert [len(piece) for piece in encoder.pieces(np.arange(2))] == [1, 1]


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
@pytest.mark.parametrize("epsilon", [0.05, 0.13])
def test_attacked_images_stay_within_epsilon_at_real_levels(attack, epsilon):
    values = np.random.default_rng(0).integers(0, 256, 24)
    schema, rows = images(values.tolist(), ["a", "b"] * 12)
    generator = fitted(adversarial.Adversarial, schema, rows, attack=attack, epsilon=epsilon)
    levels = generator.encoder.levels
    with torch.inference_mode():
        sampled = generator.sample(24, rng())
    made = levels[sampled["pixels"].numpy()].astype(float) / 255
    sources = {label: values[i::2] / 255 for i, label in enumerate((0, 1))}
    for image, label in zip(made, sampled["labels"].tolist(), strict=True):
        # Of one real image of the label every pixel is within epsilon.
        away = np.abs(image.reshape(1, -1) - sources[label][:, None]).max(axis=1)
        assert away.min() <= epsilon + 1e-6


def test_an_attack_makes_the_classifier_err(caplog):
    rng_ = np.random.default_rng(0)
    values = np.concatenate([rng_.integers(60, 115, 40), rng_.integers(140, 200, 40)])
    schema, rows = images(values.tolist(), ["dark"] * 40 + ["light"] * 40)
    generator = fitted(adversarial.Adversarial, schema, rows, epsilon=0.4, channels=4)
    batch = generator.encoder.encode(rows)
    weights = list(generator.parameters())
    for _ in range(40):
        gradients = torch.autograd.grad(generator(batch).mean(), weights)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.data -= 0.01 * gradient.sign()
    with caplog.at_level(logging.INFO):
        sampled = generator.sample(80, rng())
    clean, attacked = (
        float((generator.classifier(2 * p - 1).argmax(dim=1) == y).float().mean())
        for p, y in (
            (generator.levels[batch["pixels"].long()], batch["labels"]),
            (generator.levels[sampled["pixels"].long()], sampled["labels"]),
        )
    )
    assert clean > 0.95
    assert attacked < 0.2
    assert "of 80 real images the classifier tells" in caplog.text


def test_no_labels_no_errors():
    table = TableSchema(name="images", columns=IMAGES.columns[:1])
    schema, rows = images([0, 9, 20], ["a"] * 3)
    schema = DatasetSchema(kind="image", tables=(table,))
    with pytest.raises(TrainingError, match="two labels at least, found 1; set `target`"):
        fitted(adversarial.Adversarial, schema, rows.select(["image"]))
