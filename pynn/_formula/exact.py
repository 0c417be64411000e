"""Evaluate graphs to any precision with mpmath, which only checks and tests need."""

from __future__ import annotations

import functools
from typing import Any

import mpmath

from .evaluate import evaluate
from .nodes import Node


class Exact:
    """Arithmetic of mpmath for ``evaluate``. Numbers are exact decimals: 0.1 is 0.1, not the nearest double.

    Parameters
    ----------
    digits : int
        The precision.
    largest : int
        Arguments of ``2**largest`` and more count as infinite in exponentials, and have no sine. mpmath is slow for large ones.
    """

    lazy = True

    def __init__(self, digits: int, largest: int = 2000) -> None:
        self.largest = largest
        self.mp = mpmath.mp.clone()
        self.mp.dps = digits
        self.pi, self.e = +self.mp.pi, +self.mp.e
        self.number = functools.cache(lambda text: self.mp.mpf(text))

    def call(self, name: str, a: Any) -> Any:
        """Return the limits of functions for large arguments, for which mpmath is slow, inaccurate or out of memory."""
        far = name in ("erf", "erfc") and abs(a) > 1000
        if abs(a) > 1000 and self.mp.mag(a) > self.largest:
            if name in ("sin", "cos", "tan"):
                return self.mp.nan
            if name in ("exp", "expm1", "sinh", "cosh", "tanh"):
                a = self.mp.sign(a) * self.mp.inf
        name = {"round": "nint"}.get(name, name)
        return getattr(self.mp, name)(self.mp.sign(a) * 1000 if far else a)

    def power(self, a: Any, b: Any) -> Any:
        if abs(b) > 2**20 and a > 0:  # mpmath multiplies for integers
            return self.call("exp", b * self.mp.log(a))
        if abs(b) > 2**20 and a:
            return self.mp.nan
        found = self.mp.power(a, b)
        return found if isinstance(found, self.mp.mpf) else self.mp.nan  # the power of a negative number is complex

    def sign(self, a: Any) -> Any:
        return self.mp.sign(a)

    def choose(self, condition: bool, a: Any, b: Any) -> Any:
        return a if condition else b

    larger, smaller = staticmethod(max), staticmethod(min)


@functools.cache
def _arithmetic(digits: int) -> Exact:
    return Exact(digits)


def exact(root: Node, given: dict[str, Any], side: int = 1, digits: int = 60, first: int = 100) -> Any:
    """Return the value of a graph to that many digits, however much its terms cancel; NaN if it is not a real number.

    The precision is doubled until two results agree. That may be too early where a term is below the ``first`` precision relative to
    another one, as in log(1 + exp(-700)).
    """
    last = None
    for doubling in range(6):
        numbers = _arithmetic(first << doubling)
        mp = numbers.mp
        try:
            found = evaluate(root, numbers, {name: mp.mpf(value) for name, value in given.items()}, side)
            found = +mp.mpf(found)
        except (ZeroDivisionError, ValueError, OverflowError, TypeError):  # TypeError: the value is complex
            return mp.nan
        agrees = last is not None and abs(found - last) <= abs(found) * mp.mpf(10) ** -digits
        if not mp.isfinite(found) or (agrees and (found != 0 or first << doubling > 1500)):
            return found
        last = found
    return last
