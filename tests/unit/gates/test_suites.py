"""Suites as they are written, and what is wrong with them."""

import json
from pathlib import Path

import pytest

from tasks.errors import DataError, ParamsError
from tasks.gates.suites import Expected, load_suite


def write(folder: Path, content: object, name: str = "d_raw") -> Path:
    path = folder / f"{name}.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def expected(kind: str, **kwargs) -> Expected:
    return Expected(kind, kwargs, None, None)


def test_a_suite_is_read_in_order_and_by_table(tmp_path):
    entries = [
        {"type": "expect_a", "kwargs": {"column": "x"}},
        {"type": "expect_b", "meta": {"table": "orders"}, "description": "is fine"},
        {"type": "expect_c"},
    ]
    suite = load_suite(write(tmp_path, {"name": "d_raw", "expectations": entries}))
    assert suite.tables == [None, "orders"]
    assert [e.type for e in suite.of_table(None)] == ["expect_a", "expect_c"]
    assert suite.of_table("orders")[0].words == "is fine"
    assert len(suite.sha256) == 64


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("{", DataError, "is not JSON"),
        ([], ParamsError, "expected .*d_raw.json to be"),
        ({"name": "d_raw"}, ParamsError, "expected .*d_raw.json to be"),
        ({"name": "other", "expectations": [1]}, ParamsError, "must be named 'd_raw'"),
        ({"name": "d_raw", "expectations": []}, ParamsError, "expects nothing"),
        (
            {"name": "d_raw", "expectations": [{"kwargs": {}}]},
            ParamsError,
            "expectation 1: expected",
        ),
        (
            {"name": "d_raw", "expectations": [{"type": "expect_a", "kwarg": {}}]},
            ParamsError,
            r"expectation 1: unknown keys \['kwarg'\]; choose from",
        ),
        (
            {"name": "d_raw", "expectations": [{"type": "expect_a", "kwargs": []}]},
            ParamsError,
            "`kwargs` and `meta` to be mappings",
        ),
    ],
)
def test_a_malformed_suite_is_refused(tmp_path, content, error, message):
    with pytest.raises(error, match=message):
        load_suite(write(tmp_path, content))


def test_a_missing_suite_is_named(tmp_path):
    with pytest.raises(DataError, match=r"expected the file .*d_raw.json"):
        load_suite(tmp_path / "d_raw.json")


def test_only_the_columns_that_are_needed():
    known = ["a", "b", "c"]
    assert expected("expect_column_x", column="a").columns(known) == {"a"}
    assert expected("expect_pair", column_A="a", column_B="z").columns(known) == {"a"}
    assert expected("expect_compound", column_list=["a", "b"]).columns(known) == {"a", "b"}
    assert expected("expect_x", column="a", row_condition='b=="1"').columns(known) == {"a", "b"}
    names = expected("expect_table_columns_to_match_ordered_list", column_list=known)
    assert names.columns(known) == set()
    assert names.target == ""
    assert expected("expect_pair", column_A="a", column_B="z").target == "a, z"


def test_the_committed_suites_are_well_formed():
    folder = Path(__file__).parents[3] / "great_expectations" / "expectations"
    names = sorted(path.stem for path in folder.glob("*.json"))
    points = ("clean", "raw", "release")
    assert {f"{d}_{p}" for d in ("breast_cancer", "digits") for p in points} <= set(names)
    for name in names:
        assert load_suite(folder / f"{name}.json").name == name


def test_an_expectation_counts_at_the_gates_that_it_names(tmp_path):
    entries = [
        {"type": "expect_a"},
        {"type": "expect_b", "meta": {"points": ["clean"]}},
    ]
    suite = load_suite(write(tmp_path, {"name": "d_clean", "expectations": entries}, "d_clean"))
    assert [e.type for e in suite.at("clean").expectations] == ["expect_a", "expect_b"]
    assert [e.type for e in suite.at("synthetic").expectations] == ["expect_a"]


@pytest.mark.parametrize("points", ["clean", [], ["cleaned"]])
def test_gates_that_are_none_are_refused(tmp_path, points):
    entries = [{"type": "expect_a", "meta": {"points": points}}]
    with pytest.raises(ParamsError, match=r"meta\.points to name some of"):
        load_suite(write(tmp_path, {"name": "d_raw", "expectations": entries}))


def test_a_gate_at_which_nothing_counts_is_refused(tmp_path):
    entries = [{"type": "expect_a", "meta": {"points": ["clean"]}}]
    suite = load_suite(write(tmp_path, {"name": "d_clean", "expectations": entries}, "d_clean"))
    with pytest.raises(ParamsError, match="expects nothing at the gate 'synthetic'"):
        suite.at("synthetic")
