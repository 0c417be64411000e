"""Evaluate formulas of the activation table and their derivatives, to any precision or as C source.

`pynn._formula` parses the text into a graph of nodes, differentiates it, and evaluates it. ``Formula`` evaluates the graphs in mpmath (the
oracle of ``test_activations.py``) or writes them as C (the oracle of ``tests/ulp``).
Numbers are exact decimals: 0.044715 is 0.044715, not the nearest double.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from pynn._formula.derivative import Derivative
from pynn._formula.evaluate import evaluate
from pynn._formula.exact import Exact
from pynn._formula.nodes import COMPARISONS, ZERO, Node, node, order
from pynn._formula.parser import read


class _Doubles:
    """Vectorized arithmetic in NumPy's float64, for a coarse scan."""

    lazy, pi, e, number, larger, smaller, sign = False, math.pi, math.e, float, np.maximum, np.minimum, np.sign
    power, choose = staticmethod(np.power), staticmethod(np.where)

    def call(self, name: str, a: Any) -> Any:
        return getattr(np, name)(a) if hasattr(np, name) else np.vectorize(getattr(math, name))(a)


def _crossings(y: Any, where: Any) -> Any:
    """Return the indices of inner points where y changes its sign, among those selected by ``where``."""
    sign = np.sign(np.where(np.abs(y) < 1e-9, 0.0, y))
    return (sign[:-2] * sign[2:] < 0) & where[1:-1]


def _touches(y: Any) -> Any:
    """Return the indices of inner points where |y| has a minimum close to zero."""
    near = np.abs(y)
    return (near[1:-1] < 1e-4) & (near[1:-1] < near[:-2]) & (near[1:-1] < near[2:])


def _comparisons(root: Node) -> set[Node]:
    """Return the comparisons in a graph; |a| counts as a comparison of a with 0, and max and min as one of their operands."""
    found = set()
    for n in order(root):
        if n.op in COMPARISONS:
            found.add(n)
        elif n.op in ("abs", "max", "min"):
            found.add(node(">", *(n.args if n.op != "abs" else (n.args[0], ZERO))))
    return found


class Formula:
    """One row's formula.

    ``value``, ``derivative`` and ``terms`` (the largest term of the sum that the derivative is) are graphs.
    """

    def __init__(self, text: str, parameters: tuple[str, ...] = ()) -> None:
        self.text, self.parameters = text, parameters
        self.value = read(text, parameters)
        self.derivative, self.terms = Derivative().both(self.value)

    def exact(self, digits: int = 150) -> Callable[..., Any]:
        """Return ``f(which, x, side=1, **parameters)``: the value, derivative or terms at x in mpmath numbers of that many digits.

        ``side`` says which side's derivative is meant at a kink.
        """
        numbers = Exact(digits, largest=20_000)  # more than the 19th power of any float

        def f(which: str, x: Any, side: int = 1, **given: Any) -> Any:
            x, given = numbers.mp.mpf(x), {name: numbers.mp.mpf(v) for name, v in given.items()}
            try:
                return +numbers.mp.mpf(evaluate(getattr(self, which), numbers, {"x": x, **given}, side))
            except ZeroDivisionError:  # a removable singularity: NumPy's 1 / (3 / 0) is 0
                near = x + numbers.mp.mpf(10) ** -400
                return +numbers.mp.mpf(evaluate(getattr(self, which), numbers, {"x": near, **given}, side))

        return f

    def has_root(self, **given: float) -> bool:
        """Return whether the terms of the derivative cancel at a point other than 0, where it changes its sign or touches zero."""
        _, share = self._scan(**given)
        return bool(_crossings(share, np.abs(share) < 0.1).any() or _touches(share).any())

    def centres(self, **given: float) -> list[float]:
        """Return the points that need dense sampling: near roots of the derivative and near branch changes."""
        x, share = self._scan(**given)
        kinks: set[float] = set()
        with np.errstate(all="ignore"):
            for n in _comparisons(self.value):
                a, b = (np.broadcast_to(evaluate(v, _Doubles(), {"x": x, **given}), x.shape) for v in n.args)
                kinks.update(x[1:-1][_crossings(a - b, np.isfinite(a - b))].tolist())
        return sorted(kinks | set(x[1:-1][_crossings(share, np.isfinite(share)) | _touches(share)].tolist()))[:40]

    def _scan(self, **given: float) -> tuple[Any, Any]:
        """Return points around 0, and the ratio of the derivative to its largest term at each."""
        x = np.linspace(0.05, 60, 20000)
        x = np.concatenate([-x[::-1], x])
        with np.errstate(all="ignore"):
            d, terms = (np.broadcast_to(evaluate(n, _Doubles(), {"x": x, **given}), x.shape) for n in (self.derivative, self.terms))
            return x, np.where(np.isfinite(d) & (terms > 0), d / terms, 1.0)

    def c_source(self, name: str) -> str:
        """Return the definition of ``REFERENCE(name)``, in terms of the macros that ``tests/ulp/reference.h`` defines for each type T.

        Each value has a bound of its rounding error, in units of half T's epsilon.
        """
        return _Writer(self.parameters).function(name, {"v": self.value, "d": self.derivative, "s": self.terms})


