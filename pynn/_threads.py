"""The number of threads that a call may use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from . import _core


def get_num_threads() -> int:
    """Return how many threads a call may use, including the calling thread.

    The default is the environment variable ``PYNN_NUM_THREADS``, or else the number of CPUs that the process's affinity and its
    cgroup's quota allow. Results are bit-identical for any number of threads.

    Examples
    --------
    >>> import pynn
    >>> pynn.get_num_threads() >= 1
    True
    """
    return _core.get_threads()


def set_num_threads(n: int | None) -> None:
    """Set how many threads later calls in this process may use.

    Parameters
    ----------
    n : int or None
        From 1 to 256, or None for the number of CPUs this process may use. Work that is too small to benefit runs on one thread.

    Raises
    ------
    TypeError
        If `n` is neither an integer nor None.
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
    """Use `n` threads in the whole process within a ``with`` statement, then restore the previous number.

    Parameters
    ----------
    n : int or None
        As for `set_num_threads`.

    Raises
    ------
    TypeError, ValueError
        As for `set_num_threads`.

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
