"""Where seeds come from: the caller's, those of ``manual_seed``, or the system's entropy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core

_source: list[np.random.SeedSequence] = []
_values_follow = ContextVar("_values_follow", default=False)


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
    if _values_follow.get():
        return 0
    fresh = _source[0].spawn(1)[0] if _source else np.random.SeedSequence()
    return int(fresh.generate_state(1, np.uint64)[0])


def uniform(data: NDArray[Any], seed: int, stream: int, low: float, high: float) -> None:
    """Fill an array with initial values, or leave it alone where those of a file are about to take their place."""
    if not _values_follow.get():
        _core.uniform(data, seed, stream, low, high)


@contextmanager
def values_will_follow() -> Iterator[None]:
    """Make layers without initial values: their arrays are not touched, so that a size out of all proportion takes no memory."""
    token = _values_follow.set(True)
    try:
        yield
    finally:
        _values_follow.reset(token)
