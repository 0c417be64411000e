"""How many threads a call may use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from . import _core


def get_num_threads() -> int:
    """Return how many threads a call may use, its own included.

    The default is the number of CPUs that the process's affinity and its cgroup's quota leave, or ``PYNN_NUM_THREADS`` from
    the environment. Results do not depend on it, to the last bit.

    Examples
    --------
    >>> import pynn
    >>> pynn.get_num_threads() >= 1
    True
    """
    return _core.get_threads()


def set_num_threads(n: int | None) -> None:
    """Set how many threads later calls may use, in the whole process.

    Parameters
    ----------
    n : int or None
        From 1 to 256, or None for the number of CPUs this process may use. Work too small to gain from several threads runs on
        one in any case.

    Raises
    ------
    TypeError
        If `n` is no integer.
    ValueError
        If `n` is out of range.

    Examples
    --------
    >>> import pynn
    >>> pynn.set_num_threads(2)
    >>> pynn.get_num_threads()
    2
    >>> pynn.set_num_threads(None)
    """
    if n is not None and (isinstance(n, bool) or not isinstance(n, (int, np.integer))):
        raise TypeError(f"n: expected an integer or None, got {n!r}")
    if n is not None and not 1 <= n <= 256:
        raise ValueError(f"n: expected 1 to 256 threads, or None for the default, got {n}")
    _core.set_threads(0 if n is None else int(n))


@contextlib.contextmanager
def num_threads(n: int | None) -> Iterator[None]:
    """Use `n` threads within a ``with`` statement, and as many as before after it; as `set_num_threads`, for the whole process.

    Examples
    --------
    >>> import pynn
    >>> with pynn.num_threads(1):
    ...     pynn.get_num_threads()
    1
    """
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)
