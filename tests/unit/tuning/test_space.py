import pytest

from tasks.errors import ParamsError
from tasks.generators.image.augment import Augment
from tasks.generators.image.vae import Vae
from tasks.generators.tabular.autoregressive import Autoregressive
from tasks.generators.tabular.gaussian_copula import GaussianCopula
from tasks.generators.text.seq2seq import Seq2Seq
from tasks.generators.text.transformer import Transformer
from tasks.schema import DatasetSchema
from tasks.tuning.space import Choice, Range, apply, default_space, parse_space
from tests.datasets import PEOPLE, dataset_params

PARAMS = dataset_params()
SCHEMA = DatasetSchema(kind="tabular", tables=(PEOPLE,))


def test_a_person_says_what_a_setting_may_be() -> None:
    said = ["layers=1..3", "train.learning_rate=1e-3..0.02", "dropout=0..0.5", "batch_size=32,64"]
    space = parse_space(said, Autoregressive, PARAMS)
    assert space == {
        "generator_params.layers": Range(1, 3, whole=True),
        "train.learning_rate": Range(0.001, 0.02, whole=False),
        "generator_params.dropout": Range(0.0, 0.5, whole=False),
        "train.batch_size": Choice((32, 64)),
    }
    assert [str(domain) for domain in space.values()] == ["1..3", "0.001..0.02", "0..0.5", "32,64"]


def test_a_choice_takes_what_yaml_can_say() -> None:
    space = parse_space(["dropout=null,1e-1, 0.2"], Autoregressive, PARAMS)
    assert space == {"generator_params.dropout": Choice((None, 0.1, 0.2))}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("layers", r"expected SETTING=LOW\.\.HIGH"),
        ("layers=", r"expected SETTING=LOW\.\.HIGH"),
        ("depth=1,2", "'depth' is no setting.*train.epochs.*generator_params.layers"),
        ("train.device=cpu,cuda", "'train.device' is no setting"),
        ("validation_fraction=0.1,0.2", "'validation_fraction' is no setting"),
        ("layers=3..1", "the lower end first"),
        ("learning_rate=0.1..nan", "the lower end first"),
        ("layers=1.5..3", "whole numbers"),
        ("learning_rate=a..b", "numbers as ends"),
        ("layers=2", "at least two values"),
        ("layers=2,2", "each once"),
        ("layers=1,99", "layers: input should be less than or equal to 16, found 99"),
        ("learning_rate=0..0.1", "learning_rate: input should be greater than 0"),
        ("batch_size=a,b", "batch_size: input should be a valid integer, found 'a'"),
        ("layers=[1,2", "expected values as in params.yaml"),
    ],
)
def test_what_cannot_be_searched_is_refused(word: str, message: str) -> None:
    with pytest.raises(ParamsError, match=f"(?s){message}"):
        parse_space([word], Autoregressive, PARAMS)


def test_a_setting_is_named_once() -> None:
    with pytest.raises(ParamsError, match=r"generator_params\.layers twice"):
        parse_space(["layers=1,2", "generator_params.layers=1..3"], Autoregressive, PARAMS)


def test_ranges_over_a_factor_of_ten_are_logarithmic() -> None:
    assert Range(0.001, 0.01, whole=False).logarithmic
    assert not Range(0.002, 0.01, whole=False).logarithmic
    assert not Range(0.0, 1.0, whole=False).logarithmic
    assert Range(16, 512, whole=True).logarithmic


def test_a_grid_takes_four_points_of_a_range() -> None:
    assert Range(0.0, 0.3, whole=False).points() == [0.0, 0.1, 0.2, 0.3]
    assert Range(0.001, 1.0, whole=False).points() == [0.001, 0.01, 0.1, 1.0]
    assert Range(1, 3, whole=True).points() == [1, 2, 3]


def test_rounding_stays_inside() -> None:
    narrow = Range(0.12345, 0.5, whole=False)
    assert narrow.rounded(0.123451) == 0.12345
    assert narrow.rounded(0.234567) == 0.235


def test_the_default_space_lies_around_the_present_settings() -> None:
    params = dataset_params(train={"learning_rate": 0.01}, generator_params={"hidden_units": 100})
    space = default_space(Autoregressive, params, 1_000, SCHEMA)
    assert space["train.learning_rate"] == Range(0.0025, 0.04, whole=False)
    assert space["generator_params.hidden_units"] == Choice((50, 100, 200))
    assert space["generator_params.layers"] == Range(1, 4, whole=True)
    assert "generator_params.embedding_dim" not in space


def test_any_generator_has_a_default_space_of_values_that_it_takes() -> None:
    params = dataset_params(kind="image", generator="vae")
    space = default_space(Vae, params, 1_000, SCHEMA)
    assert {"train.learning_rate", "train.batch_size"} < set(space)
    for name, domain in space.items():
        for value in domain.points():
            apply(params, {name: value}, Vae, where="test")


def test_the_default_space_has_the_widths_and_depths_of_texts() -> None:
    params = dataset_params(kind="text", generator="transformer")
    space = default_space(Transformer, params, 1_000, SCHEMA)
    assert space["generator_params.width"] == Choice((64, 128, 256))
    assert space["generator_params.n_layers"] == Range(1, 6, whole=True)
    params = dataset_params(kind="text", generator="seq2seq")
    space = default_space(Seq2Seq, params, 1_000, SCHEMA)
    assert space["generator_params.n_units"] == Choice((64, 128, 256))


def test_what_does_not_learn_in_steps_has_no_default_space() -> None:
    params = dataset_params(kind="image", generator="augment")
    with pytest.raises(ParamsError, match=r"augment does not learn in steps.*params\.scale"):
        default_space(Augment, params, 1_000, SCHEMA)
    with pytest.raises(ParamsError, match="'learning_rate' is no setting that can be searched"):
        parse_space(["learning_rate=0.1..0.2"], Augment, params)
    assert set(parse_space(["scale=0..0.2"], Augment, params)) == {"generator_params.scale"}
    params = dataset_params(generator="gaussian_copula")
    with pytest.raises(ParamsError, match="it has no settings"):
        default_space(GaussianCopula, params, 1_000, SCHEMA)


def test_settings_are_put_into_their_sections() -> None:
    changed = apply(
        PARAMS, {"train.batch_size": 8, "generator_params.layers": 3}, Autoregressive, where="x"
    )
    assert changed.train == PARAMS.train.model_copy(update={"batch_size": 8})
    assert changed.generator_params == {"layers": 3}
    assert PARAMS.generator_params == {}
