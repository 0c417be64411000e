"""Measure a formula against an evaluation with 60 digits: errors, limits, kinks and overflows."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from .._arrays import Array
from .derivative import Derivative, Slope
from .exact import exact
from .inline import inlined
from .nodes import COMPARISONS, ZERO, Node, X, node, order
from .program import Program, code_of
from .stable import stable
from .text import written

DTYPES: dict[str, Any] = {"float64": np.float64, "float32": np.float32}
_BITS = {"float64": 52, "float32": 23}
FAR = 1e4
"""The |x| beyond which errors are only noted."""
_FAR = (3, 6, 12, 30, 100, 300, 1000, 3000)
"""Powers of ten at which limits are taken."""


@dataclass(frozen=True)
class Error:
    """The largest error of a value or derivative.

    Attributes
    ----------
    ulp : float
        The error in units in the last place (ULP) of the exact result; infinite if the result is NaN or infinite, and should not be.
    x : float
        The input at which it occurs.
    got, expected : float
        The result there, and the exact one.
    """

    ulp: float
    x: float
    got: float
    expected: float


@dataclass(frozen=True)
class Kink:
    """A point at which a function or its derivative jumps.

    Attributes
    ----------
    x : float
        The point.
    values, slopes : tuple of float
        Value and derivative to the left and to the right of it.
    """

    x: float
    values: tuple[float, float]
    slopes: tuple[float, float]

    @property
    def jumps(self) -> bool:
        """Whether the value jumps, and not only the derivative."""
        left, right = self.values
        return abs(left - right) > 1e-6 * max(1.0, abs(left), abs(right))


class Measured:
    """A formula with given parameters, and what was measured about it."""

    def __init__(self, program: Program, root: Node, values: Mapping[str, float]) -> None:
        self.program, self.root, self.given = program, root, dict(values)
        self.inlined = self.oracle(inlined(root))
        self.slope, self.terms = Derivative().both(self.inlined)
        code, outputs = code_of(root, Slope(X)(inlined(root, everything=False)), tuple(values))
        self.written = _core.Formula(code, outputs, 1, len(values))
        self.run = _core.Formula(program.code, program.outputs, 1, len(values))

    def oracle(self, raw: Node) -> Node:
        """Return the graph that is evaluated: one without cancellation, if it has the same value as the formula in 450 digits."""
        better = inlined(stable(raw))
        for x in (-710.0, -57.3, -9.1, -1.7, -0.4, -1e-8, 1e-8, 0.3, 1.9, 8.3, 61.7, 710.0):
            given = {**self.given, "x": x}
            a, b = exact(raw, given, first=450), exact(better, given, first=450)
            if a == a and not abs(a - b) <= 1e-55 * abs(a):
                return raw
        return better

    def value(self, x: float, side: int = 1) -> Any:
        return exact(self.inlined, {**self.given, "x": x}, side)

    def derivative(self, x: float, side: int = 1) -> Any:
        return exact(self.slope, {**self.given, "x": x}, side)

    def call(self, formula: Any, which: str, x: Any, dtype: type = np.float64) -> Array:
        """Return the value or the derivative that a program computes."""
        function = formula.ufunc if which == "value" else formula.grad
        with np.errstate(all="ignore"):
            return np.asarray(function(np.asarray(x, dtype), *(dtype(v) for v in self.given.values())))

    # kinks

    @functools.cached_property
    def edges(self) -> list[float]:
        """Return the points where a comparison in the formula changes, to float64 accuracy."""
        found: set[float] = set()
        grid = np.concatenate([-_spread()[::-1], [0.0], _spread()])
        for n in order(self.inlined):
            pair = n.args[:2] if n.op in (*COMPARISONS, "max", "min") else (n.args[0], ZERO) if n.op in ("abs", "sign") else None
            if pair is not None and "x" in n.sources:
                found |= set(self.roots(node("-", *pair), grid))
        return sorted(found)[:16]

    def roots(self, difference: Node, grid: Array) -> list[float]:
        code, outputs = code_of(difference, None, tuple(self.given))
        f = _core.Formula(code, outputs, 1, len(self.given))
        signs = np.sign(self.call(f, "value", grid))
        found = [float(grid[i]) for i in np.flatnonzero(signs == 0)[:8]]
        for i in np.flatnonzero(signs[:-1] * signs[1:] < 0)[:16]:
            low, high = float(grid[i]), float(grid[i + 1])
            while low < (middle := low / 2 + high / 2) < high:
                low, high = (middle, high) if np.sign(self.call(f, "value", middle)) == signs[i] else (low, middle)
            found.append(high if float(self.call(f, "value", high)) == 0 else low)
        return found

    @functools.cached_property
    def kinks(self) -> list[Kink]:
        found = []
        for x in self.edges:
            step = max(abs(x), 1.0) * 1e-11
            values, slopes = [], []
            for side in (-1, 1):
                near = x + side * step
                values.append(float(self.value(near)))
                slopes.append(float(self.derivative(near, side)))
            kink = Kink(x, (values[0], values[1]), (slopes[0], slopes[1]))
            bend = abs(slopes[0] - slopes[1]) > 1e-6 * max(1.0, *map(abs, slopes))
            if (bend or kink.jumps) and all(map(np.isfinite, (*values, *slopes))):
                found.append(kink)
        return found

    # errors

    @functools.cached_property
    def points(self) -> Array:
        """Return the points at which errors are measured."""
        around = [x * (1 + d) + d for x in self.edges for d in (-0.1, -1e-3, -1e-7, 0.0, 1e-7, 1e-3, 0.1)]
        dense = np.linspace(-12, 12, 73) + 0.0137
        far = [18.3, 25.1, 37.7, 51.2, 88.1, 103.4, 151.0, 365.0, 709.5, 710.5, 746.0, 1500.0, 1e5, 1e10, 1e20, 1e39, 1e155, 1e300]
        small = 10.0 ** np.array([-300.0, -160, -100, -45, -38, -30, -20, -16, -14, -12, -10, -9, -8, -7, -6, -5, -4, -3, -2.3, -1.6, -1.1])
        found = np.unique(np.concatenate([around, dense, far, np.negative(far), small, -small]))
        with np.errstate(over="ignore", under="ignore"):
            single = found.astype(np.float32).astype(np.float64)
        near = np.abs(single - found) <= np.abs(found) * 2.0**-24
        return np.unique(np.where(near & ~np.isin(found, self.edges), single, found))  # in float32, if it has the number

    @functools.lru_cache(None)  # noqa: B019
    def expected(self, which: str) -> list[tuple[float, Any, Any]]:
        """Return the points with their exact results, from the left and from the right, as numbers of mpmath."""
        f = self.value if which == "value" else self.derivative
        at_edge = set(self.edges)
        found = []
        for x in self.points.tolist():
            right = f(x)
            found.append((x, f(x, -1) if x in at_edge else right, right))
        return found

    def undefined(self) -> float | None:
        """Return a point where neither the exact value nor the computed one is a real number."""
        for x, *truths in self.expected("value"):
            if any(y != y for y in truths) and np.isnan(self.call(self.run, "value", x)):
                return x
        return None

    def error(self, formula: Any, which: str, dtype: str, far: bool = False) -> Error:
        """Return the largest error for |x| up to 10,000, or beyond.

        Left out are results below the normal numbers, and those next to roots at points other than 0, where terms of any formula cancel.
        """
        info = np.finfo(DTYPES[dtype])
        with np.errstate(over="ignore", under="ignore"):
            expected = [p for p in self.expected(which) if (abs(p[0]) > FAR) == far and float(DTYPES[dtype](p[0])) == p[0]]
        got = self.call(formula, which, [x for x, *_ in expected], DTYPES[dtype])
        worst = Error(0.0, 0.0, 0.0, 0.0)
        for i, ((x, *truths), y) in enumerate(zip(expected, got.tolist(), strict=True)):
            if not all(map(_is_number, truths)) or self.is_near_root(which, expected, i):
                continue
            if any(0 < abs(truth) < float(info.tiny) * 1e4 for truth in truths) and abs(y) < float(info.tiny) * 2e4:
                continue
            size = min(_ulps(y, truth, dtype) for truth in truths)
            if size > worst.ulp:
                worst = Error(size, x, y, float(truths[1]))
        return worst

    def is_near_root(self, which: str, expected: list[tuple[float, Any, Any]], i: int) -> bool:
        """Return whether a result is next to a root at an x other than 0: it changes its sign, or terms of the derivative cancel."""
        x, _, here = expected[i]
        for k in (i - 2, i - 1, i + 1, i + 2):
            if 0 <= k < len(expected):
                other = expected[k][2]
                if _is_number(other) and other * here < 0 and expected[k][0] * x > 0:
                    return True
        if which == "value" or abs(x) < 1e-3:
            return False
        terms = exact(self.terms, {**self.given, "x": x})
        return _is_number(terms) and bool(abs(here) < 0.05 * abs(terms))

    # limits

    def limit(self, which: str, sign: int) -> float:
        """Return the limit at an infinity: a number, an infinity, or NaN if there is none."""
        f = self.value if which == "value" else self.derivative
        found: list[Any] = []
        for k in _FAR:
            y = f(sign * f_power(k))
            if y != y:
                break
            if not _is_number(y):
                return float(y)
            found.append(y)
        if len(found) < 5:
            return float("nan")
        last, before = found[-1], found[-2]
        if abs(last) < 1e-250 or abs(last) < abs(before) * 1e-100:
            return 0.0
        if abs(last - before) <= 1e-12 * abs(last) and abs(last) < 1e250:
            return float(last)
        grows = all(abs(b) > abs(a) and a * b > 0 for a, b in itertools.pairwise(found[3:]))
        return float("inf") * (1 if last > 0 else -1) if grows else float("nan")

    # overflows

    def overflow(self) -> tuple[str, float] | None:
        """Return a part of the formula that overflows where its value is finite and the result wrong, and where that begins."""
        parts = [n for n in order(self.root) if "x" in n.sources and n.op not in ("input", *COMPARISONS, "&", "|")]
        grid = _spread()[_spread() <= FAR]
        for sign in (1.0, -1.0):
            x = sign * grid
            result = self.call(self.written, "value", x)
            for n in parts:
                code, outputs = code_of(n, None, tuple(self.given))
                f = _core.Formula(code, outputs, 1, len(self.given))
                bad = np.flatnonzero(~np.isfinite(self.call(f, "value", x)))
                if not bad.size or bad[0] == 0:
                    continue
                low, high = float(x[bad[0] - 1]), float(x[bad[0]])
                while low not in (middle := low / 2 + high / 2, high) and middle != high:
                    low, high = (middle, high) if np.isfinite(self.call(f, "value", middle)) else (low, middle)
                wrong = [i for i in (bad[0], bad[len(bad) // 2]) if _ulps(float(result[i]), self.value(float(x[i])), "float64") > 2**20]
                if wrong:
                    return written(n), high
        return None


def f_power(k: int) -> Any:
    from mpmath import mpf

    return mpf(10) ** k


@functools.cache
def _spread() -> Array:
    """Return positive points, some of which are next to the thresholds of overflow."""
    return np.unique(np.concatenate([np.linspace(0.01, 40, 1500), np.geomspace(40, 800, 400), np.geomspace(800, 1e308, 400)]))


def _is_number(y: Any) -> bool:
    return bool(y == y and abs(y) != float("inf"))


def _ulps(got: float, expected: Any, dtype: str) -> float:
    """Return the distance in units in the last place of the expected number, at least those of the smallest normal number."""
    info = np.finfo(DTYPES[dtype])
    largest = float(info.max)
    if not np.isfinite(got):
        return 0.0 if abs(expected) >= largest and not np.isnan(got) and (got > 0) == (expected > 0) else float("inf")
    if expected == 0:
        exponent = info.minexp
    else:
        from mpmath import mag

        exponent = max(int(mag(expected)) - 1, info.minexp)
    from mpmath import ldexp, mpf

    return float(abs(mpf(got) - expected) / ldexp(mpf(1), int(exponent - _BITS[dtype])))

