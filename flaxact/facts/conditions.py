"""Conditions on facts, such as ``monotonic and mean < 0.1``; parsed and evaluated without ``eval``."""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Collection
from typing import Any

from flaxact.errors import InputError, unknown

_COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


def parse(text: str, yes_or_no: Collection[str], numbers: Collection[str]) -> ast.expr:
    """Parse a condition into a tree for ``holds``.

    Args:
      text: facts and numbers (also ``inf``) with and, or, not, comparisons and parentheses.
      yes_or_no: the facts that are true or false.
      numbers: the facts that are numbers.

    Raises:
      InputError: any other text, an unknown fact, or a fact of the wrong kind.

    >>> parse("mean < ", [], ["mean"])
    Traceback (most recent call last):
    flaxact.errors.InputError: cannot read 'mean < ': only facts, numbers, and, or, not, and
    comparisons, as in 'monotonic and mean < 0.1'
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python would only warn of, such as 1and
            tree = ast.parse(text.strip(), mode="eval").body
        readable = _check(tree, False, yes_or_no, numbers)
    except (SyntaxError, ValueError, MemoryError, RecursionError, Warning) as error:
        if isinstance(error, InputError):
            raise
        readable = False
    if not readable:
        raise InputError(
            f"cannot read {text!r:.60}: only facts, numbers, and, or, not, and comparisons, as in "
            "'monotonic and mean < 0.1'"
        )
    return tree


def _check(  # noqa: PLR0911
    node: ast.expr, number: bool, yes_or_no: Collection[str], numbers: Collection[str]
) -> bool:
    """Whether a tree has only allowed nodes, and is a number or a condition as required."""
    facts = yes_or_no, numbers
    match node:
        case ast.Name(id="inf"):
            return number
        case ast.Name(id=name):
            if name not in (numbers if number else yes_or_no):
                raise _wrong_fact(name, yes_or_no, numbers)
            return True
        case ast.UnaryOp(op=ast.USub(), operand=operand) if number:
            return _check(operand, True, *facts)
        case ast.Constant(value=value):
            return number and type(value) in (int, float)
        case ast.BoolOp(values=values) if not number:
            return all(_check(value, False, *facts) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand) if not number:
            return _check(operand, False, *facts)
        case ast.Compare(left=left, ops=ops, comparators=right) if not number:
            are_comparisons = all(type(op) in _COMPARISONS for op in ops)
            return are_comparisons and all(_check(side, True, *facts) for side in (left, *right))
    return False


def _wrong_fact(name: str, yes_or_no: Collection[str], numbers: Collection[str]) -> InputError:
    if name in numbers:
        return InputError(f"{name} is a number: compare it, as in '{name} < 0.1'")
    if name in yes_or_no:
        return InputError(f"{name} is yes or no, not a number: use it alone, as in 'not {name}'")
    return unknown("fact", name, [*yes_or_no, *numbers])


def holds(node: ast.expr, fact: Callable[[str], float | None]) -> Any:  # noqa: C901, PLR0911
    """The value of a parsed condition, None if it is unknown; facts are looked up only as needed.

    Args:
      node: from ``parse``.
      fact: returns a fact's value by name, None if it is unknown.

    >>> holds(parse("a or b < 1", ["a"], ["b"]), {"a": None, "b": 0}.get)
    True
    """
    match node:
        case ast.BoolOp(op=op, values=values):
            decisive = isinstance(op, ast.Or)
            results = []
            for value in values:
                results.append(holds(value, fact))
                if results[-1] is decisive:
                    return decisive
            return None if None in results else not decisive
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            value = holds(operand, fact)
            return None if value is None else not value
        case ast.UnaryOp(operand=operand):
            value = holds(operand, fact)
            return None if value is None else -value
        case ast.Compare(left=left, ops=ops, comparators=right):
            sides = [holds(side, fact) for side in (left, *right)]
            if None in sides:
                return None
            pairs = zip(sides, ops, sides[1:], strict=False)
            return all(_COMPARISONS[type(op)](a, b) for a, op, b in pairs)
        case ast.Constant(value=value):
            return value
        case ast.Name(id="inf"):
            return math.inf
        case ast.Name(id=name):
            return fact(name)
    raise TypeError(node)
