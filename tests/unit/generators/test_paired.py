"""A model of images and one of texts that are told the same labels."""

from collections import Counter

import numpy as np
import pytest
import torch

from tasks.encoding.multimodal import MultimodalEncoder
from tasks.errors import ParamsError, TrainingError
from tasks.generators.multimodal.paired import Paired, PairedParams
from tests.pairs import pairs

SMALL = {
    "image": "vae",
    "image_params": {"channels": 8},
    "text_params": {"width": 16, "n_layers": 1, "n_heads": 2},
}


def _paired(**given: object) -> tuple[Paired, dict[str, torch.Tensor]]:
    schema, rows = pairs(40)
    encoder = MultimodalEncoder.fit(schema, lambda: iter([rows]), np.random.default_rng(0))
    torch.manual_seed(0)
    return Paired(encoder, PairedParams.model_validate(SMALL | given)), encoder.encode(rows)


def test_each_model_keeps_its_objectives_and_rates() -> None:
    paired, _ = _paired()
    image, text = paired.objectives()
    assert (image.name, image.module, text.name, text.module) == ("image", "image", "text", "text")
    # The rates of `vae` and `transformer` over that of `ddpm`, which the recipe is of.
    base = Paired.recipe(40, paired.encoder.schema)
    assert base.patience is None
    for objective, model in ((image, paired.image), (text, paired.text)):
        own = type(model).recipe(40, paired.encoder.schema).learning_rate
        assert objective.rate * base.learning_rate == pytest.approx(own)


def test_networks_that_play_against_each_other_are_told_apart() -> None:
    paired, batch = _paired(image="wgan_gp", image_params={})
    names = [objective.name for objective in paired.objectives()]
    assert names[-1] == "text"
    assert len(names) == 3
    for objective in paired.objectives():
        assert objective.module is not None
        assert objective.module.partition(".")[0] == objective.name.partition("_")[0]
        assert paired(batch, objective.name).shape == (40,)


def test_a_model_of_fewer_epochs_sees_fewer_rows() -> None:
    paired, batch = _paired()
    base = Paired.recipe(40, paired.encoder.schema)
    share = type(paired.text).recipe(40, paired.encoder.schema).epochs / base.epochs
    assert share < 1
    losses = paired.train()(batch, "text")
    assert losses.shape == (40,)
    assert len(losses.unique()) == 1
    # A validation loss is of all rows.
    assert len(paired.eval()(batch, "text").unique()) > 1


def test_rows_are_drawn_for_the_labels_that_are_held() -> None:
    paired, _ = _paired()
    rng = torch.Generator().manual_seed(0)
    drawn = paired.eval().sample(30, rng, {"size": "small"})
    labels = paired.encoder.joint_labels.decode(drawn["labels"]).to_pylist()
    assert set(labels) <= {'["small", "grey"]', '["small", "white"]'}
    drawn = paired.sample(3, rng, {"size": ["small", "large", "small"], "shade": "white"})
    labels = paired.encoder.joint_labels.decode(drawn["labels"]).to_pylist()
    assert labels == ['["small", "white"]', '["large", "white"]', '["small", "white"]']
    with pytest.raises(TrainingError, match="impossible condition: no label of enough"):
        paired.sample(3, rng, {"size": "tiny"})


def test_labels_are_drawn_as_often_as_they_are() -> None:
    paired, batch = _paired()
    drawn = paired.eval().sample(400, torch.Generator().manual_seed(0))
    real, synthetic = (Counter(one["labels"].tolist()) for one in (batch, drawn))
    assert all(abs(10 * real[i] - synthetic[i]) <= 2 for i in range(4))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image": "transformer"}, "tasks.generators.image has no 'transformer'"),
        ({"text": "augment"}, "augment changes real rows and has no model of them"),
        ({"image_params": {"colour": 1}}, "generator_params.image_params"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        PairedParams.model_validate(SMALL | given)
