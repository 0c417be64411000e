"""A canonical form of functions of x, in which equal functions are equal in spite of different formulas.

On each interval between the points where a formula changes its branch, it is a sum of products of powers of *atoms*. An atom is x, an
exponential, a logarithm, another function, or a sum in parentheses. Hyperbolic functions, sigmoid and softplus are written with
exponentials, and erfc and the normal distribution with erf. The form decides for the usual ways to write an activation; two equal
functions may still have different forms, and then the formula is computed as it is written.
"""

from __future__ import annotations

import decimal
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from .evaluate import CONTEXT, constant
from .inline import inlined
from .nodes import Node, X, call, neg, node, order

Monomial = tuple[tuple[str, Decimal], ...]
Poly = dict[Monomial, Decimal]

_MAX_NODES, _MAX_TERMS, _MAX_STEPS, _MAX_INTERVALS = 120, 60, 3000, 12
_NUMBER = re.compile(r"-?\d\.\d+e[+-]\d+")
_LINEAR: Monomial = (("x", Decimal(1)),)
_EXPONENTS = decimal.Context(prec=25)


@dataclass(frozen=True)
class Canonical:
    """A canonical form.

    Attributes
    ----------
    shape : str
        The pieces from left to right, and between them the points where they meet and, if the function jumps, its value there. Each
        number is replaced by "#".
    numbers : tuple of float
        The numbers, in order.
    values : frozenset of Decimal
        The same numbers, and those of intermediate results: candidates for the parameters of a row.
    """

    shape: str
    numbers: tuple[float, ...]
    values: frozenset[Decimal] = field(compare=False)

    def equals(self, other: Canonical) -> bool:
        """Return whether two forms agree, their numbers up to the rounding of a float64."""
        pairs = zip(self.numbers, other.numbers, strict=False)
        return self.shape == other.shape and all(abs(a - b) <= 2.5e-16 * max(abs(a), abs(b)) for a, b in pairs)


class NoForm(Exception):
    """Raised if a formula has no canonical form, or a very long one."""


class _SplitError(Exception):
    """Raised if the branch of a condition changes at a point within the interval."""

    def __init__(self, at: Decimal) -> None:
        self.at = at


def canonical(root: Node, values: Mapping[str, Decimal]) -> Canonical:
    """Return the canonical form of a formula for given parameters.

    Raises
    ------
    NoForm
        If there is none.
    """
    root = inlined(root)
    if len(order(root)) > _MAX_NODES or root.sources - {"x", *values}:
        raise NoForm
    with decimal.localcontext(CONTEXT):
        try:
            return _joined(root, values)
        except (ArithmeticError, ValueError):
            raise NoForm from None


def _joined(root: Node, values: Mapping[str, Decimal]) -> Canonical:
    left: list[tuple[Decimal | None, Decimal | None]] = [(None, None)]
    pieces: list[tuple[str, Decimal | None]] = []
    numbers: set[Decimal] = set()
    while left:
        low, high = left.pop()
        try:
            form = _Form(values, low, high)
            pieces.append((form.key(form.of(root)), high))
            numbers |= form.numbers
        except _SplitError as split:
            left += [(split.at, high), (low, split.at)]
            if len(left) + len(pieces) > _MAX_INTERVALS:
                raise NoForm from None
    found = [pieces[0][0]]
    for (piece, at), (following, _) in itertools.pairwise(pieces):
        assert at is not None
        value = _jump(root, values, at)
        if piece != following or value:
            found += [_short(at), value, following]
            numbers.add(at)
    text = " | ".join(found)
    return Canonical(_NUMBER.sub("#", text), tuple(map(float, _NUMBER.findall(text))), frozenset(numbers))


def _jump(root: Node, values: Mapping[str, Decimal], at: Decimal) -> str:
    """Return "" if the function is continuous, and else its value: "left" or "right" if it is a one-sided limit.

    A gap that can be filled is not a jump.
    """
    step = max(abs(at), Decimal(1)) * Decimal("1e-30")
    left, right = (constant(root, {**values, "x": x}) for x in (at - step, at + step))
    try:
        value = constant(root, {**values, "x": at})
    except ArithmeticError:
        value = left
    on_left, on_right = (abs(value - side) <= Decimal("1e-13") * max(abs(value), abs(side), Decimal(1)) for side in (left, right))
    return "" if on_left and on_right else "left" if on_left else "right" if on_right else _short(value)


