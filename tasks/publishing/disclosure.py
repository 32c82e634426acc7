"""What a release may say: settings and summaries without paths, addresses or rows.

A release is public. Everything that comes from params.yaml, from a generator's summary or from a
gate passes through here before it is written.
"""

import re
from collections.abc import Mapping
from typing import Any

WITHHELD = "(withheld)"
"""Stands where a value was left out, so that a reader sees that there was one."""

_LONGEST_TEXT = 500
_REVEALING = re.compile(
    r"""
    ^\s*[~/\\]            # a path of this machine
    | ^\s*[A-Za-z]:[\\/]  # the same, Windows
    | ://                 # an address, perhaps with a password in it
    | (^|[\s=:"'(,])/(home|root|tmp|var|mnt|opt|srv|data|Users)/
    """,
    re.VERBOSE,
)


def public_text(text: str) -> str:
    """`text`, or WITHHELD if it holds a path, an address or more than a remark."""
    return WITHHELD if len(text) > _LONGEST_TEXT or _REVEALING.search(text) else text


def public_value(value: Any) -> Any:
    """A JSON value in which every revealing text is withheld, however deep it lies."""
    if isinstance(value, Mapping):
        return {str(key): public_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [public_value(item) for item in value]
    if isinstance(value, str):
        return public_text(value)
    return value


def public_source(source: Mapping[str, Any]) -> dict[str, Any]:
    """A source's settings: its type, and the names of what else was set.

    A query, a path or the name of a connection says more about the owner's systems than a reader
    of the release needs to know.
    """
    return {
        "type": source["type"],
        "withheld": sorted(key for key in source if key != "type"),
    }


def public_verdict(verdict: Mapping[str, Any], *, of_real_data: bool) -> dict[str, Any]:
    """A gate's verdict; what was observed in real data is left out, because it may quote it."""
    kept = ("type", "target", "description", "passed") if of_real_data else _CHECK
    checks = [
        {name: public_value(check[name]) for name in kept if name in check}
        for check in verdict.get("checks", [])
    ]
    summary = {name: verdict[name] for name in _VERDICT if name in verdict}
    return {**summary, "checks": checks}


_CHECK = ("type", "target", "description", "passed", "observed")
_VERDICT = ("gate", "dataset", "passed", "suite_sha256", "n_expectations", "n_failed")
