"""The derivatives of the activation functions, under the same names: ``pynn.grad.silu(x)`` is dy/dx of ``pynn.silu(x)``."""

from __future__ import annotations

from typing import Any

from ._functions import elementwise, with_approximation
from .activations import activations, aliases


def _functions() -> dict[str, Any]:
    functions = {name: elementwise(row, __name__, derivative=True) for name, row in activations.items()}
    functions["gelu"] = with_approximation(activations["gelu"], activations["gelu_tanh"], __name__, derivative=True)
    return functions | {alias: functions[name] for alias, name in aliases.items()}


globals().update(_functions())
__all__ = [*activations, *aliases]
