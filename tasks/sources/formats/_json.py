"""Records of JSON: each value in its spelling, objects in objects as names with points."""

import json
from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Any

from tasks.sources.formats._kinds import ValueKind


class Number(str):
    """A number as it is spelled."""

    __slots__ = ()


_KINDS: dict[type[Any], ValueKind] = {Number: ValueKind.NUMBER, str: ValueKind.TEXT}


class RepeatedNameError(ValueError):
    """An object has two values of one name."""


def decoder() -> json.JSONDecoder:
    """A decoder that keeps the spelling of numbers, and refuses names that stand twice."""
    return json.JSONDecoder(
        parse_float=Number,
        parse_int=Number,
        parse_constant=Number,
        object_pairs_hook=_object,
    )


def flattened(
    record: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str | None, ValueKind]]:
    """Name, spelling and kind of each value of a record; `a.b` is b of the object a."""
    for inner, value in record.items():
        name = prefix + inner if prefix else inner
        kind = _KINDS.get(type(value))
        if kind is not None:
            yield name, value, kind
        elif value is None:
            yield name, None, ValueKind.NOTHING
        elif isinstance(value, bool):
            yield name, "true" if value else "false", ValueKind.TRUTH
        elif isinstance(value, dict):
            yield from flattened(value, f"{name}.")
        else:
            yield name, spelled(value), ValueKind.NESTED


def spelled(value: Any) -> str:
    """A value of `decoder` as JSON, its numbers as they were."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, dict):
        inner = (f"{encode_basestring(name)}: {spelled(v)}" for name, v in value.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(spelled, value))}]"
    return {None: "null", True: "true", False: "false"}[value]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RepeatedNameError(f"the name {twice!r} stands twice in one object; rename one")
    return found
