"""How steps are planned and run: order, keys that go with columns, refusals, counts."""

import re

import pyarrow as pa
import pytest

import tasks.cleaning.steps
from tasks import registry
from tasks.cleaning.base import Step
from tasks.cleaning.plan import PACKAGE, plan
from tasks.constraints.declared import NotNull
from tasks.errors import DataError, ParamsError
from tasks.params import CleanParams
from tasks.schema import Column, DatasetSchema, ForeignKey, TableSchema
from tests.cleaned import clean, clean_tables
from tests.datasets import PEOPLE

SCHEMA = DatasetSchema(kind="tabular", tables=(PEOPLE,), target="sex")
ROWS = {"id": [1, 2, 3], "age": [5.0, 5.0, None], "sex": ["f", "f", "m"]}


def linked() -> DatasetSchema:
    key = Column(name="id", type="int64", meaning="identifier")
    other = Column(name="note", type="string", meaning="text")
    parent = TableSchema(name="parent", columns=(key, other), primary_key=("id",))
    link = ForeignKey(columns=("id",), references="parent", referenced_columns=("id",))
    child = TableSchema(name="child", columns=(key, other), foreign_keys=(link,))
    return DatasetSchema(kind="tabular", tables=(child, parent))


LINKED_ROWS = {
    "child": {"id": [1, 1], "note": ["x", "x"]},
    "parent": {"id": [1, 2], "note": ["a", None]},
}


def test_the_page_of_the_steps_is_right():
    """`tasks/cleaning/steps/__init__.py` is where people look for the order."""
    rows = re.findall(r"^\| (\d+) +\| (\w+)", tasks.cleaning.steps.__doc__, re.MULTILINE)
    steps = [registry.load(PACKAGE, name, Step) for name in registry.names(PACKAGE)]
    assert [(int(order), name) for order, name in rows] == sorted(
        (step.order, step.name()) for step in steps
    )
    assert len({step.order for step in steps}) == len(steps)


def test_only_what_is_always_done_is_done_unasked():
    assert [p.step.name() for p in plan(CleanParams())] == ["finite", "personal"]
    off = {"drop_duplicates": False, "drop_missing": False, "drop_columns": []}
    assert [p.step.name() for p in plan(CleanParams.model_validate(off))] == ["finite", "personal"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"drop_dublicates": True},
            r"unknown keys \['drop_dublicates'\]; choose from: .*drop_dupl",
        ),
        ({"drop_missing": "yes"}, "drop_missing is not valid"),
        ({"finite": False}, "finite is not valid"),
        ({"drop_duplicates": {"by": []}}, "by: list should have at least 1 item"),
        ({"drop_duplicates": {"by": ["id"], "kepe": "last"}}, "kepe: unknown key; .* by, keep"),
        ({"drop_duplicates": {"by": ["id"], "keep": "any"}}, "keep: input should be 'first' or"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ParamsError, match=message):
        plan(CleanParams.model_validate(settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drop_columns": ["ag"]}, "drop_columns names 'ag', which is no column; .* from: age"),
        ({"drop_columns": ["sex"]}, "would leave out the target 'sex'"),
        ({"drop_missing": ["agee"]}, "drop_missing names 'agee', which is no column"),
        ({"drop_duplicates": {"by": ["idd"]}}, "drop_duplicates names 'idd'"),
        ({"drop_columns": ["id"], "drop_duplicates": ["id"]}, "drop_duplicates names 'id'"),
    ],
)
def test_columns_that_cannot_be_meant_are_named(settings, message):
    with pytest.raises(ParamsError, match=message):
        clean(ROWS, settings, schema=SCHEMA)


def test_a_table_keeps_a_column():
    schema = DatasetSchema(kind="tabular", tables=(PEOPLE,))
    with pytest.raises(ParamsError, match="would leave out every column of 'people'"):
        clean(ROWS, {"drop_columns": ["id", "age", "sex"]}, schema=schema)


