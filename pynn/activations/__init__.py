"""Activation functions: each row of the core's table as a NumPy ufunc, or as a function that calls one."""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import _core
from .._tables import LazyTable, lazy_attributes
from ._functions import elementwise, rowwise, with_approximation

activations: dict[str, dict[str, Any]] = {row["name"]: row for row in _core.ACTIVATIONS}
rowwise_functions: dict[str, dict[str, Any]] = {row["name"]: row for row in _core.ROWWISE}
aliases: dict[str, str] = {
    "hard_sigmoid": "hardsigmoid",
    "hard_silu": "hardswish",
    "hard_swish": "hardswish",
    "hard_tanh": "hardtanh",
    "hard_shrink": "hardshrink",
    "soft_shrink": "softshrink",
    "log_sigmoid": "logsigmoid",
    "tanh_shrink": "tanhshrink",
}
"""Keras's names of activation functions, and the names here."""

approximations: dict[str, dict[str, str]] = {"gelu": {"none": "gelu", "tanh": "gelu_tanh"}}
"""Functions with an argument ``approximate``, as in PyTorch's GELU, and the row that each of its values selects."""

_functions: LazyTable[Any] = LazyTable({
    **{name: partial(elementwise, row, __name__) for name, row in activations.items()},
    **{
        name: partial(with_approximation, {word: activations[row] for word, row in rows.items()}, __name__)
        for name, rows in approximations.items()
    },
    **{name: partial(rowwise, row, __name__) for name, row in rowwise_functions.items()},
    **{alias: partial(lambda name: _functions[name], name) for alias, name in aliases.items()},
})

__all__ = [*activations, *rowwise_functions, *aliases]
__getattr__ = lazy_attributes(globals(), _functions)


def __dir__() -> list[str]:
    return __all__
