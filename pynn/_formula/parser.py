"""From the text of a formula to a graph of nodes."""

from __future__ import annotations

import ast
import functools
import itertools

from .._tables import REQUIRED
from .evaluate import constant
from .nodes import BOOLEAN, ONE, PI, TWO, ZERO, E, Node, add, call, choose, div, neg, node, number, power, signed
from .syntax import FormulaError, check_text, near, parsed
from .table import FORMS, FUNCTIONS, rows

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
MAX_POWER = 64
"""The largest exponent of a product of equal factors; larger ones are computed as powers with real exponents."""


@functools.lru_cache(512)
def read(text: str, parameters: tuple[str, ...] = (), inputs: tuple[str, ...] = ("x",), sums: bool = False) -> Node:
    """Return the graph of a formula; ``sums`` allows sums over a row of values.

    Raises
    ------
    FormulaError
        If the text is not a formula of the inputs and parameters.
    """
    check_text(text)
    try:
        return _Parser(text, parameters, inputs, sums).value(parsed(text))
    except RecursionError:
        raise FormulaError("the formula is nested too deeply", text) from None


class _Parser:
    def __init__(self, text: str, parameters: tuple[str, ...], inputs: tuple[str, ...], sums: bool) -> None:
        self.text, self.parameters, self.inputs, self.sums = text, parameters, inputs, sums

    def error(self, e: ast.expr, message: str) -> FormulaError:
        return FormulaError(message, self.text, max(e.col_offset - 1, 0))

    def value(self, e: ast.expr) -> Node:
        """Return the node of an expression that is a number; a condition counts as 0 or 1."""
        n = self.visit(e)
        if n.op in BOOLEAN:
            n = choose(n, ONE, ZERO)
        if not n.sources and n.op not in ("number", "pi", "e"):
            self.check_constant(n, e)
        return n

    def check_constant(self, n: Node, e: ast.expr) -> None:
        try:
            constant(n)
        except ArithmeticError as error:
            raise self.error(e, f"this constant is {error}") from None

    def condition(self, e: ast.expr, what: str) -> Node:
        n = self.visit(e)
        if n.op not in BOOLEAN:
            raise self.error(e, f"{what} must be a comparison, such as x > 0")
        return n

    def visit(self, e: ast.expr) -> Node:
        match e:
            case ast.Constant(value=int() | float()) if not isinstance(e.value, bool):
                return _number(self.text[e.col_offset - 1 : (e.end_col_offset or 0) - 1])
            case ast.Name(id=name):
                return self.name(e, name)
            case ast.UnaryOp(op=ast.USub(), operand=a):
                return neg(self.value(a))
            case ast.UnaryOp(op=ast.UAdd(), operand=a):
                return self.value(a)
            case ast.UnaryOp(op=ast.Not(), operand=a):
                return _opposite(self.condition(a, "the operand of not"))
            case ast.BoolOp(op=op, values=values):
                word, symbol = ("and", "&") if isinstance(op, ast.And) else ("or", "|")
                sides = [self.condition(v, f"each side of {word}") for v in values]
                return functools.reduce(lambda p, q: node(symbol, p, q), sides)
            case ast.BinOp(left=a, op=ast.BitAnd() | ast.BitOr() as op, right=b):
                symbol = "&" if isinstance(op, ast.BitAnd) else "|"
                return node(symbol, *(self.condition(v, f"each side of {symbol}, in parentheses,") for v in (a, b)))
            case ast.BinOp():
                return self.chain(e)
            case ast.Compare(left=a, ops=ops, comparators=others) if all(type(op) in _COMPARISONS for op in ops):
                numbers = [self.value(v) for v in (a, *others)]
                links = [node(_COMPARISONS[type(op)], *pair) for op, pair in zip(ops, itertools.pairwise(numbers), strict=True)]
                return functools.reduce(lambda p, q: node("&", p, q), links)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.call(e, name, args)
        raise self.error(e, "this is not part of the language")

    def name(self, e: ast.expr, name: str) -> Node:
        if name in self.inputs:
            return node("input", name)
        if name in self.parameters:
            return node("parameter", name)
        if name in ("pi", "e"):
            return PI if name == "pi" else E
        if name in self.functions():
            raise self.error(e, f"{name} is a function and needs an argument, such as {name}({self.inputs[0]})")
        allowed = (*self.inputs, *self.parameters, "pi", "e")
        hint = near(name, allowed) or "; a parameter needs a value, such as " + name[:20] + "=1.0"
        raise self.error(e, f"unknown name {_short(name)!r}; allowed: {', '.join(allowed)}{hint}")

    def functions(self) -> list[str]:
        return [*FORMS, *FUNCTIONS, *rows(), *(["sum"] if self.sums else [])]

    def chain(self, e: ast.BinOp) -> Node:
        """Return a sum or product of many terms, whose tree is as deep as it has terms."""
        steps: list[ast.BinOp] = []
        first: ast.expr = e
        while isinstance(first, ast.BinOp) and not isinstance(first.op, ast.BitAnd | ast.BitOr):
            steps.append(first)
            first = first.left
        n = self.value(first)
        for step in reversed(steps):
            n = self.arithmetic(step, n, step.op, self.value(step.right))
            if not n.sources:
                self.check_constant(n, step)
        return n

    def arithmetic(self, e: ast.expr, a: Node, op: ast.operator, b: Node) -> Node:
        match op:
            case ast.Add():
                return add(a, b)
            case ast.Sub():
                return add(a, neg(b))
            case ast.Mult():
                return node("*", a, b)  # not mul, because 0 * x keeps the sign of x
            case ast.Div():
                return div(a, b)
            case ast.Pow():
                return _power(a, b)
        raise self.error(e, "this operator is not part of the language")

    def call(self, e: ast.expr, name: str, args: list[ast.expr]) -> Node:
        if name not in self.functions():
            known = sorted({*FORMS, *FUNCTIONS, *rows()})
            hint = near(name, known)
            if name in self.parameters or name in self.inputs:
                hint = "; a product is written with *"
            raise self.error(e, f"unknown function {_short(name)!r}{hint or '; known: ' + ', '.join(known)}")
        least, most = self.arity(name)
        if not least <= len(args) or (most is not None and len(args) > most):
            expected = f"{least}" if most == least else f"{least} or more" if most is None else f"{least} to {most}"
            raise self.error(e, f"{name} takes {expected} argument{'s' * (expected != '1')}, got {len(args)}")
        if name == "where":
            return choose(self.condition(args[0], "the first argument of where"), self.value(args[1]), self.value(args[2]))
        return self.function(e, name, [self.value(a) for a in args])

    def arity(self, name: str) -> tuple[int, int | None]:
        if name in FORMS:
            return FORMS[name]
        if name not in rows():
            return 1, 1
        defaults = rows()[name][1].defaults.values()
        return 1 + sum(default is REQUIRED for default in defaults), 1 + len(defaults)

    def function(self, e: ast.expr, name: str, args: list[Node]) -> Node:
        a = args[0]
        if name in ("max", "maximum", "min", "minimum"):
            return functools.reduce(lambda p, q: node(name[:3], p, q), args)
        if name == "clip":
            return node("min", node("max", a, args[1]), args[2])
        if name in ("abs", "sign", "copysign", "sum"):
            return node(name, *args)
        if name == "square":
            return _power(a, TWO)
        if name in FUNCTIONS and len(args) == 1:
            return call(name, a)
        return self.row(e, name, args)

    def row(self, e: ast.expr, name: str, args: list[Node]) -> Node:
        """Return an activation of the table. Its parameters are constants, or parameters of the formula."""
        parameters = rows()[name][1]
        defaults = list(parameters.defaults.values())
        given = [*args[1:], *(signed(v) for v in defaults[len(args) - 1 :])]
        for n, what in zip(given, parameters.defaults, strict=True):
            if any(source in self.inputs for source in n.sources):
                raise self.error(e, f"{what}, a parameter of {name}, must not depend on {' or '.join(self.inputs)}")
        if all(not n.sources for n in given):
            try:
                parameters.verify(name, dict(zip(parameters.defaults, map(float, map(constant, given)), strict=True)))
            except ValueError as error:
                raise self.error(e, str(error)) from None
        return node("row", name, args[0], *given)


def _number(text: str) -> Node:
    """Return a number; one form for 1, 1.0 and 1e0."""
    value = float(text)
    return number(int(value) if value.is_integer() and value < 1e15 else text.lower())


def _opposite(n: Node) -> Node:
    if n.op in "&|":
        return node("|" if n.op == "&" else "&", *map(_opposite, n.args))
    return node(_OPPOSITE[n.op], *n.args)


def _power(a: Node, b: Node) -> Node:
    if a is E:
        return call("exp", b)
    exponent = b.args[0] if b.op == "neg" else b
    if exponent.op == "number" and exponent.args[0].isdigit() and int(exponent.args[0]) <= MAX_POWER:
        return power(a, int(exponent.args[0]) * (-1 if b.op == "neg" else 1))
    return node("pow", a, b)


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:37] + "..."
