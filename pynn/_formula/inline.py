"""Replace activations and derived functions by their formulas, down to elementary functions."""

from __future__ import annotations

import functools

from .nodes import Node, X, node, rebuild, signed
from .parser import read
from .table import rows

DEFINITIONS = {"normcdf": "erfc(-x / sqrt(2)) / 2", "normpdf": "exp(-x**2 / 2) / sqrt(2 * pi)"}
"""Functions that are no rows of the table, in terms of elementary functions."""
_SMOOTH = {"softplus": "softplus(beta * x) / beta"}
"""Rows whose formulas are sums of functions with kinks that cancel, in terms of smooth functions. A program takes derivatives term by
term, with the conventions at kinks, which would give a wrong derivative there."""
_ELEMENTARY = frozenset({"tanh"})


def read_row(name: str, smooth: bool = False) -> Node:
    """Return the graph of a row's formula, in x and the row's parameters; ``smooth``: without kinks that cancel."""
    row, parameters = rows()[name]
    return read(_SMOOTH.get(name, row["formula"]) if smooth else row["formula"], tuple(parameters.defaults))


def substituted(formula: Node, values: dict[Node, Node]) -> Node:
    """Return a graph with values in place of inputs and parameters."""
    return rebuild(formula, lambda n: values.get(n, n))


@functools.lru_cache(1024)
def inlined(root: Node, everything: bool = True) -> Node:
    """Return a graph in which the formulas replace the activations, or only those whose parameters are parameters of the formula."""

    def expand(n: Node) -> Node:
        name = n.args[0] if n.op in ("row", "call") else ""
        if n.op == "row" and (everything or any(v.sources for v in n.args[2:])):
            given = zip(rows()[name][1].defaults, n.args[2:], strict=True)
            formula = read_row(name, smooth=not everything)
            return inlined(substituted(formula, {X: n.args[1], **{node("parameter", p): v for p, v in given}}), everything)
        if n.op == "call" and everything and name in DEFINITIONS:
            return substituted(read(DEFINITIONS[name]), {X: n.args[1]})
        if n.op == "call" and everything and name in rows() and name not in _ELEMENTARY:
            return inlined(node("row", name, n.args[1], *map(signed, rows()[name][1].defaults.values())), everything)
        return n

    return rebuild(root, expand)