class _Writer:
    """Writes graphs as C code: for each node one constant, and the bound of its error, or "" for none."""

    def __init__(self, parameters: tuple[str, ...]) -> None:
        self.parameters = parameters
        self.lines: list[str] = []
        self.known: dict[Node, tuple[str, str]] = {}

    def function(self, name: str, results: dict[str, Node]) -> str:
        for result, root in results.items():
            value, error = self.name(root)
            self.lines.append(f"*{result} = {value};" + (f" *e{result} = {error or 0};" if result != "s" else ""))
        return f"REFERENCE({name})\n{{\n" + "".join(f"    {line}\n" for line in self.lines) + "}\n"

    def name(self, n: Node) -> tuple[str, str]:
        if n not in self.known:
            value, error = self.compute(n)
            if value.isidentifier():
                self.known[n] = value, error
            else:
                i = len(self.known)
                self.lines.append(f"const T v{i} = {value};")
                self.lines += [f"const T e{i} = {error.replace('$', f'v{i}')};"] if error else []
                self.known[n] = f"v{i}", error and f"e{i}"
        return self.known[n]

    def condition(self, n: Node) -> str:
        match n.op, n.args:
            case (("&" | "|"), (a, b)):
                return f"({self.condition(a)} {n.op} {self.condition(b)})"
            case "above", args:
                a, b, da, db = (self.name(arg)[0] for arg in args)
                return f"(({a} > {b}) | (({a} == {b}) & (side * ({da} - {db}) > 0)))"
        return f"({self.name(n.args[0])[0]} {n.op} {self.name(n.args[1])[0]})"

    def compute(self, n: Node) -> tuple[str, str]:
        """Return value and error bound as C source; ``$`` is the placeholder for the name of the value."""
        match n.op, n.args:
            case "input", _:
                return "x", ""
            case "parameter", (name,):
                return f"p{self.parameters.index(name)}", ""
            case "pi", _:
                return "C(3.14159265358979323846264338327950288419716939937510582097494)", "$"
            case "number", (text,):
                exact = Fraction(float(text)) == Fraction(text) and Fraction(text).numerator < 2**24
                return f"C({text if set(text) & set('.e') else text + '.0'})", "" if exact else "F(fabs)($)"
            case "if", (condition, a, b):
                test, (va, ea), (vb, eb) = self.condition(condition), self.name(a), self.name(b)
                return f"{test} ? {va} : {vb}", (ea or eb) and f"{test} ? {ea or 0} : {eb or 0}"
            case "neg", (a,):
                return f"-{self.name(a)[0]}", self.name(a)[1]
            case "abs", (a,):
                return f"F(fabs)({self.name(a)[0]})", self.name(a)[1]
            case "**", (a, k):
                value, error = self.name(a)
                inner = f"{error} * F(fabs)({' * '.join([value] * (k - 1))}) + " if error else ""
                return " * ".join([value] * k), f"{k} * ({inner}F(fabs)($))"
            case "call", (name, a):
                value, error = self.name(a)
                return f"CALL_{name}({value})", f"ERROR_{name}({value}, {error or 0}, $)"
        (a, ea), (b, eb) = map(self.name, n.args)
        match n.op:
            case "max" | "min":
                test = f"({a} {'>=' if n.op == 'max' else '<='} {b})"
                return f"{test} ? {a} : {b}", (ea or eb) and f"{test} ? {ea or 0} : {eb or 0}"
            case "*":
                leaves = all(arg.op in ("x", "parameter") for arg in n.args)
                errors = [f"F(fabs)({b}) * {ea}"] * bool(ea) + [f"F(fabs)({a}) * {eb}"] * bool(eb)
                return f"{a} * {b}", " + ".join([*errors, "ERROR_OF_INPUTS($)" if leaves else "F(fabs)($)"])
            case "/":
                errors = [ea] * bool(ea) + [f"F(fabs)($) * {eb}"] * bool(eb)
                inner = f"({' + '.join(errors)}) / F(fabs)({b}) + " if errors else ""
                return f"{a} / {b}", f"{inner}F(fabs)($)"
        return f"{a} {n.op} {b}", " + ".join([e for e in (ea, eb) if e] + ["F(fabs)($)"])


def promise(row: dict[str, Any], which: str, isa: str) -> float:
    """Return the error in units in the last place that a row allows for its ``"value"`` or ``"derivative"``.

    The base instruction set rounds twice when it multiplies and adds: it allows up to 4 units for a value, and 2 more for a derivative.
    """
    ulp = float(row["ulp"] if which == "value" else row["grad_ulp"])
    if isa != "base" or ulp == 0:
        return ulp
    return max(ulp, 4.0) if which == "value" else ulp + 2
