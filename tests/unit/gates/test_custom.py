"""The learned expectations in Great Expectations: what they find, in plain words."""

import pandas as pd
import pytest

from tasks.errors import ParamsError
from tasks.gates.run import Check, examine, publish_docs
from tasks.gates.suites import Expected
from tests.projects import REPOSITORY

FRAME = pd.DataFrame(
    {"x": [1.0, 2.0, 3.0, 4.0] * 25, "y": [2.0, 4.0, 6.0, 8.0] * 25, "s": ["a", "b"] * 50}
)
CHANCE = {"rows": 100, "alpha": 1e-3}


def check(kind: str, /, **kwargs) -> Check:
    (found,) = examine("t", FRAME, [Expected(kind, kwargs, None, None)], frozenset()).checks
    return found


@pytest.mark.parametrize(
    ("kind", "kwargs", "passed", "description", "observed"),
    [
        (
            "expect_column_kind_to_be",
            {"column": "s", "kind": "number"},
            False,
            "holds values of the kind: number",
            "text",
        ),
        (
            "expect_column_share_to_be_stable",
            {"column": "x", "of": "outside", "min_value": 0, "max_value": 3, "count": 0, **CHANCE},
            False,
            "is outside 0 to 3 no more often than in the rows learned from (0 of 100)",
            "25 of 100 rows; learned from 0 of 100",
        ),
        (
            "expect_column_share_to_be_stable",
            {"column": "x", "of": "outside", "min_value": 0, "max_value": 4},
            True,
            "is outside 0 to 4 in no row",
            "0 of 100 rows",
        ),
        (
            "expect_column_most_common_share_to_be_stable",
            {"column": "s", "count": 50, **CHANCE},
            True,
            "has no value more often than the commonest one before (50 of 100)",
            "50 of 100 rows; learned from 50 of 100",
        ),
        (
            "expect_column_distribution_to_be_stable",
            {"column": "x", "of": "value", "edges": [2.0], "shares": [0.5], **CHANCE},
            True,
            "has values distributed as in the rows learned from (KS)",
            "KS 0.0000, allowed 0.2757 for so many rows",
        ),
        (
            "expect_multicolumn_rule_to_hold",
            {"column_list": ["y", "x"], "rule": "at most"},
            False,
            "the first is no larger than the second",
            "100 of 100 rows",
        ),
        (
            "expect_table_rows_to_repeat_as_before",
            {"column_list": ["x"], "pairs": 1200.0, **CHANCE},
            True,
            "has rows that are equal in x no more often than the rows learned from",
            "96 of 100 rows, allowed 3,796",
        ),
    ],
)
def test_what_was_expected_and_found(kind, kwargs, passed, description, observed):
    found = check(kind, **kwargs)
    assert found.passed is passed
    assert found.description == description
    # The last digits of a quantile are the library's.
    assert found.observed.split("allowed")[0] == observed.split("allowed")[0]


def test_pairs_of_cells_are_compared():
    cells = [{"of": "value", "edges": [2.0]}, {"of": "value", "value_set": ["a"]}]
    kwargs = {"column_A": "x", "column_B": "s", "cells_A": cells[0], "cells_B": cells[1]}
    kind = "expect_column_pair_distribution_to_be_stable"
    # Cells: up to 2 and above it, missing; a, others, missing.
    as_is = [[0.25, 0.25, 0.0], [0.25, 0.25, 0.0], [0.0, 0.0, 0.0]]
    assert check(kind, **kwargs, shares=as_is, **CHANCE).passed
    other = [[0.48, 0.02, 0.0], [0.02, 0.48, 0.0], [0.0, 0.0, 0.0]]
    assert not check(kind, **kwargs, shares=other, **CHANCE).passed


def test_a_column_that_is_not_there_and_an_argument_that_is_none():
    assert check("expect_column_kind_to_be", column="z", kind="text").observed == (
        "there is no column z"
    )
    with pytest.raises(ParamsError, match="extra fields not permitted"):
        check("expect_column_kind_to_be", column="x", knd="text")


def test_data_docs_show_them(tmp_path):
    expected = Expected("expect_column_kind_to_be", {"column": "x", "kind": "text"}, None, None)
    found = examine("t", FRAME, [expected], frozenset())
    config = REPOSITORY / "great_expectations"
    assert publish_docs("a_raw", [found], config=config, docs=tmp_path)
    (page,) = (tmp_path / "site" / "validations").rglob("t.html")
    assert "number" in page.read_text()
