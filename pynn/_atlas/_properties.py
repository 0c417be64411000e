"""Properties of activations, measured in float64 on a grid."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

_TOLERANCE = 1e-9
_CENTRED = 1e-3
"""How far the mean and the standard deviation of outputs may be from 0 and 1."""
_NEAR, _TAIL, _FAR, _GROWTH, _HUGE = 1e3, 1e4, 1e6, 1.02, 1e12
"""A function is unbounded if its bound over all points, up to _FAR, exceeds that up to _NEAR by the factor _GROWTH, or if it is _HUGE."""
_CANDIDATES, _DIVISIONS, _PARTS = 24, 8, np.arange(17) / 16


@dataclass(frozen=True)
class Properties:
    """Properties of an activation at given parameters, measured in float64.

    Values and derivatives are taken on a grid of 6,000 points that is dense in [-12, 12] and reaches to 10**6 on both sides. Jumps are
    found by bisection. A property that holds on the grid is taken to hold everywhere.

    Attributes
    ----------
    monotonic : bool
        It never decreases, or never increases.
    bounded : bool
        Neither bound is infinite.
    continuous, smooth : bool
        It has no jump; its derivative exists and has no jump either.
    odd, even : bool
        ``f(-x)`` is ``-f(x)``; it is ``f(x)``.
    zero_at_zero : bool
        ``f(0)`` is 0.
    unit_slope_at_zero : bool
        The slope is 1 on both sides of 0, as for an identity.
    nonnegative : bool
        No value is negative.
    saturates_left, saturates_right : bool
        It has a finite limit as x goes to minus infinity, or to infinity.
    zero_centred : bool
        The mean output for standard normal inputs is 0, to within 0.001.
    fixed_point : bool
        Outputs for standard normal inputs have mean 0 and standard deviation 1, to within 0.001, as self-normalizing networks need.
    lower, upper : float
        The bounds of the values.
    limit_left, limit_right : float or None
        The limits as x goes to minus infinity and to infinity; None where there is none.
    mean, std : float
        Mean and standard deviation of the outputs for standard normal inputs.
    steepest : float
        The largest absolute derivative, which is the Lipschitz constant if the function is continuous.
    """

    monotonic: bool
    bounded: bool
    continuous: bool
    smooth: bool
    odd: bool
    even: bool
    zero_at_zero: bool
    unit_slope_at_zero: bool
    nonnegative: bool
    saturates_left: bool
    saturates_right: bool
    zero_centred: bool
    fixed_point: bool
    lower: float
    upper: float
    limit_left: float | None
    limit_right: float | None
    mean: float
    std: float
    steepest: float


PREDICATES = tuple(f.name for f in fields(Properties) if f.type == "bool")
"""The properties that hold or do not hold."""


@functools.cache
def _grid() -> tuple[Array, Array, Array]:
    """Return the points of [-12, 12] with the weights of the normal distribution, and all points. Both are symmetric around 0."""
    middle = np.arange(-12 * 216, 12 * 216 + 1) / 216
    weights = np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi) / 216
    # irregular distances, so that no period fits them all
    tail = np.geomspace(12, _FAR, 400) * (1 + 1e-3 * np.sin(np.arange(400.0)))
    return middle, weights, np.concatenate([-tail[::-1], middle, tail])


def measure(f: Function, df: Function) -> Properties:
    """Return the properties of a function with the given derivative."""
    middle, weights, x = _grid()
    with np.errstate(all="ignore"):
        y, slope = f(x), df(x)
        near = (abs(x) <= _NEAR) & np.isfinite(y)
        inner = slice((len(x) - len(middle)) // 2, (len(x) + len(middle)) // 2)
        mean = float(np.sum(weights * y[inner]))
        std = float(np.sqrt(np.sum(weights * (y[inner] - mean) ** 2)))
        continuous = not _jumps(f, middle, y[inner], 1e-6 * (1 + abs(y[inner]).max()))
        smooth = continuous and not _jumps(df, middle, slope[inner], 1e-6 * (1 + abs(slope[inner]).max()))
        lower, upper = -_bound(-y, near) + 0.0, _bound(y, near)
        left, right = _limit(y[x < -_TAIL][::-1]), _limit(y[x > _TAIL])
        beside = np.array([-_TOLERANCE, 0.0, _TOLERANCE])
        at_zero, slopes = f(beside), df(beside)[::2]
        size = np.where(np.isfinite(y), abs(y), 0) + 1
        change = np.diff(y)
        change = change[abs(change) > _TOLERANCE * size[1:]]
        rises = bool((abs(slopes - 1) < 1e-6).all() and np.ptp(at_zero) < 4 * _TOLERANCE)
        odd, even = _close(y[::-1], -y, size), _close(y[::-1], y, size)
    return Properties(
        monotonic=bool((change > 0).all() or (change < 0).all()),
        bounded=bool(np.isfinite([lower, upper]).all()),
        continuous=continuous,
        smooth=smooth,
        odd=odd,
        even=even,
        zero_at_zero=bool(abs(at_zero[1]) < _TOLERANCE),
        unit_slope_at_zero=rises,
        nonnegative=lower >= -_TOLERANCE,
        saturates_left=left is not None and bool(np.isfinite(left)),
        saturates_right=right is not None and bool(np.isfinite(right)),
        zero_centred=abs(mean) < _CENTRED,
        fixed_point=abs(mean) < _CENTRED and abs(std - 1) < _CENTRED,
        lower=lower,
        upper=upper,
        limit_left=left,
        limit_right=right,
        mean=mean,
        std=std,
        steepest=_bound(abs(slope), near),
    )


def _close(a: Array, b: Array, size: Array) -> bool:
    return bool(((a == b) | (np.isnan(a) & np.isnan(b)) | (abs(a - b) <= 1e-12 * size)).all())


def _bound(y: Array, near: NDArray[np.bool_]) -> float:
    """Return the largest value, or infinity if values far away are larger than those near 0."""
    inside, largest = np.nanmax(y[near]), np.nanmax(y)
    if largest - inside > (_GROWTH - 1) * (abs(inside) + 0.1) or largest > _HUGE:
        return np.inf
    return _tidy(largest)


def _tidy(value: float) -> float:
    """Return a bound or limit without the small distance by which the grid misses it."""
    rounded = round(float(value), 5)
    return rounded + 0.0 if abs(rounded - value) < 2e-6 else float(value)


def _limit(y: Array) -> float | None:
    """Return the limit of values that belong to ever larger distances from 0: infinite if they grow, and None if they oscillate."""
    last = y[-1]
    if np.isfinite(y).all() and np.ptp(y) < 1e-3 * (1 + abs(last)):
        return _tidy(last)
    size = np.clip(abs(y), 0, _HUGE)
    one_sign = (y > 0).all() or (y < 0).all()
    if one_sign and (np.diff(size) >= 0).all() and (size[-1] == _HUGE or size[-1] > _GROWTH * size[0]):
        return float(np.copysign(np.inf, last))
    return None


def _jumps(f: Function, x: Array, y: Array, least: float) -> bool:
    """Return whether a function jumps: divide the intervals with the largest differences, and see whether a difference stays."""
    chosen = np.argpartition(np.nan_to_num(abs(np.diff(y)), nan=np.inf), -_CANDIDATES)[-_CANDIDATES:]
    a, b, lines = x[chosen], x[chosen + 1], np.arange(_CANDIDATES)
    for _ in range(_DIVISIONS):
        points = a[:, None] + (b - a)[:, None] * _PARTS
        change = abs(np.diff(f(points)))
        largest = change.argmax(axis=1)
        a, b = points[lines, largest], points[lines, largest + 1]
    return not (change[lines, largest] <= least).all()
