"""Warnings that name the line of the caller, from any depth of the library, and texts of errors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_muted: ContextVar[bool] = ContextVar("_is_muted", default=False)


def _caller_level() -> int:
    """Return the stack level of the first frame outside this package, as seen from the function that calls this one."""
    frame, level = sys._getframe(1), 1
    package = __name__.partition(".")[0]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning at the line that called the library."""
    if _is_muted.get():
        return
    warnings.warn(text, category, stacklevel=_caller_level())


def describe_error(error: Exception) -> str:
    """Return the text of an error that occurred when reading a file; the text of a KeyError is only a key."""
    return f"it lacks {error}" if isinstance(error, KeyError) and len(str(error)) < 40 else str(error)


@contextmanager
def muted() -> Iterator[None]:
    """Suppress warnings in this context, in which checks are repeated that have already warned."""
    token = _is_muted.set(True)
    try:
        yield
    finally:
        _is_muted.reset(token)
