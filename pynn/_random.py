"""Where seeds come from: the caller's, those of ``manual_seed``, or the system's entropy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core

_source: list[np.random.SeedSequence] = []
_values_left: ContextVar[list[int] | None] = ContextVar("_values_left", default=None)
"""Where the values of a file follow: how many more it has."""


DRAW_CHUNK = 2**20
"""Numbers drawn at a time: NumPy answers a signal between two calls only."""


def manual_seed(seed: int) -> None:
    """Make every later ``seed=None`` reproducible, in the order in which the seeds are drawn.

    Parameters
    ----------
    seed : int
        A non-negative integer.

    Examples
    --------
    >>> import pynn
    >>> pynn.manual_seed(0)
    >>> a = pynn.Linear(2, 3).weight.copy()
    >>> pynn.manual_seed(0)
    >>> bool((pynn.Linear(2, 3).weight == a).all())
    True
    """
    _source[:] = [np.random.SeedSequence(check_seed(seed))]


def check_seed(seed: object) -> int:
    """Return ``seed`` as an integer below 2**64, or raise."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed: expected an integer or None, got {seed!r}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed: expected an integer from 0 to 2**64 - 1, got {seed}")
    return int(seed)


def draw_seed(seed: int | None) -> int:
    """Return ``seed`` itself, or a fresh one for None; where nothing is drawn from it, 0."""
    if seed is not None:
        return check_seed(seed)
    if _values_left.get() is not None:
        return 0
    fresh = _source[0].spawn(1)[0] if _source else np.random.SeedSequence()
    return int(fresh.generate_state(1, np.uint64)[0])


def uniform(data: NDArray[Any], seed: int, stream: int, low: float, high: float) -> None:
    """Fill an array with initial values, or leave it alone where those of a file are about to take their place."""
    if _values_left.get() is None:
        _core.uniform(data, seed, stream, low, high)


def normal(shape: tuple[int, ...], dtype: str, seed: int) -> NDArray[Any]:
    """Return an array of standard normal initial values, or where those of a file are about to take their place, of none."""
    if _values_left.get() is not None:
        check_values_left(math.prod(shape))
        return np.empty(shape, dtype)
    draws, data = np.random.Generator(np.random.Philox(key=seed)), np.empty(shape, dtype)
    flat = data.reshape(-1)
    for start in range(0, flat.size, DRAW_CHUNK):
        part = flat[start : start + DRAW_CHUNK]
        part[...] = draws.standard_normal(part.size)
    return data


def check_values_left(size: int) -> None:
    """Raise where an array of so many values is more than a file is going to fill."""
    room = _values_left.get()
    if room is not None and room[0] < size:
        raise ValueError("the layers have more parameters than the file has values")


def reserve_values(size: int) -> None:
    """Count an array of so many values among those that a file is going to fill, or raise."""
    check_values_left(size)
    room = _values_left.get()
    if room is not None:
        room[0] -= size


@contextmanager
def skip_initial_values(count: int) -> Iterator[None]:
    """Make layers without initial values, for so many in all: arrays are not touched, and none out of all proportion is made."""
    token = _values_left.set([count])
    try:
        yield
    finally:
        _values_left.reset(token)
