"""Formulas as text: the grammar of the tables' formula columns, differentiation, and formulas of layer kinds.

The formula of an activation or a loss is parsed into a graph of nodes, and differentiated node by node so that nothing cancels
needlessly. The tests evaluate the graphs to any precision; here they are written as text again. Nothing is computed from them.
"""

from __future__ import annotations

import ast
import functools
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class Node:
    """An operation and its operands. Equal nodes are one object, so that shared parts are computed once."""

    __slots__ = ("args", "op")
    known: dict[tuple[Any, ...], Node] = {}  # noqa: RUF012

    def __init__(self, op: str, args: tuple[Any, ...]) -> None:
        self.op, self.args = op, args


def node(op: str, *args: Any) -> Node:
    if (op, args) not in Node.known:
        Node.known[op, args] = Node(op, args)
    return Node.known[op, args]


def number(text: object) -> Node:
    return node("number", str(text))


ZERO, ONE, TWO, PI, X = number(0), number(1), number(2), node("pi"), node("x")


def neg(a: Node) -> Node:
    return ZERO if a is ZERO else a.args[0] if a.op == "neg" else node("neg", a)


def add(a: Node, b: Node) -> Node:
    return b if a is ZERO else a if b is ZERO else node("-", a, b.args[0]) if b.op == "neg" else node("+", a, b)


def mul(a: Node, b: Node) -> Node:
    if ZERO in (a, b):
        return ZERO
    return b if a is ONE else a if b is ONE else node("*", a, b)


def div(a: Node, b: Node) -> Node:
    return ZERO if a is ZERO else a if b is ONE else node("/", a, b)


def call(name: str, a: Node) -> Node:
    return node("call", name, a)


def power(a: Node, n: int) -> Node:
    return ONE if n == 0 else a if n == 1 else node("**", a, n)


def larger(a: Node, b: Node) -> Node:
    """Return the larger of two non-negative numbers."""
    return b if a is ZERO else a if b is ZERO or a is b else node("max", a, b)


def size(a: Node) -> Node:
    return size(a.args[0]) if a.op == "neg" else a if a in (ZERO, ONE) else node("abs", a)


def choose(condition: Node, a: Node, b: Node) -> Node:
    return a if a is b else node("if", condition, a, b)


