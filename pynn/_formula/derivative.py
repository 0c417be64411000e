"""Differentiate graphs node by node, so that nothing cancels needlessly.

``RULES`` is the only list of derivatives. There are two kinds of derivatives, which differ at kinks alone:

- ``Derivative`` is exact on either side of a kink. It is the oracle of tests, and the formula that is displayed.
- ``Slope`` has one value at a kink, as the kernels of the table have. Programs compute it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from . import nodes
from .nodes import COMPARISONS, ONE, PI, TWO, ZERO, Node, X, add, call, choose, div, mul, neg, node, number, order, power, signed, size


def _over_square(t: Node) -> Node:
    """Return 1 / cosh^2 a, computed from t = e^-2|a|, which neither overflows nor cancels."""
    return div(mul(number(4), t), power(add(ONE, t), 2))


RULES: dict[str, Callable[[Node, Node], Node]] = {
    "exp": lambda a, y: y,
    "expm1": lambda a, y: call("exp", a),
    "log": lambda a, y: div(ONE, a),
    "log1p": lambda a, y: div(ONE, add(ONE, a)),
    "sqrt": lambda a, y: div(ONE, mul(TWO, y)),
    "sin": lambda a, y: call("cos", a),
    "cos": lambda a, y: neg(call("sin", a)),
    "tan": lambda a, y: add(ONE, power(y, 2)),
    "atan": lambda a, y: div(ONE, add(ONE, power(a, 2))),
    "sinh": lambda a, y: call("cosh", a),
    "cosh": lambda a, y: call("sinh", a),
    "tanh": lambda a, y: _over_square(call("exp", mul(neg(TWO), node("abs", a)))),
    "asinh": lambda a, y: div(ONE, call("sqrt", add(ONE, power(a, 2)))),
    "erf": lambda a, y: mul(div(TWO, call("sqrt", PI)), call("exp", neg(power(a, 2)))),
    "erfc": lambda a, y: neg(RULES["erf"](a, y)),
    "normcdf": lambda a, y: call("normpdf", a),
    "normpdf": lambda a, y: neg(mul(a, y)),
    "sigmoid": lambda a, y: mul(y, call("sigmoid", neg(a))),
    "softplus": lambda a, y: call("sigmoid", a),
    "floor": lambda a, y: ZERO,
    "round": lambda a, y: ZERO,
}
"""The derivative of each function of one argument, with argument a and value y."""


class Derivative:
    """Return the derivative of each node with respect to a source, and the largest term of its outermost sum."""

    def __init__(self, source: Node = X) -> None:
        self.source = source
        self.name: str = source.args[0]
        self.known: dict[Node, tuple[Node, Node]] = {}

    def __call__(self, n: Node) -> Node:
        return self.both(n)[0]

    def both(self, root: Node) -> tuple[Node, Node]:
        if root not in self.known:
            for n in order(root):  # operands first, so that no deep recursion is needed
                if n not in self.known:
                    d, terms = self.of(n)
                    self.known[n] = d, size(d) if terms is None else terms
        return self.known[root]

    def of(self, n: Node) -> tuple[Node, Node | None]:
        """Return the derivative, and its largest term if that is not the derivative itself."""
        if n is self.source:
            return ONE, None
        if self.name not in n.sources:
            return ZERO, None
        match n.op, n.args:
            case "neg", (a,):
                return neg(self(a)), self.both(a)[1]
            case "abs", (a,):
                return mul(self.sign(a), self(a)), None
            case "copysign", (a, b):
                return mul(choose(node("<", b, ZERO), neg(self.sign(a)), self.sign(a)), self(a)), None
            case "+" | "-", (a, b):
                d, e = self(a), self(b) if n.op == "+" else neg(self(b))
                return add(d, e), nodes.larger(self.both(a)[1], self.both(b)[1])
            case "*", (a, b):
                return self.product(a, b)
            case "/", (a, b):
                return self.quotient(n, a, b)
            case "**", (a, k):
                factor = number(k) if k > 0 else neg(number(-k))
                return mul(mul(factor, power(a, k - 1)), self(a)), None
            case "pow", (a, b):
                return self.real_power(n, a, b)
            case ("max" | "min"), (a, b):
                first = self.first(n)
                return choose(first, self(a), self(b)), choose(first, self.both(a)[1], self.both(b)[1])
            case "if", (condition, a, b):
                chosen = self.condition(condition)
                return choose(chosen, self(a), self(b)), choose(chosen, self.both(a)[1], self.both(b)[1])
            case "call", (name, a):
                return mul(self.function(name, a, n), self(a)), None
            case "row", (_, a, *_):
                return mul(self.row(n), self(a)), None
        if n.op in (*COMPARISONS, "&", "|", "sign"):
            return ZERO, None
        raise TypeError(f"no derivative of {n.op}")

    def product(self, a: Node, b: Node) -> tuple[Node, Node | None]:
        for factor, other in ((a, b), (b, a)):
            if self(factor) is ZERO:
                return mul(factor, self(other)), mul(size(factor), self.both(other)[1])
        left, right = mul(self(a), b), mul(a, self(b))
        return add(left, right), nodes.larger(size(left), size(right))

    def quotient(self, n: Node, a: Node, b: Node) -> tuple[Node, Node | None]:
        if self(b) is ZERO:
            return div(self(a), b), div(self.both(a)[1], size(b))
        above, below = self.line(a), self.line(b)
        if above and below:  # (s x + c) / (t x + d): of s (t x + d) - t (s x + c) only s d - t c is left
            (s, c), (t, d) = above, below
            return div(add(mul(s, d), neg(mul(t, c))), power(b, 2)), None
        left, right = div(self(a), b), neg(mul(n, div(self(b), b)))
        return add(left, right), nodes.larger(size(left), size(right))

    def line(self, n: Node) -> tuple[Node, Node] | None:
        """Return slope and intercept if the node is linear, at least on each side of 0."""
        match n.op, n.args:
            case _ if n is self.source:
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

    def real_power(self, n: Node, a: Node, b: Node) -> tuple[Node, Node | None]:
        """Return the derivative of a**b. That with respect to b is 0 where the base is 0."""
        left, right = ZERO, ZERO
        if self(a) is not ZERO:
            left = mul(mul(b, less_one(a, b)), self(a))
        if self(b) is not ZERO:
            slope = mul(n, call("log", a))
            right = mul(choose(node("==", a, ZERO), ZERO, slope) if a.sources else slope, self(b))
        return add(left, right), nodes.larger(size(left), size(right))

    def function(self, name: str, a: Node, y: Node) -> Node:
        return RULES[name](a, y)

    def row(self, n: Node) -> Node:
        return node("slope", *n.args)

    # at kinks: one-sided

    def sign(self, a: Node) -> Node:
        return choose(self.larger(a, ZERO), ONE, neg(ONE))

    def larger(self, a: Node, b: Node) -> Node:
        """Return whether a > b next to x; for equal values, their slopes and the side decide."""
        return node("above", a, b, self(a), self(b))

    def first(self, n: Node) -> Node:
        """Return whether max or min takes its first operand."""
        a, b = n.args
        return self.larger(a, b) if n.op == "max" else self.larger(b, a)

    def condition(self, n: Node) -> Node | bool:
        """Return the branch taken next to x."""
        if self.name not in n.sources:
            return n
        match n.op, n.args:
            case (("<" | "<="), (a, b)):
                return self.larger(b, a)
            case ((">" | ">="), (a, b)):
                return self.larger(a, b)
            case (("==" | "!="), _):
                return n.op == "!="
            case (("&" | "|"), (a, b)):
                sides = [self.condition(a), self.condition(b)]
                for decided in sides:
                    if isinstance(decided, bool):
                        other = sides[1] if decided is sides[0] else sides[0]
                        return other if decided == (n.op == "&") else decided
                return node(n.op, *sides)
        raise TypeError(f"{n.op} is not a condition")


def less_one(a: Node, b: Node) -> Node:
    """Return a**(b - 1)."""
    sign, exponent = (-1, b.args[0]) if b.op == "neg" else (1, b)
    if exponent.op != "number":
        return node("pow", a, add(b, neg(ONE)))
    k = sign * Decimal(exponent.args[0]) - 1
    if k == int(k):
        return power(a, int(k)) if abs(k) <= 64 else node("pow", a, signed(k))
    return node("pow", a, signed(k))


class Slope(Derivative):
    """The derivative that programs compute. At a kink it has the value that kernels of the table have.

    The derivative of a choice is that of the branch taken. Where the operands of max or min are equal, it is 0 if one is constant
    (so that of relu is 0 at 0), and else that of the second. That of abs is 0 at 0.
    """

    def __init__(self, source: Node, kernels: frozenset[str] = frozenset()) -> None:
        super().__init__(source)
        self.kernels = kernels

    def function(self, name: str, a: Node, y: Node) -> Node:
        """Return the derivative of a function: of the kernel of the table, unless the rule is a single function or cheaper."""
        rule = super().function(name, a, y)
        return node("slope", name, a) if name in self.kernels and rule.op != "call" else rule

    def sign(self, a: Node) -> Node:
        return node("sign", a)

    def first(self, n: Node) -> Node:
        a, b = n.args
        return node(">=" if self(a) is ZERO else ">", *(n.args if n.op == "max" else (b, a)))

    def condition(self, n: Node) -> Node | bool:
        return n


class PlainDerivative(Derivative):
    """The derivative that is displayed: that of tanh is written 1 - tanh^2, although computing it would cancel."""

    def function(self, name: str, a: Node, y: Node) -> Node:
        match name:
            case "tanh":
                return add(ONE, neg(power(y, 2)))
            case "sigmoid":
                return mul(y, add(ONE, neg(y)))
        return super().function(name, a, y)


class RowDerivative:
    """The derivative of a sum over a row with respect to each element of the row, in reverse mode.

    Parameters
    ----------
    numbers : frozenset of str
        The parameters that are single numbers; x and the other parameters are rows.
    """

    def __init__(self, numbers: Iterable[str]) -> None:
        self.numbers = frozenset(numbers)

    def __call__(self, root: Node) -> Node:
        if self.is_row(root):
            raise TypeError("the formula is not a single number")
        given = {root: ONE}
        for n in reversed(order(root)):
            if n not in given or n is X or "x" not in n.sources:
                continue
            for a, part in self.parts(n, given[n]):
                part = part if self.is_row(a) or not self.is_row(part) else node("sum", part)
                given[a] = add(given[a], part) if a in given else part
        return given.get(X, ZERO)

    def is_row(self, n: Node) -> bool:
        if n.op == "parameter":
            return n.args[0] not in self.numbers
        return n is X or (n.op != "sum" and any(map(self.is_row, n.operands())))

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
                found = [(a, mul(g, RULES[name](a, n)))]
            case _:
                raise TypeError(f"no derivative of {n.op} in a row")
        return [(a, part) for a, part in found if "x" in a.sources]
