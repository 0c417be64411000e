"""Where seeds come from: the caller's, those of ``manual_seed``, or the system's entropy."""

from __future__ import annotations

import numpy as np

_source: list[np.random.SeedSequence] = []


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
    """Return ``seed`` itself, or a fresh one for None."""
    if seed is not None:
        return check_seed(seed)
    fresh = _source[0].spawn(1)[0] if _source else np.random.SeedSequence()
    return int(fresh.generate_state(1, np.uint64)[0])
