"""The number of threads that a call may use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from . import _core


def get_num_threads() -> int:
    """Return how many threads a call may use, including the calling thread.

    The default is the smallest of these, determined at the first use:

    - the number of CPUs in the affinity mask of the process;
    - the number of CPUs that the quota of its cgroup allows, as in containers, rounded up;
    - the environment variable ``PYNN_NUM_THREADS``, which must be an integer from 1 to 256;
    - the environment variable ``OMP_NUM_THREADS``, if it is set. Of a list such as "4,2" the first number counts, and a value that
      is no positive integer is ignored, as by OpenMP. joblib and Dask set this variable for their worker processes, so that all
      workers together use each CPU once.

    `set_num_threads` may set more. ``threadpoolctl.threadpool_limits`` and ``threadpool_info`` (threadpoolctl 3.2 or later) include
    pynn. Results are bit-identical for any number of threads.

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
        From 1 to 256, or None for the default, which `get_num_threads` describes. Work that is too small to benefit runs on one
        thread.

    Raises
    ------
    TypeError
        If `n` is neither an integer nor None.
    ValueError
        If `n` is out of range, or None while ``PYNN_NUM_THREADS`` is invalid.

    Examples
    --------
    >>> import pynn
    >>> pynn.set_num_threads(2)
    >>> pynn.get_num_threads()
    2
    >>> pynn.set_num_threads(None)
    """
    _set(n)


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
    before = _set(n)
    try:
        yield
    finally:
        _set(before)


def _set(n: int | None) -> int:
    """Set the number of threads of the process and return the previous one, which the calling thread may be barred from using."""
    if n is not None and (isinstance(n, bool) or not isinstance(n, (int, np.integer))):
        raise TypeError(f"n: expected an integer or None, got {n!r}")
    if n is not None and not 1 <= n <= 256:
        raise ValueError(f"n: expected 1 to 256 threads, or None for the default, got {n}")
    return _core.set_threads(0 if n is None else int(n))
