"""Expectations in plain words: what was expected, and what was found."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from tasks.gates.suites import Expected

_SHOWN = 12
"""Names or values of a list that a message shows at most."""

_OF_ONE_ROW = ("expect_column_max_", "expect_column_min_", "expect_column_median_")
"""Types, by how they begin, that find the value of a single row."""

_Kwargs = Mapping[str, Any]


def describe(expected: Expected) -> str:
    """What is expected of the target, as a sentence without its subject."""
    if expected.words:
        return expected.words
    words = _WORDS.get(expected.type)
    kwargs = expected.kwargs
    if words is None:
        rest = {k: v for k, v in kwargs.items() if k not in ("column", "mostly")}
        text = expected.type.removeprefix("expect_").replace("_", " ")
        text += f" {rest}" if rest else ""
    else:
        text = words(kwargs)
    if kwargs.get("mostly", 1) != 1:
        text += f", in {number(100 * kwargs['mostly'])} % of the rows at least"
    if (condition := kwargs.get("row_condition")) is not None:
        text += f", where {condition}"
    return text


def observe(
    expected: Expected, result: Mapping[str, Any], frame: pd.DataFrame, *, personal: bool
) -> str:
    """What was found: counts and extremes, and values only of columns that are not personal.

    Args:
        expected: the expectation.
        result: the `result` that Great Expectations gives for it.
        frame: the data.
        personal: whether the target holds personal data.
    """
    if expected.type == "expect_table_columns_to_match_ordered_list":
        return _columns_against(list(frame.columns), expected.kwargs["column_list"])
    if "unexpected_count" in result and "element_count" in result:
        text = f"{result['unexpected_count']:,} of {result['element_count']:,} rows do not"
        return text if personal else text + _wrong_values(expected, frame)
    if expected.type.startswith("expect_column_distinct_values_"):
        values = sorted(map(str, frame[expected.kwargs["column"]].dropna().unique()))
        return f"{len(values):,} values" if personal else listed(values) or "no values"
    value = result.get("observed_value")
    if personal and expected.type.startswith(_OF_ONE_ROW):
        return "a value (not shown)"
    if isinstance(value, (list, dict)):
        return f"{len(value):,} values" if personal else listed(list(value))
    return number(value) if value is not None else "no value"


def number(value: Any) -> str:
    """A number as people write it; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def listed(values: Any) -> str:
    """A list, cut short where it is long."""
    shown = ", ".join(str(value) for value in list(values)[:_SHOWN])
    return shown + (f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else "")


def _columns_against(found: list[str], wanted: list[str]) -> str:
    missing = [name for name in wanted if name not in found]
    other = [name for name in found if name not in wanted]
    parts = [f"missing: {listed(missing)}"] if missing else []
    parts += [f"not expected: {listed(other)}"] if other else []
    if not parts and found != wanted:
        place = next(i for i, name in enumerate(wanted) if found[i : i + 1] != [name])
        parts = [f"another order from column {place + 1} on"]
    return "; ".join(parts) or f"these {len(found)} columns"


def _wrong_values(expected: Expected, frame: pd.DataFrame) -> str:
    """The extremes of numbers that shall lie in a range; some values that are not in a set."""
    column = expected.kwargs.get("column")
    if column not in frame or "row_condition" in expected.kwargs:
        return ""
    values = frame[column].dropna()
    if expected.type == "expect_column_values_to_be_between" and len(values):
        return f" (found {number(_plain(values.min()))} to {number(_plain(values.max()))})"
    if expected.type == "expect_column_values_to_be_in_set":
        wrong = sorted(set(map(str, values[~values.isin(expected.kwargs["value_set"])])))
        return f" (found {listed(wrong[:5])})" if wrong else ""
    return ""


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _range(kwargs: _Kwargs) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None:
        return f"at most {number(high)}"
    return f"at least {number(low)}" if high is None else f"{number(low)} to {number(high)}"


def _learned_share(kwargs: _Kwargs) -> str:
    words = _FLAGS[kwargs["of"]](kwargs)
    if kwargs.get("alpha") is None:
        return f"is {words} in no row"
    often = "as often as" if kwargs.get("fewer") else "no more often than"
    return f"is {words} {often} in the rows learned from ({_ratio(kwargs)})"


def _ratio(kwargs: _Kwargs) -> str:
    count = kwargs.get("count", 0)
    return f"{count:,} of {kwargs['rows']:,}" if count != _FEW else f"few of {kwargs['rows']:,}"