def _short(value: Decimal) -> str:
    return f"{value:.19e}"


class _Form:
    """The form of a formula on an interval."""

    def __init__(self, values: Mapping[str, Decimal], low: Decimal | None, high: Decimal | None) -> None:
        self.values, self.low, self.high = values, low, high
        self.bases: dict[str, Poly] = {}
        """The sum, or the argument of the function, in an atom."""
        self.numbers: set[Decimal] = set()
        self.steps = 0

    def of(self, root: Node) -> Poly:
        known: dict[Node, Poly] = {}
        left = [root]
        while left:
            n = left[-1]
            needed = [*n.operands()] if n.op != "if" and n.sources else []
            if n.op == "if":
                condition, a, b = n.operands()
                needed = [a if self.holds(condition) else b]
            missing = [a for a in needed if a not in known]
            left += missing
            if not missing:
                n = left.pop()
                known[n] = known[needed[0]] if n.op == "if" else self.node(n, known)
        return known[root]

    def node(self, n: Node, known: Mapping[Node, Poly]) -> Poly:
        if not n.sources:
            return self.number(constant(n))
        args = [known.get(a, {}) for a in n.operands()]
        match n.op, args:
            case "input", _:
                return {(("x", Decimal(1)),): Decimal(1)}
            case "parameter", _:
                return self.number(self.values[n.args[0]])
            case "neg", [a]:
                return self.scaled(a, Decimal(-1))
            case ("+" | "-"), [a, b]:
                return self.add(a, b if n.op == "+" else self.scaled(b, Decimal(-1)))
            case "*", [a, b]:
                return self.mul(a, b)
            case "/", [a, b]:
                return self.mul(a, self.power(b, Decimal(-1)))
            case "**", [a]:
                return self.power(a, Decimal(n.args[1]))
            case "pow", [a, b]:
                if set(b) - {()}:
                    raise NoForm
                return self.power(a, b.get((), Decimal(0)))
            case ("max" | "min"), [a, b]:
                return a if self.is_above(self.add(a, self.scaled(b, Decimal(-1)))) == (n.op == "max") else b
            case ("abs" | "sign"), [a]:
                sign = Decimal(1 if self.is_above(a) else -1)
                return self.scaled(a, sign) if n.op == "abs" else self.number(sign)
            case "call", [a]:
                return self.call(n.args[0], a)
        raise NoForm

    # conditions

    def holds(self, n: Node) -> bool:
        match n.op:
            case "&":
                return all(self.holds(a) for a in n.operands())
            case "|":
                return any(self.holds(a) for a in n.operands())
        a, b = map(self.of, n.operands())
        difference = self.add(a, self.scaled(b, Decimal(-1)))
        if not difference:
            return n.op in ("<=", ">=", "==")
        above = self.is_above(difference)
        return n.op == "!=" if n.op in ("==", "!=") else above == (n.op in (">", ">="))

    def is_above(self, p: Poly) -> bool:
        """Return whether a constant, a linear function, or one of an exponential is positive in the interval."""
        slope, intercept = p.get(_LINEAR, Decimal(0)), p.get((), Decimal(0))
        others = set(p) - {_LINEAR, ()}
        if others and (slope or len(others) > 1):
            raise NoForm
        for m in others:  # c e**(k x) + intercept
            atom, k = m[0]
            if len(m) > 1 or not atom.startswith("exp") or set(self.bases[atom]) != {_LINEAR}:
                raise NoForm
            if p[m] * intercept >= 0:
                return p[m] > 0
            slope, intercept = k * self.bases[atom][_LINEAR], -(-intercept / p[m]).ln()
            slope, intercept = (slope, intercept) if p[m] > 0 else (-slope, -intercept)
        if not slope:
            return intercept > 0
        root = -intercept / slope
        if (self.low is None or self.low < root) and (self.high is None or root < self.high):
            raise _SplitError(root)
        return (slope > 0) == (self.low is not None and root <= self.low)

    # arithmetic

    def number(self, value: Decimal) -> Poly:
        return {(): value} if value else {}

    def step(self, p: Poly) -> Poly:
        self.steps += 1
        if len(p) > _MAX_TERMS or self.steps > _MAX_STEPS:
            raise NoForm
        return p

    def scaled(self, p: Poly, factor: Decimal) -> Poly:
        return {m: c * factor for m, c in p.items()}

    def add(self, *sums: Poly) -> Poly:
        found: Poly = {}
        sizes: Poly = {}
        for p in sums:
            for m, c in p.items():
                found[m] = found.get(m, Decimal(0)) + c
                sizes[m] = sizes.get(m, Decimal(0)) + abs(c)
        return self.step({m: c for m, c in found.items() if abs(c) > sizes[m] * Decimal("1e-25")})

    def mul(self, p: Poly, q: Poly) -> Poly:
        if len(p) * len(q) > 4 * _MAX_TERMS:
            raise NoForm
        return self.add(*(self.term(self.times(m, n), c * d) for m, c in p.items() for n, d in q.items()))

    def times(self, m: Monomial, n: Iterable[tuple[str, Decimal]], sign: int = 1) -> Monomial:
        exponents = dict(m)
        for atom, e in n:
            exponents[atom] = _EXPONENTS.plus(exponents.get(atom, Decimal(0)) + sign * e)
        return tuple(sorted((atom, e) for atom, e in exponents.items() if e))

    def term(self, m: Monomial, c: Decimal) -> Poly:
        """Return a product, in which sums of positive powers are multiplied out, and quotients of polynomials divided."""
        self.step({})
        for atom, e in m:
            if not atom.startswith("("):
                continue
            base, rest = self.bases[atom], self.times(m, [(atom, e)], -1)
            if e >= 1:
                return self.mul(self.term(self.times(rest, [(atom, e - 1)]), c), base)
            lead = max(base, key=lambda n: (sum(abs(k) for _, k in n), n))
            if e < 0 and lead and all(dict(rest).get(a, 0) >= k > 0 for a, k in lead):
                inner = self.term(self.times(rest, lead, -1), c / base[lead])
                lower = self.mul(inner, self.term(((atom, e + 1),) if e != -1 else (), Decimal(1)))
                others = self.scaled({n: d for n, d in base.items() if n != lead}, Decimal(-1))
                return self.add(lower, self.mul(self.mul(inner, others), {((atom, e),): Decimal(1)}))
        return {m: c}

    def power(self, p: Poly, e: Decimal) -> Poly:
        if not p:
            if e > 0:
                return {}
            raise NoForm
        whole = e == int(e)
        if len(p) == 1:
            ((m, c),) = p.items()
            if whole or (c > 0 and all(atom.startswith("exp") for atom, _ in m)):
                return self.term(tuple((atom, _EXPONENTS.plus(k * e)) for atom, k in m), c**e)
        if whole and 0 <= e <= 8:
            found = self.number(Decimal(1))
            for _ in range(int(e)):
                found = self.mul(found, p)
            return found
        rational = self.rational(p) if e == -1 else None
        if rational is not None:
            return rational
        common, rest = self.common(p)
        if not whole:
            common, rest = (), p
        lead = self.lead(rest)
        scale = rest[lead] if whole or rest[lead] > 0 else -rest[lead]
        atom = self.atom("", self.scaled(rest, 1 / scale))
        return self.term(self.times(((atom, e),), common, int(e)) if whole else ((atom, e),), scale**e)

    def rational(self, p: Poly) -> Poly | None:
        """Return 1 / (a + b) with a root b as (a - b) / (a^2 - b^2), if that denominator is a single term."""
        roots = {m for m in p if any(atom.startswith("(") and e == Decimal("0.5") for atom, e in m)}
        if len(roots) != 1:
            return None
        conjugate = {m: -c if m in roots else c for m, c in p.items()}
        norm = self.mul(p, conjugate)
        return self.mul(conjugate, self.power(norm, Decimal(-1))) if len(norm) == 1 else None

    def common(self, p: Poly) -> tuple[Monomial, Poly]:
        """Return the powers of exponentials that all terms contain, and the sum without them."""
        atoms = {atom for m in p for atom, _ in m if atom.startswith("exp")}
        least = tuple((atom, min(dict(m).get(atom, Decimal(0)) for m in p)) for atom in sorted(atoms))
        return least, {self.times(m, least, -1): c for m, c in p.items()}

    # atoms

    def lead(self, p: Poly) -> Monomial:
        return min((m for m in p if m), key=self.name, default=())

    def name(self, m: Monomial) -> str:
        return "*".join(f"{atom}^{_short(e)}" for atom, e in m)

    def key(self, p: Poly) -> str:
        self.numbers |= {n for m, c in p.items() for n in (c, *(e for _, e in m))}
        return " + ".join(sorted(f"{_short(c)}*{self.name(m)}" for m, c in p.items())) or "0"

    def atom(self, function: str, p: Poly) -> str:
        name = f"{function}({self.key(p)})"
        self.bases[name] = p
        return name

    def call(self, name: str, a: Poly) -> Poly:
        if not set(a) - {()}:
            argument = a.get((), Decimal(0))
            return self.number(constant(call(name, X), {"x": argument}))
        match name:
            case "exp":
                return self.exp(a)
            case "log":
                return self.log(a)
            case "sqrt":
                return self.power(a, Decimal("0.5"))
        if name in _REWRITTEN:
            return self.of_text(_REWRITTEN[name], a)
        sign = Decimal(1)
        if name in _ODD or name in _EVEN:
            sign = Decimal(1) if a[self.lead(a)] > 0 else Decimal(-1)
        found: Poly = {((self.atom(name, self.scaled(a, sign)), Decimal(1)),): Decimal(1)}
        return self.scaled(found, sign) if name in _ODD else found

    def of_text(self, definition: Callable[[Node], Node], a: Poly) -> Poly:
        known: dict[Node, Poly] = {X: a}
        for n in order(definition(X)):
            if n is not X:
                known[n] = self.node(n, known)
        return known[n]

    def exp(self, a: Poly) -> Poly:
        found, rest = self.number(a.get((), Decimal(0)).exp()), {}
        for m, c in a.items():
            if len(m) == 1 and m[0][0].startswith("log") and m[0][1] == 1:  # e**(c log b) is b**c
                found = self.mul(found, self.power(self.bases[m[0][0]], c))
            elif m:
                rest[m] = c
        if not rest:
            return found
        scale = rest[self.lead(rest)]
        atom = self.atom("exp", self.scaled(rest, 1 / scale))
        return self.mul(found, {((atom, _EXPONENTS.plus(scale)),): Decimal(1)})

    def log(self, a: Poly) -> Poly:
        common, rest = self.common(a)
        found: Poly = {}
        for atom, e in common:
            found = self.add(found, self.scaled(self.bases[atom], e))
        scale = rest[self.lead(rest)]
        if scale <= 0:
            scale = Decimal(1)
        found = self.add(found, self.number(scale.ln()))
        rest = self.scaled(rest, 1 / scale)
        if rest == {(): Decimal(1)}:
            return found
        return self.add(found, {((self.atom("log", rest), Decimal(1)),): Decimal(1)})


def _exp(a: Node) -> Node:
    return call("exp", a)


def _num(value: int) -> Node:
    return node("number", str(value))


def _times(k: int, a: Node) -> Node:
    return node("*", _num(k), a)


def _plus_one(a: Node) -> Node:
    return node("+", a, _num(1))


_HALF = node("number", "0.5")
_REWRITTEN: dict[str, Callable[[Node], Node]] = {
    "expm1": lambda a: node("-", _exp(a), _num(1)),
    "log1p": lambda a: call("log", _plus_one(a)),
    "sinh": lambda a: node("*", _HALF, node("-", _exp(a), _exp(neg(a)))),
    "cosh": lambda a: node("*", _HALF, node("+", _exp(a), _exp(neg(a)))),
    "tanh": lambda a: node("-", _num(1), node("/", _num(2), _plus_one(_exp(_times(2, a))))),
    "asinh": lambda a: call("log", node("+", a, call("sqrt", _plus_one(node("**", a, 2))))),
    "erfc": lambda a: node("-", _num(1), call("erf", a)),
    "tan": lambda a: node("/", call("sin", a), call("cos", a)),
}
"""Functions in terms of others."""
_ODD, _EVEN = ("erf", "sin", "atan"), ("cos",)
