"""Find the row of the activation table to which a formula is equal."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import numpy as np

from .canonical import Canonical, NoForm, canonical
from .evaluate import constant
from .inline import read_row
from .nodes import Node
from .parser import read
from .table import rows

Row = tuple[str, tuple[float, ...]]
OTHER_FORMULAS = {"tanhshrink": "x - tanh(x)"}
"""Formulas of rows whose own formula has branches for accuracy alone."""
_POINTS = (-2.71, -1.13, -0.37, 0.29, 0.83, 1.57, 3.19)
_MAX_NUMBERS = 14


def recognised(root: Node, values: Mapping[str, float]) -> Row | None:
    """Return the name and the parameters of a row that equals the formula, for given values of the formula's parameters.

    If there are several, it is the one with the fewest parameters. At a kink, the derivative of the row may differ from that of the
    branch that the formula takes there.

    Examples
    --------
    >>> from pynn._formula.parser import read
    >>> from pynn._formula.recognise import recognised
    >>> recognised(read("x / 2 * (1 + erf(x / sqrt(2)))"), {}), recognised(read("max(x, s*x)", ("s",)), {"s": 0.1})
    (('gelu', ()), ('leaky_relu', (0.1,)))
    """
    return _recognised(root, tuple(sorted(values.items())))


@functools.lru_cache(512)
def _recognised(root: Node, values: tuple[tuple[str, float], ...]) -> Row | None:
    given = {name: Decimal(repr(value)) for name, value in values}
    try:
        form = canonical(root, given)
        for fixed, name in _fixed().get(form.shape, ()):
            if fixed.equals(form):
                return name, ()
        expected = np.array([float(constant(root, {**given, "x": Decimal(str(x))})) for x in _POINTS])
    except (NoForm, ArithmeticError):
        return None
    for name, parameters in _candidates(expected, form.values):
        found = _form_of(name, parameters)
        if found is not None and found.equals(form):
            return name, tuple(map(float, parameters))
    return None


@functools.cache
def _fixed() -> dict[str, list[tuple[Canonical, str]]]:
    """Return the forms of the rows without parameters, by shape."""
    found: dict[str, list[tuple[Canonical, str]]] = {}
    for name, (row, parameters) in rows().items():
        if not parameters.defaults:
            for text in (row["formula"], OTHER_FORMULAS.get(name)):
                if text is not None:
                    form = canonical(read(text), {})
                    found.setdefault(form.shape, []).append((form, name))
    return found


@functools.lru_cache(256)
def _form_of(name: str, parameters: tuple[Decimal, ...]) -> Canonical | None:
    try:
        return canonical(read_row(name), dict(zip(rows()[name][1].defaults, parameters, strict=True)))
    except NoForm:
        return None


def _candidates(expected: np.ndarray, numbers: Iterable[Decimal]) -> Iterator[tuple[str, tuple[Decimal, ...]]]:
    """Return rows with parameters whose kernels agree with the formula at a few points, with parameters among its numbers."""
    simple = sorted({n for n in numbers if n}, key=lambda n: (abs(n.log10()) if n > 0 else abs(n), n))[:_MAX_NUMBERS]
    tried = [*dict.fromkeys([Decimal(0), Decimal(1), *(v for n in simple for v in (n, -n, 1 / n))])]
    x = np.array(_POINTS)[:, None]
    for name, (row, parameters) in sorted(rows().items(), key=lambda item: len(item[1][1].defaults)):
        count = len(parameters.defaults)
        if not count or not row["cls"]:  # without a class, a row is the same function as another
            continue
        grid = np.array([*itertools.product([float(v) for v in tried], repeat=count)]).T
        with np.errstate(all="ignore"):
            found = row["ufunc"](x, *grid)
            near = np.abs(found - expected[:, None]) <= 1e-9 * np.maximum(np.abs(expected[:, None]), 1e-3)
        for i in np.flatnonzero(near.all(axis=0)):
            chosen = tuple(tried[k] for k in np.unravel_index(i, (len(tried),) * count))
            if _satisfies(name, chosen):
                yield name, chosen


def _satisfies(name: str, chosen: tuple[Decimal, ...]) -> bool:
    parameters = rows()[name][1]
    try:
        parameters.verify(name, dict(zip(parameters.defaults, map(float, chosen), strict=True)))
    except ValueError:
        return False
    return True