# The derivative of each function that formulas may call, with argument a and value y.
SLOPES: dict[str, Callable[[Node, Node], Node]] = {
    "exp": lambda a, y: y,
    "expm1": lambda a, y: call("exp", a),
    "log": lambda a, y: div(ONE, a),
    "log1p": lambda a, y: div(ONE, add(ONE, a)),
    "sin": lambda a, y: call("cos", a),
    "cos": lambda a, y: neg(call("sin", a)),
    "cosh": lambda a, y: call("sinh", a),
    "sinh": lambda a, y: call("cosh", a),
    "sqrt": lambda a, y: div(ONE, mul(TWO, y)),
    "erf": lambda a, y: mul(div(TWO, call("sqrt", PI)), call("exp", neg(power(a, 2)))),
    "erfc": lambda a, y: neg(SLOPES["erf"](a, y)),
    "tanh": lambda a, y: _over_square(call("exp", mul(neg(TWO), node("abs", a)))),
}
COMPARISONS: dict[type, str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
OPERATORS: dict[str, Callable[..., Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow,
    "neg": operator.neg, "abs": abs, "&": operator.and_, "|": operator.or_,
}  # fmt: skip


def _over_square(t: Node) -> Node:
    """Return 1 / cosh^2 a, computed from t = e^-2|a|, which neither overflows nor cancels."""
    return div(mul(number(4), t), power(add(ONE, t), 2))


class Parser:
    """Return the graph of a formula's text."""

    def __init__(self, text: str, parameters: tuple[str, ...]) -> None:
        self.text, self.parameters = text, parameters

    def parse(self) -> Node:
        return self.visit(ast.parse(self.text, mode="eval").body)

    def visit(self, e: ast.expr) -> Node:
        match e:
            case ast.Constant():
                return number(ast.get_source_segment(self.text, e))
            case ast.Name(id="x"):
                return X
            case ast.Name(id="pi"):
                return PI
            case ast.Name(id=name) if name in self.parameters:
                return node("parameter", name)
            case ast.UnaryOp(op=ast.USub(), operand=a):
                return neg(self.visit(a))
            case ast.BinOp(left=a, op=ast.Pow(), right=ast.Constant(value=int(n))):
                return power(self.visit(a), n)
            case ast.BinOp(left=a, op=op, right=b):
                left, right = self.visit(a), self.visit(b)
                match op:
                    case ast.Add():
                        return add(left, right)
                    case ast.Sub():
                        return add(left, neg(right))
                    case ast.Mult():
                        return node("*", left, right)  # not mul, because 0 * x keeps the sign of x
                    case ast.Div():
                        return div(left, right)
                    case ast.BitAnd() | ast.BitOr():
                        return node("&" if isinstance(op, ast.BitAnd) else "|", left, right)
            case ast.Compare(left=a, ops=ops, comparators=others):
                sides = [self.visit(v) for v in (a, *others)]
                links = [node(COMPARISONS[type(op)], *pair) for op, pair in zip(ops, itertools.pairwise(sides), strict=True)]
                return functools.reduce(lambda p, q: node("&", p, q), links)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.function(name, [self.visit(a) for a in args])
        raise SyntaxError(f"cannot read {ast.unparse(e)!r} in the formula {self.text!r}")

    def function(self, name: str, args: list[Node]) -> Node:
        match name, args:
            case "where", [condition, a, b]:
                return choose(condition, a, b)
            case "maximum", [a, b]:
                return choose(node(">=", a, b), a, b)
            case "minimum", [a, b]:
                return choose(node("<=", a, b), a, b)
            case "clip", [a, low, high]:
                return self.function("minimum", [self.function("maximum", [a, low]), high])
            case "abs", [a]:
                return node("abs", a)
            case "sign", [a]:
                return choose(node(">", a, ZERO), ONE, choose(node("<", a, ZERO), neg(ONE), ZERO))
            case "square", [a]:
                return power(a, 2)
            case "sum", [a]:
                return node("sum", a)
            case _, [a] if name in SLOPES:
                return call(name, a)
        raise SyntaxError(f"unknown function {name!r} in the formula {self.text!r}")


class Derivative:
    """Return d/dx of each node, and the largest term of its outermost sum."""

    def __init__(self) -> None:
        self.known: dict[Node, tuple[Node, Node]] = {}

    def __call__(self, n: Node) -> Node:
        return self.both(n)[0]

    def both(self, n: Node) -> tuple[Node, Node]:
        if n not in self.known:
            d, terms = self.of(n)
            self.known[n] = d, size(d) if terms is None else terms
        return self.known[n]

    def of(self, n: Node) -> tuple[Node, Node | None]:
        """Return the derivative, and its largest term if that is not the derivative itself."""
        match n.op, n.args:
            case "x", _:
                return ONE, None
            case "number" | "pi" | "parameter", _:
                return ZERO, None
            case "neg", (a,):
                return neg(self(a)), self.both(a)[1]
            case "abs", (a,):
                return mul(self.sign(a), self(a)), None
            case "+" | "-", (a, b):
                d, e = self(a), self(b) if n.op == "+" else neg(self(b))
                return add(d, e), larger(self.both(a)[1], self.both(b)[1])
            case "*", (a, b):
                return self.product(a, b)
            case "/", (a, b):
                return self.quotient(n, a, b)
            case "**", (a, k):
                return mul(mul(number(k), power(a, k - 1)), self(a)), None
            case "if", (condition, a, b):
                chosen = self.condition(condition)
                return choose(chosen, self(a), self(b)), choose(chosen, self.both(a)[1], self.both(b)[1])
            case "call", (name, a):
                return mul(SLOPES[name](a, n), self(a)), None
        raise SyntaxError(f"no derivative of {n.op}")

    def product(self, a: Node, b: Node) -> tuple[Node, Node | None]:
        for constant, other in ((a, b), (b, a)):
            if self(constant) is ZERO:
                return mul(constant, self(other)), mul(size(constant), self.both(other)[1])
        left, right = mul(self(a), b), mul(a, self(b))
        return add(left, right), larger(size(left), size(right))

    def quotient(self, n: Node, a: Node, b: Node) -> tuple[Node, Node | None]:
        if self(b) is ZERO:
            return div(self(a), b), div(self.both(a)[1], size(b))
        above, below = self.line(a), self.line(b)
        if above and below:  # (s x + c) / (t x + d): of s (t x + d) - t (s x + c) only s d - t c is left
            (s, c), (t, d) = above, below
            return div(add(mul(s, d), neg(mul(t, c))), power(b, 2)), None
        left, right = div(self(a), b), neg(mul(n, div(self(b), b)))
        return add(left, right), larger(size(left), size(right))

    def line(self, n: Node) -> tuple[Node, Node] | None:
        """Return slope and intercept if the node is linear, at least on each side of 0."""
        match n.op, n.args:
            case "x", _:
                return ONE, ZERO
            case _ if self(n) is ZERO:
                return ZERO, n
            case "abs", (a,) if (line := self.line(a)) and line[1] is ZERO:
                return mul(self.sign(a), line[0]), ZERO
            case "+" | "-", (a, b) if (p := self.line(a)) and (q := self.line(b)):
                s, c = q if n.op == "+" else (neg(q[0]), neg(q[1]))
                return add(p[0], s), add(p[1], c)
            case "*", (a, b) if self(a) is ZERO and (line := self.line(b)):
                return mul(a, line[0]), mul(a, line[1])
        return None

    def sign(self, a: Node) -> Node:
        return choose(node("above", a, ZERO, self(a), ZERO), ONE, neg(ONE))

    def condition(self, n: Node) -> Node:
        """Return the branch taken next to x; for equal operands, their slopes and the side decide."""
        match n.op, n.args:
            case (("<" | "<="), (a, b)):
                return node("above", b, a, self(b), self(a))
            case ((">" | ">="), (a, b)):
                return node("above", a, b, self(a), self(b))
            case (("&" | "|"), (a, b)):
                return node(n.op, self.condition(a), self.condition(b))
        raise SyntaxError(f"cannot differentiate a choice by {n.op}")


# ---- as text ---------------------------------------------------------------------------------------------------------


class _PlainDerivative(Derivative):
    """Derivatives for display: tanh' is written 1 - tanh^2, although computing that would cancel."""

    def of(self, n: Node) -> tuple[Node, Node | None]:
        if n.op == "call" and n.args[0] == "tanh":
            return mul(add(ONE, neg(power(n, 2))), self(n.args[1])), None
        return super().of(n)


class _RowDerivative:
    """Derivative of a sum over a row with respect to each element of the row, in reverse mode.

    Parameters
    ----------
    numbers : frozenset of str
        The parameters that are single numbers; x and the other parameters are rows.
    """

    def __init__(self, numbers: frozenset[str]) -> None:
        self.numbers = numbers

    def __call__(self, root: Node) -> Node:
        if self.is_row(root):
            raise SyntaxError("the formula is not a single number")
        order: list[Node] = []
        self.visit(root, order)
        given = {root: ONE}
        for n in reversed(order):
            if n not in given or n is X:
                continue
            for a, part in self.parts(n, given[n]):
                part = part if self.is_row(a) or not self.is_row(part) else node("sum", part)
                given[a] = add(given[a], part) if a in given else part
        return given.get(X, ZERO)

    def visit(self, n: Node, order: list[Node]) -> None:
        """List the nodes that depend on x, operands first."""
        if n not in order and self.depends(n):
            for arg in n.args:
                if isinstance(arg, Node):
                    self.visit(arg, order)
            order.append(n)

    def depends(self, n: Node) -> bool:
        return n is X or any(self.depends(arg) for arg in n.args if isinstance(arg, Node))

    def is_row(self, n: Node) -> bool:
        if n.op == "parameter":
            return n.args[0] not in self.numbers
        return n is X or (n.op != "sum" and any(self.is_row(arg) for arg in n.args if isinstance(arg, Node)))

    def parts(self, n: Node, g: Node) -> list[tuple[Node, Node]]:
        """Return the operands that depend on x, each with its derivative; ``g`` is the derivative with respect to this node."""
        match n.op, n.args:
            case ("neg" | "sum"), (a,):
                found = [(a, neg(g) if n.op == "neg" else g)]
            case ("+" | "-"), (a, b):
                found = [(a, g), (b, g if n.op == "+" else neg(g))]
            case "*", (a, b):
                found = [(a, mul(g, b)), (b, mul(g, a))]
            case "/", (a, b):
                found = [(a, div(g, b)), (b, neg(mul(g, div(n, b))))]
            case "**", (a, k):
                found = [(a, mul(g, mul(number(k), power(a, k - 1))))]
            case "call", (name, a):
                found = [(a, mul(g, SLOPES[name](a, n)))]
            case _:
                raise SyntaxError(f"no derivative of {n.op} in a row")
        return [(a, part) for a, part in found if self.depends(a)]


def derivative(text: str, parameters: tuple[str, ...] = (), numbers: Iterable[str] = ()) -> str | None:
    """Return the derivative of a formula with respect to x as text; None for formulas that this module cannot differentiate.

    The derivative of a sum over a row is taken with respect to each x of the row; ``numbers`` names the parameters that are the same
    for the whole row.

    Examples
    --------
    >>> from pynn._formula import derivative
    >>> derivative("tanh(x)"), derivative("where(x > 0, x, a * x)", ("a",)), derivative("max(x)")
    ('1 - tanh(x)**2', 'where(x > 0, 1, a)', None)
    >>> derivative("sum(t * x)", ("t",))
    't'
    """
    try:
        root = Parser(text, parameters).parse()
        found = _RowDerivative(frozenset(numbers))(root) if "sum(" in text else _PlainDerivative()(root)
        return _written(_tidy(found))
    except SyntaxError:
        return None


def _tidy(n: Node) -> Node:
    """Return a node in a form that is easier to read: signs in front of products, and no factor 1 / a."""
    args = tuple(_tidy(arg) if isinstance(arg, Node) else arg for arg in n.args)
    match n.op, args:
        case ("*" | "/"), (a, b):
            product = mul if n.op == "*" else div
            signs = (a.op == "neg") + (b.op == "neg")
            a, b = (v.args[0] if v.op == "neg" else v for v in (a, b))
            if n.op == "*" and b.op == "/" and b.args[0] is ONE:
                product, b = div, b.args[1]
            return neg(product(a, b)) if signs == 1 else product(a, b)
        case "+", (a, b):
            return add(b, a) if a.op == "neg" else add(a, b)
        case "-", (a, b):
            return add(a, neg(b))
        case "neg", (a,):
            return neg(a)
    return node(n.op, *args)


_LEVELS = {"&": 1, "|": 1, "above": 2, **dict.fromkeys(COMPARISONS.values(), 2), "+": 3, "-": 3, "*": 4, "/": 4, "neg": 4, "**": 6}
"""Precedence of operators; all other nodes are names or calls."""


def _written(n: Node, least: int = 0) -> str:
    """Return a node as text, in parentheses if it binds less tightly than ``least``."""
    match n.op, n.args:
        case ("x" | "pi"), _:
            return n.op
        case ("number" | "parameter"), (text,):
            return str(text)
        case ("abs" | "max" | "sum"), args:
            return f"{'maximum' if n.op == 'max' else n.op}({', '.join(map(_written, args))})"
        case "call", (name, a):
            return f"{name}({_written(a)})"
        case "if", args:
            return f"where({', '.join(map(_written, args))})"
    level = _LEVELS[n.op]
    match n.op, n.args:
        case "neg", (a,):
            text = f"-{_written(a, level)}"
        case "**", (a, k):
            text = f"{_written(a, level + 1)}**{k}"
        case "above", (a, b, *_):
            text = f"{_written(b, 3)} < {_written(a, 3)}" if a.op == "number" else f"{_written(a, 3)} > {_written(b, 3)}"
        case op, (a, b):
            text = f"{_written(a, level)} {op} {_written(b, level + (op in '-/'))}"
    return f"({text})" if level < least else text


# ---- formulas of layer kinds -----------------------------------------------------------------------------------------


def filled(text: str, settings: Mapping[str, Any], inputs: int = 1) -> list[str]:
    """Return the lines of a layer kind's formula for some settings, see ``layers.h``.

    Examples
    --------
    >>> from pynn._formula import filled
    >>> filled("y = x @ weight.T{bias: + bias}; p = {p}", {"bias": True, "p": 0.5})
    ['y = x @ weight.T + bias', 'p = 0.5']
    """
    names = ["x"] if inputs == 1 else [f"x{i}" for i in range(inputs)]
    found, end = _fill(text, 0, {**settings, "inputs": names, "dinputs": [f"d{name}" for name in names]})
    assert end == len(text), text
    return [line.strip() for line in found.split(";")]


def _fill(text: str, at: int, settings: Mapping[str, Any]) -> tuple[str, int]:
    """Fill the text from ``at`` to its closing brace or the end. Return the result and the position where it ends."""
    found = ""
    while at < len(text) and text[at] != "}":
        if text[at] != "{":
            found += text[at]
            at += 1
            continue
        head = re.match(r"\{(!?)(\w+)(?:=(\w+))?(:?)", text[at:])
        assert head is not None, text
        negated, name, wanted, has_text = head.groups()
        inside, at = _fill(text, at + head.end(), settings)
        at += 1
        value = settings[name]
        if isinstance(value, list):
            found += inside.join(value)
        elif has_text:
            found += inside if (value == wanted if wanted else bool(value)) != bool(negated) else ""
        else:
            found += f"{value:.6g}" if isinstance(value, float) else str(value)
    return found, at
