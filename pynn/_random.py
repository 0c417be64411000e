"""Seeds (given, derived from ``manual_seed``, or drawn from the system's entropy) and initial values."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core

_source: list[np.random.SeedSequence] = []
_values_left: ContextVar[list[int] | None] = ContextVar("_values_left", default=None)
"""While a model is built from a file: how many of the file's values are not yet assigned to an array."""


DRAW_CHUNK = 2**20
"""How many numbers are drawn per call. NumPy handles signals such as Ctrl-C only between calls."""


def manual_seed(seed: int) -> None:
    """Make later uses of ``seed=None`` reproducible, in the order in which they draw their seeds.

    Parameters
    ----------
    seed : int
        An integer from 0 to 2**64 - 1.

    Raises
    ------
    TypeError
        If `seed` is not an integer.
    ValueError
        If `seed` is out of range.

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
    """Return ``seed``, or a fresh seed for None; 0 while a file is read, because then nothing is drawn."""
    if seed is not None:
        return check_seed(seed)
    if _values_left.get() is not None:
        return 0
    if not _source:  # without numpy.random, which takes a tenth of the time of a first net to load
        return int.from_bytes(os.urandom(8), "little")
    return int(_source[0].spawn(1)[0].generate_state(1, np.uint64)[0])


def uniform(data: NDArray[Any], seed: int, stream: int, low: float, high: float) -> None:
    """Fill an array with uniform initial values, unless a file is about to provide them."""
    if _values_left.get() is None:
        _core.uniform(data, seed, stream, low, high)


def normal(shape: tuple[int, ...], dtype: str, seed: int) -> NDArray[Any]:
    """Return an array of standard normal initial values, uninitialized if a file is about to provide them."""
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
    """Raise ValueError if the file being read has fewer than ``size`` values left."""
    left = _values_left.get()
    if left is not None and left[0] < size:
        raise ValueError("the layers have more parameters than the file has values")


def reserve_values(size: int) -> None:
    """Subtract ``size`` from the values left of the file being read, or raise ValueError if it has too few."""
    check_values_left(size)
    left = _values_left.get()
    if left is not None:
        left[0] -= size


@contextmanager
def skip_initial_values(count: int) -> Iterator[None]:
    """Create layers without drawing initial values, with at most ``count`` values in all.

    Used while a model is built from a file: the memory of new arrays stays untouched, and a small file cannot request large arrays.
    """
    token = _values_left.set([count])
    try:
        yield
    finally:
        _values_left.reset(token)