def test_columns_go_before_rows_are_compared():
    given = clean(ROWS, {"drop_duplicates": True, "drop_columns": ["id"]}, schema=SCHEMA)
    assert given.rows == [{"age": 5.0, "sex": "f"}, {"age": None, "sex": "m"}]
    assert given.schema.main.primary_key == ()
    assert given.effects == {
        "drop_columns": {"rows_dropped": 0, "learned": {"columns": ["id"]}},
        "drop_duplicates": {"rows_dropped": 1},
    }


def test_keys_of_a_column_that_goes_go_with_it():
    rows, schema, _ = clean_tables(LINKED_ROWS, {"drop_columns": ["parent.id"]}, schema=linked())
    assert schema.main.foreign_keys == ()
    assert rows["parent"] == [{"note": "a"}, {"note": None}]
    _, schema, _ = clean_tables(LINKED_ROWS, {"drop_columns": ["note"]}, schema=linked())
    assert schema.main.column_names == ["id"]
    assert len(schema.main.foreign_keys) == 1


def test_constraints_of_a_column_that_goes_go_with_it():
    constraints = [NotNull(type="not_null", columns=[name]) for name in ("age", "sex")]
    schema = DatasetSchema(kind="tabular", tables=(PEOPLE.constrained(constraints),))
    assert clean(ROWS, {"drop_columns": ["age"]}, schema=schema).schema.main.constraints == (
        constraints[1],
    )


def test_rows_that_others_link_to_stay():
    with pytest.raises(DataError, match="leave out rows of 'parent', to which rows of 'child'"):
        clean_tables(LINKED_ROWS, {"drop_missing": True}, schema=linked())


def test_rows_that_nothing_links_to_may_go():
    rows, _, report = clean_tables(LINKED_ROWS, {"drop_duplicates": ["note"]}, schema=linked())
    assert rows["child"] == [{"id": 1, "note": "x"}]
    assert len(rows["parent"]) == 2
    assert report["drop_duplicates"] == {"child": {"rows_dropped": 1}}


def test_rows_with_a_key_that_others_link_to_repeat_none():
    rows, _, report = clean_tables(LINKED_ROWS, {"drop_duplicates": True}, schema=linked())
    assert rows["child"] == [{"id": 1, "note": "x"}]
    assert report["drop_duplicates"] == {"child": {"rows_dropped": 1}}


def test_numbers_that_are_none_become_missing():
    values = pa.array([1.0, float("nan"), None, float("inf"), -float("inf")])
    given = clean({"x": values, "y": pa.array([1, 2, 3, 4, 5])}, {})
    assert given.values("x") == [1.0, None, None, None, None]
    assert given.effects == {"finite": {"rows_dropped": 0, "made_missing": {"x": 3}}}


@pytest.mark.parametrize(("last", "nullable"), [(2.0, False), (float("nan"), True)])
def test_a_column_may_have_missing_values_once_it_has(last, nullable):
    number = Column(name="x", type="double", meaning="numeric", nullable=False)
    schema = DatasetSchema(kind="tabular", tables=(TableSchema(name="t", columns=(number,)),))
    given = clean({"x": [1.0, 1.0, last]}, {}, schema=schema)
    assert given.schema.main.columns[0].nullable is nullable


def test_rows_with_a_missing_value_go_and_the_schema_says_so():
    rows = {"id": [1, 2, 3], "age": [5.0, float("nan"), 6.0], "sex": ["f", "m", None]}
    given = clean(rows, {"drop_missing": True}, schema=SCHEMA)
    assert given.values("id") == [1]
    assert given.effects["drop_missing"] == {"rows_dropped": 2}
    assert not any(c.nullable for c in given.schema.main.columns)


def test_rows_with_a_missing_value_in_one_column_go():
    rows = {"id": [1, 2, 3], "age": [5.0, None, 6.0], "sex": ["f", "m", None]}
    given = clean(rows, {"drop_missing": ["sex"]}, schema=SCHEMA)
    assert given.values("id") == [1, 2]
    assert [c.nullable for c in given.schema.main.columns] == [False, True, False]
