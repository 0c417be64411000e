"""The names of the language, from the tables of the core."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from .. import _core
from .._tables import Parameters, parse_parameters

FORMS: dict[str, tuple[int, int | None]] = {
    "where": (3, 3),
    **dict.fromkeys(("max", "min", "maximum", "minimum"), (2, None)),
    "clip": (3, 3),
    "copysign": (2, 2),
    **dict.fromkeys(("abs", "sign", "square"), (1, 1)),
}
"""The functions with a syntax or a derivative of their own, with the least and the largest number of arguments."""
FUNCTIONS = frozenset(op["name"] for op in _core.FORMULA_OPS if op["is_function"] and op["arity"] == 1) - frozenset(FORMS)
"""The functions of one argument."""


@functools.cache
def rows() -> dict[str, tuple[Mapping[str, Any], Parameters]]:
    """Return the activations of the table, each with its parameters."""
    return {row["name"]: (row, parse_parameters(row["params"], row["check"])) for row in _core.ACTIVATIONS}


@functools.cache
def kernels() -> frozenset[str]:
    """Return the activations without parameters, whose derivatives are kernels of one argument."""
    return frozenset(name for name, (_, parameters) in rows().items() if not parameters.defaults)


@functools.cache
def reserved() -> frozenset[str]:
    """Return the names that parameters may not have."""
    return frozenset({"pi", "e", *FORMS, *FUNCTIONS, *rows()})