def _span(kwargs: _Kwargs) -> str:
    low, high = (number(kwargs[name]) for name in ("min_value", "max_value"))
    return f"outside {low} to {high}"


def _rule(kwargs: _Kwargs) -> str:
    words = _RULES[kwargs["rule"]]
    if kwargs.get("alpha") is None:
        return words
    return f"{words}, but in as few rows as before ({_ratio(kwargs)})"


def _repeats(kwargs: _Kwargs) -> str:
    columns = kwargs["column_list"]
    about = f"in {columns[0]}" if len(columns) == 1 else f"in these {len(columns)} columns"
    return f"has rows that are equal {about} no more often than the rows learned from"


_FEW = 10
"""Counts from 1 to this one are told as it by `proofmint learn`."""

_FLAGS: dict[str, Callable[[_Kwargs], str]] = {
    "missing": lambda _: "missing",
    "zero": lambda _: "zero",
    "outside": _span,
    "unlisted": lambda k: f"none of: {listed(k['value_set'])}",
    "unmatched": lambda k: f"not of the form {k['regex']}",
    "untrimmed": lambda _: "with spaces at its ends",
    "empty": lambda _: "empty",
    "placeholder": lambda _: "a word for a missing value",
    "not ASCII": lambda _: "with characters beyond ASCII",
    "damaged": lambda _: "read in a wrong encoding",
}
_RULES = {
    "at most": "the first is no larger than the second",
    "equal": "both are equal",
    "sum": "the third is the sum of the first two",
    "product": "the third is the product of the first two",
    "determines": "equal values in the first have equal ones in the second",
    "missing with": "where the first is missing, the second is",
}
_MEASURES = {
    "value": "values",
    "length": "lengths",
    "decimals": "numbers of decimals",
    "hour": "hours",
    "weekday": "days of the week",
    "day": "days of the month",
    "month": "months",
}

_WORDS: dict[str, Callable[[_Kwargs], str]] = {
    "expect_column_kind_to_be": lambda k: f"holds values of the kind: {k['kind']}",
    "expect_column_share_to_be_stable": _learned_share,
    "expect_column_most_common_share_to_be_stable": lambda k: (
        f"has no value more often than the commonest one before ({_ratio(k)})"
    ),
    "expect_column_distribution_to_be_stable": lambda k: (
        f"has {_MEASURES[k['of']]} distributed as in the rows learned from"
        f" ({'KS' if k.get('edges') is not None else 'PSI'})"
    ),
    "expect_column_pair_distribution_to_be_stable": lambda _: (
        "depend on each other as in the rows learned from (PSI)"
    ),
    "expect_multicolumn_rule_to_hold": _rule,
    "expect_table_rows_to_repeat_as_before": _repeats,
    "expect_table_columns_to_match_ordered_list": lambda k: (
        f"has the columns {listed(k['column_list'])}, in this order"
    ),
    "expect_table_row_count_to_be_between": lambda k: f"has {_range(k)} rows",
    "expect_column_values_to_not_be_null": lambda _: "is never missing",
    "expect_column_values_to_be_unique": lambda _: "differs in every row",
    "expect_column_values_to_be_between": lambda k: f"is {_range(k)}",
    "expect_column_values_to_be_in_set": lambda k: f"is one of: {listed(k['value_set'])}",
    "expect_column_distinct_values_to_equal_set": lambda k: (
        f"takes all of these values and no other: {listed(k['value_set'])}"
    ),
    "expect_column_distinct_values_to_contain_set": lambda k: (
        f"takes all of these values: {listed(k['value_set'])}"
    ),
    "expect_column_values_to_be_of_type": lambda k: f"is of type {k['type_']}",
    "expect_column_values_to_be_in_type_list": lambda k: (
        f"is of type {' or '.join(k['type_list'])}"
    ),
    "expect_column_values_to_match_regex": lambda k: f"matches {k['regex']}",
    "expect_column_mean_to_be_between": lambda k: f"has a mean of {_range(k)}",
    "expect_column_median_to_be_between": lambda k: f"has a median of {_range(k)}",
    "expect_column_stdev_to_be_between": lambda k: f"has a standard deviation of {_range(k)}",
    "expect_column_pair_values_a_to_be_greater_than_b": lambda k: (
        f"the first is {'at least' if k.get('or_equal') else 'more than'} the second"
    ),
}
