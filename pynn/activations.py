"""The activation functions by name: every row of the core's table, as a NumPy ufunc or a function around one."""

from __future__ import annotations

from typing import Any

from . import _core
from ._functions import elementwise, rowwise, with_approximation
from ._tables import unknown_name

activations: dict[str, dict[str, Any]] = {row["name"]: row for row in _core.ACTIVATIONS}
rowwise_functions: dict[str, dict[str, Any]] = {row["name"]: row for row in _core.ROWWISE}
aliases: dict[str, str] = {"swish": "silu"}


def activation_row(name: str) -> Any:
    """Return the row of the activation that is called ``name``; ValueError with the closest names if there is none."""
    try:
        return activations[aliases.get(name, name)]
    except (KeyError, TypeError):
        raise unknown_name("activation", name, [*activations, *aliases]) from None


def _functions() -> dict[str, Any]:
    functions = {name: elementwise(row, __name__) for name, row in activations.items()}
    functions["gelu"] = with_approximation(activations["gelu"], activations["gelu_tanh"], __name__)
    functions |= {name: rowwise(row, __name__) for name, row in rowwise_functions.items()}
    return functions | {alias: functions[name] for alias, name in aliases.items()}


globals().update(_functions())
__all__ = [*activations, *rowwise_functions, *aliases]
