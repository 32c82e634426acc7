"""Formulas over columns: `price * quantity`, parsed into a tree of known nodes, never evaluated as code.

formula = column | `column with spaces` | number | formula (+ - * /) formula | (+ -) formula
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_LENGTH = 500
"""Characters of a formula at most; bounds how deep its tree can be."""

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_GRAMMAR = "expected columns, numbers, + - * / and parentheses"


@dataclass(frozen=True)
class Expression:
    """A parsed formula.

    Attributes:
        columns: the columns that it reads, in order of appearance.
    """

    columns: tuple[str, ...]
    _tree: ast.expr
    _quoted: Mapping[str, str]

    def evaluate(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The formula row by row; NaN or infinite where it has no value (x / 0, a missing cell).

        Shape:
            values: (B,) float64 for each of `columns`, NaN where missing.
            returns: (B,) float64.
        """
        with np.errstate(all="ignore"):
            result = self._value(self._tree, values)
        n_rows = len(next(iter(values.values())))
        return np.broadcast_to(np.asarray(result, dtype=np.float64), (n_rows,))

    def _value(self, node: ast.expr, values: Mapping[str, np.ndarray]) -> Any:
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](self._value(left, values), self._value(right, values))
            case ast.UnaryOp(op=op, operand=operand):
                return _OPERATORS[type(op)](self._value(operand, values))
            case ast.Name(id=name):
                return values[self._quoted.get(name, name)]
            case ast.Constant(value=float() | int() as number):
                return np.float64(number)
        raise AssertionError(f"`parse` let {ast.dump(node)} pass")


def parse(text: str) -> Expression:
    """Read a formula.

    Raises:
        ValueError: it is no formula of this grammar, or reads no column.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"expected a formula of at most {MAX_LENGTH} characters")
    quoted: dict[str, str] = {}

    def unquote(match: re.Match[str]) -> str:
        placeholder = f"__quoted_{len(quoted)}__"
        quoted[placeholder] = match.group(1)
        return placeholder

    try:
        tree = ast.parse(re.sub(r"`([^`]+)`", unquote, text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{_GRAMMAR}; a name with other characters goes in `backticks`") from error
    names = list(dict.fromkeys(_names(tree)))
    if not names:
        raise ValueError("expected a formula of at least one column")
    return Expression(tuple(quoted.get(name, name) for name in names), tree, quoted)


def _names(node: ast.expr) -> list[str]:
    """The names under a node, left to right; checks that the grammar holds."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return [*_names(left), *_names(right)]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _names(operand)
        case ast.Name(id=name):
            return [name]
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=float() | int() as number) if _is_finite(number):
            return []
    raise ValueError(f"{_GRAMMAR}, found `{ast.unparse(node)[:60]}`")


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False
