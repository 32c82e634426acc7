"""Great Expectations itself: what it is given, what it finds, what it leaves behind."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from tasks.errors import ParamsError
from tasks.gates import run
from tasks.gates.run import Check, Examination, examine, publish_docs, to_frame
from tasks.gates.suites import Expected
from tasks.storage import digest

ROOT = Path(__file__).parents[3]
FRAME = to_frame(
    pa.table(
        {
            "age": [31.0, None, 52.0, 440.0],
            "sex": ["f", "m", "x", "f"],
            "id": [1, 2, 2, 4],
        }
    )
)


def check(
    kind: str, *, frame: pd.DataFrame = FRAME, personal: Sequence[str] = (), **kwargs
) -> Check:
    expected = Expected(f"expect_{kind}", kwargs, None, None)
    (found,) = examine("t", frame, [expected], frozenset(personal)).checks
    return found


@pytest.mark.parametrize(
    ("kind", "kwargs", "passed", "description", "observed"),
    [
        (
            "column_values_to_be_between",
            {"column": "age", "min_value": 0, "max_value": 120},
            False,
            "is 0 to 120",
            "1 of 4 rows do not (found 31 to 440)",
        ),
        (
            "column_values_to_be_between",
            {"column": "age", "min_value": 0, "max_value": 120, "mostly": 0.5},
            True,
            "is 0 to 120, in 50 % of the rows at least",
            "1 of 4 rows do not (found 31 to 440)",
        ),
        (
            "column_values_to_be_in_set",
            {"column": "sex", "value_set": ["f", "m"]},
            False,
            "is one of: f, m",
            "1 of 4 rows do not (found x)",
        ),
        (
            "column_values_to_not_be_null",
            {"column": "age"},
            False,
            "is never missing",
            "1 of 4 rows do not",
        ),
        (
            "column_values_to_be_unique",
            {"column": "id"},
            False,
            "differs in every row",
            "2 of 4 rows do not",
        ),
        (
            "table_row_count_to_be_between",
            {"min_value": 1000},
            False,
            "has at least 1,000 rows",
            "4",
        ),
        (
            "table_columns_to_match_ordered_list",
            {"column_list": ["age", "gender", "id"]},
            False,
            "has the columns age, gender, id, in this order",
            "missing: gender; not expected: sex",
        ),
        (
            "table_columns_to_match_ordered_list",
            {"column_list": ["age", "id", "sex"]},
            False,
            "has the columns age, id, sex, in this order",
            "another order from column 2 on",
        ),
        (
            "column_values_to_be_of_type",
            {"column": "sex", "type_": "str"},
            True,
            "is of type str",
            "str",
        ),
        (
            "column_median_to_be_between",
            {"column": "age", "max_value": 50},
            False,
            "has a median of at most 50",
            "52",
        ),
        (
            "column_values_to_not_be_null",
            {"column": "agee"},
            False,
            "is never missing",
            "there is no column agee",
        ),
        (
            "column_value_lengths_to_equal",
            {"column": "sex", "value": 1},
            True,
            "column value lengths to equal {'value': 1}",
            "0 of 4 rows do not",
        ),
    ],
)
def test_checks_in_plain_words(kind, kwargs, passed, description, observed):
    found = check(kind, **kwargs)
    assert (found.passed, found.description, found.observed) == (passed, description, observed)


def test_a_check_that_cannot_be_made_fails_and_says_why():
    found = check("column_values_to_be_between", column="sex", min_value=0)
    assert not found.passed
    assert found.observed.startswith("it cannot be told: ")


def test_values_of_personal_columns_are_not_quoted():
    kwargs = {"column": "sex", "value_set": ["f"]}
    assert check("column_values_to_be_in_set", personal=["sex"], **kwargs).observed == (
        "2 of 4 rows do not"
    )
    found = check("column_distinct_values_to_be_in_set", personal=["sex"], **kwargs)
    assert found.observed == "3 values"
    found = check("column_max_to_be_between", personal=["age"], column="age", max_value=120)
    assert found.observed == "a value (not shown)"


def test_pages_quote_no_value_of_personal_columns():
    frame = pd.DataFrame({"word": ["secret1", "secret2"], "n": [1, 777_123]})
    expectations = [
        Expected(f"expect_{kind}", kwargs, None, None)
        for kind, kwargs in (
            ("column_distinct_values_to_equal_set", {"column": "word", "value_set": ["a"]}),
            ("column_most_common_value_to_be_in_set", {"column": "word", "value_set": ["a"]}),
            ("column_values_to_be_in_set", {"column": "word", "value_set": ["a"]}),
            ("column_values_to_be_between", {"column": "word", "max_value": 5}),
            ("column_max_to_be_between", {"column": "n", "max_value": 5}),
            ("column_values_to_be_between", {"column": "n", "max_value": 5}),
        )
    ]
    found = examine("t", frame, expectations, frozenset(frame.columns))
    told = json.dumps(found.result.to_json_dict()) + str(found.checks)
    assert "secret" not in told
    assert "777" not in told
    assert not any(c.passed for c in found.checks)


def test_checks_keep_the_order_of_the_suite():
    kinds = ["column_values_to_be_unique", "column_values_to_not_be_null"] * 3
    expectations = [Expected(f"expect_{kind}", {"column": "id"}, None, None) for kind in kinds]
    found = examine("t", FRAME, expectations, frozenset()).checks
    assert [c.type.removeprefix("expect_") for c in found] == kinds


@pytest.mark.parametrize(
    ("kind", "kwargs", "message"),
    [
        ("nonsense", {}, "'expect_nonsense' of 'the table' cannot be used"),
        ("column_values_to_be_unique", {"colum": "id"}, "extra fields not permitted"),
        ("column_values_to_be_between", {"column": "id"}, "min_value and max_value cannot both"),
    ],
)
def test_an_expectation_that_is_none_is_refused(kind, kwargs, message):
    with pytest.raises(ParamsError, match=message):
        check(kind, **kwargs)


def test_a_frame_keeps_digits_and_knows_all_columns():
    table = pa.table(
        {
            "big": pa.array([1234567890123456789, None]),
            "price": pa.array([Decimal("1.25"), None], pa.decimal128(6, 2)),
        }
    )
    frame = to_frame(table, ["price", "image", "big"])
    assert list(frame.columns) == ["price", "image", "big"]
    assert frame["big"][0] == 1234567890123456789
    assert frame["price"].dtype == "float64"
    assert len(to_frame(table.slice(0, 0), ["price", "image"])) == 0


def examination() -> Examination:
    expected = Expected("expect_column_values_to_be_unique", {"column": "id"}, None, None)
    return examine("t", FRAME, [expected], frozenset())


def test_data_docs_hold_the_results_of_all_gates_and_the_settings_stay(tmp_path):
    config = tmp_path / "great_expectations"
    shutil.copytree(ROOT / "great_expectations", config)
    before = digest(config)
    docs = tmp_path / "state" / "docs"
    for name in ("a_raw", "a_clean", "a_raw"):
        index = publish_docs(name, [examination()], config=config, docs=docs)
    assert index == docs / "site" / "index.html"
    text = index.read_text()
    assert "a_raw" in text
    assert "a_clean" in text
    assert len(list((docs / "site" / "validations" / "a_raw").rglob("t.html"))) == 2
    assert digest(config) == before


def test_old_runs_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "KEPT_RUNS", 2)
    for _ in range(4):
        publish_docs("a_raw", [examination()], config=ROOT / "great_expectations", docs=tmp_path)
    assert len(list((tmp_path / "site" / "validations" / "a_raw").rglob("t.html"))) == 2
    assert len(list((tmp_path / "stores" / "validations" / "a_raw").rglob("t.json"))) == 2


def test_docs_that_a_killed_run_spoiled_are_begun_anew(tmp_path):
    config = ROOT / "great_expectations"
    publish_docs("a_raw", [examination()], config=config, docs=tmp_path)
    (result,) = (tmp_path / "stores" / "validations").rglob("t.json")
    result.write_text('{"half')
    assert publish_docs("b_raw", [examination()], config=config, docs=tmp_path)
    assert "b_raw" in (tmp_path / "site" / "index.html").read_text()


def test_numbers_that_are_none_are_missing_values():
    table = pa.table({"x": [1.0, float("nan"), float("inf"), -float("inf"), None], "i": [1] * 5})
    frame = to_frame(table)
    assert frame["x"].isna().tolist() == [False, True, True, True, True]
    kwargs = {"column": "x", "min_value": 0, "max_value": 1}
    assert check("column_values_to_be_between", frame=frame, **kwargs).passed
    assert check("column_values_to_not_be_null", frame=frame, column="x").observed.startswith("4")


SCRIPT = """
import sys
from pathlib import Path
from tasks.gates.run import publish_docs
sys.path.insert(0, sys.argv[3])
from tests.unit.gates.test_run import examination
config = Path(sys.argv[3]) / "great_expectations"
for _ in range(2):
    assert publish_docs(sys.argv[1], [examination()], config=config, docs=Path(sys.argv[2]))
"""


def test_two_gates_at_the_same_time_do_not_disturb_each_other(tmp_path):
    def publish(name: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", SCRIPT, name, str(tmp_path), str(ROOT)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(publish, ["a_raw", "b_raw"]):
            assert done.returncode == 0, done.stderr
            assert done.stderr == ""
    for name in ("a_raw", "b_raw"):
        results = list((tmp_path / "stores" / "validations" / name).rglob("t.json"))
        assert len(results) == 2
        assert all(json.loads(path.read_text())["success"] is False for path in results)
