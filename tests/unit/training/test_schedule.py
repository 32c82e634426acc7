import pytest

from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.training.schedule import learning_rate
from tests.fakes import NumbersGan, NumbersGenerator

COLUMN = Column(name="x", type="double", meaning="numeric")
SCHEMA = DatasetSchema(kind="tabular", tables=(TableSchema(name="t", columns=(COLUMN,)),))


def test_one_cycle() -> None:
    recipe = NumbersGenerator.recipe(100, SCHEMA).model_copy(update={"learning_rate": 1.0})
    assert learning_rate(recipe, 0, 100) == pytest.approx(1 / 25)
    assert learning_rate(recipe, 15, 100) == pytest.approx((1 / 25 + 1) / 2)
    assert learning_rate(recipe, 30, 100) == pytest.approx(1.0)
    assert learning_rate(recipe, 65, 100) == pytest.approx((1 + 1e-4) / 2)
    assert learning_rate(recipe, 100, 100) == pytest.approx(1e-4)
    assert learning_rate(recipe, 0, 1) == pytest.approx(1 / 25)


def test_constant() -> None:
    recipe = NumbersGan.recipe(100, SCHEMA)
    assert {learning_rate(recipe, step, 100) for step in (0, 50, 99)} == {1e-3}
