"""Evaluate graphs to any precision with mpmath, which only checks and tests need."""

from __future__ import annotations

import functools
from typing import Any

import mpmath


class Exact:
    """Arithmetic of mpmath for ``evaluate``. Numbers are exact decimals: 0.1 is 0.1, not the nearest double."""

    lazy = True

    def __init__(self, digits: int) -> None:
        self.mp = mpmath.mp.clone()
        self.mp.dps = digits
        self.pi, self.e = +self.mp.pi, +self.mp.e
        self.number = functools.cache(lambda text: self.mp.mpf(text))

    def call(self, name: str, a: Any) -> Any:
        """Return the limits of erf and erfc for large arguments, for which mpmath is slow and inaccurate."""
        far = name in ("erf", "erfc") and abs(a) > 1000
        name = {"round": "nint"}.get(name, name)
        return getattr(self.mp, name)(self.mp.sign(a) * 1000 if far else a)

    def power(self, a: Any, b: Any) -> Any:
        return self.mp.power(a, b)

    def sign(self, a: Any) -> Any:
        return self.mp.sign(a)

    def choose(self, condition: bool, a: Any, b: Any) -> Any:
        return a if condition else b

    larger, smaller = staticmethod(max), staticmethod(min)
