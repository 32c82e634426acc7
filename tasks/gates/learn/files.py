"""Learned suites as files: one line an expectation, and whether a person has changed them since."""

import difflib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.gates.suites import Expected
from tasks.storage import read_json

NOTES = (
    "Learned by `proofmint learn`; review it, and change what you know better. docs/gates.md says"
    " how tolerances come about. What counts at the points [clean] is not asked of synthetic data,"
    " and what counts at [synthetic] of no real data."
)


def suite_text(
    name: str, tables: Sequence[tuple[str | None, Sequence[Expected]]], *, is_shared: bool
) -> str:
    """The text of a suite: the same for equal expectations.

    Args:
        name: of the suite and its file.
        tables: name and expectations of each table; None is the main one.
        is_shared: whether it is the suite of synthetic data too, and says what is not asked of it.
    """
    lines = [
        json.dumps(_entry(e, table, is_shared=is_shared), ensure_ascii=False, allow_nan=False)
        for table, expectations in tables
        for e in expectations
    ]
    return _text(name, {"notes": NOTES, "learned": _digest(lines)}, lines)


def release_text(name: str, metrics: Sequence[str]) -> str:
    """The suite of the release gate: the form of its table of metrics, and which must be there."""
    columns = ["name", "value", "reference", "goal", "lower", "upper"]
    pairs = (("value", "lower"), ("upper", "value"))
    entries: list[tuple[str, dict[str, Any]]] = [
        ("expect_table_columns_to_match_ordered_list", {"column_list": columns}),
        ("expect_column_values_to_not_be_null", {"column": "name"}),
        ("expect_column_values_to_be_unique", {"column": "name"}),
        (
            "expect_column_distinct_values_to_contain_set",
            {"column": "name", "value_set": list(metrics)},
        ),
        (
            "expect_column_values_to_be_in_set",
            {"column": "goal", "value_set": ["lower", "higher"]},
        ),
        *(
            (
                "expect_column_pair_values_a_to_be_greater_than_b",
                {
                    "column_A": a,
                    "column_B": b,
                    "or_equal": True,
                    "ignore_row_if": "either_value_is_missing",
                },
            )
            for a, b in pairs
        ),
    ]
    lines = [json.dumps({"type": kind, "kwargs": kwargs}) for kind, kwargs in entries]
    notes = (
        "One row a metric; lower and upper are the bounds that thresholds give, params.yaml's or"
        " the metric's own."
    )
    return _text(name, {"notes": notes}, lines)


def is_untouched(path: Path) -> bool:
    """Whether a suite is as it was learned, so that it may be learned anew without asking."""
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("expectations"), list):
        return False
    lines = [
        json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in content["expectations"]
    ]
    meta = content.get("meta")
    return isinstance(meta, dict) and meta.get("learned") == _digest(lines)


def difference(path: Path, text: str) -> list[str]:
    """What a new text would change of a file, line by line; lines that stay are left out."""
    old, new = path.read_text(encoding="utf-8").splitlines(), text.splitlines()
    return list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]


def write_text(path: Path, text: str) -> None:
    """Write a suite whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def _entry(expected: Expected, table: str | None, *, is_shared: bool) -> dict[str, Any]:
    meta: dict[str, Any] = {} if table is None else {"table": table}
    if expected.points is not None and is_shared:
        meta["points"] = list(expected.points)
    entry = {"type": expected.type, "kwargs": expected.kwargs}
    return {**entry, "meta": meta} if meta else entry


def _text(name: str, meta: dict[str, Any], lines: Sequence[str]) -> str:
    about = json.dumps(meta, ensure_ascii=False)
    rows = ",\n".join(f"  {line}" for line in lines)
    return (
        f'{{\n "name": {json.dumps(name)},\n "meta": {about},\n "expectations": [\n{rows}\n ]\n}}\n'
    )


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
