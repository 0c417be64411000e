"""Evaluate graphs of formulas: constants for the compiler here, and any other arithmetic that has the same methods."""

from __future__ import annotations

import decimal
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..activations import activations
from .nodes import Node

OPERATORS: dict[str, Callable[..., Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow,
    "neg": operator.neg, "abs": abs, "&": operator.and_, "|": operator.or_,
}  # fmt: skip
_DIGITS = 50


class Arithmetic(Protocol):
    """The numbers of an evaluation; the operators of Python work on them."""

    lazy: bool
    """Whether only the branch of a choice that is taken is computed."""
    pi: Any
    e: Any

    def number(self, text: str) -> Any: ...
    def call(self, name: str, a: Any) -> Any: ...
    def row(self, name: str, a: Any, *parameters: Any) -> Any: ...
    def power(self, a: Any, b: Any) -> Any: ...
    def larger(self, a: Any, b: Any) -> Any: ...
    def smaller(self, a: Any, b: Any) -> Any: ...
    def sign(self, a: Any) -> Any: ...
    def choose(self, condition: Any, a: Any, b: Any) -> Any: ...


def evaluate(root: Node, numbers: Any, given: Mapping[str, Any], side: int = 1) -> Any:
    """Return the value of a graph, for given inputs and parameters; ``side`` decides comparisons of one-sided derivatives."""
    known: dict[Node, Any] = {}
    left = [root]
    while left:
        n = left[-1]
        if n in known:
            left.pop()
            continue
        lazy = n.op == "if" and numbers.lazy
        needed = [n.args[0]] if lazy else [*n.operands()]
        if lazy and n.args[0] in known:
            needed = [n.args[1] if known[n.args[0]] else n.args[2]]
        missing = [a for a in needed if a not in known]
        if missing:
            left += missing
        elif lazy:
            known[n] = known[needed[0]]
        else:
            known[n] = _value(n, [known[a] if isinstance(a, Node) else a for a in n.args], numbers, given, side)
    return known[root]


def _value(n: Node, args: list[Any], numbers: Any, given: Mapping[str, Any], side: int) -> Any:
    match n.op, args:
        case ("input" | "parameter"), [name]:
            return given[name]
        case "number", [text]:
            return numbers.number(text)
        case ("pi" | "e"), _:
            return getattr(numbers, n.op)
        case "if", _:
            return numbers.choose(*args)
        case ("call" | "row"), _:
            return getattr(numbers, n.op)(*args)
        case "pow", [a, b]:
            return numbers.power(a, b)
        case "max", [a, b]:
            return numbers.larger(a, b)
        case "min", [a, b]:
            return numbers.smaller(a, b)
        case "sign", [a]:
            return numbers.sign(a)
        case "copysign", [a, b]:
            return numbers.choose(b < 0, -abs(a), abs(a))
        case "above", [a, b, da, db]:
            return (a > b) | ((a == b) & (side * (da - db) > 0))
    return OPERATORS[n.op](*args)


_FLOAT_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "floor": math.floor,
    "round": round,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)) if a > 0 else math.exp(a) / (1 + math.exp(a)),
    "softplus": lambda a: max(a, 0) + math.log1p(math.exp(-abs(a))),
    "normcdf": lambda a: math.erfc(-a / math.sqrt(2)) / 2,
    "normpdf": lambda a: math.exp(-(a**2) / 2) / math.sqrt(2 * math.pi),
}
_DECIMAL_FUNCTIONS = {"exp": decimal.Decimal.exp, "log": decimal.Decimal.ln, "sqrt": decimal.Decimal.sqrt}


class _Decimals:
    """Decimal numbers of 50 digits. Functions that the decimal module lacks are computed in float64."""

    lazy, number = True, decimal.Decimal
    pi = decimal.Decimal("3.14159265358979323846264338327950288419716939937510582097494")
    e = decimal.Decimal("2.71828182845904523536028747135266249775724709369995957496697")
    larger, smaller = staticmethod(max), staticmethod(min)

    def call(self, name: str, a: decimal.Decimal) -> decimal.Decimal:
        if name in _DECIMAL_FUNCTIONS:
            return _DECIMAL_FUNCTIONS[name](a)
        return decimal.Decimal((_FLOAT_FUNCTIONS.get(name) or getattr(math, name))(float(a)))

    def row(self, name: str, *args: decimal.Decimal) -> decimal.Decimal:
        return decimal.Decimal(float(activations[name]["ufunc"](*map(float, args))))

    def power(self, a: decimal.Decimal, b: decimal.Decimal) -> decimal.Decimal:
        return a**b

    def sign(self, a: decimal.Decimal) -> decimal.Decimal:
        return decimal.Decimal((a > 0) - (a < 0))

    def choose(self, condition: bool, a: decimal.Decimal, b: decimal.Decimal) -> decimal.Decimal:
        return a if condition else b


CONTEXT = decimal.Context(
    prec=_DIGITS, Emin=-99999, Emax=99999, traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]
)


def constant(n: Node, given: Mapping[str, decimal.Decimal] | None = None) -> decimal.Decimal:
    """Return the value of a graph of constants, and of the given inputs and parameters, to about 50 digits.

    Raises
    ------
    ArithmeticError
        If it is not a finite float64; the message is a predicate: "too large for float64".
    """
    with decimal.localcontext(CONTEXT):
        try:
            found: decimal.Decimal = evaluate(n, _Decimals(), given or {})
            finite = math.isfinite(float(found))
        except (decimal.DivisionByZero, ZeroDivisionError):
            raise ArithmeticError("a division by zero") from None
        except (decimal.Overflow, OverflowError):
            finite = False
        except (decimal.InvalidOperation, ValueError):
            raise ArithmeticError("not a real number") from None
    if not finite:
        raise ArithmeticError("too large for float64")
    return found


def constant_or_none(n: Node) -> float | None:
    """Return the value of a graph of constants, or None if it is not a finite float64."""
    try:
        return float(constant(n))
    except ArithmeticError:
        return None
