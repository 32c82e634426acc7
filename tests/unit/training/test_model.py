import stat
from pathlib import Path

import pytest
import torch

from tasks.encoding.base import Encoder
from tasks.errors import DataError, ParamsError
from tasks.params import TrainParams
from tasks.storage import digest
from tasks.training import model as module
from tasks.training.loop import fit
from tasks.training.model import (
    GENERATOR_FILE,
    MODEL_FILE,
    Fitted,
    generator_class,
    generator_params,
    load_model,
    save_model,
)
from tests.fakes import NumbersGenerator, NumbersParams, numbers_batch, numbers_schema

CPU = torch.device("cpu")


@pytest.fixture
def fitted() -> Fitted:
    rows = numbers_batch(100)
    settings = TrainParams(threads=1, epochs=1)
    schema = numbers_schema("a", "b")
    return fit(NumbersGenerator, NumbersParams(), schema, lambda: iter([rows]), settings, seed=0)


@pytest.fixture
def folder(fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "generator_class", lambda kind, name: NumbersGenerator)
    place = tmp_path / "model"
    place.mkdir()
    save_model(place, "tabular", "numbers", NumbersParams(), fitted)
    return place


def test_a_loaded_model_gives_the_same_rows(folder: Path, fitted: Fitted) -> None:
    loaded = load_model(folder, CPU)
    assert loaded.n_rows == 100
    one = loaded.generator.sample(9, torch.Generator().manual_seed(3))
    other = fitted.generator.sample(9, torch.Generator().manual_seed(3))
    assert torch.equal(one["numbers"], other["numbers"])
    assert isinstance(loaded.encoder, Encoder)


def test_the_same_training_gives_the_same_bytes(
    folder: Path, fitted: Fitted, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    again.mkdir()
    save_model(again, "tabular", "numbers", NumbersParams(), fitted)
    assert digest(again) == digest(folder)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}


def test_a_damaged_model_is_refused(folder: Path) -> None:
    (folder / GENERATOR_FILE).write_bytes(b"no weights")
    with pytest.raises(DataError, match="is damaged"):
        load_model(folder, CPU)


def test_a_model_of_another_format_is_refused(folder: Path) -> None:
    path = folder / MODEL_FILE
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(DataError, match="has the format 99, expected 1"):
        load_model(folder, CPU)


def test_an_unknown_generator_names_the_choices() -> None:
    with pytest.raises(ParamsError, match=r"choose one of: .*autoregressive"):
        generator_class("tabular", "gpt5")


def test_wrong_settings_are_named_with_their_path() -> None:
    with pytest.raises(ParamsError, match=r"datasets.d.generator_params(.|\n)*depth: unknown key"):
        generator_params(NumbersGenerator, {"depth": 3}, "datasets.d.generator_params")
