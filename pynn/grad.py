"""Derivatives of the activation functions, under the same names: ``pynn.grad.silu(x)`` is dy/dx of ``pynn.silu(x)``."""

from __future__ import annotations

from functools import partial
from typing import Any

from ._tables import LazyTable, lazy_attributes
from .activations import activations, aliases, approximations
from .activations._functions import elementwise, with_approximation

_functions: LazyTable[Any] = LazyTable({
    **{name: partial(elementwise, row, __name__, derivative=True) for name, row in activations.items()},
    **{
        name: partial(with_approximation, {word: activations[row] for word, row in rows.items()}, __name__, derivative=True)
        for name, rows in approximations.items()
    },
    **{alias: partial(lambda name: _functions[name], name) for alias, name in aliases.items()},
})

__all__ = [*activations, *aliases]
__getattr__ = lazy_attributes(globals(), _functions)


def __dir__() -> list[str]:
    return __all__
